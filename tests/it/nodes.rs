//! Two servers on one store: what one of them did, the other knows.

use reqwest::Method;
use serde_json::json;

use crate::answer::{send, to};
use crate::flow::{Flow, text};
use crate::server::{Server, Store};
use crate::tenant::Tenant;
use crate::visitor::Visitor;

#[tokio::test]
async fn what_one_server_takes_away_the_other_refuses_at_once() {
    let Some(first) = Server::start(Store::Mongo).await else {
        return;
    };
    let tenant = Tenant::create(&first).await;
    let second = Server::start_at(&first.store, &[]).await;
    let client = tenant.web_client(json!({})).await;
    let tokens = tenant.tokens(&first, &client, &tenant.user, &[]).await;
    let token = text(&tokens["access_token"]).to_owned();
    let (id, secret) = (text(&client["client_id"]), client["client_secret"].as_str());
    let ask = async |server: &Server, path: &str| {
        let path = format!("/{}/token/{path}", tenant.group);
        let request = to(server, Method::POST, &path).basic_auth(id, secret);
        send(request.form(&[("token", &*token)])).await.expect(200)
    };
    for server in [&first, &second, &first, &second] {
        assert_eq!(ask(server, "introspection").await.json()["active"], true);
    }
    ask(&first, "revocation").await;
    assert_eq!(ask(&second, "introspection").await.json()["active"], false);
}

#[tokio::test]
async fn global_settings_count_on_every_server_at_once() {
    let Some(first) = Server::start(Store::Mongo).await else {
        return;
    };
    let tenant = Tenant::create(&first).await;
    let second = Server::start_at(&first.store, &[]).await;
    // an opaque token is good at each of them, whatever their addresses
    let issuer = format!("{}/{}", first.url, tenant.root_group);
    let flow = Flow::new(
        &issuer,
        &tenant.root_portal,
        &[("scope", "openid email access")],
    );
    let (email, password) = (&first.root.email, &first.root.password);
    let visitor = Visitor::new(&first);
    let landed = visitor.authorize(&flow.url, email, password).await.away();
    let tokens = flow.tokens(&landed).await;
    let token = text(&tokens["access_token"]);
    let page = format!("/{}/forgotpassword", tenant.group);
    let enabled = async |server: &Server| {
        let page = send(to(server, Method::GET, &page)).await.expect(200);
        !page.text.contains("This server sends no messages")
    };
    for server in [&first, &second] {
        assert!(!enabled(server).await);
    }
    for (version, wanted) in [(1, true), (2, false)] {
        let body = json!({
            "enabled": wanted, "currentVersion": version, "notificationServiceUri": "https://mail.test/send",
        });
        let path = "/api/plugins/global/notifications";
        let request = to(&first, Method::POST, path)
            .bearer_auth(token)
            .json(&body);
        send(request).await.expect_any(&[200, 201, 204]);
        for server in [&first, &second] {
            assert_eq!(enabled(server).await, wanted);
        }
    }
}
