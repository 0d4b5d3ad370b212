//! The pages in a real browser: login, consent, wrong password, lock-out, log-out.

use serde_json::{Value, json};
use url::Url;

use crate::application::Application;
use crate::chromium::Chromium;
use crate::flow::{Flow, claims, parameter, text};
use crate::server::Server;
use crate::tenant::{Person, Tenant};

const EMAIL: &str = "input[name=email]";
const CONTINUE: &str = "button[name=action][value=email]";
const PASSWORD: &str = "input[name=password]";
const SIGN_IN: &str = "form:has(input[name=password]) button[type=submit]:not([name])";
const AUTHORIZE: &str = "form[action$='/confirm'] button[type=submit]";
const ALERT: &str = "[role=alert]";

struct Scene {
    tenant: Tenant,
    application: Application,
    client: Value,
    browser: Chromium,
}

impl Scene {
    async fn set(server: &Server) -> Option<Self> {
        let browser = Chromium::open().await?;
        let tenant = Tenant::create(server).await;
        let application = Application::start().await;
        let client = tenant
            .client(json!({
                "client_name": "The App",
                "redirect_uris": [format!("{}/cb", application.url)],
                "post_logout_redirect_uris": [format!("{}/bye", application.url)],
                "scope": "openid email",
            }))
            .await;
        Some(Self {
            tenant,
            application,
            client,
            browser,
        })
    }

    fn flow(&self, extra: &[(&str, &str)]) -> Flow<'_> {
        Flow::new(&self.tenant.issuer, &self.client, extra)
    }

    async fn log_in(&self, email: &str, password: &str) {
        self.browser.fill(EMAIL, email).await;
        self.browser.press(CONTINUE).await;
        self.browser.fill(PASSWORD, password).await;
        self.browser.press(SIGN_IN).await;
    }

    async fn log_in_as(&self, person: &Person) {
        self.log_in(&person.email, &person.password).await;
    }

    async fn back(&self) -> Url {
        self.browser
            .arrived(&format!("{}/cb", self.application.url))
            .await
    }
}

