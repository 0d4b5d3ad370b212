//! Conditional reads: a weak entity tag, and 304 for whoever has that state already (RFC 9110 §13).

use std::hash::{Hash, Hasher};

use actix_web::HttpResponse;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH,
};
use actix_web::http::{Method, StatusCode};

use crate::http::Reply;

/// Tags the answer to a read, and empties it if `asked` names that tag.
pub fn apply(method: &Method, asked: &HeaderMap, reply: Reply) -> Reply {
    let read = matches!(*method, Method::GET | Method::HEAD);
    if !read || reply.status() != StatusCode::OK || !may_be_kept(reply.headers()) {
        return reply;
    }
    let (mut head, body) = reply.into_parts();
    let bytes = match body.try_into_bytes() {
        Ok(bytes) => bytes,
        Err(stream) => return head.set_body(stream),
    };
    let tag = tag(&bytes);
    let known = asked
        .get_all(IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .any(|list| names(list, &tag));
    if let Ok(value) = HeaderValue::from_str(&tag) {
        head.headers_mut().insert(ETAG, value);
    }
    if !known {
        return head.set_body(BoxBody::new(bytes));
    }
    let mut unchanged = HttpResponse::NotModified().finish();
    for (name, value) in head.headers() {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            unchanged.headers_mut().append(name.clone(), value.clone());
        }
    }
    unchanged
}

/// JSON without an own tag, unless it holds secrets.
fn may_be_kept(headers: &HeaderMap) -> bool {
    let starts = |name, prefix: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| v.starts_with(prefix))
    };
    starts(CONTENT_TYPE, "application/json")
        && !headers.contains_key(ETAG)
        && !headers
            .get(CACHE_CONTROL)
            .is_some_and(|v| v.as_bytes().windows(8).any(|w| w == b"no-store"))
}

/// Weak: the same state, not necessarily the same bytes after compression.
fn tag(bytes: &[u8]) -> String {
    // `new` has fixed keys, so that all nodes and restarts agree
    let mut hasher = std::hash::DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("W/\"{:x}-{:016x}\"", bytes.len(), hasher.finish())
}

/// Weak comparison (RFC 9110 §8.8.3.2).
fn names(list: &str, tag: &str) -> bool {
    let opaque = tag.trim_start_matches("W/");
    list.split(',')
        .map(str::trim)
        .any(|t| t == "*" || t.trim_start_matches("W/") == opaque)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reply;
    use serde_json::json;

    fn answer(asked: &str) -> Reply {
        let mut headers = HeaderMap::new();
        if !asked.is_empty() {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(asked).unwrap());
        }
        let reply = reply::json_with(StatusCode::OK, &json!({"a": 1})).unwrap();
        apply(&Method::GET, &headers, reply)
    }

    #[test]
    fn a_known_state_is_not_sent_again() {
        let first = answer("");
        assert_eq!(first.status(), 200);
        let tag = first
            .headers()
            .get(ETAG)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        assert!(tag.starts_with("W/\""), "{tag}");
        for asked in [&tag, "*", &format!("\"x\", {}", &tag[2..])] {
            let again = answer(asked);
            assert_eq!(again.status(), 304, "{asked}");
            assert_eq!(again.headers().get(ETAG).unwrap().to_str().unwrap(), tag);
            assert!(again.into_body().try_into_bytes().unwrap().is_empty());
        }
        assert_eq!(answer("W/\"other\"").status(), 200);
    }

    #[test]
    fn only_reads_that_may_be_kept_are_tagged() {
        let json = || reply::json_with(StatusCode::OK, &json!({})).unwrap();
        let none = HeaderMap::new();
        let tagged =
            |method: &Method, reply| apply(method, &none, reply).headers().contains_key(ETAG);
        assert!(tagged(&Method::HEAD, json()));
        assert!(!tagged(&Method::POST, json()));
        assert!(!tagged(&Method::GET, reply::no_store(json())));
        let missing = reply::json_with(StatusCode::NOT_FOUND, &json!({})).unwrap();
        assert!(!tagged(&Method::GET, missing));
        assert!(!tagged(
            &Method::GET,
            reply::html(StatusCode::OK, String::new())
        ));
    }
}
