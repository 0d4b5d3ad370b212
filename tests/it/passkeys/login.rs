//! The form of the sign-in page, with an authenticator made of code.

use reqwest::Method;
use serde_json::{Value, json};

use super::authenticator::Authenticator;
use super::{begin, enrol, tenant};
use crate::flow::{Flow, claims};
use crate::server::Server;
use crate::tenant::{Person, Tenant};
use crate::visitor::{Form, Landing, Page, Visitor};

/// Somebody at the sign-in page.
struct Guest<'a> {
    server: &'a Server,
    tenant: &'a Tenant,
    client: Value,
    visitor: Visitor,
}

impl<'a> Guest<'a> {
    async fn new(server: &'a Server, tenant: &'a Tenant) -> Self {
        Self {
            server,
            tenant,
            client: tenant.web_client(json!({})).await,
            visitor: Visitor::new(server),
        }
    }

    fn flow(&self) -> Flow<'_> {
        Flow::new(&self.tenant.issuer, &self.client, &[])
    }

    async fn page(&self, flow: &Flow<'_>) -> Page {
        self.visitor.open(&flow.url).await.page()
    }

    /// Options for a person by name.
    async fn options(&self, person: &Person) -> Value {
        let begun = begin(self.server, self.tenant, &person.email).await;
        begun.expect(200).json()["data"]["assertionOptions"].clone()
    }

    async fn send(&self, page: &Page, account: &str, credential: &Value) -> Landing {
        let form = page.form(|form| form.asks_for("passkeyCredentials"));
        let text = credential.to_string();
        let fields = [
            ("passkeyCredentials", text.as_str()),
            ("accountId", account),
        ];
        self.visitor.submit(page, form, &fields, None).await
    }
}

#[track_caller]
fn refused(landing: Landing) -> Page {
    let page = landing.page();
    assert_eq!(page.status, 200);
    assert!(page.text.contains("could not be verified"), "{}", page.text);
    page
}

on_both_stores! {
    /// The tokens say who it is and how they know; each challenge is good once.
    async fn signs_in(server: Server) {
        let tenant = tenant(&server).await;
        let guest = Guest::new(&server, &tenant).await;
        let mut device = Authenticator::new();
        enrol(&server, &tenant, &tenant.user, &mut device).await;
        let flow = guest.flow();
        let page = guest.page(&flow).await;
        assert!(page.text.contains("autocomplete=\"username webauthn\""));
        let credential = device.get(&server.url, &guest.options(&tenant.user).await);
        let mut landing = guest.send(&page, &tenant.user.id, &credential).await;
        if let Landing::Page(consent) = landing {
            landing = guest.visitor.submit(&consent, consent.form(Form::asks_consent), &[], None).await;
        }
        let tokens = flow.tokens(&landing.away()).await;
        let id = claims(&tokens["id_token"]);
        assert_eq!(id["sub"], tenant.user.id);
        assert_eq!(id["amr"], json!(["swk", "user", "mfa"]));

        let again = Guest::new(&server, &tenant).await;
        let page = again.page(&again.flow()).await;
        refused(again.send(&page, &tenant.user.id, &credential).await);
    }

    /// Another account, another site, no finger, an older counter, a forged signature, a removed passkey.
    async fn refuses(server: Server) {
        let tenant = tenant(&server).await;
        let other = tenant.account(&server, "lee@shop.test").await;
        let guest = Guest::new(&server, &tenant).await;
        let (mut device, mut foreign) = (Authenticator::new(), Authenticator::new());
        let passkey = enrol(&server, &tenant, &tenant.user, &mut device).await;
        enrol(&server, &tenant, &other, &mut foreign).await;
        let page = guest.page(&guest.flow()).await;
        let user = &tenant.user;

        let credential = device.get(&server.url, &guest.options(user).await);
        refused(guest.send(&page, &other.id, &credential).await);
        let credential = foreign.get(&server.url, &guest.options(user).await);
        refused(guest.send(&page, &user.id, &credential).await);
        refused(guest.send(&page, &other.id, &foreign.get(&server.url, &guest.options(user).await)).await);
        let credential = device.get("https://evil.test", &guest.options(user).await);
        refused(guest.send(&page, &user.id, &credential).await);
        refused(guest.send(&page, &user.id, &json!("nonsense")).await);
        let mut credential = device.get(&server.url, &guest.options(user).await);
        let next = device.get(&server.url, &guest.options(user).await);
        credential["response"]["signature"] = next["response"]["signature"].clone();
        refused(guest.send(&page, &user.id, &credential).await);
        device.verifies = false;
        let credential = device.get(&server.url, &guest.options(user).await);
        refused(guest.send(&page, &user.id, &credential).await);
        device.verifies = true;

        let credential = device.get(&server.url, &guest.options(user).await);
        let used = Guest::new(&server, &tenant).await;
        let fresh = used.page(&used.flow()).await;
        assert!(!matches!(used.send(&fresh, &user.id, &credential).await, Landing::Page(p) if p.text.contains("could not be verified")));
        device.counter -= 1;
        let copy = device.get(&server.url, &guest.options(user).await);
        refused(guest.send(&page, &user.id, &copy).await);

        tenant.api(&server, Method::PATCH, &format!("account/{}", other.id), Some(json!([{"op": "replace", "path": "/blocked", "value": true}])), 200).await;
        begin(&server, &tenant, &other.email).await.expect(424);

        let options = guest.options(user).await;
        tenant.api(&server, Method::DELETE, &format!("account/{}/passkeys/{passkey}", user.id), None, 200).await;
        refused(guest.send(&page, &user.id, &device.get(&server.url, &options)).await);
    }

    /// A challenge of one browser's sign-in is no good in another's.
    async fn bound_to_its_interaction(server: Server) {
        let tenant = tenant(&server).await;
        let mut device = Authenticator::new();
        enrol(&server, &tenant, &tenant.user, &mut device).await;
        let (mine, theirs) = (Guest::new(&server, &tenant).await, Guest::new(&server, &tenant).await);
        let (my_page, their_page) = (mine.page(&mine.flow()).await, theirs.page(&theirs.flow()).await);
        let options = async |guest: &Guest<'_>, page: &Page| {
            let form = page.form(|form| form.asks_for("passkeyCredentials"));
            let target = page.url.join(&form.action.replace("/login", "/passkey")).unwrap();
            let request = Server::http()
                .post(target.clone())
                .header("cookie", guest.visitor.cookies(&target))
                .json(&json!({"csrf": form.value("csrf")}));
            let begun = crate::answer::send(request).await.expect(200).json();
            let options = begun["data"]["assertionOptions"].clone();
            assert_eq!(options["allowCredentials"], json!([]), "whoever it is");
            options
        };
        let credential = device.get(&server.url, &options(&mine, &my_page).await);
        refused(theirs.send(&their_page, "", &credential).await);
        let credential = device.get(&server.url, &options(&mine, &my_page).await);
        let landing = mine.send(&my_page, "", &credential).await;
        assert!(!matches!(landing, Landing::Page(p) if p.text.contains("could not be verified")));
    }
}
