//! Organizations that a path names.

use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::{Answer, send, to};
use crate::flow::text;
use crate::holes::organization;
use crate::server::{Server, Store};
use crate::tenant::Tenant;

const NOWHERE: &str = "nothing-here";
/// Answers for any name what the token says about it.
const OF_TOKEN: &str = "/api/{group}/access/my/organizations/{org}/products";

/// Routes of the server's own document that name an organization.
async fn routes(server: &Server) -> Vec<(Method, String)> {
    let document = send(to(server, Method::GET, "/swagger.json"))
        .await
        .expect(200);
    let document = document.json();
    let paths = document["paths"].as_object().expect("paths");
    let mut routes = Vec::new();
    for (path, methods) in paths.iter().filter(|(path, _)| path.contains("{org}")) {
        for method in methods.as_object().expect("methods").keys() {
            let method = method.to_uppercase().parse().expect("a method");
            routes.push((method, path.clone()));
        }
    }
    assert!(routes.len() > 40, "{}", routes.len());
    routes
}

/// A body that the route takes.
fn body(method: &Method, path: &str, account: &str) -> Value {
    let last = path.rsplit('/').next().unwrap_or_default();
    match (method.as_str(), last) {
        ("GET", _) => Value::Null,
        ("PATCH", _) => json!([{"op": "replace", "path": "/description", "value": "x"}]),
        (_, "accounts") if path.contains("/access/") => json!({"accounts": [account]}),
        (_, "accounts") => json!([account]),
        ("DELETE", _) => Value::Null,
        (_, "terms") => json!({"action": "accept"}),
        (_, "account") => json!({"email": "new@shop.test"}),
        (_, "profiles") => json!({"accountId": account, "givenName": "Uma"}),
        (_, "notification") => json!({"type": "general"}),
        (_, "domains" | "roles") => json!({"name": "x"}),
        _ if path.contains("/operations/") => json!({"operation": "password_reset"}),
        _ if path.contains("/profiles/account/") => json!({"request": "remain"}),
        _ => json!({"roles": [], "domains": []}),
    }
}

/// What an answer says, without what differs from one to the next.
fn said(answer: &Answer, names: [&str; 2]) -> (u16, Value) {
    let mut text = answer.text.clone();
    for name in names {
        text = text.replace(name, "named");
    }
    let mut body: Value = serde_json::from_str(&text).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.remove("id");
    }
    (answer.status, body)
}

/// An unknown organization is answered with 428, and strangers learn from an answer which ones there are.
#[tokio::test]
async fn unknown_organizations_differ_from_those_of_others() {
    let mail = [
        ("notifications.smtp_url", "smtp://127.0.0.1:1"),
        ("notifications.from", "no-reply@id.test"),
    ];
    let server = Server::start_with(Store::Embedded, &mail)
        .await
        .expect("a server");
    let tenant = Tenant::create(&server).await;
    let (foreign, _) = organization(&server, &tenant, "Foreign").await;
    let product = json!({"name": "Till", "description": "d", "type": "app"});
    let product = tenant
        .api(&server, Method::POST, "products", Some(product), 201)
        .await;
    let product = text(&product["data"]["id"]).to_owned();
    let member = tenant.token_of(&server, &tenant.user).await;
    for (method, path) in routes(&server).await {
        for account in [&tenant.user.id, &tenant.owner.id] {
            let ask = async |organization: &str, token: Option<&String>| {
                let path = path
                    .replace("{group}", &tenant.group)
                    .replace("{org}", organization)
                    .replace("{product}", &product)
                    .replace("{id}", account);
                let mut request = to(&server, method.clone(), &path);
                let body = body(&method, &path, account);
                if !body.is_null() {
                    request = request.json(&body);
                }
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                send(request).await
            };
            let names = [NOWHERE, foreign.as_str()];
            for token in [None, Some(&member)] {
                let there = said(&ask(&foreign, token).await, names);
                let nowhere = said(&ask(NOWHERE, token).await, names);
                assert_eq!(there, nowhere, "{method} {path}");
                assert!((400..500).contains(&there.0) || path == OF_TOKEN, "{path}");
            }
            // about themselves, owners are members like others
            if path == OF_TOKEN || *account == tenant.owner.id {
                continue;
            }
            for token in [&tenant.owner_token, &tenant.root_token] {
                ask(NOWHERE, Some(token)).await.expect(404);
            }
        }
    }
}
