//! A browser without a screen: cookies, redirects on one site, and the forms of the sign-in pages.

use std::io;

use crate::wire::{Connection, form, request};

pub struct Browser {
    http: Connection,
    port: u16,
    cookies: Vec<Cookie>,
}

struct Cookie {
    name: String,
    value: String,
    path: String,
}

impl Cookie {
    fn of(line: &str) -> Option<Self> {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let path = parts.find_map(|part| part.strip_prefix("path=").or(part.strip_prefix("Path=")));
        Some(Self {
            name: name.to_owned(),
            value: value.to_owned(),
            path: path.unwrap_or("/").to_owned(),
        })
    }
}

/// What came back, with its redirect if it was one.
pub struct Page {
    pub status: u16,
    pub location: Option<String>,
    pub text: String,
}

/// A form that waits for its fields.
pub struct Form {
    action: String,
    csrf: String,
}

impl Browser {
    pub async fn new(port: u16) -> io::Result<Self> {
        Ok(Self {
            http: Connection::open(port).await?,
            port,
            cookies: Vec::new(),
        })
    }

    /// The cookies for a target as a header's value.
    pub fn cookies(&self, target: &str) -> String {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .filter(|cookie| target.starts_with(&cookie.path))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        pairs.join("; ")
    }

    async fn ask(&mut self, method: &str, target: &str, form: &str) -> Page {
        let cookies = self.cookies(target);
        let headers = [("accept", "text/html"), ("cookie", cookies.as_str())];
        let request = request(method, self.port, target, &headers, form);
        let answer = self.http.send(&request).await.expect("an answer");
        for line in answer.headers("set-cookie") {
            let Some(cookie) = Cookie::of(line) else {
                continue;
            };
            self.cookies
                .retain(|known| (&known.name, &known.path) != (&cookie.name, &cookie.path));
            if !cookie.value.is_empty() {
                self.cookies.push(cookie);
            }
        }
        Page {
            status: answer.status,
            location: answer.header("location").map(ToOwned::to_owned),
            text: answer.text(),
        }
    }

    /// Follows redirects on the site; ends at a page or at a redirect elsewhere.
    pub async fn open(&mut self, target: &str) -> Page {
        let mut target = self.on_site(target).expect("a target on the site");
        for _ in 0..10 {
            let page = self.ask("GET", &target, "").await;
            match page.location.as_deref().and_then(|to| self.on_site(to)) {
                Some(next) => target = next,
                None => return page,
            }
        }
        panic!("too many redirects, the last one to {target}");
    }

    fn on_site(&self, location: &str) -> Option<String> {
        if location.starts_with('/') {
            return Some(location.to_owned());
        }
        let origin = format!("http://localhost:{}", self.port);
        location
            .strip_prefix(&origin)
            .filter(|rest| rest.starts_with('/'))
            .map(ToOwned::to_owned)
    }

    /// The sign-in form of an authorization request.
    pub async fn login_form(&mut self, authorize: &str) -> Form {
        let page = self.open(authorize).await;
        Form::of(&page.text, "/login")
            .unwrap_or_else(|| panic!("no sign-in form ({}): {}", page.status, page.text))
    }

    /// Sends name and password; a redirect says they were right.
    pub async fn log_in(&mut self, form_: &Form, email: &str, password: &str) -> Page {
        let fields = form(&[
            ("csrf", &form_.csrf),
            ("email", email),
            ("password", password),
        ]);
        self.ask("POST", &form_.action, &fields).await
    }

    /// Goes on from a redirect, agreeing to what is asked, until the browser is sent back with a code.
    pub async fn code(&mut self, from: &str) -> String {
        let mut target = from.to_owned();
        for _ in 0..4 {
            let page = self.open(&target).await;
            if let Some(code) = page.location.as_deref().and_then(code) {
                return code.to_owned();
            }
            let consent = Form::of(&page.text, "/confirm")
                .unwrap_or_else(|| panic!("stopped ({}): {}", page.status, page.text));
            let answer = self
                .ask("POST", &consent.action, &form(&[("csrf", &consent.csrf)]))
                .await;
            target = answer.location.expect("a redirect after the consent");
        }
        panic!("no code after four consents");
    }
}

/// The code of a redirect to an application.
pub fn code(location: &str) -> Option<&str> {
    let (_, rest) = location.split_once("code=")?;
    rest.split('&').next()
}

impl Form {
    fn of(page: &str, ends: &str) -> Option<Self> {
        page.split("<form").skip(1).find_map(|part| {
            let action = attribute(part, "action=\"").filter(|action| action.ends_with(ends))?;
            let (_, hidden) = part.split_once("name=\"csrf\"")?;
            let csrf = attribute(hidden, "value=\"")?;
            Some(Self { action, csrf })
        })
    }
}

fn attribute(part: &str, name: &str) -> Option<String> {
    let (_, rest) = part.split_once(name)?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&amp;", "&").replace("&#38;", "&"))
}
