//! What people and administrators do with devices.

use reqwest::Method;
use serde_json::{Value, json};

use super::phone::{Phone, code_in};
use super::{api, ask, asked, global, has_mfa, set_mfa, state, tenant};
use crate::answer::{Answer, send, to};
use crate::flow::text;
use crate::provider::Provider;
use crate::server::Server;
use crate::tenant::Tenant;

/// A request with a token from before there was a device to ask.
async fn as_user(
    server: &Server,
    tenant: &Tenant,
    token: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let request = to(server, method, &api(tenant, path)).bearer_auth(token);
    send(match body {
        Some(body) => request.json(&body),
        None => request,
    })
    .await
}

on_both_stores! {
    /// People list, name and take away their own devices; one that is gone counts no more.
    async fn devices_are_listed_named_and_removed(server: Server) {
        let tenant = tenant(&server, "device", json!({})).await;
        let token = tenant.token_of(&server, &tenant.user).await;
        let phone = Phone::enrolled(&server, &tenant, &tenant.user).await;
        let foreign = Phone::enrolled(&server, &tenant, &tenant.owner).await;
        let key = asked(&server, &tenant, "s-1").await;
        let shown = phone.only(&server, &tenant).await;
        let listed = as_user(&server, &tenant, &token, Method::GET, "account/me/devices", None).await.expect(200).json();
        let listed = listed["data"].as_array().unwrap().clone();
        assert_eq!(listed.len(), 1);
        assert_eq!((&listed[0]["id"], &listed[0]["name"], &listed[0]["push"]), (&json!(phone.id), &json!("Phone"), &json!(false)));
        let mut members: Vec<&String> = listed[0].as_object().unwrap().keys().collect();
        members.sort_unstable();
        assert_eq!(members, ["createdAt", "id", "name", "push"]);

        let path = format!("account/me/devices/{}", phone.id);
        let named = as_user(&server, &tenant, &token, Method::PATCH, &path, Some(json!({"name": "Old phone"}))).await;
        assert_eq!(named.expect(200).json()["data"]["name"], "Old phone");
        as_user(&server, &tenant, &token, Method::PATCH, &path, Some(json!({"name": " "}))).await.expect(400);
        let theirs = format!("account/me/devices/{}", foreign.id);
        as_user(&server, &tenant, &token, Method::DELETE, &theirs, None).await.expect(404);
        let theirs = format!("account/{}/devices/{}", tenant.owner.id, foreign.id);
        as_user(&server, &tenant, &token, Method::DELETE, &theirs, None).await.expect(404);
        as_user(&server, &tenant, &token, Method::DELETE, &path, None).await.expect(200);
        as_user(&server, &tenant, &token, Method::DELETE, &path, None).await.expect(404);

        phone.answer(&server, &tenant, &shown, json!({})).await.expect(401);
        phone.request(&server, &tenant, Method::GET, "devices/challenges", "").await.expect(401);
        assert_eq!(state(&server, &tenant, &key, "s-1").await, "pending");
        assert!(has_mfa(&server, &tenant).await, "taking the last one away lets nobody in with a password alone");
        ask(&server, &tenant, "s-2").await.expect_any(&[424, 429]);
        // administrators by the account's id
        let path = format!("account/{}/devices/{}", tenant.owner.id, foreign.id);
        tenant.api(&server, Method::DELETE, &path, None, 200).await;
    }

    /// A device that was taken away does not come back with a code that it got before.
    async fn codes_go_with_the_device(server: Server) {
        let tenant = tenant(&server, "device", json!({})).await;
        let token = tenant.token_of(&server, &tenant.user).await;
        let phone = Phone::enrolled(&server, &tenant, &tenant.user).await;
        let added = phone.request(&server, &tenant, Method::POST, "devices/enrolments", "").await;
        let added = code_in(&tenant, &server, text(&added.expect(201).json()["data"]["uri"]));
        let path = format!("account/me/devices/{}", phone.id);
        as_user(&server, &tenant, &token, Method::DELETE, &path, None).await.expect(200);
        Phone::new().enrol(&server, &tenant, &added).await.expect(401);
    }

    /// Whoever locks an account in an emergency takes its devices away.
    async fn a_panic_takes_devices_away(server: Server) {
        let tenant = tenant(&server, "device", json!({})).await;
        let token = tenant.token_of(&server, &tenant.user).await;
        let phone = Phone::enrolled(&server, &tenant, &tenant.user).await;
        let body = json!({"email": tenant.user.email});
        as_user(&server, &tenant, &token, Method::PUT, "account/panic", Some(body)).await.expect(204);
        phone.request(&server, &tenant, Method::GET, "devices/challenges", "").await.expect(401);
        let path = format!("account/{}/devices", tenant.user.id);
        let left = tenant.api(&server, Method::GET, &path, None, 200).await;
        assert_eq!(left["data"], json!([]));
        assert!(!has_mfa(&server, &tenant).await);
    }

    /// Devices at a provider elsewhere too; if that fails, the account is locked all the same.
    async fn a_panic_reaches_other_providers(server: Server) {
        let tenant = tenant(&server, "device", json!({})).await;
        let token = tenant.token_of(&server, &tenant.user).await;
        let mut provider = Provider::start().await;
        let settings = json!({
            "enabled": true, "type": "http-proxy",
            "api": {
                "domain": provider.url, "challenge": "/challenge", "validate": "/validate",
                "bind": "/bind", "devices": "/devices", "revoke": "/revoke",
            },
            "proxyEnableScreen": "https://mfa.test/setup",
        });
        global(&server, &tenant, settings).await.expect(201);
        for value in [json!({"enable": false}), json!({"enable": true, "type": "http-proxy"})] {
            let patch = json!([{"op": "replace", "path": "/config/mfaChallenge", "value": value}]);
            tenant.patch(&server, patch).await;
        }
        set_mfa(&server, &tenant, true).await;
        provider.has_devices(&["d-1", "d-2"]);
        let body = json!({"email": tenant.user.email});
        as_user(&server, &tenant, &token, Method::PUT, "account/panic", Some(body)).await.expect(204);
        for id in ["d-1", "d-2"] {
            assert_eq!(provider.next("/revoke").await.json()["deviceId"], id);
        }

        let other = tenant.account(&server, "lee@shop.test").await;
        let token = tenant.token_of(&server, &other).await;
        let path = format!("account/{}", other.id);
        let mfa = json!([{"op": "add", "path": "/mfa", "value": {"enabled": true}}]);
        tenant.api(&server, Method::PATCH, &path, Some(mfa), 200).await;
        drop(provider);
        let request = to(&server, Method::PUT, &api(&tenant, "account/panic")).bearer_auth(token);
        send(request.json(&json!({"email": other.email}))).await.expect(206);
        assert!(!tenant.knows(&other.email, &other.password).await);
    }
}
