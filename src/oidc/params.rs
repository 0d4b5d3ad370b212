//! Parameters of provider endpoints: no duplicates, empty ones count as absent (RFC 6749 §3.1).

use actix_web::http::Method;

use crate::gate::Ctx;
use crate::http::ApiError;
use crate::http::request::{self, Body};
use crate::oidc::errors;

#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

const FORM: &str = "application/x-www-form-urlencoded";

impl Params {
    /// Query of a GET, form of a POST. Another type of body is refused.
    pub fn of(ctx: &Ctx) -> Result<Self, ApiError> {
        let pairs = if *ctx.req.method() == Method::POST {
            match &ctx.req.body {
                Body::Form(pairs) => pairs.clone(),
                Body::Empty => Vec::new(),
                Body::Json(_) | Body::Other(_) => {
                    return Err(errors::invalid_request(format!(
                        "only {FORM} content-type bodies are supported on POST {}",
                        below_group(ctx.req.path())
                    )));
                }
            }
        } else {
            ctx.req.query.clone()
        };
        Ok(Self(
            pairs.into_iter().filter(|(_, v)| !v.is_empty()).collect(),
        ))
    }

    pub fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// Only `resource` may repeat (RFC 8707 §2).
    pub fn check_duplicates(&self) -> Result<(), ApiError> {
        match request::repeated(&self.0, |name| name != "resource") {
            Some(name) => Err(errors::invalid_request(format!(
                "'{name}' parameter must not be provided twice"
            ))),
            None => Ok(()),
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
            .collect()
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.0.push((name.to_owned(), value.into()));
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| n != name);
    }

    /// Keeps only what the endpoint knows.
    pub fn keep(&mut self, known: &[&str]) {
        self.0.retain(|(n, _)| known.contains(&n.as_str()));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The names that are missing, for one message.
    pub fn require(&self, names: &[&str]) -> Result<(), ApiError> {
        let missing: Vec<String> = names
            .iter()
            .filter(|n| self.get(n).is_none())
            .map(|n| format!("'{n}'"))
            .collect();
        match missing.as_slice() {
            [] => Ok(()),
            [one] => Err(errors::invalid_request(format!(
                "missing required parameter {one}"
            ))),
            many => Err(errors::invalid_request(format!(
                "missing required parameter(s) {}",
                many.join(" and ")
            ))),
        }
    }
}

/// The path without the group's segment.
pub fn below_group(path: &str) -> &str {
    path.get(1..)
        .and_then(|p| p.find('/'))
        .and_then(|i| path.get(i + 1..))
        .unwrap_or("/")
}
