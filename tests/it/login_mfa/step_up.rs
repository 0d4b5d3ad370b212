//! Requests that want to know how somebody signed in, or want it stronger.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Guest, change, has_device, key, scene};
use crate::answer::{send, to};
use crate::challenges::Scene;
use crate::flow::{Flow, parameter, text};
use crate::server::Server;
use crate::visitor::Landing;

const ESSENTIAL: &str = r#"{"id_token":{"acr":{"essential":true,"values":["mfa"]}}}"#;

/// A group that tells of classes; its user has no device at first.
async fn set(server: Server) -> Scene {
    let scene = scene(server).await;
    let group = json!([{"op": "replace", "path": "/config/acrValues", "value": ["phr", "mfa"]}]);
    scene.tenant.patch(&scene.server, group).await;
    device(&scene, false).await;
    scene
}

async fn device(scene: &Scene, on: bool) {
    let patch = json!([{"op": "replace", "path": "/mfa/enabled", "value": on}]);
    change(scene, &scene.tenant.user, patch).await;
}

/// What an authorization was refused with.
fn error(landing: Landing) -> String {
    let back = landing.away();
    parameter(&back, "error").unwrap_or_else(|| panic!("no error in {back}"))
}

async fn signs_in(guest: &Guest<'_>, flow: &Flow<'_>) -> Value {
    let landing = guest.types(flow, &guest.scene.tenant.user).await;
    guest.arrives(flow, landing).await
}

on_both_stores! {
    /// A session that is not strong enough has to be made stronger; one that is stays.
    async fn asked_for(server: Server) {
        let scene = set(server).await;
        let guest = Guest::new(&scene).await;
        let flow = guest.flow(&[]);
        assert_eq!(signs_in(&guest, &flow).await.get("acr"), None);
        let silent = guest.flow(&[("acr_values", "mfa"), ("prompt", "none")]);
        assert_eq!(error(guest.visitor.open(&silent.url).await), "login_required");
        // without a device nothing better can be had, and nobody insists
        let flow = guest.flow(&[("acr_values", "mfa")]);
        let who = signs_in(&guest, &flow).await;
        assert_eq!((who.get("acr"), &who["amr"]), (None, &json!(["pwd"])));

        device(&scene, true).await;
        let flow = guest.flow(&[("acr_values", "urn:unknown mfa")]);
        let page = guest.waits(&flow).await;
        scene.press(&key(&page), 0).await.expect(204);
        let landing = guest.confirms(&page).await;
        let who = guest.arrives(&flow, landing).await;
        assert_eq!((&who["acr"], &who["amr"]), (&json!("mfa"), &json!(["pwd", "mfa"])));
        let silent = guest.flow(&[("acr_values", "mfa"), ("prompt", "none")]);
        let back = guest.visitor.open(&silent.url).await;
        let tokens = silent.tokens(&back.away()).await;
        let request = to(&scene.server, Method::POST, &format!("/{}/token/introspection", scene.tenant.group))
            .basic_auth(text(&guest.client["client_id"]), guest.client["client_secret"].as_str())
            .form(&[("token", text(&tokens["access_token"]))]);
        let told = send(request).await.expect(200).json();
        assert_eq!((&told["acr"], &told["amr"]), (&json!("mfa"), &json!(["pwd", "mfa"])));
        // a stronger class is asked for again
        let stronger = guest.flow(&[("acr_values", "phr"), ("prompt", "none")]);
        assert_eq!(error(guest.visitor.open(&stronger.url).await), "login_required");
        let unknown = guest.flow(&[("acr_values", "urn:unknown"), ("prompt", "none")]);
        assert!(parameter(&guest.visitor.open(&unknown.url).await.away(), "code").is_some());
    }

    /// What is essential is met, or the client is told that it is not.
    async fn essential(server: Server) {
        let scene = set(server).await;
        let guest = Guest::new(&scene).await;
        let flow = guest.flow(&[]);
        signs_in(&guest, &flow).await;
        let flow = guest.flow(&[("claims", ESSENTIAL)]);
        let page = guest.types(&flow, &scene.tenant.user).await.page();
        let form = page.form(|form| form.action.ends_with("/login"));
        let waiting = guest.visitor.submit(&page, form, &[], Some("bound")).await.page();
        scene.press(&key(&waiting), 0).await.expect(204);
        let landing = guest.confirms(&waiting).await;
        assert_eq!(guest.arrives(&flow, landing).await["acr"], "mfa");
        assert!(has_device(&scene, &scene.tenant.user).await);

        let phr = r#"{"id_token":{"acr":{"essential":true,"value":"phr"}}}"#;
        let flow = guest.flow(&[("claims", phr)]);
        let page = guest.waits(&flow).await;
        scene.press(&key(&page), 0).await.expect(204);
        assert_eq!(error(guest.confirms(&page).await), "unmet_authentication_requirements");

        scene.option("mfa-challenge", json!({"enabled": false})).await;
        let late = Guest::new(&scene).await;
        let flow = late.flow(&[("claims", ESSENTIAL)]);
        let landing = late.types(&flow, &scene.tenant.user).await;
        assert_eq!(error(landing), "unmet_authentication_requirements");
    }

    /// A class that nothing meets keeps everybody out, rather than letting everybody in.
    async fn demanded_in_vain(server: Server) {
        let scene = set(server).await;
        let group = json!([{"op": "replace", "path": "/config/acrValues", "value": ["urn:other", "phr"]}]);
        scene.tenant.patch(&scene.server, group).await;
        let needs = json!({"default_acr_values": ["urn:other", "phr"]});
        let guest = Guest::at(&scene, scene.tenant.web_client(needs).await);
        let flow = guest.flow(&[]);
        let landing = guest.types(&flow, &scene.tenant.user).await;
        assert_eq!(error(landing), "unmet_authentication_requirements");
        // a name that means nothing here keeps nobody out
        let needs = json!({"default_acr_values": ["urn:other"]});
        let guest = Guest::at(&scene, scene.tenant.web_client(needs).await);
        let flow = guest.flow(&[]);
        let landing = guest.types(&flow, &scene.tenant.user).await;
        guest.arrives(&flow, landing).await;
    }

    /// `prompt=login` and an age of the session ask for everything again.
    async fn afresh(server: Server) {
        let scene = set(server).await;
        device(&scene, true).await;
        let guest = Guest::new(&scene).await;
        for extra in [("prompt", "login"), ("max_age", "0"), ("prompt", "login")] {
            let flow = guest.flow(&[extra]);
            let page = guest.waits(&flow).await;
            scene.press(&key(&page), 0).await.expect(204);
            let landing = guest.confirms(&page).await;
            let who = guest.arrives(&flow, landing).await;
            assert_eq!(who["acr"], "mfa");
            assert!(who["auth_time"].is_i64());
        }
    }
}
