//! Passkeys: the API with an authenticator made of code, and the pages in a real browser.

mod api;
mod authenticator;
mod browser;
mod login;
mod mail;

use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::{Answer, send, to};
use crate::flow::text;
use crate::server::Server;
use crate::tenant::{Person, Tenant};
pub use authenticator::Authenticator;

/// A tenant whose people can use passkeys.
async fn tenant(server: &Server) -> Tenant {
    let tenant = Tenant::create(server).await;
    switch_on(server, &tenant.root_token).await;
    allow(server, &tenant).await;
    tenant
}

/// Passkeys for the whole server.
pub async fn switch_on(server: &Server, root_token: &str) {
    let current = to(server, Method::GET, "/api/plugins/global").bearer_auth(root_token);
    let version = send(current).await.expect(200).json()["data"]["version"].clone();
    let body = json!({"enabled": true, "type": "webauthn", "currentVersion": version});
    let request = to(server, Method::POST, "/api/plugins/global/webauthn")
        .bearer_auth(root_token)
        .json(&body);
    let stored = send(request).await.expect(201).json();
    assert_eq!(
        stored["data"]["webAuthN"]["providers"][0]["type"],
        "webauthn"
    );
}

/// Passkeys for a group.
pub async fn allow(server: &Server, tenant: &Tenant) {
    let on = json!({"enable": true, "type": "webauthn"});
    let patch = json!([{"op": "replace", "path": "/pluginOptions/webAuthN", "value": on}]);
    tenant.patch(server, patch).await;
}

async fn post(
    server: &Server,
    tenant: &Tenant,
    path: &str,
    token: Option<&str>,
    body: Value,
) -> Answer {
    let request = to(
        server,
        Method::POST,
        &format!("/api/{}/{path}", tenant.group),
    )
    .json(&body);
    send(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

/// A token of a person's own account, with its state.
async fn proof(tenant: &Tenant, person: &Person) -> (String, String) {
    let request = Server::http()
        .post(format!("{}/token/simple-iat", tenant.issuer))
        .basic_auth(&person.email, Some(&person.password))
        .json(&json!({}));
    let token = send(request).await.expect(201).json()["data"].clone();
    (
        text(&token["jti"]).to_owned(),
        text(&token["state"]).to_owned(),
    )
}

/// Makes a passkey for a person; answers its id at the server.
pub async fn enrol(
    server: &Server,
    tenant: &Tenant,
    person: &Person,
    device: &mut Authenticator,
) -> String {
    let (token, state) = proof(tenant, person).await;
    let token = Some(token.as_str());
    let begun = post(
        server,
        tenant,
        "webauthn/bind",
        token,
        json!({"state": state}),
    )
    .await;
    let options = begun.expect(200).json()["data"]["registrationOptions"].clone();
    let credential = device.create(&server.url, &options);
    let body = json!({"state": state, "credential": credential, "name": "Phone"});
    let kept = post(server, tenant, "webauthn/finish", token, body).await;
    let kept = kept.expect(200).json();
    assert_eq!(
        (&kept["type"], &kept["data"]["success"]),
        (&json!("PASSKEY"), &json!(true))
    );
    text(&kept["data"]["id"]).to_owned()
}

/// Begins a sign-in by name.
pub async fn begin(server: &Server, tenant: &Tenant, name: &str) -> Answer {
    post(
        server,
        tenant,
        "webauthn/authenticate",
        None,
        json!({"email": name}),
    )
    .await
}
