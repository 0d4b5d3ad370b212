//! The endpoints of roles from the request on.

use serde_json::json;

use crate::accounts::Account;
use crate::accounts::model::AccessEntry;
use crate::clients::Client;
use crate::products::tests::{replace, world};
use crate::roles::Role;
use crate::store::StoreError;

#[actix_web::test]
async fn hole_a_patch_can_not_move_a_role_or_make_it_core() {
    let w = world().await;
    w.role("clerk", "shop", json!({ "productCodedId": "ShopCode01" }))
        .await;
    let before = json!(w.get::<Role>("clerk").await.unwrap());
    for (path, value) in [
        ("/core", json!(true)),
        ("/custom", json!(true)),
        ("/organization", json!("acme")),
        ("/authGroup", json!("rg")),
        ("/product", json!("admin")),
        ("/productCodedId", json!("AdminCode1")),
        ("/codedId", json!("x")),
        ("/createdBy", json!("me")),
        ("/_id", json!("x")),
        ("/name", json!("")),
        ("/permissions", json!(["p1 group::update"])),
    ] {
        let body = json!([{ "op": "add", "path": path, "value": value }]);
        let (status, answer) = w
            .call("owner", "PATCH /products/shop/roles/clerk", body)
            .await;
        assert_eq!(
            (status, &answer["error"]),
            (400, &json!("ValidationError")),
            "{path}"
        );
    }
    let remove = json!([{ "op": "remove", "path": "/name" }]);
    assert_eq!(
        w.call("owner", "PATCH /products/shop/roles/clerk", remove)
            .await
            .0,
        400
    );
    assert_eq!(json!(w.get::<Role>("clerk").await.unwrap()), before);
    let rename = replace("/name", "Clerk");
    let (status, answer) = w
        .call("owner", "PATCH /products/shop/roles/c-clerk", rename)
        .await;
    assert_eq!((status, &answer["data"]["name"]), (200, &json!("Clerk")));
    assert_eq!(w.get::<Role>("clerk").await.unwrap().name, "Clerk");
}

#[actix_web::test]
async fn hole_core_roles_and_ready_made_rights_are_for_the_root_group_alone() {
    let w = world().await;
    w.permission("p1", "shop", "orders::read").await;
    w.permission("p2", "portal", "orders::read").await;
    w.role("chief", "admin", json!({ "core": true })).await;
    let with = |permission: &str| json!({ "name": permission, "permissions": [permission] });
    let make = "POST /products/shop/roles";
    assert_eq!(w.call("owner", make, with("p1 orders::read")).await.0, 403);
    let core = json!({ "name": "c", "core": true });
    assert_eq!(w.call("owner", make, core).await.0, 403);
    assert_eq!(
        w.call("owner", "PATCH /products/admin/roles/chief", json!([]))
            .await
            .0,
        403
    );
    assert_eq!(
        w.ask("owner", "DELETE /products/admin/roles/chief").await.0,
        403
    );
    for wrong in [
        "p1 orders::write",
        "p2 orders::read",
        "p1",
        "p1 orders::read x",
    ] {
        assert_eq!(w.call("rooty", make, with(wrong)).await.0, 400, "{wrong}");
    }
    let (status, answer) = w.call("rooty", make, with("p1 orders::read")).await;
    assert_eq!(
        (status, &answer["data"]["permissions"]),
        (201, &json!(["p1 orders::read"]))
    );
    assert_eq!(
        w.call("owner", make, json!({ "name": "x", "permissions": [] }))
            .await
            .0,
        201
    );
    assert_eq!(
        w.call("owner", "POST /products/nope/roles", json!({ "name": "x" }))
            .await
            .0,
        403
    );
}

#[actix_web::test]
async fn hole_a_role_that_somebody_has_is_not_deleted() {
    let w = world().await;
    w.role("clerk", "shop", json!({})).await;
    let client = |access| {
        json!({
            "_id": "c1", "access": access,
            "payload": { "auth_group": "g1", "client_id": "c1", "client_name": "robot" },
        })
    };
    let delete = || w.ask("owner", "DELETE /products/shop/roles/clerk");
    for key in ["clerk", "c-clerk"] {
        w.put::<Client>(client(json!({ "product": "shop", "roles": [key] })))
            .await;
        let (status, answer) = delete().await;
        assert_eq!(
            (status, &answer["data"]),
            (
                400,
                &json!([{ "id": "c1", "authGroup": "g1", "name": "robot", "product": "shop" }])
            )
        );
        w.app.store.of::<Client>().delete("c1").await.unwrap();
    }
    let entry: AccessEntry = serde_json::from_value(json!({
        "organization": { "id": "acme", "domains": [], "roles": ["clerk"], "terms": {} }
    }))
    .unwrap();
    let give = async |entries: Vec<AccessEntry>| {
        let accounts = w.app.store.of::<Account>();
        let set = |a: &mut Account| {
            a.access.clone_from(&entries);
            Ok::<_, StoreError>(())
        };
        accounts.update("owner", set).await.unwrap();
    };
    give(vec![entry]).await;
    let (status, answer) = delete().await;
    assert_eq!(
        (status, &answer["data"]),
        (
            400,
            &json!([{ "id": "owner", "authGroup": "g1", "organizationsWhereApplied": ["acme"] }])
        )
    );
    assert!(w.get::<Role>("clerk").await.is_some());
    give(Vec::new()).await;
    assert_eq!(delete().await.0, 200);
    assert_eq!(delete().await.0, 404);
}

