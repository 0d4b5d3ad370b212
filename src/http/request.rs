//! A request as handlers see it: hosts, id, query, body, all bounded and decoded once.

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName};
use bytes::BytesMut;
use futures_util::StreamExt;
use serde_json::{Map, Value as Json};

use crate::http::error::ApiResult;
use crate::http::hosts::Hosts;
use crate::http::router::Params;
use crate::http::upgrade::Handover;
use crate::http::{ApiError, cookies};

/// Longest request id taken over from a client.
const ID_LIMIT: usize = 200;
/// Most parameters in a query or form.
const PARAMETER_LIMIT: usize = 1000;

pub type Pairs = Vec<(String, String)>;

/// What was sent in the body.
#[derive(Debug, Default, Clone)]
pub enum Body {
    #[default]
    Empty,
    Json(Json),
    Form(Pairs),
    /// A type the endpoint may not understand.
    Other(String),
}

#[derive(Debug)]
pub struct Request {
    pub http: HttpRequest,
    pub id: String,
    pub hosts: Hosts,
    pub params: Params,
    pub query: Pairs,
    pub body: Body,
    /// Present when the client wants a socket, and its connection can become one.
    pub handover: Option<Handover>,
}

/// Which bodies an endpoint reads and how large they may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct BodyRule {
    pub json: usize,
    pub form: usize,
}

pub const API_BODY: BodyRule = BodyRule {
    json: 102_400,
    form: 102_400,
};
pub const IMPORT_BODY: BodyRule = BodyRule {
    json: 2_097_152,
    form: 0,
};
pub const OIDC_BODY: BodyRule = BodyRule {
    json: 1_048_576,
    form: 57_344,
};

impl Request {
    /// Everything but the body. Broken percent-encoding in the path is a 400.
    pub fn new(http: HttpRequest, hosts: Hosts, id: String) -> Self {
        let query = form_pairs(http.query_string().as_bytes());
        Self {
            http,
            id,
            hosts,
            params: Params::new(),
            query,
            body: Body::Empty,
            handover: None,
        }
    }

    pub fn set_params(&mut self, params: Params) -> ApiResult<()> {
        self.params = params
            .into_iter()
            .map(|(name, raw)| {
                decode_segment(&raw)
                    .map(|v| (name, v))
                    .ok_or_else(|| ApiError::bad_request(format!("Failed to decode param '{raw}'")))
            })
            .collect::<ApiResult<_>>()?;
        Ok(())
    }

    /// The client's `x-request-id` if it is presentable, else a fresh one.
    pub fn id_of(http: &HttpRequest) -> String {
        http.headers()
            .get("x-request-id")
            .and_then(|v| v.to_str().ok())
            .filter(|v| {
                !v.is_empty() && v.len() <= ID_LIMIT && v.bytes().all(|b| b.is_ascii_graphic())
            })
            .map_or_else(|| uuid::Uuid::new_v4().to_string(), ToOwned::to_owned)
    }

    pub fn method(&self) -> &Method {
        self.http.method()
    }

    pub fn path(&self) -> &str {
        self.http.path()
    }

    pub fn header(&self, name: impl AsRef<str>) -> Option<&str> {
        self.http
            .headers()
            .get(name.as_ref())
            .and_then(|v| v.to_str().ok())
    }

    pub fn authorization(&self) -> Option<&str> {
        self.header(AUTHORIZATION.as_str())
    }

    /// A path parameter; the route's pattern must have it.
    pub fn param(&self, name: &str) -> ApiResult<&str> {
        self.try_param(name)
            .ok_or_else(|| ApiError::precondition_required(format!("{name} is required")))
    }

    pub fn try_param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.as_str())
    }

    /// First non-empty value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        cookies::find(self.http.headers(), name)
    }

    /// The JSON body, `{}` if there is none. Flat form fields count as texts.
    pub fn json(&self) -> Json {
        match &self.body {
            Body::Json(v) => v.clone(),
            Body::Form(pairs) => Json::Object(
                pairs
                    .iter()
                    .map(|(k, v)| (k.clone(), Json::String(v.clone())))
                    .collect::<Map<_, _>>(),
            ),
            Body::Empty | Body::Other(_) => Json::Object(Map::new()),
        }
    }

    /// A member of a JSON or form body, if it is a text.
    pub fn field(&self, name: &str) -> Option<&str> {
        match &self.body {
            Body::Json(v) => v.get(name).and_then(Json::as_str),
            Body::Form(pairs) => first(pairs, name),
            Body::Empty | Body::Other(_) => None,
        }
    }

    /// A field of the form that is there more than once.
    pub fn repeated_field(&self) -> Option<&str> {
        match &self.body {
            Body::Form(pairs) => repeated(pairs, |_| true),
            _ => None,
        }
    }

    /// Is the member present with a value that is no text?
    pub fn field_is_not_text(&self, name: &str) -> bool {
        matches!(&self.body, Body::Json(v) if v.get(name).is_some_and(|x| !x.is_string() && !x.is_null()))
    }

    /// Reads the body within the limits. Malformed 400, too large 413.
    pub async fn read_body(&mut self, payload: &mut Payload, rule: BodyRule) -> ApiResult<()> {
        let content_type = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let essence = content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let is_json = essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"));
        let is_form = essence == "application/x-www-form-urlencoded";
        let limit = if is_json {
            rule.json
        } else if is_form {
            rule.form
        } else {
            rule.json.max(rule.form)
        };
        let declared = self
            .header("content-length")
            .and_then(|v| v.parse::<usize>().ok());
        if declared.is_some_and(|n| n > limit) {
            return Err(ApiError::too_large());
        }
        let bytes = collect(&self.http, payload, limit).await?;
        if bytes.is_empty() {
            return Ok(());
        }
        self.body = if is_json {
            let value: Json = serde_json::from_slice(&bytes).map_err(|e| {
                ApiError::bad_request(format!(
                    "The body is not valid JSON (line {}, column {})",
                    e.line(),
                    e.column()
                ))
            })?;
            if !(value.is_object() || value.is_array()) {
                return Err(ApiError::bad_request(
                    "The body must be a JSON object or array",
                ));
            }
            // neither a text nor a name with NUL survives every store and client behind this server
            if has_escaped_nul(&bytes) && contains_nul(&value) {
                return Err(ApiError::bad_request("The body must NOT contain NUL"));
            }
            Body::Json(value)
        } else if is_form {
            let pairs = form_pairs(&bytes);
            if pairs.len() > PARAMETER_LIMIT {
                return Err(ApiError::too_large());
            }
            Body::Form(pairs)
        } else {
            Body::Other(essence)
        };
        Ok(())
    }
}

