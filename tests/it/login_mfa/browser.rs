//! The waiting page in Chromium.

use reqwest::Method;
use serde_json::json;

use super::scene;
use crate::answer::{send, to};
use crate::application::Application;
use crate::challenges::Scene;
use crate::chromium::Chromium;
use crate::flow::{Flow, claims};
use crate::server::Server;

const AUTHORIZE: &str = "form[action$='/confirm'] button[type=submit]";
const WAITING: &str = "form[data-wait]";

struct Person {
    browser: Chromium,
    application: Application,
    client: serde_json::Value,
}

impl Person {
    async fn at(scene: &Scene) -> Option<Self> {
        let browser = Chromium::open().await?;
        let application = Application::start().await;
        let client = json!({"redirect_uris": [format!("{}/cb", application.url)]});
        let client = scene.tenant.web_client(client).await;
        Some(Self {
            browser,
            application,
            client,
        })
    }

    /// Types name and password; answers the key of the question to the device.
    async fn types(&self, scene: &Scene, flow: &Flow<'_>) -> String {
        let user = &scene.tenant.user;
        self.browser.goto(&flow.url).await;
        self.browser.fill("input[name=email]", &user.email).await;
        self.browser.press("button[name=action][value=email]").await;
        self.browser
            .fill("input[name=password]", &user.password)
            .await;
        self.browser
            .press("form:has(input[name=password]) button[type=submit]:not([name])")
            .await;
        let key = self.browser.find("input[name=providerKey]").await;
        key.prop("value").await.expect("a field").expect("a key")
    }
}

/// Waits until the page waits, by whatever means.
async fn page_waits(server: &Server) {
    for _ in 0..600 {
        let metrics = send(to(server, Method::GET, "/metrics")).await;
        let waits = |line: &str| {
            (line.contains("waiters") || line.contains("sockets")) && line.ends_with(" 1")
        };
        if metrics.text.lines().any(waits) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the page does not wait");
}

on_both_stores! {
    /// The page goes on by itself once the device has agreed.
    async fn approve_while_the_page_waits(server: Server) {
        let scene = scene(server).await;
        let Some(person) = Person::at(&scene).await else { return };
        let flow = Flow::new(&scene.tenant.issuer, &person.client, &[]);
        let key = person.types(&scene, &flow).await;
        page_waits(&scene.server).await;
        scene.press(&key, 0).await.expect(204);
        person.browser.find(AUTHORIZE).await;
        person.browser.press(AUTHORIZE).await;
        let back = person.browser.arrived(&format!("{}/cb", person.application.url)).await;
        let who = claims(&flow.tokens(&back).await["id_token"]);
        assert_eq!((&who["sub"], &who["amr"]), (&json!(scene.tenant.user.id), &json!(["pwd", "mfa"])));
    }

    /// A refusal is shown at once, with a way to start again.
    async fn deny_is_shown_at_once(server: Server) {
        let scene = scene(server).await;
        let Some(person) = Person::at(&scene).await else { return };
        let flow = Flow::new(&scene.tenant.issuer, &person.client, &[]);
        let key = person.types(&scene, &flow).await;
        page_waits(&scene.server).await;
        scene.press(&key, 1).await.expect(204);
        let text = person.browser.shown("[data-ended=denied]").await;
        assert!(text.contains("refused"), "{text}");
        person.browser.press("[data-restart]").await;
        assert!(person.browser.has("input[name=email]").await);
        assert!(!person.browser.has(WAITING).await);
    }
}
