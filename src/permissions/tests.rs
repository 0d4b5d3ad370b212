//! The endpoints of permissions from the request on.

use serde_json::json;

use crate::permissions::Permission;
use crate::products::tests::world;
use crate::roles::Role;
use crate::store::eq;

#[actix_web::test]
async fn hole_several_permissions_are_made_together_or_not_at_all() {
    let w = world().await;
    w.permission("p1", "shop", "orders::read").await;
    let make = |list| w.call("owner", "POST /products/shop/permissions", list);
    let one = |target: &str| json!({ "target": target, "action": "read" });
    assert_eq!(make(json!([one("a"), one("Orders")])).await.0, 409);
    assert_eq!(make(json!([one("a"), one("b"), one("A")])).await.0, 409);
    assert_eq!(make(json!([one("a"), { "target": "b" }])).await.0, 400);
    assert_eq!(make(json!([one("a"), one("")])).await.0, 400);
    assert_eq!(make(one("a")).await.0, 400);
    let stored = w.app.store.of::<Permission>();
    assert_eq!(stored.count(eq("product", "shop")).await.unwrap(), 1);
    let (status, answer) = make(json!([one("a"), one("Big B")])).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["data"][1]["coded"], "big-b::read");
}

#[actix_web::test]
async fn hole_roles_lose_permissions_that_are_deleted() {
    let w = world().await;
    for (id, coded) in [("p1", "a::read"), ("p2", "b::read"), ("p3", "c::read")] {
        w.permission(id, "shop", coded).await;
    }
    let all = json!({ "permissions": ["p1 a::read", "p2 b::read", "p3 c::read"] });
    w.role("r1", "shop", all.clone()).await;
    w.role("r2", "shop", all).await;
    let (status, answer) = w.ask("owner", "DELETE /products/shop/permissions/p1").await;
    assert_eq!((status, &answer["data"]["rolesImpacted"]), (200, &json!(2)));
    assert_eq!(answer["data"]["permission"]["id"], "p1");
    let (status, answer) = w
        .call(
            "owner",
            "DELETE /products/shop/permissions",
            json!(["p2", "nope"]),
        )
        .await;
    assert_eq!(status, 200);
    assert_eq!(
        answer["data"]["permission"],
        json!({ "acknowledged": true, "deletedCount": 1 })
    );
    for id in ["r1", "r2"] {
        assert_eq!(w.get::<Role>(id).await.unwrap().permissions, ["p3 c::read"]);
    }
    let (status, _) = w
        .call(
            "owner",
            "DELETE /products/shop/permissions",
            json!({ "id": "p3" }),
        )
        .await;
    assert_eq!(status, 428);
    assert_eq!(
        w.ask("owner", "DELETE /products/shop/permissions/p1")
            .await
            .0,
        404
    );
}

#[actix_web::test]
async fn hole_core_permissions_are_for_the_root_group_alone() {
    let w = world().await;
    w.permission("p1", "admin", "accounts::read").await;
    w.put::<Permission>(json!({
        "_id": "p2", "authGroup": "g1", "product": "shop", "target": "t", "action": "a",
        "coded": "t::a", "core": true,
    }))
    .await;
    let new = json!({ "target": "group", "action": "update" });
    for (call, body) in [
        ("POST /products/admin/permission", new.clone()),
        ("POST /products/admin/permissions", json!([new])),
        ("DELETE /products/admin/permissions/p1", json!({})),
        ("DELETE /products/admin/permissions", json!(["p1"])),
        ("DELETE /products/shop/permissions/p2", json!({})),
    ] {
        assert_eq!(w.call("owner", call, body).await.0, 403, "{call}");
    }
    let several = w.call(
        "owner",
        "DELETE /products/shop/permissions",
        json!(["p1", "p2"]),
    );
    assert_eq!(several.await.1["data"]["permission"]["deletedCount"], 0);
    assert!(w.get::<Permission>("p2").await.is_some());
    let one = w
        .ask("rooty", "DELETE /products/admin/permissions/p1")
        .await;
    assert_eq!(one.0, 200);
}

#[actix_web::test]
async fn hole_a_permission_can_not_smuggle_in_another_one() {
    let w = world().await;
    for target in [
        "x\tadmin:::group",
        "x\nadmin:::group",
        "x\u{a0}admin:::group",
        "x\u{2028}y",
    ] {
        let body = json!({ "target": target, "action": "update" });
        let (status, answer) = w
            .call("owner", "POST /products/shop/permission", body)
            .await;
        assert_eq!(
            (status, &answer["error"]),
            (400, &json!("ValidationError")),
            "{target:?}"
        );
    }
    let stored = w.app.store.of::<Permission>();
    assert_eq!(stored.count(eq("product", "shop")).await.unwrap(), 0);
}

#[actix_web::test]
async fn hole_own_callers_see_permissions_of_their_products_only() {
    let w = world().await;
    w.permission("p1", "shop", "orders::read").await;
    w.permission("p2", "portal", "orders::read").await;
    w.role(
        "theirs",
        "shop",
        json!({ "organization": "other", "custom": true, "permissions": ["p1 orders::read"] }),
    )
    .await;
    w.role(
        "ours",
        "shop",
        json!({ "organization": "acme", "custom": true, "permissions": ["p1 orders::read"] }),
    )
    .await;
    let access = json!({ "acme": ["PortalCod1:::permissions::read:own", "shop"] });
    w.person("g1", "ada", access).await;
    for (call, status) in [
        ("GET /organization/acme/products/shop/permissions", 200),
        ("GET /organization/acme/products/shop/permissions/p1", 200),
        ("GET /organization/acme/products/shop/permissions/p2", 404),
        ("GET /organization/acme/products/portal/permissions", 403),
        ("GET /organization/acme/products/admin/permissions", 404),
        ("GET /organization/acme/products/nope/permissions", 428),
        ("GET /organization/acme/products/nope/permissions/p1", 403),
        (
            "GET /organization/acme/products/admin/roles/ours/permissions",
            403,
        ),
        ("GET /organization/other/products/portal/permissions", 403),
        ("GET /products/shop/permissions", 403),
        ("GET /products/shop/permission/targets", 403),
        ("GET /products/shop/roles/ours/permissions", 403),
        ("GET /products/shop/reference-check/permissions", 403),
    ] {
        assert_eq!(w.ask("ada", call).await.0, status, "{call}");
    }
    let path =
        |role: &str| format!("GET /organization/acme/products/shop/roles/{role}/permissions");
    let (status, answer) = w.ask("ada", &path("ours")).await;
    assert_eq!((status, &answer["data"][0]["id"]), (200, &json!("p1")));
    let (status, answer) = w.ask("ada", &path("theirs")).await;
    assert_eq!((status, &answer["data"]), (200, &json!([])));
}
