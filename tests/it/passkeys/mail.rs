//! The mailed way to a passkey.

use reqwest::Method;
use serde_json::json;
use url::Url;

use super::{allow, post, switch_on};
use crate::answer::{send, to};
use crate::flow::parameter;
use crate::messages::Scene;
use crate::server::Store;

async fn mailed_link(store: Store) {
    let Some(mut scene) = Scene::set(store).await else {
        return;
    };
    let (server, tenant) = (&scene.server, &scene.tenant);
    switch_on(server, &tenant.root_token).await;
    allow(server, tenant).await;
    let set = |path: &str| json!({"op": "replace", "path": path, "value": true});
    let paths = [
        "/pluginOptions/notification/enabled",
        "/config/passwordLessSupport",
    ];
    tenant.patch(server, json!(paths.map(set))).await;
    let account = format!("account/{}", tenant.user.id);
    let verified = json!([set("/verified")]);
    tenant
        .api(server, Method::PATCH, &account, Some(verified), 200)
        .await;

    let first = format!("/{}/set-passkey", tenant.group);
    let page = send(to(server, Method::GET, &first)).await.expect(200).text;
    let state = page
        .split("name=\"state\" value=\"")
        .nth(1)
        .expect("a state");
    let state = state.split('"').next().expect("its end");
    let ask = async |state: &str, lookup: &str| {
        let path = format!("/{}/passkey/email-verify", tenant.group);
        let request = to(server, Method::GET, &path).query(&[("state", state), ("lookup", lookup)]);
        let text = send(request).await.expect(200).text;
        text.split("<main").nth(1).expect("a page").to_owned()
    };
    let unknown = ask(state, "nobody@shop.test").await;
    assert_eq!(ask(state, &tenant.user.email).await, unknown);
    assert_ne!(ask("another", &tenant.user.email).await, unknown);

    let link: Url = scene.mailbox.next_to(&scene.tenant.user.email).await.link();
    let (server, tenant) = (&scene.server, &scene.tenant);
    let token = parameter(&link, "token").expect("a token");
    let open = async |link: &str| {
        send(to(server, Method::GET, link).header("accept", "application/json")).await
    };
    let path = link.path();
    open(path).await.expect(403);
    open(&format!("{path}?token={token}")).await.expect(403);
    open(&format!("{path}?token={token}&state=x"))
        .await
        .expect(403);
    open(&format!("{path}?token=x&state={state}"))
        .await
        .expect(401);
    let page = open(&format!("{path}?token={token}&state={state}"))
        .await
        .expect(200);
    assert!(page.text.contains(&tenant.user.email));
    post(
        server,
        tenant,
        "webauthn/bind",
        Some(&token),
        json!({"state": state}),
    )
    .await
    .expect(200);
    let others = scene.mailbox.rest();
    assert!(
        !others.iter().any(|mail| mail.subject().contains("passkey")),
        "nobody else was written to"
    );
}

#[tokio::test]
async fn embedded() {
    Box::pin(mailed_link(Store::Embedded)).await;
}

#[tokio::test]
async fn mongodb() {
    Box::pin(mailed_link(Store::Mongo)).await;
}
