//! Second factors that are built in: codes of authenticator apps, and people's own devices.

mod api;
mod browser;
mod login;
mod owners;
mod phone;
mod pushes;
mod socket;
mod totp;

use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::{Answer, send, to};
use crate::flow::text;
use crate::server::Server;
use crate::tenant::{Person, Tenant};

/// Changes the challenges of the whole server.
async fn global(server: &Server, tenant: &Tenant, mut body: Value) -> Answer {
    let options = "/api/plugins/global";
    let now = send(to(server, Method::GET, options).bearer_auth(&tenant.root_token)).await;
    body["currentVersion"] = now.expect(200).json()["data"]["version"].clone();
    let request = to(server, Method::POST, &format!("{options}/mfa-challenge"));
    send(request.bearer_auth(&tenant.root_token).json(&body)).await
}

/// Lets a group use a built-in provider of challenges.
pub async fn switch_on(server: &Server, tenant: &Tenant, kind: &str, more: Value) {
    let provider = json!({"enabled": true, "type": kind});
    let stored = global(server, tenant, provider).await.expect(201).json();
    let providers = &stored["data"]["mfaChallenge"]["providers"];
    assert_eq!(providers, &json!([{ "type": kind }]));
    let mut own = more;
    own["enable"] = json!(true);
    own["type"] = json!(kind);
    let on = json!([{"op": "add", "path": "/config/mfaChallenge", "value": own}]);
    tenant.patch(server, on).await;
}

/// A group with a built-in provider of challenges; its user's address is verified.
async fn tenant(server: &Server, kind: &str, more: Value) -> Tenant {
    let tenant = Tenant::create(server).await;
    switch_on(server, &tenant, kind, more).await;
    let verified = json!([{"op": "replace", "path": "/verified", "value": true}]);
    let path = format!("account/{}", tenant.user.id);
    let verified = Some(verified);
    tenant
        .api(server, Method::PATCH, &path, verified, 200)
        .await;
    tenant
}

fn api(tenant: &Tenant, path: &str) -> String {
    format!("/api/{}/{path}", tenant.group)
}

/// Whether the account has a second factor, as its administrator sets or sees it.
async fn has_mfa(server: &Server, tenant: &Tenant) -> bool {
    let path = format!("account/{}", tenant.user.id);
    let account = tenant.api(server, Method::GET, &path, None, 200).await;
    account["data"]["mfa"]["enabled"] == true
}

async fn set_mfa(server: &Server, tenant: &Tenant, on: bool) {
    let path = format!("account/{}", tenant.user.id);
    let mfa = json!([{"op": "add", "path": "/mfa", "value": {"enabled": on}}]);
    tenant
        .api(server, Method::PATCH, &path, Some(mfa), 200)
        .await;
}

/// Asks for instructions as somebody who knows the password.
async fn instructions(server: &Server, tenant: &Tenant, person: &Person) -> Answer {
    let request = to(server, Method::POST, &api(tenant, "mfa/instructions"));
    let request = request.basic_auth(&person.email, Some(&person.password));
    send(request.json(&json!({"state": "s"}))).await
}

/// Asks the user something in the name of the owner.
async fn ask(server: &Server, tenant: &Tenant, state: &str) -> Answer {
    custom(server, tenant, json!({"state": state})).await
}

async fn custom(server: &Server, tenant: &Tenant, more: Value) -> Answer {
    let body = json!({
        "title": "Pay?", "header": "The shop", "message": "12 EUR", "lookup": tenant.user.email,
    });
    let request = to(server, Method::PUT, &api(tenant, "device/challenge"));
    let body = phone::both(body, more);
    send(request.bearer_auth(&tenant.owner_token).json(&body)).await
}

/// The key of a challenge with that state.
async fn asked(server: &Server, tenant: &Tenant, state: &str) -> String {
    let answer = ask(server, tenant, state).await.expect(200).json();
    text(&answer["data"]["key"]).to_owned()
}

fn challenge(tenant: &Tenant, key: &str, state: &str) -> String {
    let user = &tenant.user.id;
    api(
        tenant,
        &format!("mfa/{key}/account/{user}/interaction/{state}"),
    )
}

/// How a challenge is, told as to those who wait.
async fn state(server: &Server, tenant: &Tenant, key: &str, state: &str) -> String {
    let path = format!("{}/status?wait=0", challenge(tenant, key, state));
    let answer = send(to(server, Method::GET, &path)).await;
    if answer.status == 204 {
        return "approved".to_owned();
    }
    text(&answer.expect(206).json()["state"]).to_owned()
}

/// Waits until some device waits for something to answer.
async fn listens(server: &Server) {
    for _ in 0..600 {
        let metrics = send(to(server, Method::GET, "/metrics")).await;
        let mut lines = metrics.text.lines();
        if lines.any(|line| line.contains("listening_accounts") && line.ends_with(" 1")) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no device waits");
}
