//! Passkeys in Chromium, with the authenticator of its developer tools.

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::tenant;
use crate::application::Application;
use crate::chromium::Chromium;
use crate::flow::{Flow, claims, parameter};
use crate::server::Server;
use crate::tenant::{Person, Tenant};

const BUTTON: &str = "[data-passkey-button]";
const NOTE: &str = "[data-passkey-note]";
const AUTHORIZE: &str = "form[action$='/confirm'] button[type=submit]";
const DONE: &str = "[data-step=done] p";
const ALERT: &str = "[role=alert]:not([hidden])";

struct Scene {
    tenant: Tenant,
    application: Application,
    client: Value,
    browser: Chromium,
    device: String,
}

impl Scene {
    async fn set(server: &Server) -> Option<Self> {
        let browser = Chromium::open().await?;
        browser.devtools("WebAuthn.enable", json!({})).await;
        let device = device(&browser).await;
        let tenant = tenant(server).await;
        let application = Application::start().await;
        let client = tenant
            .client(json!({
                "client_name": "The App",
                "redirect_uris": [format!("{}/cb", application.url)],
                "scope": "openid email",
            }))
            .await;
        Some(Self {
            tenant,
            application,
            client,
            browser,
            device,
        })
    }

    /// As in a browser that offers nothing in the name field, so that the button is what is tried.
    async fn without_autofill(&self) {
        let source = "PublicKeyCredential.isConditionalMediationAvailable = async () => false";
        let script = json!({"source": source});
        self.browser
            .devtools("Page.addScriptToEvaluateOnNewDocument", script)
            .await;
    }

    fn flow(&self, extra: &[(&str, &str)]) -> Flow<'_> {
        Flow::new(&self.tenant.issuer, &self.client, extra)
    }

    /// Sets a passkey up from the first page to the last.
    async fn enrol(&self, person: &Person) {
        let page = Url::parse(&format!("{}/set-passkey", self.tenant.issuer)).unwrap();
        self.browser.goto(&page).await;
        self.browser.fill("#email", &person.email).await;
        self.browser.fill("#password", &person.password).await;
        self.browser
            .press("form[data-passkey] button[type=submit]")
            .await;
        self.browser
            .click("form[data-passkey=make] button[type=submit]")
            .await;
    }

    async fn enrolled(&self, person: &Person) {
        self.enrol(person).await;
        assert!(self.browser.shown(DONE).await.contains("ready"));
    }

    /// Agrees, and answers the claims about who signed in.
    async fn arrive(&self, flow: &Flow<'_>) -> Value {
        self.browser.press(AUTHORIZE).await;
        let back = self
            .browser
            .arrived(&format!("{}/cb", self.application.url))
            .await;
        assert_eq!(
            parameter(&back, "state").as_deref(),
            Some(flow.state.as_str())
        );
        claims(&flow.tokens(&back).await["id_token"])
    }

    async fn credentials(&self) -> Vec<Value> {
        let of = json!({"authenticatorId": self.device});
        let found = self.browser.devtools("WebAuthn.getCredentials", of).await;
        found["credentials"]
            .as_array()
            .expect("credentials")
            .clone()
    }

    async fn set_device(&self, command: &str, name: &str, value: bool) {
        let params = json!({"authenticatorId": self.device, name: value});
        self.browser.devtools(command, params).await;
    }
}

/// A new device with a fingerprint reader, for which the right finger is always at hand.
async fn device(browser: &Chromium) -> String {
    let options = json!({"options": {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
        "isUserVerified": true, "automaticPresenceSimulation": true,
    }});
    let added = browser
        .devtools("WebAuthn.addVirtualAuthenticator", options)
        .await;
    added["authenticatorId"].as_str().expect("an id").to_owned()
}

