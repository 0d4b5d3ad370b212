//! OAuth 2.0 errors by cause, with their status (RFC 6749 §5.2, RFC 6750 §3.1, RFC 7009, RFC 8707).

use actix_web::http::StatusCode;
use actix_web::http::header::WWW_AUTHENTICATE;

use crate::http::ApiError;
use crate::http::error::PageRule;

fn plain(status: StatusCode, code: &'static str, description: impl Into<String>) -> ApiError {
    ApiError::oauth(status, code, description).page(PageRule::Never)
}

pub fn invalid_request(description: impl Into<String>) -> ApiError {
    plain(StatusCode::BAD_REQUEST, "invalid_request", description)
}

/// 401; with a `Basic` challenge if the client tried that header.
pub fn invalid_client(issuer: &str, used_header: bool) -> ApiError {
    let e = plain(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "client authentication failed",
    );
    if used_header {
        let value = format!(
            "Basic realm=\"{issuer}\", error=\"invalid_client\", error_description=\"client authentication failed\""
        );
        return e.header(WWW_AUTHENTICATE, value);
    }
    e
}

pub fn invalid_grant() -> ApiError {
    plain(
        StatusCode::BAD_REQUEST,
        "invalid_grant",
        "grant request is invalid",
    )
}

pub fn unauthorized_client(description: impl Into<String>) -> ApiError {
    plain(StatusCode::BAD_REQUEST, "unauthorized_client", description)
}

pub fn unsupported_grant_type() -> ApiError {
    plain(
        StatusCode::BAD_REQUEST,
        "unsupported_grant_type",
        "unsupported grant_type requested",
    )
}

pub fn invalid_scope(description: &str, scope: &str) -> ApiError {
    plain(StatusCode::BAD_REQUEST, "invalid_scope", description).with("scope", scope)
}

pub fn invalid_target(description: impl Into<String>) -> ApiError {
    plain(StatusCode::BAD_REQUEST, "invalid_target", description)
}

/// An error of an endpoint that takes a bearer token.
pub fn bearer(
    issuer: &str,
    status: StatusCode,
    code: &'static str,
    description: &str,
    named: bool,
) -> ApiError {
    let mut value = format!("Bearer realm=\"{issuer}\"");
    if named {
        value.push_str(&format!(
            ", error=\"{code}\", error_description=\"{description}\""
        ));
    }
    plain(status, code, description).header(WWW_AUTHENTICATE, value)
}

/// No such path below the group.
pub fn unrecognized(method: &str, path: &str) -> ApiError {
    ApiError::oauth(
        StatusCode::NOT_FOUND,
        "invalid_request",
        format!("unrecognized route or not allowed method ({method} on {path})"),
    )
}
