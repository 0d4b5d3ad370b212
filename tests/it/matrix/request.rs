//! From a row and a caller to a request.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::Value;

use super::callers::Caller;
use super::table::Row;
use super::world::World;
use crate::answer::send;

/// What goes into a request besides the credential.
#[derive(Default)]
pub struct Probe {
    /// Values for parameters of the path, before the usual ones.
    named: Vec<(&'static str, String)>,
    pub query: String,
    pub body: Option<Value>,
    pub form: Option<Vec<(&'static str, String)>>,
}

impl Probe {
    pub fn of(id: String) -> Self {
        Self::default().with("id", id)
    }

    pub fn sends(body: Value) -> Self {
        Self::default().body(body)
    }

    pub fn asks(query: &str) -> Self {
        Self {
            query: query.to_owned(),
            ..Self::default()
        }
    }

    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.named.push((name, value));
        self
    }

    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub fn form(pairs: &[(&'static str, &str)]) -> Self {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Self {
            form: Some(pairs.collect()),
            ..Self::default()
        }
    }
}

/// A piece of a path, and the parameter it stands for.
pub type Segment = (Option<String>, String);

impl Caller {
    /// What it sends in `Authorization` to a path.
    pub fn authorization(&self, path: &str) -> Option<String> {
        let at_provider = matches!(
            path,
            "/{group}/token" | "/{group}/token/introspection" | "/{group}/token/revocation"
        );
        match (&self.secret, &self.token) {
            (Some(secret), _) if at_provider => {
                let pair = format!("{}:{secret}", self.id);
                Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
            }
            (_, Some(token)) => Some(format!("Bearer {token}")),
            (_, None) => None,
        }
    }
}

impl World {
    /// Asks for each caller; the statuses in the order of the columns.
    pub async fn ask(&self, row: &Row) -> Vec<u16> {
        let mut cells = Vec::new();
        for caller in &self.callers {
            let probe = Box::pin(self.probe(row, caller)).await;
            cells.push(self.send(row, caller, probe).await);
        }
        cells
    }

    async fn send(&self, row: &Row, caller: &Caller, probe: Probe) -> u16 {
        let segments = self.segments(row, &probe);
        let path: Vec<_> = segments.into_iter().map(|(_, text)| text).collect();
        let url = format!("{}{}{}", self.server.url, path.join("/"), probe.query);
        let method: Method = row.method.parse().expect("a method");
        let mut request = self.http.request(method, url);
        if let Some(credential) = caller.authorization(&row.path) {
            request = request.header(AUTHORIZATION, credential);
        }
        if let Some(context) = &caller.context {
            request = request.header("x-org-context", context);
        }
        if let Some(body) = &probe.body {
            request = request.json(body);
        }
        if let Some(form) = &probe.form {
            request = request.form(form);
        }
        send(request).await.status
    }

    /// The path of a request.
    pub fn segments(&self, row: &Row, probe: &Probe) -> Vec<Segment> {
        let mut before = "";
        let mut out = Vec::new();
        for segment in row.path.split('/') {
            let parameter = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
            out.push(match parameter {
                None => (None, segment.to_owned()),
                Some(name) => {
                    let given = probe.named.iter().find(|(other, _)| *other == name);
                    let value = given.map(|(_, value)| value.clone());
                    let value = value.unwrap_or_else(|| self.usual(&row.path, before, name));
                    (Some(name.to_owned()), value)
                }
            });
            before = segment;
        }
        out
    }

    /// What a parameter stands for, by its name and the segment before it.
    pub fn usual(&self, path: &str, before: &str, name: &str) -> String {
        let in_organization = path.contains("/{org}/");
        match (name, before) {
            ("group", _) | ("id", "group") => self.id("group"),
            ("org", _) | ("id", "organizations") => self.id("A"),
            ("product", _) | ("id", "products") => self.id("product"),
            ("domain", _) | ("id", "domains") => self.id("domain"),
            ("id", "roles") if in_organization => self.id("custom role"),
            ("role", _) | ("id", "roles") => self.id("role"),
            ("id", "permissions") => self.id("permission"),
            ("id", "client" | "reg") => self.id("client"),
            ("clientId", _) => self.id("service"),
            ("id", "key") => self.id("key"),
            ("id", "account" | "user" | "profiles") | ("account_id", _) => {
                self.colleague.id.clone()
            }
            ("id", "notification") => self.id("notification"),
            ("id", "profile") => self.id("org profile"),
            ("id", "request" | "snapshot") => self.id("request"),
            ("id", "access") => self.id("access"),
            ("sor" | "gor", _) => "received".to_owned(),
            ("target", _) => "ui".to_owned(),
            ("prettyName", _) => "vacant".to_owned(),
            ("account", _) => self.colleague.id.clone(),
            ("uid" | "file" | "folder" | "key" | "function" | "passkey" | "device", _) => {
                "nothing".to_owned()
            }
            _ => panic!("say what {{{name}}} in {path} stands for"),
        }
    }
}
