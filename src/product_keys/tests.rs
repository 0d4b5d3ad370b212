//! The endpoints of product keys from the request on.

use serde_json::{Value as Json, json};

use crate::clients::Client;
use crate::product_keys::ProductKey;
use crate::products::Product;
use crate::products::tests::{World, world};
use crate::store::eq;

const KEYS: &str = "/access/product/shop/key";

/// `mona` manages the keys of the organization `core` for the product `shop`.
async fn shop() -> World {
    let w = world().await;
    w.role("clerk", "shop", json!({ "codedId": "clerk-code" }))
        .await;
    let rights = ["read", "create", "update", "delete"]
        .map(|a| format!("PortalCod1:::productkey::{a}:own"))
        .join(" ");
    let access = json!({ "core": [rights, "portal,PortalCod1 shop,ShopCode01"] });
    w.person("g1", "mona", access).await;
    w
}

async fn service(w: &World, body: Json) -> String {
    let (status, answer) = w.call("owner", &format!("POST {KEYS}/service"), body).await;
    assert_eq!(status, 201, "{answer}");
    answer["data"]["clientId"].as_str().unwrap().to_owned()
}

async fn key(w: &World, service: &str, name: &str) -> Json {
    let body = json!({ "clientId": service, "name": name, "expires": 3600 });
    let (status, answer) = w.call("owner", &format!("POST {KEYS}"), body).await;
    assert_eq!(status, 201, "{answer}");
    answer["data"].clone()
}

async fn works(w: &World, key: &Json) -> bool {
    let (status, _) = w.ask(key.as_str().unwrap(), "GET /access/validate").await;
    assert!(matches!(status, 200 | 401), "{status}");
    status == 200
}

#[actix_web::test]
async fn hole_a_deleted_or_replaced_key_stops_working_at_once() {
    let w = shop().await;
    let service = service(&w, json!({ "name": "Probe", "roles": ["clerk"] })).await;
    let first = key(&w, &service, "k1").await;
    assert!(works(&w, &first["key"]).await);
    let id = first["id"].as_str().unwrap();
    let (status, answer) = w.ask("owner", &format!("PUT {KEYS}/{id}")).await;
    assert_eq!(status, 200, "{answer}");
    let second = &answer["data"];
    assert_ne!(second["key"], first["key"]);
    assert_eq!(
        (&second["id"], &second["expires"]),
        (&first["id"], &json!(3600))
    );
    assert!(!works(&w, &first["key"]).await);
    assert!(works(&w, &second["key"]).await);
    let (status, answer) = w.ask("owner", &format!("DELETE {KEYS}/{id}")).await;
    assert_eq!(status, 200);
    assert!(answer["data"].get("key").is_none());
    assert!(!works(&w, &second["key"]).await);
    assert_eq!(w.ask("owner", &format!("DELETE {KEYS}/{id}")).await.0, 404);

    let third = key(&w, &service, "k2").await;
    let gone = w
        .ask("owner", &format!("DELETE {KEYS}/service/{service}"))
        .await;
    assert_eq!(gone.0, 200);
    assert!(!works(&w, &third["key"]).await);
    let keys = w.app.store.of::<ProductKey>();
    assert_eq!(keys.count(eq("authGroup", "g1")).await.unwrap(), 0);
    let product = w.get::<Product>("shop").await.unwrap();
    assert!(!product.associated_clients.contains(&service));
}

#[actix_web::test]
async fn keys_are_shown_once_and_listed_by_product() {
    let w = shop().await;
    let service = service(&w, json!({ "name": "Probe" })).await;
    let made = key(&w, &service, "k1").await;
    assert_eq!(made["key"].as_str().unwrap().len(), 43);
    let again = json!({ "clientId": service, "name": "k1" });
    assert_eq!(w.call("owner", &format!("POST {KEYS}"), again).await.0, 409);
    let id = made["id"].as_str().unwrap();
    let (_, answer) = w.ask("owner", &format!("GET {KEYS}")).await;
    assert_eq!(answer["data"].as_array().unwrap().len(), 1);
    assert!(answer["data"][0].get("key").is_none());
    let (_, answer) = w.ask("owner", &format!("GET {KEYS}/{id}")).await;
    assert!(answer["data"].get("key").is_none());
    let probe = format!("GET {KEYS}?$filter=startswith(key,%27a%27)");
    assert_eq!(w.ask("owner", &probe).await.0, 400);
    let (_, answer) = w.ask("owner", "GET /access/product/portal/key").await;
    assert_eq!(answer["data"], json!([]));
    for call in ["GET", "PUT", "DELETE"] {
        let call = format!("{call} /access/product/portal/key/{id}");
        assert_eq!(w.ask("owner", &call).await.0, 404, "{call}");
    }
    assert_eq!(w.ask("owner", "GET /access/product/none/key").await.0, 428);
    for body in [
        json!({ "name": "x" }),
        json!({ "clientId": service }),
        json!({ "clientId": service, "name": { "$ne": 1 } }),
        json!({ "clientId": service, "name": "x", "expires": 0 }),
    ] {
        let (status, _) = w.call("owner", &format!("POST {KEYS}"), body.clone()).await;
        assert_eq!(status, 400, "{body}");
    }
}