on_both_stores! {
    /// The user signs in, agrees, and the application gets tokens for that user.
    async fn login_and_consent(server: Server) {
        let Some(scene) = Scene::set(&server).await else { return };
        let flow = scene.flow(&[]);
        scene.browser.goto(&flow.url).await;
        assert!(scene.browser.url().await.path().contains("/interaction/"));
        assert!(!scene.browser.has(PASSWORD).await, "the e-mail comes first");
        scene.log_in_as(&scene.tenant.user).await;
        assert!(scene.browser.find(AUTHORIZE).await.is_displayed().await.unwrap());
        scene.browser.press(AUTHORIZE).await;
        let back = scene.back().await;
        assert_eq!(parameter(&back, "state").as_deref(), Some(flow.state.as_str()));
        assert_eq!(parameter(&back, "iss").as_deref(), Some(scene.tenant.issuer.as_str()));
        let tokens = flow.tokens(&back).await;
        assert_eq!(claims(&tokens["id_token"])["sub"], scene.tenant.user.id);

        let again = scene.flow(&[]);
        scene.browser.goto(&again.url).await;
        let back = scene.back().await;
        assert_eq!(parameter(&back, "state").as_deref(), Some(again.state.as_str()), "no page while the session lasts");
    }

    /// Whoever does not agree is sent back with an error and without a code.
    async fn consent_refused(server: Server) {
        let Some(scene) = Scene::set(&server).await else { return };
        let flow = scene.flow(&[]);
        scene.browser.goto(&flow.url).await;
        scene.log_in_as(&scene.tenant.user).await;
        scene.browser.find(AUTHORIZE).await;
        scene.browser.press("a[href$='/abort']").await;
        let back = scene.back().await;
        assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
        assert_eq!(parameter(&back, "state").as_deref(), Some(flow.state.as_str()));
        assert!(parameter(&back, "code").is_none());
    }

    /// A wrong password and an unknown address get the same message; the right password works afterwards.
    async fn wrong_password(server: Server) {
        let Some(scene) = Scene::set(&server).await else { return };
        scene.browser.goto(&scene.flow(&[]).url).await;
        let mut messages = Vec::new();
        for (email, password) in [(scene.tenant.user.email.as_str(), "Wrong!pass1"), ("nobody@shop.test", "Wrong!pass1")] {
            scene.log_in(email, password).await;
            messages.push(scene.browser.find(ALERT).await.text().await.unwrap());
            let kept = scene.browser.find(EMAIL).await.prop("value").await.unwrap();
            assert_eq!(kept.as_deref(), Some(email), "the address need not be typed again");
        }
        assert_eq!(messages.first(), messages.get(1));
        assert!(!messages.concat().is_empty());
        scene.log_in_as(&scene.tenant.user).await;
        scene.browser.press(AUTHORIZE).await;
        assert!(parameter(&scene.back().await, "code").is_some());
    }

    /// Repeated failures lock the account: even the right password fails then, everywhere.
    async fn lock_out(server: Server) {
        let Some(scene) = Scene::set(&server).await else { return };
        let thresholds = "/config/failedLoginThresholds";
        scene.tenant.patch(&server, json!([
            {"op": "replace", "path": format!("{thresholds}/enabled"), "value": true},
            {"op": "replace", "path": format!("{thresholds}/threshold"), "value": 3},
            {"op": "replace", "path": format!("{thresholds}/duration"), "value": 1},
        ])).await;
        let other = scene.tenant.account(&server, "lee@shop.test").await;
        scene.browser.goto(&scene.flow(&[]).url).await;
        let mut messages = Vec::new();
        for attempt in ["Wrong!pass1", "Wrong!pass2", "Wrong!pass3", &scene.tenant.user.password] {
            scene.log_in(&scene.tenant.user.email, attempt).await;
            messages.push(scene.browser.find(ALERT).await.text().await.unwrap());
        }
        let [first, second, third, fourth] = messages.as_slice() else { panic!("{messages:?}") };
        assert_eq!(first, second);
        assert_ne!(second, third, "the third failure says that the account is locked");
        assert!(third.contains("locked") && third.contains("help@shop.test"), "{third}");
        assert_eq!(first, fourth, "the right password is refused like a wrong one");

        let elsewhere = Chromium::open().await.unwrap();
        let second = Scene { browser: elsewhere, ..scene };
        second.browser.goto(&second.flow(&[]).url).await;
        second.log_in_as(&second.tenant.user).await;
        assert!(second.browser.has(ALERT).await, "a new browser does not help");
        second.log_in_as(&other).await;
        second.browser.press(AUTHORIZE).await;
        assert!(parameter(&second.back().await, "code").is_some(), "others are not locked");
    }

    /// Signing out asks, ends the session and comes back to the application.
    async fn logout(server: Server) {
        let Some(scene) = Scene::set(&server).await else { return };
        let flow = scene.flow(&[]);
        scene.browser.goto(&flow.url).await;
        scene.log_in_as(&scene.tenant.user).await;
        scene.browser.press(AUTHORIZE).await;
        let tokens = flow.tokens(&scene.back().await).await;
        let bye = format!("{}/bye", scene.application.url);
        let mut end = Url::parse(&format!("{}/session/end", scene.tenant.issuer)).unwrap();
        end.query_pairs_mut()
            .append_pair("id_token_hint", text(&tokens["id_token"]))
            .append_pair("post_logout_redirect_uri", &bye)
            .append_pair("state", "later");
        scene.browser.goto(&end).await;
        scene.browser.press("button[name=logout][value=yes]").await;
        let landed = scene.browser.arrived(&bye).await;
        assert_eq!(parameter(&landed, "state").as_deref(), Some("later"));
        scene.browser.goto(&scene.flow(&[("prompt", "none")]).url).await;
        assert_eq!(parameter(&scene.back().await, "error").as_deref(), Some("login_required"));
        let userinfo = Server::http()
            .get(format!("{}/me", scene.tenant.issuer))
            .bearer_auth(text(&tokens["access_token"]))
            .send()
            .await
            .unwrap();
        assert_eq!(userinfo.status(), 401, "the tokens went with the session");
    }
}
