//! Domains of organizations.

use super::*;

const OF_A: &str = "organizations/a/domains";

async fn with_domain(w: &World, id: &str, organization: &str) {
    w.put::<Domain>(json!({
        "_id": id, "authGroup": "g1", "organization": organization, "name": id,
        "meta": { "admin": format!("unique-placeholder-{id}") },
    }))
    .await;
}

#[actix_web::test]
async fn hole_limited_callers_reach_only_domains_that_they_are_in() {
    let w = world().await;
    with_domain(&w, "d2", "a").await;
    let limited =
        "domains-limited::read:own domains-limited::update:own domains-limited::delete:own";
    w.person("ann", &[("a", limited)]).await;
    w.person(
        "bob",
        &[("a", "domains::read:own domains-limited::read:own")],
    )
    .await;
    let get = async |who: &str, path: &str| w.status(who, "GET", path, json!({})).await;
    assert_eq!(get("ann", OF_A).await, 403);
    assert_eq!(get("ann", "organizations/a/domains/a-d").await, 200);
    assert_eq!(get("ann", "organizations/a/domains/d2").await, 403);
    let body = replace("/name", "X");
    assert_eq!(
        w.status("ann", "PATCH", "organizations/a/domains/d2", body)
            .await,
        403
    );
    assert_eq!(
        w.status("ann", "DELETE", "organizations/a/domains/d2", json!({}))
            .await,
        403
    );
    assert_eq!(get("bob", OF_A).await, 200);
    assert_eq!(get("bob", "organizations/a/domains/d2").await, 200);
    assert_eq!(get("bob", "organizations/b/domains/b-d").await, 403);
}

#[actix_web::test]
async fn hole_a_permission_from_elsewhere_does_not_make_a_limited_caller_a_full_one() {
    let w = world().await;
    with_domain(&w, "d2", "b").await;
    let held = [
        ("a", "domains::read:own"),
        ("core", "domains-limited::read:own"),
        ("b", ""),
    ];
    w.person_in("eve", &held, Some("a")).await;
    assert_eq!(
        w.status("eve", "GET", "organizations/b/domains", json!({}))
            .await,
        403
    );
    assert_eq!(
        w.status("eve", "GET", "organizations/b/domains/b-d", json!({}))
            .await,
        200
    );
    assert_eq!(
        w.status("eve", "GET", "organizations/b/domains/d2", json!({}))
            .await,
        403
    );
}

#[actix_web::test]
async fn domains_stay_within_their_organization_and_its_products() {
    let w = world().await;
    let (status, body) = w
        .call(
            "owner",
            "POST",
            OF_A,
            json!({ "name": "D", "description": "d", "externalId": "x" }),
        )
        .await;
    assert_eq!(status, 201, "{body}");
    let path = format!("{OF_A}/{}", body["data"]["id"].as_str().unwrap());
    assert_eq!(body["data"]["associatedOrgProducts"], json!([]));
    let patch = async |body: Json| w.status("owner", "PATCH", &path, body).await;
    assert_eq!(
        w.status("owner", "POST", OF_A, json!({ "name": "D" }))
            .await,
        409
    );
    assert_eq!(
        patch(replace("/associatedOrgProducts", json!(["adm"]))).await,
        400
    );
    assert_eq!(
        patch(replace("/associatedOrgProducts", json!(["shop", "shop"]))).await,
        200
    );
    let stored: Domain = w.get(path.rsplit('/').next().unwrap()).await.unwrap();
    assert_eq!(stored.associated_org_products, ["shop"]);
    for body in [
        replace("/organization", "b"),
        replace("/meta/admin", "a"),
        replace("/core", true),
        replace("/authGroup", "other"),
        json!([{ "op": "remove", "path": "/name" }]),
        json!([{ "op": "remove", "path": "/meta" }]),
        // an empty list of products is no reason to check nothing
        json!([{ "op": "replace", "path": "/associatedOrgProducts", "value": [] },
               { "op": "replace", "path": "/name", "value": " " }]),
    ] {
        assert_eq!(patch(body.clone()).await, 400, "{body}");
    }
    let elsewhere = path.replace("/a/", "/b/");
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(w.status("owner", method, &elsewhere, json!([])).await, 404);
        assert_eq!(
            w.status("owner", method, "organizations/nope/domains/x", json!([]))
                .await,
            404
        );
    }
    assert_eq!(
        w.status(
            "owner",
            "POST",
            "organizations/nope/domains",
            json!({ "name": "D" })
        )
        .await,
        404
    );
    let swapped = replace("/associatedOrgProducts", json!(["shop"]));
    let administrative = "organizations/a/domains/a-d";
    assert_eq!(
        w.status("owner", "PATCH", administrative, swapped).await,
        403
    );
    assert_eq!(
        w.status("owner", "PATCH", administrative, replace("/name", "X"))
            .await,
        400
    );
    assert_eq!(
        w.status("owner", "DELETE", administrative, json!({})).await,
        403
    );
}

#[actix_web::test]
async fn hole_a_domain_with_people_in_it_is_not_deleted() {
    let w = world().await;
    with_domain(&w, "d2", "a").await;
    w.person("ann", &[("a", "")]).await;
    let define = json!({ "domains": ["d2"] });
    assert_eq!(
        w.status("owner", "PUT", "access/organization/a/account/ann", define)
            .await,
        200
    );
    let (status, body) = w
        .call("owner", "DELETE", "organizations/a/domains/d2", json!({}))
        .await;
    assert_eq!(
        (status, &body["data"]),
        (400, &json!([{ "id": "ann", "authGroup": "g1" }]))
    );
    assert!(w.get::<Domain>("d2").await.is_some());
    w.status(
        "owner",
        "PUT",
        "access/organization/a/account/ann",
        json!({}),
    )
    .await;
    assert_eq!(
        w.status("owner", "DELETE", "organizations/a/domains/d2", json!({}))
            .await,
        200
    );
    assert_eq!(
        w.status("owner", "DELETE", "organizations/a/domains/d2", json!({}))
            .await,
        404
    );
}

#[actix_web::test]
async fn an_inactive_organization_gets_no_domains() {
    let w = world().await;
    assert_eq!(
        w.status(
            "owner",
            "PATCH",
            "organizations/a",
            replace("/active", false)
        )
        .await,
        200
    );
    assert_eq!(
        w.status("owner", "POST", OF_A, json!({ "name": "D" }))
            .await,
        403
    );
}