#[actix_web::test]
async fn a_service_is_made_whole_or_not_at_all() {
    let w = shop().await;
    let create = format!("POST {KEYS}/service");
    for (body, expected) in [
        (json!({}), 400),
        (json!({ "name": "A", "roles": ["none"] }), 428),
        (json!({ "name": "A", "organizationId": "none" }), 400),
    ] {
        let (status, _) = w.call("owner", &create, body.clone()).await;
        assert_eq!(status, expected, "{body}");
    }
    let clients = w.app.store.of::<Client>();
    let labelled = || eq("payload.client_label", "product-key");
    assert_eq!(clients.count(labelled()).await.unwrap(), 0);
    // the product is the one in the path
    let body = json!({ "name": "A", "productId": "portal" });
    assert_eq!(w.call("owner", &create, body).await.0, 400);
    let body = json!({ "name": "A" });
    let id = service(&w, body.clone()).await;
    assert_eq!(w.call("owner", &create, body).await.0, 409);
    let stored = w.get::<Client>(&id).await.unwrap().payload;
    assert_eq!(
        (
            stored.client_name.as_str(),
            stored.associated_product.as_deref()
        ),
        ("KEYS - Shop A", Some("shop"))
    );
    let (_, answer) = w
        .ask(
            "owner",
            &format!("GET {KEYS}/service?$filter=name%20eq%20%27KEYS%20-%20Shop%20A%27"),
        )
        .await;
    assert_eq!(answer["data"][0]["clientId"], json!(id));
    let roles = json!({ "roles": ["clerk"] });
    let (_, answer) = w
        .call("owner", &format!("PUT {KEYS}/service/{id}"), roles)
        .await;
    assert_eq!(answer["data"]["roles"], json!(["clerk"]));
    // other clients of the product are none of its services
    w.put::<Client>(json!({ "_id": "app", "payload": {
        "auth_group": "g1", "client_id": "app", "client_name": "app", "associated_product": "shop",
    } }))
    .await;
    assert_eq!(
        w.ask("owner", &format!("DELETE {KEYS}/service/app"))
            .await
            .0,
        404
    );
    assert!(w.get::<Client>("app").await.is_some());
}

#[actix_web::test]
async fn hole_own_callers_stay_in_their_organization() {
    let w = shop().await;
    let theirs = service(&w, json!({ "name": "A", "organizationId": "acme" })).await;
    let made = key(&w, &theirs, "k").await;
    let id = made["id"].as_str().unwrap();
    w.person("g1", "bob", json!({})).await;
    let filter =
        |org: &str| format!("GET {KEYS}/service?$filter=organizationId%20eq%20%27{org}%27");
    for (who, call, expected) in [
        ("mona", format!("GET {KEYS}/{id}"), 404),
        ("mona", format!("PUT {KEYS}/{id}"), 404),
        ("mona", format!("DELETE {KEYS}/{id}"), 404),
        ("mona", format!("PUT {KEYS}/service/{theirs}"), 404),
        ("mona", format!("DELETE {KEYS}/service/{theirs}"), 404),
        ("mona", format!("GET {KEYS}/service"), 403),
        ("mona", filter("acme"), 403),
        ("mona", filter("core"), 200),
        ("bob", format!("GET {KEYS}"), 403),
        ("bob", format!("DELETE {KEYS}/{id}"), 403),
    ] {
        assert_eq!(w.ask(who, &call).await.0, expected, "{who} {call}");
    }
    let (_, answer) = w.ask("mona", &format!("GET {KEYS}")).await;
    assert_eq!(answer["data"], json!([]));
    let body = json!({ "clientId": theirs, "name": "mine" });
    assert_eq!(w.call("mona", &format!("POST {KEYS}"), body).await.0, 403);
    assert!(works(&w, &made["key"]).await);
    // what they make is their organization's, for products that they have
    let body = json!({ "name": "B", "organizationId": "acme" });
    let (status, answer) = w
        .call("mona", &format!("POST {KEYS}/service"), body.clone())
        .await;
    assert_eq!(
        (status, &answer["data"]["organizationId"]),
        (201, &json!("core"))
    );
    let other = "POST /access/product/admin/key/service";
    assert_eq!(w.call("mona", other, body).await.0, 403);
}
