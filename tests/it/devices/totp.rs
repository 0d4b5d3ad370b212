//! Codes of an authenticator app. What time does to them is tested beside the code.

use reqwest::Method;
use serde_json::json;
use totp_rs::{Builder, Secret, Totp};
use ueauth_actors::{Clock, SystemClock};

use super::{api, ask, asked, challenge, global, has_mfa, instructions, set_mfa, state, tenant};
use crate::answer::{Answer, send, to};
use crate::flow::text;
use crate::passkeys;
use crate::server::Server;
use crate::tenant::Tenant;

/// Half a minute (s).
pub const STEP: u64 = 30;

pub fn now() -> u64 {
    u64::try_from(SystemClock.now() / 1000).expect("after 1970")
}

/// An app that has read the code of these instructions.
fn app(instructions: &Answer) -> Totp {
    let data = instructions.json()["data"].clone();
    let (uri, base32) = (text(&data["qrCode"]), text(&data["secret"]));
    assert!(uri.starts_with("otpauth://totp/The%20shop:"), "{uri}");
    assert!(uri.contains(&format!("secret={base32}")), "{uri}");
    let secret = Secret::try_from_base32(base32).expect("a secret");
    Builder::new().with_secret(secret).build().expect("an app")
}

/// A text that the app does not show now.
pub fn wrong(app: &Totp) -> String {
    let time = now();
    let near = (time - 2 * STEP)..=(time + 3 * STEP);
    let shown: Vec<String> = near
        .step_by(30)
        .map(|t| app.generate(t).to_string())
        .collect();
    let mut all = (0..).map(|n| format!("{n:06}"));
    all.find(|code| !shown.contains(code)).expect("one of them")
}

async fn enter(server: &Server, tenant: &Tenant, key: &str, uid: &str, code: &str) -> Answer {
    let path = format!("{}/code", challenge(tenant, key, uid));
    send(to(server, Method::POST, &path).json(&json!({"code": code}))).await
}

async fn prove(server: &Server, tenant: &Tenant, password: &str, code: &str) -> Answer {
    let request = to(server, Method::POST, &api(tenant, "mfa/proof"));
    let request = request.basic_auth(&tenant.user.email, Some(password));
    send(request.json(&json!({"code": code}))).await
}