#[actix_web::test]
async fn hole_roles_of_one_organization_do_not_exist_in_another() {
    let w = world().await;
    w.app
        .store
        .of::<crate::organizations::Organization>()
        .update("other", |o: &mut crate::organizations::Organization| {
            o.associated_products.push("shop".to_owned());
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    w.role(
        "ours",
        "shop",
        json!({ "organization": "acme", "custom": true }),
    )
    .await;
    w.role(
        "theirs",
        "shop",
        json!({ "organization": "other", "custom": true }),
    )
    .await;
    w.role("everybody", "shop", json!({})).await;
    let rights = "PortalCod1:::roles::create:own PortalCod1:::roles::update:own PortalCod1:::roles::read:own PortalCod1:::roles::delete:own";
    w.person("g1", "ada", json!({ "acme": [rights, "shop"] }))
        .await;
    let base = "/organizations/acme/products/shop/roles";
    for (call, status) in [
        (format!("GET {base}"), 200),
        (format!("GET {base}/ours"), 200),
        (format!("GET {base}/theirs"), 404),
        (format!("GET {base}/everybody"), 404),
        (format!("DELETE {base}/theirs"), 404),
        (format!("DELETE {base}/everybody"), 404),
        (
            "GET /organizations/other/products/shop/roles".to_owned(),
            403,
        ),
        (
            "GET /organizations/acme/products/portal/roles".to_owned(),
            403,
        ),
        (
            "GET /organizations/acme/products/admin/roles".to_owned(),
            404,
        ),
        (
            "GET /organizations/acme/products/nope/roles".to_owned(),
            403,
        ),
        ("GET /products/shop/roles".to_owned(), 403),
        ("GET /products/shop/roles/ours".to_owned(), 403),
        ("DELETE /products/shop/roles/ours".to_owned(), 403),
        ("GET /roles".to_owned(), 403),
        ("GET /organization/other/roles".to_owned(), 403),
    ] {
        assert_eq!(w.ask("ada", &call).await.0, status, "{call}");
    }
    for path in [format!("{base}/theirs"), format!("{base}/everybody")] {
        let (status, _) = w
            .call("ada", &format!("PATCH {path}"), replace("/name", "x"))
            .await;
        assert_eq!(status, 404, "{path}");
    }
    let move_out = replace("/organization", "other");
    assert_eq!(
        w.call("ada", &format!("PATCH {base}/ours"), move_out)
            .await
            .0,
        400
    );
    let (_, answer) = w
        .ask(
            "ada",
            "GET /organization/acme/roles?$select=name&$orderby=name",
        )
        .await;
    assert_eq!(
        answer["data"],
        json!([{ "id": "everybody", "name": "everybody" }, { "id": "ours", "name": "ours" }])
    );
    let all = json!({ "name": "New", "core": true, "permissions": ["p x::y"] });
    let (status, answer) = w.call("ada", &format!("PUT {base}"), all).await;
    assert_eq!(status, 201, "{answer}");
    let made = &answer["data"];
    assert_eq!(
        (
            &made["custom"],
            &made["core"],
            &made["permissions"],
            &made["organization"]
        ),
        (&json!(true), &json!(false), &json!([]), &json!("acme"))
    );
}

#[actix_web::test]
async fn hole_an_organizations_admin_can_not_grant_rights_over_the_group() {
    let w = world().await;
    w.permission("p1", "portal", "accounts::delete").await;
    w.permission("p2", "portal", "roles::update:own").await;
    w.permission("p3", "shop", "orders::read").await;
    for product in ["portal", "shop"] {
        let mine = json!({ "organization": "acme", "custom": true });
        w.role(&format!("in-{product}"), product, mine).await;
    }
    // what counts for the own only is not enough to grant it for all
    let rights = "PortalCod1:::roles::update:own PortalCod1:::accounts::delete:own";
    w.person("g1", "ada", json!({ "acme": [rights, "portal shop"] }))
        .await;
    let grant = |product: &str, permission: &str| {
        let call = format!("PATCH /organizations/acme/products/{product}/roles/in-{product}");
        let body = json!([{ "op": "add", "path": "/permissions/-", "value": permission }]);
        (call, body)
    };
    for (product, permission, status) in [
        ("portal", "p1 accounts::delete", 403),
        ("portal", "p2 roles::update:own", 200),
        ("shop", "p3 orders::read", 200),
        ("shop", "p1 accounts::delete", 400),
    ] {
        let (call, body) = grant(product, permission);
        assert_eq!(w.call("ada", &call, body).await.0, status, "{permission}");
    }
    let stored = w.get::<Role>("in-portal").await.unwrap();
    assert_eq!(stored.permissions, ["p2 roles::update:own"]);
    let (call, body) = grant("portal", "p1 accounts::delete");
    assert_eq!(w.call("owner", &call, body).await.0, 200);
}
