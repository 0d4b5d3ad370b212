//! The one error type of the HTTP surface and its bodies.

use std::borrow::Cow;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Map, Value as Json, json};

use crate::http::validate::Violation;
use crate::store::StoreError;

/// An answer that is no success. Clients see `{error, message, id, data?}` and, on
/// OAuth endpoints, `error_description` (RFC 6749 §5.2).
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    /// The status text, or an OAuth error code.
    pub error: Cow<'static, str>,
    pub message: String,
    pub data: Option<Json>,
    /// Further members of the body.
    pub more: Map<String, Json>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// A browser may be shown a page instead of JSON.
    pub page: PageRule,
    /// The error says that a unique value is taken.
    pub duplicate: bool,
    /// Why it is an internal error; clients see it only where the settings say so.
    pub cause: Option<String>,
}

/// When an error is rendered as a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageRule {
    /// If the request asks for HTML and is not for the API.
    Negotiated,
    Never,
    Always,
}

pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let error = status.canonical_reason().unwrap_or("Error");
        let message = message.into();
        Self {
            status,
            error: Cow::Borrowed(error),
            message: if message.is_empty() {
                error.to_owned()
            } else {
                message
            },
            data: None,
            more: Map::new(),
            headers: Vec::new(),
            page: PageRule::Negotiated,
            duplicate: false,
            cause: None,
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }
    /// 404 for an object that does not exist.
    pub fn missing(id: &str) -> Self {
        Self::not_found(format!("id requested was {id}"))
    }
    pub fn switched_off(message: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, message)
    }
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }
    pub fn precondition_failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, message)
    }
    pub fn expectation_failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::EXPECTATION_FAILED, message)
    }
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }
    pub fn failed_dependency(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FAILED_DEPENDENCY, message)
    }
    pub fn precondition_required(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_REQUIRED, message)
    }
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }
    /// 408 (RFC 9110 §15.5.9).
    pub fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "The body did not arrive in time; send it again",
        )
    }

    pub fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request entity too large")
    }

    /// 503 with `Retry-After`.
    pub fn busy(retry_after_secs: u64) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is busy, try again shortly",
        )
        .header(RETRY_AFTER, retry_after_secs.to_string())
    }

    /// 429 with `Retry-After`.
    pub fn too_many(retry_after_secs: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many requests, slow down",
        )
        .header(RETRY_AFTER, retry_after_secs.to_string())
    }

    /// Status 500: the cause goes to the log under the request's id, and to the client only where the
    /// setting `security.hide_internal` is off.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(cause = %cause, "internal error");
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "An internal server error occurred",
            )
        }
    }

    /// 400 `ValidationError` for a body that does not match its schema.
    pub fn invalid(violations: &[Violation]) -> Self {
        let list = violations
            .iter()
            .map(Violation::text)
            .collect::<Vec<_>>()
            .join(", ");
        let mut out = Self::validation(format!("Error while validating request: {list}"));
        out.data = Some(violations.iter().map(Violation::json).collect());
        out
    }

    /// 400 `ValidationError` for a document that would break its rules.
    pub fn validation(message: impl Into<String>) -> Self {
        let mut out = Self::bad_request(message);
        out.error = Cow::Borrowed("ValidationError");
        out
    }

    /// 401 with the challenges of the methods that were tried.
    pub fn challenge(status: StatusCode, challenges: &[&'static str]) -> Self {
        let mut out = Self::new(status, "");
        out.page = PageRule::Never;
        if status == StatusCode::UNAUTHORIZED {
            out.headers.extend(
                challenges
                    .iter()
                    .map(|c| (WWW_AUTHENTICATE, HeaderValue::from_static(c))),
            );
        }
        out
    }

    /// An OAuth 2.0 error: `error` is the code, `error_description` the text (RFC 6749 §5.2).
    pub fn oauth(status: StatusCode, code: &'static str, description: impl Into<String>) -> Self {
        let description = description.into();
        let reason = status.canonical_reason().unwrap_or("Error");
        let mut out = Self::new(
            status,
            if description.is_empty() {
                format!("OIDC - {reason}")
            } else {
                format!("OIDC - {reason} - {description}")
            },
        );
        out.error = Cow::Borrowed(code);
        if !description.is_empty() {
            out.more
                .insert("error_description".to_owned(), Json::String(description));
        }
        out
    }

    #[must_use]
    pub fn data(mut self, data: Json) -> Self {
        self.data = Some(data);
        self
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.headers.push((name, value));
        }
        self
    }

    #[must_use]
    pub fn page(mut self, rule: PageRule) -> Self {
        self.page = rule;
        self
    }

    pub fn description(&self) -> Option<&str> {
        self.more.get("error_description").and_then(Json::as_str)
    }

    /// The JSON body, with the request's id.
    pub fn body(&self, id: &str) -> Json {
        let mut out = json!({ "error": self.error, "message": self.message, "id": id });
        if let Some(map) = out.as_object_mut() {
            if let Some(data) = &self.data {
                map.insert("data".to_owned(), data.clone());
            }
            for (k, v) in &self.more {
                map.insert(k.clone(), v.clone());
            }
        }
        out
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.status.as_u16(),
            self.error,
            self.message
        )
    }
}

impl std::error::Error for ApiError {}

impl From<StoreError> for ApiError {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Duplicate {
                collection,
                index,
                keys,
            } => Self {
                duplicate: true,
                ..Self::conflict(format!(
                    "{collection} index: {index} dup key: {{ {} }}",
                    keys.join(", ")
                ))
            },
            StoreError::TooLarge { .. } => Self::too_large(),
            StoreError::Unavailable { .. } | StoreError::Full { .. } => {
                tracing::error!(cause = %e, "store unavailable");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The database cannot be reached, try again shortly",
                )
                .header(RETRY_AFTER, "2")
            }
            StoreError::Conflict { .. } => Self::busy(1),
            other => Self::internal(other),
        }
    }
}
