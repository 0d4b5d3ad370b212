//! One bad request and the verdict on its answer.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use serde_json::Value;

use crate::answer::{Answer, send};

/// An address that nobody registered.
pub const ELSEWHERE: &str = "https://elsewhere.test/";

/// What may come back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Refused; a request that only reads may also be answered.
    Refused,
    /// Refused, whatever the method.
    MustFail,
    /// Refused for what was sent, not for who sent it or where to.
    Bad,
    /// Refused, or a list of nothing.
    Foreign,
}

pub struct Shot {
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    verdict: Verdict,
    /// Answers without effect, which the endpoint's standard asks for.
    harmless: bool,
    html: bool,
}

impl Shot {
    pub fn new(
        method: Method,
        url: String,
        credential: Option<&str>,
        harmless: bool,
        html: bool,
    ) -> Self {
        let shot = Self {
            method,
            url,
            headers: Vec::new(),
            body: None,
            verdict: Verdict::Refused,
            harmless,
            html,
        };
        shot.credential(credential)
    }

    pub fn json(self, body: Vec<u8>) -> Self {
        self.body("application/json", body)
    }

    pub fn form(self, body: Vec<u8>) -> Self {
        self.body("application/x-www-form-urlencoded", body)
    }

    fn body(mut self, kind: &str, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self.header(CONTENT_TYPE.as_str(), kind)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The `Authorization` header; none takes it away.
    pub fn credential(mut self, value: Option<&str>) -> Self {
        self.headers
            .retain(|(name, _)| name != AUTHORIZATION.as_str());
        match value {
            Some(value) => self.header(AUTHORIZATION.as_str(), value),
            None => self,
        }
    }

    pub fn query(mut self, query: &str) -> Self {
        self.url = format!("{}?{query}", self.url);
        self
    }

    pub fn must_fail(mut self) -> Self {
        self.verdict = Verdict::MustFail;
        self
    }

    pub fn bad(mut self) -> Self {
        self.verdict = Verdict::Bad;
        self
    }

    pub fn foreign(mut self) -> Self {
        self.verdict = Verdict::Foreign;
        self
    }

    fn describe(&self) -> String {
        let short = |text: &str| {
            let start: String = text.chars().take(400).collect();
            if start.len() < text.len() {
                format!("{start}… ({} bytes)", text.len())
            } else {
                start
            }
        };
        let body = self
            .body
            .as_deref()
            .map(String::from_utf8_lossy)
            .unwrap_or_default();
        let credential = self
            .headers
            .iter()
            .find(|(name, _)| name == AUTHORIZATION.as_str());
        let credential = credential
            .map(|(_, value)| value.chars().take(24).collect::<String>())
            .unwrap_or_default();
        format!(
            "{} {} [{credential}] {}",
            self.method,
            short(&self.url),
            short(&body)
        )
    }

    /// Sends it; the fault of the answer, if any.
    pub async fn fire(self, http: &reqwest::Client) -> Option<String> {
        let answer = self.send(http).await;
        let fault = self.fault(&answer)?;
        let start: String = answer.text.chars().take(240).collect();
        Some(format!(
            "{fault}: {} -> {} {start}",
            self.describe(),
            answer.status
        ))
    }

    pub async fn send(&self, http: &reqwest::Client) -> Answer {
        let mut request = http.request(self.method.clone(), &self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        send(request).await
    }

    fn fault(&self, answer: &Answer) -> Option<&'static str> {
        let location = answer.headers.get(LOCATION);
        let location = location.and_then(|value| value.to_str().ok());
        if location.is_some_and(|location| location.starts_with(ELSEWHERE)) {
            return Some("redirects to nobody's address");
        }
        if answer.headers.contains_key("x-evil") {
            return Some("a header was injected");
        }
        let reads = matches!(self.method, Method::GET | Method::HEAD);
        match answer.status {
            200..=399 => self.success_fault(answer, reads),
            status @ 400..=499
                if self.verdict == Verdict::Bad && matches!(status, 401 | 403 | 409 | 424) =>
            {
                Some("not refused for what was sent")
            }
            400..=499 | 501 => self.refusal_fault(answer),
            _ => Some("a server error"),
        }
    }

    fn success_fault(&self, answer: &Answer, reads: bool) -> Option<&'static str> {
        let empty = || {
            let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
            let none = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
            match &body["data"] {
                Value::Object(lists) => {
                    lists.values().any(Value::is_array)
                        && lists.values().filter(|list| list.is_array()).all(none)
                }
                data => none(data),
            }
        };
        match self.verdict {
            Verdict::MustFail | Verdict::Bad => Some("not refused"),
            // of a challenge nobody knows it is only said that it waits
            Verdict::Foreign if answer.status != 206 && !(reads && empty()) => {
                Some("reached what is another group's")
            }
            Verdict::Refused if !(reads || self.harmless) => Some("not refused"),
            _ if answer.text.contains("$argon2") || answer.text.contains("\"password\":") => {
                Some("shows a password")
            }
            _ => None,
        }
    }

    fn refusal_fault(&self, answer: &Answer) -> Option<&'static str> {
        let kind = answer
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if self.html && kind.starts_with("text/html") {
            return None;
        }
        let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        let said = |name: &str| body[name].as_str().is_some_and(|text| !text.is_empty());
        if kind.starts_with("application/json") && said("error") && said("message") {
            None
        } else {
            Some("no reason given")
        }
    }
}