/// A raw NUL is no JSON, so only the escape has to be looked for.
fn has_escaped_nul(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|window| window == br"\u0000")
}

fn contains_nul(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains('\0'),
        Json::Array(items) => items.iter().any(contains_nul),
        Json::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains('\0') || contains_nul(value)),
        _ => false,
    }
}

/// The first name that comes again, of those that `counts` does not pass over.
pub fn repeated(pairs: &Pairs, counts: impl Fn(&str) -> bool) -> Option<&str> {
    let mut rest = pairs.as_slice();
    while let Some(((name, _), later)) = rest.split_first() {
        if counts(name) && later.iter().any(|(other, _)| other == name) {
            return Some(name);
        }
        rest = later;
    }
    None
}

/// Would this client rather have a page? Only for what is not the API.
pub fn wants_html(http: &HttpRequest) -> bool {
    let accept = http.headers().get(ACCEPT).and_then(|v| v.to_str().ok());
    if !accept.is_some_and(prefers_html) {
        return false;
    }
    let path = http.path();
    let api = path
        .get(..4)
        .is_some_and(|p| p.eq_ignore_ascii_case("/api"))
        || path.to_ascii_lowercase().contains("/api/");
    !api
}

async fn collect(http: &HttpRequest, payload: &mut Payload, limit: usize) -> ApiResult<BytesMut> {
    let encoded = http
        .headers()
        .contains_key(HeaderName::from_static("content-encoding"));
    let mut out = BytesMut::new();
    let broken = |e: actix_web::error::PayloadError| {
        ApiError::bad_request("The body could not be read").with("reason", e.to_string())
    };
    if encoded {
        // the decoder answers a whole chunk at once, so it gets small ones
        const STEP: usize = 1024;
        let small = payload.take().flat_map(|part| {
            futures_util::stream::iter(match part {
                Ok(b) => (0..b.len())
                    .step_by(STEP)
                    .map(|i| Ok(b.slice(i..b.len().min(i + STEP))))
                    .collect::<Vec<_>>(),
                Err(e) => vec![Err(e)],
            })
        });
        let mut stream = actix_web::dev::Decompress::from_headers(small, http.headers());
        while let Some(chunk) = stream.next().await {
            push(&mut out, &chunk.map_err(broken)?, limit)?;
        }
    } else {
        while let Some(chunk) = payload.next().await {
            push(&mut out, &chunk.map_err(broken)?, limit)?;
        }
    }
    Ok(out)
}

fn push(out: &mut BytesMut, chunk: &[u8], limit: usize) -> ApiResult<()> {
    if out.len() + chunk.len() > limit {
        return Err(ApiError::too_large());
    }
    out.extend_from_slice(chunk);
    Ok(())
}

fn first<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(k, v)| k == name && !v.is_empty())
        .map(|(_, v)| v.as_str())
}

/// `application/x-www-form-urlencoded` as pairs.
pub fn form_pairs(bytes: &[u8]) -> Pairs {
    url::form_urlencoded::parse(bytes)
        .take(PARAMETER_LIMIT + 1)
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect()
}

/// One path segment, decoded; none if the encoding is broken or hides a NUL.
fn decode_segment(raw: &str) -> Option<String> {
    let mut bytes = raw.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%'
            && !(bytes.next().is_some_and(|c| c.is_ascii_hexdigit())
                && bytes.next().is_some_and(|c| c.is_ascii_hexdigit()))
        {
            return None;
        }
    }
    let text = percent_encoding::percent_decode_str(raw)
        .decode_utf8()
        .ok()?;
    (!text.contains('\0')).then(|| text.into_owned())
}

/// Does the `Accept` header rank HTML above JSON? Wildcards do not count as HTML.
pub fn prefers_html(accept: &str) -> bool {
    let mut html = 0.0_f32;
    let mut json = 0.0_f32;
    for item in accept.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let q = parts
            .find_map(|p| p.strip_prefix("q=").and_then(|q| q.parse().ok()))
            .unwrap_or(1.0_f32);
        match kind.as_str() {
            "text/html" | "application/xhtml+xml" => html = html.max(q),
            "application/json" => json = json.max(q),
            _ => {}
        }
    }
    html > 0.0 && html >= json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_percent_encoding_is_noticed() {
        assert_eq!(decode_segment("a%20b").as_deref(), Some("a b"));
        assert_eq!(decode_segment("%E0%A4%A"), None);
        assert_eq!(decode_segment("%00"), None);
        assert_eq!(decode_segment("%ff"), None);
    }

    #[test]
    fn html_is_chosen_only_when_asked_for() {
        assert!(prefers_html("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!prefers_html("*/*"));
        assert!(!prefers_html("application/json"));
        assert!(!prefers_html("application/json, text/html;q=0.5"));
        assert!(prefers_html("text/html, application/json"));
    }
}
