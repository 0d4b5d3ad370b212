//! Answers: the envelope, plain JSON, pages, redirects.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, PRAGMA};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::http::{ApiError, error::ApiResult};

/// An answer on its way out. Headers common to all are added later, in one place.
pub type Reply = HttpResponse;

const JSON: &str = "application/json; charset=utf-8";

/// `{type, data}` with a status.
pub fn envelope(status: StatusCode, kind: &str, data: impl Serialize) -> ApiResult<Reply> {
    #[derive(Serialize)]
    struct Envelope<'a, T> {
        r#type: &'a str,
        data: T,
    }
    json_with(status, &Envelope { r#type: kind, data })
}

pub fn ok(kind: &str, data: impl Serialize) -> ApiResult<Reply> {
    envelope(StatusCode::OK, kind, data)
}

pub fn created(kind: &str, data: impl Serialize) -> ApiResult<Reply> {
    envelope(StatusCode::CREATED, kind, data)
}

pub fn no_content() -> Reply {
    HttpResponse::NoContent().finish()
}

pub fn json_with(status: StatusCode, body: &impl Serialize) -> ApiResult<Reply> {
    let bytes = serde_json::to_vec(body).map_err(ApiError::internal)?;
    Ok(json_bytes(status, bytes))
}

pub fn json_bytes(status: StatusCode, bytes: impl Into<bytes::Bytes>) -> Reply {
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, HeaderValue::from_static(JSON)))
        .body(bytes.into())
}

/// Not to be kept by any cache (RFC 6749 §5.1).
#[must_use]
pub fn no_store(mut reply: Reply) -> Reply {
    reply
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// For pages that depend on the visitor.
#[must_use]
pub fn no_cache(mut reply: Reply) -> Reply {
    reply
        .headers_mut()
        .insert(PRAGMA, HeaderValue::from_static("no-cache"));
    reply.headers_mut().insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store"),
    );
    reply
}

pub fn html(status: StatusCode, body: String) -> Reply {
    HttpResponse::build(status)
        .insert_header((
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ))
        .body(body)
}

/// 303: the browser fetches `to` with GET (RFC 9110 §15.4.4).
pub fn see_other(to: &str) -> ApiResult<Reply> {
    let value = HeaderValue::from_str(to)
        .map_err(|_| ApiError::bad_request("The redirect target is not a valid URL"))?;
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, value))
        .finish())
}

/// A stored document as clients see it: `id` for `_id`, no `__v`, dates as ISO 8601.
pub fn public_document(doc: &impl Serialize) -> Json {
    let mut out = serde_json::to_value(doc).unwrap_or_else(|_| json!({}));
    rename_id(&mut out);
    out
}

/// `_id` → `id`, and no revision counters.
pub fn rename_id(out: &mut Json) {
    if let Some(map) = out.as_object_mut() {
        if let Some(id) = map.remove("_id") {
            map.insert("id".to_owned(), id);
        }
        map.remove("__v");
        map.remove("rev");
    }
}
