//! An answer of the server, read to its end, and the checks tests make on it.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::server::Server;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    what: String,
}

/// A request to a path of the server, without credentials.
pub fn to(server: &Server, method: Method, path: &str) -> RequestBuilder {
    Server::http().request(method, format!("{}{path}", server.url))
}

/// Sends a request whatever comes back.
pub async fn send(request: RequestBuilder) -> Answer {
    let request = request.build_split();
    let (client, request) = (request.0, request.1.expect("a request"));
    let what = format!("{} {}", request.method(), request.url());
    let answer = client
        .execute(request)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.expect("a text");
    Answer {
        status,
        headers,
        text,
        what,
    }
}

impl Answer {
    /// Fails unless the status is the expected one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        self.expect_any(&[status])
    }

    #[track_caller]
    pub fn expect_any(self, statuses: &[u16]) -> Self {
        assert!(
            statuses.contains(&self.status),
            "{}: expected {statuses:?}, got {} {}",
            self.what,
            self.status,
            self.text
        );
        self
    }

    /// The body, which must be JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.what, self.text))
    }

    /// A header that may be missing; the empty text then.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("a text"))
            .unwrap_or_default()
    }
}
