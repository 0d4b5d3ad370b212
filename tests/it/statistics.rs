//! What a group is asked about itself: how much it is used, and whether its core objects are up to date.

use reqwest::Method;
use serde_json::{Value, json};
use ueauth::permissions::Permission;
use ueauth::products::Product;
use ueauth::store::{StoreError, and, eq};

use crate::answer::{Answer, send, to};
use crate::flow::text;
use crate::holes::behind_its_back;
use crate::server::Server;
use crate::tenant::Tenant;

async fn ask(server: &Server, method: Method, path: &str, token: Option<&str>) -> Answer {
    let request = to(server, method, path);
    send(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

on_both_stores! {
    /// Those who may read the group see how many people, products and organizations it has.
    async fn usage(server: Server) {
        let tenant = Tenant::create(&server).await;
        let path = format!("/api/{}/usage-stats", tenant.group);
        let member = tenant.token_of(&server, &tenant.user).await;
        let elsewhere = tenant.another(&server, "other").await;
        for (token, status) in [(None, 401), (Some(&member), 403), (Some(&elsewhere.owner_token), 401)] {
            ask(&server, Method::GET, &path, token.map(String::as_str)).await.expect(status);
        }
        let counts = async |token: &str| {
            let answer = ask(&server, Method::GET, &path, Some(token)).await.expect(200).json();
            assert_eq!(answer["type"], "Auth Group");
            answer["data"].clone()
        };
        let at_first = json!({"activeUsers": 2, "b2bUsers": 1, "products": 2, "organizations": 1});
        assert_eq!(counts(&tenant.owner_token).await, at_first);
        assert_eq!(counts(&tenant.root_token).await, at_first);
        let change = async |id: &str, operations: Value| {
            let path = format!("account/{id}");
            tenant.api(&server, Method::PATCH, &path, Some(operations), 200).await;
        };
        change(&tenant.user.id, json!([{"op": "add", "path": "/mfa", "value": {"enabled": true}}])).await;
        let made = json!({"name": "Ours", "type": "global", "description": "d", "url": "https://p.test"});
        tenant.api(&server, Method::POST, "products", Some(made), 201).await;
        let now = counts(&tenant.owner_token).await;
        assert_eq!(now, json!({"activeUsers": 2, "b2bUsers": 2, "products": 3, "organizations": 1}));
        change(&tenant.user.id, json!([{"op": "replace", "path": "/blocked", "value": true}])).await;
        assert_eq!(counts(&tenant.owner_token).await["activeUsers"], 1);
    }

    /// Anybody who is signed in may ask; only those who may change products bring them up to date.
    async fn core_objects(server: Server) {
        let mut server = server;
        let tenant = Tenant::create(&server).await;
        let (check, update) = (
            format!("/api/{}/checkforupdates", tenant.group),
            format!("/api/{}/updatecore", tenant.group),
        );
        let member = tenant.token_of(&server, &tenant.user).await;
        ask(&server, Method::GET, &check, None).await.expect(401);
        ask(&server, Method::PUT, &update, None).await.expect(401);
        ask(&server, Method::PUT, &update, Some(&member)).await.expect(403);
        let state = ask(&server, Method::GET, &check, Some(&member)).await.expect(200).json();
        assert_eq!(state["type"], "Product");
        let state = &state["data"];
        assert_eq!((&state["id"], &state["prettyName"]), (&json!(tenant.group), &json!("shop")));
        assert_eq!((&state["updateRequired"], &state["force"]), (&json!(false), &json!(false)));
        let products = state["coreProducts"].as_array().expect("a list");
        assert!(products.len() == 2 && products.iter().all(|p| p["meta"].get("core").is_none()), "{state}");
        let admin = text(&products[0]["id"]).to_owned();
        assert_eq!(products[0]["meta"]["rolesVersion"], state["availableVersion"]["rolesVersion"]);

        behind_its_back(&mut server, async |store| {
            let lost = and([eq("product", admin.as_str()), eq("coded", "products::create")]);
            store.of::<Permission>().take(lost).await.unwrap().expect("a seeded permission");
            let forget = |p: &mut Product| {
                p.meta.permissions_version = None;
                p.meta.roles_version = None;
                Ok::<_, StoreError>(())
            };
            store.of::<Product>().update(&admin, forget).await.unwrap();
        })
        .await;
        let state = ask(&server, Method::GET, &check, Some(&member)).await.expect(200).json();
        assert_eq!((&state["data"]["updateRequired"], &state["data"]["force"]), (&json!(true), &json!(true)));
        for added in [1, 0] {
            let done = ask(&server, Method::PUT, &update, Some(&tenant.owner_token)).await.expect(200).json();
            let done = &done["data"]["The shop - Super Admin Portal"];
            assert_eq!(done["id"], admin.as_str());
            assert_eq!(done["added"].as_array().expect("a list").len(), added, "{done}");
            assert_eq!(done["removed"], json!([]));
            assert_eq!(done["roles"].as_array().expect("a list").len(), 2);
        }
        let state = ask(&server, Method::GET, &check, Some(&member)).await.expect(200).json();
        assert_eq!((&state["data"]["updateRequired"], &state["data"]["force"]), (&json!(false), &json!(false)));
    }
}
