//! A person with a browser that has no scripts: cookies, redirects on the same site, forms.

use std::sync::Arc;

use reqwest::cookie::{CookieStore, Jar};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION};
use scraper::{ElementRef, Html, Selector};
use url::Url;

use crate::server::Server;

pub struct Visitor {
    http: reqwest::Client,
    jar: Arc<Jar>,
    base: Url,
}

/// Where a request ended.
#[derive(Debug)]
pub enum Landing {
    Page(Page),
    /// A redirect that left the server's site; nothing was sent there.
    Away(Url),
}

#[derive(Debug)]
pub struct Page {
    pub url: Url,
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub forms: Vec<Form>,
}

#[derive(Debug)]
pub struct Form {
    pub action: String,
    inputs: Vec<Control>,
    buttons: Vec<Control>,
}

#[derive(Debug)]
struct Control {
    name: String,
    value: String,
    kind: String,
}

impl Landing {
    pub fn away(self) -> Url {
        match self {
            Self::Away(url) => url,
            Self::Page(page) => panic!("stopped at {} ({}): {}", page.url, page.status, page.text),
        }
    }

    pub fn page(self) -> Page {
        match self {
            Self::Page(page) => page,
            Self::Away(url) => panic!("sent away to {url}"),
        }
    }
}

impl Page {
    pub fn form(&self, wanted: impl Fn(&Form) -> bool) -> &Form {
        self.forms
            .iter()
            .find(|form| wanted(form))
            .unwrap_or_else(|| {
                panic!(
                    "no such form on {} ({}): {}",
                    self.url, self.status, self.text
                )
            })
    }
}

impl Form {
    pub fn asks_for(&self, name: &str) -> bool {
        self.inputs.iter().any(|input| input.name == name)
    }

    /// What a field holds before anybody types.
    pub fn value(&self, name: &str) -> String {
        let mut inputs = self.inputs.iter();
        let found = inputs.find(|input| input.name == name);
        found.map(|input| input.value.clone()).unwrap_or_default()
    }

    pub fn asks_consent(&self) -> bool {
        self.action.contains("/interaction/") && self.action.ends_with("/confirm")
    }
}

impl Visitor {
    pub fn new(server: &Server) -> Self {
        let jar = Arc::new(Jar::default());
        Self {
            http: Server::http_with(Arc::clone(&jar)),
            jar,
            base: Url::parse(&server.url).expect("the server's address"),
        }
    }

    /// What the browser would send as `Cookie` to an address.
    pub fn cookies(&self, url: &Url) -> String {
        let value = self.jar.cookies(url);
        let value = value.as_ref().map(|value| value.to_str().expect("a text"));
        value.unwrap_or_default().to_owned()
    }

    /// Puts a cookie there as if the browser had got it from somewhere else.
    pub fn plant(&self, cookie: &str) {
        self.jar.add_cookie_str(cookie, &self.base);
    }

    pub async fn open(&self, url: &Url) -> Landing {
        self.request(url.clone(), None).await
    }

    /// Sends a form with the given fields and, if any, the button whose value is given.
    pub async fn submit(
        &self,
        page: &Page,
        form: &Form,
        fields: &[(&str, &str)],
        button: Option<&str>,
    ) -> Landing {
        let hidden = form
            .inputs
            .iter()
            .filter(|input| fields.iter().all(|(name, _)| *name != input.name))
            .map(|input| (input.name.clone(), input.value.clone()));
        let typed = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let pressed = form
            .buttons
            .iter()
            .filter(|control| button == Some(control.value.as_str()))
            .map(|control| (control.name.clone(), control.value.clone()));
        let data: Vec<(String, String)> = hidden.chain(typed).chain(pressed).collect();
        let target = page.url.join(&form.action).expect("the form's target");
        self.request(target, Some(data)).await
    }

    /// Sends the e-mail page, then the password page.
    pub async fn log_in(&self, page: Page, email: &str, password: &str) -> Landing {
        let first = page.form(|form| form.asks_for("email"));
        if first.asks_for("password") {
            return self
                .submit(
                    &page,
                    first,
                    &[("email", email), ("password", password)],
                    None,
                )
                .await;
        }
        let page = self
            .submit(&page, first, &[("email", email)], Some("email"))
            .await
            .page();
        let second = page.form(|form| form.asks_for("password"));
        self.submit(
            &page,
            second,
            &[("email", email), ("password", password)],
            None,
        )
        .await
    }

    /// Follows an authorization request through login and consent.
    pub async fn authorize(&self, url: &Url, email: &str, password: &str) -> Landing {
        let mut landing = self.open(url).await;
        let mut tried = false;
        for _ in 0..6 {
            landing = match landing {
                Landing::Page(page)
                    if !tried && page.forms.iter().any(|form| form.asks_for("email")) =>
                {
                    tried = true;
                    self.log_in(page, email, password).await
                }
                Landing::Page(page) if page.forms.iter().any(Form::asks_consent) => {
                    self.submit(&page, page.form(Form::asks_consent), &[], None)
                        .await
                }
                end => return end,
            };
        }
        landing
    }

    async fn request(&self, mut target: Url, mut form: Option<Vec<(String, String)>>) -> Landing {
        for _ in 0..12 {
            if target.origin() != self.base.origin() {
                return Landing::Away(target);
            }
            let request = match form.take() {
                Some(data) => self.http.post(target.clone()).form(&data),
                None => self.http.get(target.clone()),
            };
            let answer = request
                .header(ACCEPT, "text/html")
                .send()
                .await
                .expect("an answer");
            if answer.status().is_redirection() {
                let location = answer.headers()[LOCATION].to_str().expect("a text");
                target = target.join(location).expect("an address");
                continue;
            }
            let status = answer.status().as_u16();
            let html = answer
                .headers()
                .get(CONTENT_TYPE)
                .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
            let headers = answer.headers().clone();
            let text = answer.text().await.expect("a text");
            let forms = if html { forms_of(&text) } else { Vec::new() };
            return Landing::Page(Page {
                url: target,
                status,
                headers,
                text,
                forms,
            });
        }
        panic!("too many redirects, the last one to {target}");
    }
}

fn forms_of(text: &str) -> Vec<Form> {
    let select = |selector| Selector::parse(selector).expect("a selector");
    let attribute =
        |element: ElementRef<'_>, name| element.value().attr(name).unwrap_or_default().to_owned();
    let (forms, controls) = (select("form"), select("input[name], button"));
    let document = Html::parse_document(text);
    document
        .select(&forms)
        .map(|form| {
            let controls = form.select(&controls).map(|element| {
                let default = if element.value().name() == "button" {
                    "submit"
                } else {
                    "text"
                };
                let kind = element
                    .value()
                    .attr("type")
                    .unwrap_or(default)
                    .to_lowercase();
                (
                    element,
                    Control {
                        name: attribute(element, "name"),
                        value: attribute(element, "value"),
                        kind,
                    },
                )
            });
            let (buttons, inputs): (Vec<_>, Vec<_>) = controls.partition(|(_, control)| {
                matches!(control.kind.as_str(), "submit" | "button" | "image")
            });
            let sent = inputs.into_iter().filter(|(element, control)| {
                !matches!(control.kind.as_str(), "checkbox" | "radio")
                    || element.value().attr("checked").is_some()
            });
            Form {
                action: attribute(form, "action"),
                inputs: sent.map(|(_, control)| control).collect(),
                buttons: buttons.into_iter().map(|(_, control)| control).collect(),
            }
        })
        .collect()
}
