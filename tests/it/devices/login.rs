//! Signing in at the pages with what is built in.

use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use super::phone::Phone;
use super::totp::{STEP, now, wrong};
use super::{has_mfa, set_mfa, tenant};
use crate::flow::{Flow, claims};
use crate::server::Server;
use crate::tenant::Tenant;
use crate::visitor::{Form, Landing, Page, Visitor};

/// The app that scans what the page shows.
fn scans(page: &Page) -> Totp {
    assert!(page.text.contains("<svg"), "{}", page.text);
    let (_, rest) = page.text.split_once("secret=").expect("a secret");
    let base32: String = rest
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let secret = Secret::try_from_base32(&base32).expect("a secret");
    Builder::new().with_secret(secret).build().expect("an app")
}

async fn types(visitor: &Visitor, flow: &Flow<'_>, tenant: &Tenant) -> Page {
    let page = visitor.open(&flow.url).await.page();
    let user = &tenant.user;
    visitor
        .log_in(page, &user.email, &user.password)
        .await
        .page()
}

async fn confirms(visitor: &Visitor, page: &Page, fields: &[(&str, &str)]) -> Landing {
    let form = page.form(|form| form.action.ends_with("/confirm-mfa"));
    visitor.submit(page, form, fields, None).await
}

/// What the ID token says of whoever arrives.
async fn arrives(visitor: &Visitor, flow: &Flow<'_>, mut landing: Landing) -> Value {
    if let Landing::Page(page) = &landing
        && page.forms.iter().any(Form::asks_consent)
    {
        let form = page.form(Form::asks_consent);
        landing = visitor.submit(page, form, &[], None).await;
    }
    claims(&flow.tokens(&landing.away()).await["id_token"])
}

on_both_stores! {
    /// An app that is required is set up at the first sign-in, and its codes are asked for from then on.
    async fn codes_are_typed_at_the_page(server: Server) {
        let tenant = tenant(&server, "totp", json!({"required": true})).await;
        let client = tenant.web_client(json!({})).await;
        let flow = Flow::new(&tenant.issuer, &client, &[]);
        let visitor = Visitor::new(&server);
        let page = types(&visitor, &flow, &tenant).await;
        let app = scans(&page);
        let bound = page.form(|form| form.action.ends_with("/login"));
        let page = visitor.submit(&page, bound, &[], Some("bound")).await.page();
        assert!(page.text.contains("Enter your code"), "{}", page.text);
        let page = confirms(&visitor, &page, &[("code", &wrong(&app))]).await.page();
        assert!(page.text.contains("flash-error") && page.text.contains("Enter your code"), "{}", page.text);
        assert!(!has_mfa(&server, &tenant).await);
        let time = now();
        let code = app.generate(time).to_string();
        let landing = confirms(&visitor, &page, &[("code", &code)]).await;
        assert_eq!(arrives(&visitor, &flow, landing).await["amr"], json!(["pwd", "otp", "mfa"]));
        assert!(has_mfa(&server, &tenant).await);

        let visitor = Visitor::new(&server);
        let page = types(&visitor, &flow, &tenant).await;
        let page = confirms(&visitor, &page, &[("code", &code)]).await.page();
        assert!(page.text.contains("Enter your code"), "a code counts once: {}", page.text);
        // neither the page's button nor its address gets in without a code
        let page = confirms(&visitor, &page, &[("code", "")]).await.page();
        let next = app.generate(time + STEP).to_string();
        let landing = confirms(&visitor, &page, &[("code", &next)]).await;
        arrives(&visitor, &flow, landing).await;
    }

    /// A phone agrees, with the number that the page shows; without any phone the page says what to do.
    async fn a_phone_agrees(server: Server) {
        let tenant = tenant(&server, "device", json!({"numberMatching": true})).await;
        let client = tenant.web_client(json!({})).await;
        let flow = Flow::new(&tenant.issuer, &client, &[]);
        set_mfa(&server, &tenant, true).await;
        let visitor = Visitor::new(&server);
        let page = types(&visitor, &flow, &tenant).await;
        assert!(page.text.contains("No device is set up") && page.text.contains("/recover-mfa"), "{}", page.text);

        set_mfa(&server, &tenant, false).await;
        let phone = Phone::enrolled(&server, &tenant, &tenant.user).await;
        assert!(has_mfa(&server, &tenant).await);
        let visitor = Visitor::new(&server);
        let page = types(&visitor, &flow, &tenant).await;
        let (_, rest) = page.text.split_once("class=\"number\">").expect("a number");
        let number = rest.split('<').next().expect("a number").to_owned();
        assert!(number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit()), "{number}");
        let page = confirms(&visitor, &page, &[]).await.page();
        assert!(page.text.contains("Check again"), "nobody has agreed yet: {}", page.text);
        let shown = phone.only(&server, &tenant).await;
        phone.answer(&server, &tenant, &shown, json!({"number": number})).await.expect(204);
        let landing = confirms(&visitor, &page, &[]).await;
        assert_eq!(arrives(&visitor, &flow, landing).await["amr"], json!(["pwd", "swk", "mfa"]));
    }
}