on_both_stores! {
    /// From the page that sets a passkey up to tokens of who has it; the button needs no name.
    async fn enrol_and_sign_in(server: Server) {
        let Some(scene) = Scene::set(&server).await else { return };
        scene.without_autofill().await;
        scene.enrolled(&scene.tenant.user).await;
        assert_eq!(scene.credentials().await.len(), 1);
        scene.enrol(&scene.tenant.user).await;
        assert!(scene.browser.shown(ALERT).await.contains("already"), "the device has one");
        let flow = scene.flow(&[]);
        scene.browser.goto(&flow.url).await;
        scene.browser.shown(BUTTON).await;
        scene.browser.press(BUTTON).await;
        let who = scene.arrive(&flow).await;
        assert_eq!(who["sub"], scene.tenant.user.id);
        assert_eq!(who["amr"][1], "user");
        assert_eq!(who["amr"][2], "mfa");
    }

    /// What the browser offers in the name field signs in without a button.
    async fn sign_in_by_autofill(server: Server) {
        let Some(scene) = Scene::set(&server).await else { return };
        scene.enrolled(&scene.tenant.user).await;
        let flow = scene.flow(&[]);
        scene.browser.goto(&flow.url).await;
        assert_eq!(scene.arrive(&flow).await["sub"], scene.tenant.user.id);
    }

    /// Nobody at the device: the page says so, and the password still works.
    async fn cancelled(server: Server) {
        let Some(scene) = Scene::set(&server).await else { return };
        scene.without_autofill().await;
        scene.enrolled(&scene.tenant.user).await;
        scene.set_device("WebAuthn.setUserVerified", "isUserVerified", false).await;
        let flow = scene.flow(&[]);
        scene.browser.goto(&flow.url).await;
        scene.browser.click(BUTTON).await;
        assert!(scene.browser.shown(NOTE).await.contains("No passkey was used"));
        scene.browser.fill("input[name=email]", &scene.tenant.user.email).await;
        scene.browser.press("button[name=action][value=email]").await;
        scene.browser.fill("input[name=password]", &scene.tenant.user.password).await;
        scene.browser.press("form:has(input[name=password]) button[type=submit]:not([name])").await;
        assert_eq!(scene.arrive(&flow).await["amr"], json!(["pwd"]));
        scene.enrol(&scene.tenant.owner).await;
        assert!(scene.browser.shown(ALERT).await.contains("No passkey was made"));
    }

    /// A copy of a passkey that has been used less than the original is refused.
    async fn cloned_counter(server: Server) {
        let Some(mut scene) = Scene::set(&server).await else { return };
        scene.without_autofill().await;
        scene.enrolled(&scene.tenant.user).await;
        let mut copy = scene.credentials().await.remove(0);
        let flow = scene.flow(&[]);
        scene.browser.goto(&flow.url).await;
        scene.browser.press(BUTTON).await;
        scene.arrive(&flow).await;
        let old = json!({"authenticatorId": scene.device});
        scene.browser.devtools("WebAuthn.removeVirtualAuthenticator", old).await;
        scene.device = device(&scene.browser).await;
        copy["signCount"] = 0.into();
        let add = json!({"authenticatorId": scene.device, "credential": copy});
        scene.browser.devtools("WebAuthn.addCredential", add).await;
        scene.browser.goto(&scene.flow(&[("prompt", "login")]).url).await;
        scene.browser.press(BUTTON).await;
        assert!(scene.browser.shown(ALERT).await.contains("could not be verified"));
    }

    /// A second passkey on another device; once the first is removed, only the second signs in.
    async fn second_and_removed(server: Server) {
        let Some(mut scene) = Scene::set(&server).await else { return };
        scene.without_autofill().await;
        let user = &scene.tenant.user;
        scene.enrolled(user).await;
        let first = scene.credentials().await.remove(0);
        let old = json!({"authenticatorId": scene.device});
        scene.browser.devtools("WebAuthn.removeVirtualAuthenticator", old).await;
        scene.device = device(&scene.browser).await;
        scene.enrolled(&scene.tenant.user).await;
        let path = format!("account/{}/passkeys", scene.tenant.user.id);
        let listed = scene.tenant.api(&server, Method::GET, &path, None, 200).await;
        let listed = listed["data"].as_array().unwrap().clone();
        assert_eq!(listed.len(), 2);
        let id = listed[0]["id"].as_str().unwrap();
        scene.tenant.api(&server, Method::DELETE, &format!("{path}/{id}"), None, 200).await;
        let flow = scene.flow(&[]);
        scene.browser.goto(&flow.url).await;
        scene.browser.press(BUTTON).await;
        assert_eq!(scene.arrive(&flow).await["sub"], scene.tenant.user.id);

        let old = json!({"authenticatorId": scene.device});
        scene.browser.devtools("WebAuthn.removeVirtualAuthenticator", old).await;
        scene.device = device(&scene.browser).await;
        let add = json!({"authenticatorId": scene.device, "credential": first});
        scene.browser.devtools("WebAuthn.addCredential", add).await;
        scene.browser.goto(&scene.flow(&[("prompt", "login")]).url).await;
        scene.browser.press(BUTTON).await;
        assert!(scene.browser.shown(ALERT).await.contains("could not be verified"));
    }

    /// A passkey of another account signs that account in, and not the one whose name was typed.
    async fn another_account(server: Server) {
        let Some(scene) = Scene::set(&server).await else { return };
        scene.without_autofill().await;
        let other = scene.tenant.account(&server, "lee@shop.test").await;
        scene.enrolled(&other).await;
        let flow = scene.flow(&[("login_hint", &scene.tenant.user.email)]);
        scene.browser.goto(&flow.url).await;
        scene.browser.press(BUTTON).await;
        assert_eq!(scene.arrive(&flow).await["sub"], other.id);
    }
}
