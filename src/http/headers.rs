//! Headers every answer carries.

use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL,
    CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};

const METHODS: &str = "GET, HEAD, POST, DELETE, PUT, PATCH, OPTIONS";
const ALLOWED: &str = "Origin, X-Requested-With, Content-Type, Accept, api_key, Authorization, x-org-context, x-request-id";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// CORS, the request's id, and protection against sniffing, on every answer.
pub fn common(headers: &mut HeaderMap, id: &str) {
    let mut set = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    set(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    set(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value);
    }
}

/// Answers of the OpenID provider vary by origin.
pub fn vary_origin(headers: &mut HeaderMap) {
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}

/// Is this answer a page?
pub fn is_html(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.starts_with("text/html"))
}

/// The set that every page and every answer of the provider carries.
pub fn secure(headers: &mut HeaderMap, csp: &str, framing_self: bool, https: bool) {
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(HeaderName::from_static("content-security-policy"), csp);
    set(HeaderName::from_static("x-dns-prefetch-control"), "off");
    set(HeaderName::from_static("x-download-options"), "noopen");
    set(
        HeaderName::from_static("x-permitted-cross-domain-policies"),
        "none",
    );
    set(HeaderName::from_static("x-xss-protection"), "0");
    if framing_self {
        set(X_FRAME_OPTIONS, "SAMEORIGIN");
    }
    if https {
        set(
            STRICT_TRANSPORT_SECURITY,
            "max-age=15552000; includeSubDomains",
        );
    }
}

pub fn is_preflight(req: &HttpRequest) -> bool {
    req.method() == Method::OPTIONS
        && req.headers().contains_key("origin")
        && req.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight of a provider endpoint: whatever headers were asked for.
pub fn preflight(req: &HttpRequest) -> HttpResponse {
    let mut out = HttpResponse::NoContent();
    out.insert_header((
        ACCESS_CONTROL_ALLOW_METHODS,
        "GET,PUT,POST,PATCH,DELETE,HEAD,OPTIONS",
    ));
    if let Some(wanted) = req.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
        out.insert_header((ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone()));
    }
    out.insert_header((VARY, "Origin"));
    out.finish()
}

/// `Allow` and the same list as text.
pub fn allow(methods: &[&Method]) -> HttpResponse {
    let mut names: Vec<&str> = methods.iter().map(|m| m.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.sort_unstable();
    names.dedup();
    let list = names.join(",");
    HttpResponse::Ok()
        .insert_header((ALLOW, list.clone()))
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .body(list)
}

/// Keeps answers with tokens or secrets out of caches.
pub fn never_cache(headers: &mut HeaderMap) {
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