on_both_stores! {
    /// Right codes approve, each once; wrong ones do not; challenges that are over take none.
    async fn codes_answer_challenges(server: Server) {
        let tenant = tenant(&server, "totp", json!({})).await;
        set_mfa(&server, &tenant, true).await;
        ask(&server, &tenant, "s-0").await.expect(424);
        set_mfa(&server, &tenant, false).await;
        let app = app(&instructions(&server, &tenant, &tenant.user).await.expect(200));
        set_mfa(&server, &tenant, true).await;

        let key = asked(&server, &tenant, "s-1").await;
        enter(&server, &tenant, &key, "s-1", &wrong(&app)).await.expect(401);
        enter(&server, &tenant, &key, "s-2", "1").await.expect(404);
        enter(&server, &tenant, "other", "s-1", "1").await.expect(404);
        let none = to(&server, Method::POST, &format!("{}/code", challenge(&tenant, &key, "s-1")));
        send(none.json(&json!({}))).await.expect(400);
        assert_eq!(state(&server, &tenant, &key, "s-1").await, "pending");
        let time = now();
        let code = app.generate(time).to_string();
        enter(&server, &tenant, &key, "s-1", &format!(" {code} ")).await.expect(204);
        assert_eq!(state(&server, &tenant, &key, "s-1").await, "approved");
        enter(&server, &tenant, &key, "s-1", &app.generate(time + STEP).to_string()).await.expect(410);

        let second = asked(&server, &tenant, "s-3").await;
        enter(&server, &tenant, &second, "s-3", &code).await.expect(401);
        assert_eq!(state(&server, &tenant, &second, "s-3").await, "pending", "the code is used up");
        enter(&server, &tenant, &second, "s-3", &app.generate(time + STEP).to_string()).await.expect(204);
        assert_eq!(state(&server, &tenant, &second, "s-3").await, "approved");
    }

    /// A passkey is asked for once, and proves to the end whose app it is.
    async fn a_passkey_sets_an_app_up(server: Server) {
        let tenant = tenant(&server, "totp", json!({})).await;
        passkeys::switch_on(&server, &tenant.root_token).await;
        passkeys::allow(&server, &tenant).await;
        let mut device = passkeys::Authenticator::new();
        passkeys::enrol(&server, &tenant, &tenant.user, &mut device).await;
        let begun = passkeys::begin(&server, &tenant, &tenant.user.email).await.expect(200).json();
        let begun = &begun["data"];
        let credential = device.get(&server.url, &begun["assertionOptions"]);
        let passkey = json!({"accountId": begun["accountId"], "credential": credential});
        let request = to(&server, Method::POST, &api(&tenant, "mfa/instructions"));
        let made = send(request.json(&json!({"state": "s", "passkey": passkey}))).await.expect(200);
        let lasting = text(&made.json()["data"]["passkeyToken"]).to_owned();
        let code = app(&made).generate(now()).to_string();
        for (state, status) in [("other", 401), ("s", 204)] {
            assert!(!has_mfa(&server, &tenant).await);
            let request = to(&server, Method::POST, &api(&tenant, "mfa/proof")).bearer_auth(&lasting);
            send(request.json(&json!({"state": state, "code": code}))).await.expect(status);
        }
        assert!(has_mfa(&server, &tenant).await);
        let again = instructions(&server, &tenant, &tenant.user).await.expect(202).json();
        assert!(again["data"]["passkeyToken"].is_null(), "a password is sent each time");
    }

    /// The account has a second factor once a code has shown that the app has the secret.
    async fn the_first_code_proves_the_app(server: Server) {
        let tenant = tenant(&server, "totp", json!({})).await;
        let user = &tenant.user;
        prove(&server, &tenant, &user.password, "123456").await.expect(401);
        let first = app(&instructions(&server, &tenant, user).await.expect(200));
        set_mfa(&server, &tenant, false).await;
        let app = app(&instructions(&server, &tenant, user).await.expect(200));
        set_mfa(&server, &tenant, false).await;
        let code = app.generate(now()).to_string();
        prove(&server, &tenant, "wrong", &code).await.expect(401);
        prove(&server, &tenant, &user.password, &wrong(&app)).await.expect(401);
        prove(&server, &tenant, &user.password, &first.generate(now()).to_string()).await.expect(401);
        assert!(!has_mfa(&server, &tenant).await);
        prove(&server, &tenant, &user.password, &code).await.expect(204);
        assert!(has_mfa(&server, &tenant).await);
    }

    /// Five wrong codes deny what is asked, and no code counts for a while, restart or not.
    async fn guesses_are_limited(server: Server) {
        let mut server = server;
        let tenant = tenant(&server, "totp", json!({})).await;
        let app = app(&instructions(&server, &tenant, &tenant.user).await.expect(200));
        set_mfa(&server, &tenant, true).await;
        let key = asked(&server, &tenant, "g-1").await;
        for _ in 0..4 {
            enter(&server, &tenant, &key, "g-1", &wrong(&app)).await.expect(401);
        }
        let refused = enter(&server, &tenant, &key, "g-1", &wrong(&app)).await.expect(429);
        let wait: u64 = refused.header("retry-after").parse().expect("seconds");
        assert!((890..=901).contains(&wait), "{wait}");
        assert_eq!(state(&server, &tenant, &key, "g-1").await, "denied");
        server.restart().await;
        let second = asked(&server, &tenant, "g-2").await;
        let right = app.generate(now()).to_string();
        enter(&server, &tenant, &second, "g-2", &right).await.expect(429);
        assert_eq!(state(&server, &tenant, &second, "g-2").await, "denied");
    }

    /// Only known types are taken, and a group may only have what the server offers.
    async fn types_of_providers(server: Server) {
        let tenant = tenant(&server, "totp", json!({})).await;
        for kind in ["otp", "totp ", ""] {
            let body = json!({"enabled": true, "type": kind});
            global(&server, &tenant, body).await.expect_any(&[400, 428]);
        }
        let group = format!("/api/group/{}", tenant.group);
        let patch = |value: serde_json::Value| {
            let body = json!([{"op": "replace", "path": "/config/mfaChallenge", "value": value}]);
            to(&server, Method::PATCH, &group).bearer_auth(&tenant.owner_token).json(&body)
        };
        send(patch(json!({"enable": false}))).await.expect(200);
        send(patch(json!({"enable": true, "type": "http-proxy"}))).await.expect(400);
        send(patch(json!({"enable": true, "type": "TOTP"}))).await.expect(200);
        instructions(&server, &tenant, &tenant.user).await.expect(200);
    }
}
