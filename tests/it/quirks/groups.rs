//! Groups: their names, the way they begin and end.

use reqwest::Method;
use serde_json::{Value, json};

use super::embedded;
use crate::answer::{send, to};
use crate::flow::text;
use crate::holes::{at_provider, call, get};
use crate::server::{Server, Store};
use crate::tenant::{Tenant, pending};

fn new_group(name: &str, alias: &str, owner: &str) -> Value {
    json!({
        "name": name, "prettyName": alias, "owner": owner, "primaryEmail": owner, "locked": false,
        "primaryDomain": "https://new.test", "primaryTOS": "https://new.test/t",
        "primaryPrivacyPolicy": "https://new.test/p",
    })
}

/// Whoever registers the name of the root group first, or that of a path, gets its rights.
#[tokio::test]
async fn reserved_names_are_registered() {
    let server = embedded().await;
    let refused = async |name: &str, alias: &str| {
        let body = new_group(name, alias, "m@new.test");
        let answer = send(to(&server, Method::POST, "/api/group").json(&body)).await;
        assert!(
            (400..500).contains(&answer.status),
            "{name}, {alias}: {}",
            answer.status
        );
    };
    for alias in [
        "root",
        "Root",
        "ROOT",
        "plugins",
        "groups",
        "init",
        "ready-check",
        "api",
        "API",
        "swagger.json",
    ] {
        refused("Mallory", alias).await;
    }
    for name in ["root", "Root", "United Effects"] {
        refused(name, "mallory").await;
    }
    Tenant::create(&server).await;
    refused("Another", "SHOP").await;
    refused("Another", "root").await;
}

/// A group that takes the root group's name rules over all others.
#[tokio::test]
async fn the_name_makes_a_root_group() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let group = format!("/api/group/{}", tenant.group);
    for field in ["/name", "/prettyName"] {
        let patch = json!([{"op": "replace", "path": field, "value": "root"}]);
        let answer = call(&server, Method::PATCH, &group, &tenant.owner_token, patch).await;
        assert_eq!(answer.status, 403, "{}", answer.text);
        for path in [
            "/api/groups".to_owned(),
            format!("/api/group/{}", tenant.root_group),
        ] {
            get(&server, &path, &tenant.owner_token)
                .await
                .expect_any(&[401, 403]);
        }
    }
    // and the root group can not lose what it is recognised by
    let root = format!("/api/group/{}", tenant.root_group);
    let patch = json!([{"op": "replace", "path": "/prettyName", "value": "stem"}]);
    call(&server, Method::PATCH, &root, &tenant.root_token, patch)
        .await
        .expect_any(&[400, 403]);
    get(&server, "/api/groups", &tenant.root_token)
        .await
        .expect(200);
}

on_both_stores! {
    /// A group that was switched off goes on for as long as it is remembered.
    async fn groups_switched_off_go_on(server: Server) {
        let tenant = Tenant::create(&server).await;
        let client = tenant.web_client(json!({})).await;
        let offline = [("scope", "openid email offline_access"), ("prompt", "consent")];
        let tokens = tenant.tokens(&server, &client, &tenant.user, &offline).await;
        let opaque = text(&tokens["access_token"]);
        get(&server, &format!("/{}/me", tenant.group), opaque).await.expect(200);
        tenant.patch(&server, json!([{"op": "replace", "path": "/active", "value": false}])).await;
        for name in [tenant.group.as_str(), "shop"] {
            get(&server, &format!("/api/{name}/account/me"), &tenant.owner_token).await.expect(501);
            get(&server, &format!("/{name}/me"), opaque).await.expect(501);
            send(to(&server, Method::GET, &format!("/{name}/jwks"))).await.expect(501);
        }
        let form = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens["refresh_token"]))];
        at_provider(&server, &tenant, &client, "token", &form).await.expect(501);
        get(&server, "/api/groups", &tenant.owner_token).await.expect_any(&[401, 403]);
        get(&server, "/api/groups", &tenant.root_token).await.expect(200);
    }
}

/// Nobody counts who tries set-up codes.
#[tokio::test]
async fn set_up_codes_are_guessed_without_end() {
    let settings = [
        ("rate_limits.enabled", "true"),
        ("rate_limits.recovery.burst", "3"),
        ("rate_limits.recovery.per_minute", "1"),
    ];
    let server = Server::start_with(Store::Embedded, &settings)
        .await
        .expect("a server");
    let mut answers = Vec::new();
    for number in 0..4 {
        let body = json!({"setupCode": format!("guess {number}"), "password": "Passw0rd!x"});
        answers.push(
            send(to(&server, Method::POST, "/api/init").json(&body))
                .await
                .status,
        );
    }
    assert_eq!(answers, [401, 401, 401, 429]);
    let right = json!({"setupCode": server.root.setup_code, "password": server.root.password});
    send(to(&server, Method::POST, "/api/init").json(&right))
        .await
        .expect(429);
}

/// Owners with a long top-level domain or capitals in their address never get in, and a
/// generated password is lost.
#[tokio::test]
async fn owners_with_unusual_addresses_never_activate() {
    let server = embedded().await;
    Tenant::create(&server).await;
    let (group, token) = pending(&server, "later", "Olga.New+1@studio.photography").await;
    let first = json!({"email": "olga.new+1@Studio.photography", "username": "olga", "generatePassword": true});
    let path = format!("/api/{group}/account");
    let ready = call(&server, Method::POST, &path, &token, first.clone())
        .await
        .expect(201)
        .json();
    let password = text(&ready["data"]["account"]["password"]).to_owned();
    let request = to(&server, Method::POST, &format!("/{group}/token/simple-iat"))
        .basic_auth("OLGA", Some(&password))
        .json(&json!({}));
    send(request).await.expect(201);
    // the token was for this one time
    call(&server, Method::POST, &path, &token, first)
        .await
        .expect_any(&[401, 403, 409]);
}

/// Settings take values that mean nothing, and are then ignored.
#[tokio::test]
async fn settings_of_groups_take_any_value() {
    let server = embedded().await;
    let tenant = Tenant::create(&server).await;
    let path = format!("/api/group/{}", tenant.group);
    let before = get(&server, &path, &tenant.owner_token).await.expect(200);
    let before = before.json()["data"].clone();
    for (at, value) in [
        ("/name", json!(" ")),
        ("/config/ttl/accessToken", json!(0)),
        ("/config/ttl/accessToken", json!(-5)),
        ("/config/ttl/session", json!(9_007_199_254_740_991_i64)),
        ("/config/failedLoginThresholds/threshold", json!(-1)),
        ("/config/passwordPolicy/pattern/characters", json!(-1)),
        ("/primaryTOS", json!("javascript:alert(1)")),
    ] {
        let patch = json!([{"op": "add", "path": at, "value": value}]);
        let refused = call(&server, Method::PATCH, &path, &tenant.owner_token, patch)
            .await
            .expect(400);
        let name = at.trim_start_matches('/').replace('/', ".");
        assert!(refused.text.contains(&name), "{}", refused.text);
    }
    let after = get(&server, &path, &tenant.owner_token).await.expect(200);
    assert_eq!(after.json()["data"], before);
    let patch = json!([{"op": "add", "path": "/config/ttl/accessToken", "value": 60}]);
    tenant.patch(&server, patch).await;
}
