//! The forms of a login that is under way: they take what they asked for, from whom they asked it.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE};
use serde_json::json;
use url::Url;

use crate::answer::{Answer, send};
use crate::flow::{Flow, parameter};
use crate::server::Server;
use crate::tenant::Tenant;
use crate::visitor::{Page, Visitor};

struct Login {
    target: Url,
    cookies: String,
    csrf: String,
}

impl Login {
    fn of(visitor: &Visitor, page: &Page) -> Self {
        let form = page.form(|form| form.asks_for("email"));
        let target = page.url.join(&form.action).expect("the form's target");
        Self {
            cookies: visitor.cookies(&target),
            csrf: form.value("csrf"),
            target,
        }
    }

    /// A step of the same interaction.
    fn step(&self, name: &str) -> Url {
        let path = self.target.path().trim_end_matches("login").to_owned();
        let mut url = self.target.clone();
        url.set_path(&format!("{path}{name}"));
        url
    }

    async fn post(&self, url: &Url, cookies: &str, kind: &str, body: String) -> Answer {
        let request = Server::http()
            .request(Method::POST, url.clone())
            .header(COOKIE, cookies)
            .header(CONTENT_TYPE, kind);
        send(request.body(body)).await
    }

    async fn form(&self, body: String) -> Answer {
        let kind = "application/x-www-form-urlencoded";
        self.post(&self.target, &self.cookies, kind, body).await
    }
}

/// Refused, or asked again; in neither case signed in.
fn assert_not_in(what: &str, answer: &Answer) {
    let asks_again = answer.status == 200 && answer.text.contains("name=\"csrf\"");
    assert!(
        asks_again || (400..500).contains(&answer.status),
        "{what}: {} {}",
        answer.status,
        answer.text
    );
}

on_both_stores! {
    async fn wrong_forms_of_an_open_login(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let flow = Flow::new(&tenant.issuer, &client, &[]);
        let visitor = Visitor::new(&server);
        let page = visitor.open(&flow.url).await.page();
        let login = Login::of(&visitor, &page);
        assert!(!login.csrf.is_empty());
        let encode = crate::bad_input::world::encode;
        let (csrf, email, password) = (encode(&login.csrf), encode(&tenant.user.email), encode(&tenant.user.password));
        let good = [("csrf", &csrf), ("email", &email), ("password", &password)];

        // each field: gone, twice, as a condition, as a list, unreadable, endless
        for (name, value) in good {
            let others: Vec<String> = good.iter().filter(|(other, _)| *other != name).map(|(other, value)| format!("{other}={value}")).collect();
            let others = others.join("&");
            for wrong in [
                String::new(), format!("{name}="), format!("{name}={value}&{name}={value}"), format!("{name}=x&{name}={value}"),
                format!("{name}[$ne]=x"), format!("{name}[]={value}"), format!("{name}=%00"), format!("{name}={value}%00"),
                format!("{name}=%ED%A0%80"), format!("{name}=%0d%0aX-Evil:%201"), format!("{name}={}", crate::bad_input::long()),
                format!("{name}=%7B%22%24ne%22:null%7D"), format!("{name}='%20OR%20'1'='1"),
            ] {
                assert_not_in(&wrong, &login.form(format!("{others}&{wrong}")).await);
            }
        }
        for (kind, body) in [
            ("application/json", json!({"csrf": login.csrf, "email": {"$ne": null}, "password": {"$ne": null}}).to_string()),
            ("application/json", json!({"csrf": {"$ne": null}, "email": tenant.user.email, "password": tenant.user.password}).to_string()),
            ("application/json", json!({"csrf": login.csrf, "email": [tenant.user.email], "password": [tenant.user.password]}).to_string()),
            ("application/json", "{\"csrf\":".to_owned()),
            ("text/plain", format!("csrf={csrf}&email={email}&password={password}")),
            ("multipart/form-data; boundary=x", "--x\r\n\r\n--x--".to_owned()),
        ] {
            assert_not_in(&body, &login.post(&login.target, &login.cookies, kind, body.clone()).await);
        }

        // consent before login, and steps that do not exist
        let body = format!("csrf={csrf}");
        let kind = "application/x-www-form-urlencoded";
        for step in ["confirm", "federated", "..%2f..%2flogin"] {
            let answer = login.post(&login.step(step), &login.cookies, kind, body.clone()).await;
            assert!((400..=501).contains(&answer.status), "{step}: {} {}", answer.status, answer.text);
        }

        // the right form with no cookie, a changed one, or in another interaction of the same group
        let body = format!("csrf={csrf}&email={email}&password={password}");
        let forged = login.cookies.replace('=', "=x");
        let other = Visitor::new(&server);
        let theirs = Login::of(&other, &other.open(&flow.url).await.page());
        for cookies in ["", "_interaction=x; _interaction.sig=x", &forged, &theirs.cookies] {
            let answer = login.post(&login.target, cookies, kind, body.clone()).await;
            assert!((400..500).contains(&answer.status), "{cookies}: {} {}", answer.status, answer.text);
        }
        let answer = theirs.post(&theirs.target, &theirs.cookies, kind, body.clone()).await;
        assert!((400..500).contains(&answer.status), "another's csrf: {} {}", answer.status, answer.text);

        // nothing of that did any harm
        assert!(!server.log().contains("panicked at"), "the server panicked");
        let landed = visitor.log_in(page, &tenant.user.email, &tenant.user.password).await;
        let landed = match landed {
            crate::visitor::Landing::Page(page) => {
                let consent = page.form(crate::visitor::Form::asks_consent);
                visitor.submit(&page, consent, &[], None).await.away()
            }
            crate::visitor::Landing::Away(url) => url,
        };
        assert!(parameter(&landed, "code").is_some(), "{landed}");
    }
}
