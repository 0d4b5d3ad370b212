//! The OpenAPI documents that the server gives out.

use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::{Answer, send, to};
use crate::server::{Server, Store};
use crate::tenant::Tenant;

async fn get(server: &Server, path: &str) -> Answer {
    send(to(server, Method::GET, path)).await.expect(200)
}

async fn start() -> Server {
    Server::start(Store::Embedded).await.expect("a server")
}

fn operation<'a>(document: &'a Value, method: &str, path: &str) -> &'a Value {
    &document["paths"][path][method]
}

fn names(operation: &Value) -> Vec<&Value> {
    let parameters = operation["parameters"].as_array();
    parameters
        .into_iter()
        .flatten()
        .map(|p| &p["name"])
        .collect()
}

#[tokio::test]
async fn a_document_of_a_group_is_filled_in() {
    let server = start().await;
    let tenant = Tenant::create(&server).await;
    // by either of its names
    for name in [tenant.group.as_str(), "shop"] {
        let answer = get(&server, &format!("/{name}/swagger.json")).await;
        assert!(!answer.text.contains("{group}"), "a place is left open");
        let document = answer.json();
        let path = format!("/api/{}/account/{{id}}", tenant.group);
        let read = operation(&document, "get", &path);
        assert_eq!(read["operationId"], "getAccount");
        assert_eq!(names(read), [&json!("id")]);
        assert_eq!(
            read["security"],
            json!([{ "bearer": [] }, { "openId": [] }])
        );
        let scheme = &document["components"]["securitySchemes"]["openId"];
        let discovery = scheme["openIdConnectUrl"].as_str().expect("an address");
        let found = send(Server::http().get(discovery)).await.expect(200).json();
        assert_eq!(found["issuer"], tenant.issuer.as_str());
    }
}

#[tokio::test]
async fn a_document_without_a_group_offers_no_discovery() {
    let server = start().await;
    let document = get(&server, "/swagger.json").await.json();
    let read = operation(&document, "get", "/api/{group}/account/{id}");
    assert_eq!(names(read), [&json!("group"), &json!("id")]);
    assert_eq!(read["security"], json!([{ "bearer": [] }]));
    let schemes = document["components"]["securitySchemes"].as_object();
    assert!(!schemes.expect("schemes").contains_key("openId"));
}

#[tokio::test]
async fn a_document_follows_the_group() {
    let server = start().await;
    let tenant = Tenant::create(&server).await;
    let path = format!("/{}/swagger.json", tenant.group);
    let before = get(&server, &path).await;
    let name = json!([{ "op": "replace", "path": "/name", "value": "Corner shop" }]);
    let change = to(
        &server,
        Method::PATCH,
        &format!("/api/group/{}", tenant.group),
    );
    send(change.bearer_auth(&tenant.owner_token).json(&name))
        .await
        .expect(200);
    let after = get(&server, &path).await;
    let description = after.json()["info"]["description"].to_string();
    assert!(description.contains("Corner shop"), "{description}");
    assert_ne!(before.header("etag"), after.header("etag"));
}

#[tokio::test]
async fn the_clean_document_is_for_the_members_of_a_group() {
    let server = start().await;
    let document = get(&server, "/cleanapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.contains_key("/api/{group}/accounts"));
    for path in [
        "/api/init",
        "/api/groups",
        "/api/plugins/global",
        "/{group}/token",
        "/swagger",
    ] {
        assert!(!paths.contains_key(path), "{path}");
    }
}
