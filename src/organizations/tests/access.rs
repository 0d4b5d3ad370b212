//! What people are given in organizations.

use super::*;

#[actix_web::test]
async fn access_is_replaced_as_a_whole() {
    let w = world().await;
    w.person("ann", &[]).await;
    w.role("buyer", None).await;
    let path = "access/organization/a/account/ann";
    let body = json!({ "domains": ["a-d", "a-d"], "roles": ["buyer"] });
    let (status, body) = w.call("owner", "PUT", path, body).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        body["data"],
        json!({ "id": "ann", "access": [{ "organization": {
            "id": "a", "domains": ["a-d"], "roles": ["buyer"], "terms": { "required": false },
        }}]})
    );
    let (_, body) = w.call("ann", "GET", path, json!({})).await;
    assert_eq!(
        body["data"],
        json!({ "domains": ["a-d"], "roles": ["buyer"] })
    );
    w.status("owner", "PUT", path, json!({ "roles": ["buyer"] }))
        .await;
    let account: Account = w.get("ann").await.unwrap();
    assert_eq!(account.modified_by, "owner");
    let held = &account.access[0].organization;
    assert_eq!(
        (held.domains.len(), held.roles.len(), account.access.len()),
        (0, 1, 1)
    );
}

#[actix_web::test]
async fn hole_roles_and_domains_of_another_organization_are_not_given() {
    let w = world().await;
    w.person("ann", &[("a", "")]).await;
    w.role("theirs", Some("b")).await;
    w.role("ours", Some("a")).await;
    let body = json!({ "domains": ["b-d", "a-d"], "roles": ["theirs", "ours"] });
    let (status, answer) = w
        .call(
            "owner",
            "PUT",
            "access/organization/a/account/ann",
            body.clone(),
        )
        .await;
    assert_eq!(status, 400);
    assert_eq!(
        answer["data"],
        json!({ "domains": ["b-d"], "roles": ["theirs"] })
    );
    let mut bulk = body;
    bulk["accounts"] = json!(["ann"]);
    assert_eq!(
        w.status("owner", "PUT", "access/organization/a/accounts", bulk)
            .await,
        400
    );
    let account: Account = w.get("ann").await.unwrap();
    assert!(account.access[0].organization.roles.is_empty());
}

#[actix_web::test]
async fn hole_only_administrators_define_access() {
    let w = world().await;
    w.person(
        "ann",
        &[(
            "a",
            "organizations-limited::update:own organizations::read:own",
        )],
    )
    .await;
    w.person("bob", &[("a", "")]).await;
    let path = |id: &str| format!("access/organization/a/account/{id}");
    for who in ["ann", "bob"] {
        assert_eq!(
            w.status(who, "PUT", &path("bob"), json!({ "domains": ["a-d"] }))
                .await,
            403
        );
        let bulk = json!({ "accounts": ["bob"], "domains": ["a-d"] });
        assert_eq!(
            w.status(who, "PUT", "access/organization/a/accounts", bulk)
                .await,
            403
        );
    }
    assert_eq!(w.status("ann", "GET", &path("bob"), json!({})).await, 200);
    assert_eq!(w.status("bob", "GET", &path("ann"), json!({})).await, 403);
    assert_eq!(w.status("bob", "GET", &path("bob"), json!({})).await, 200);
    assert_eq!(
        w.status("bob", "PUT", &path("bob"), json!({ "domains": "x" }))
            .await,
        400
    );
    let nowhere = "access/organization/nope/account/bob";
    assert_eq!(w.status("owner", "PUT", nowhere, json!({})).await, 404);
}

#[actix_web::test]
async fn bulk_grants_and_revokes_count() {
    let w = world().await;
    w.person("ann", &[("a", "")]).await;
    w.person("bob", &[("a", "")]).await;
    w.person("zoe", &[]).await;
    w.role("buyer", None).await;
    let body = json!({ "accounts": ["ann", "bob", "zoe"], "domains": ["a-d"], "roles": ["buyer"] });
    let path = "access/organization/a/accounts";
    let (status, answer) = w.call("owner", "PUT", path, body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["data"],
        json!({ "domains": { "matching": 2, "modified": 0, "operationRan": true },
                "roles": { "matching": 2, "modified": 2, "operationRan": true } })
    );
    assert!(w.organizations_of("zoe").await.is_empty());
    let body = json!({ "accounts": ["ann"], "roles": ["buyer"] });
    let (_, answer) = w.call("owner", "DELETE", path, body).await;
    assert_eq!(
        answer["data"],
        json!({ "domains": { "operationRan": false },
                "roles": { "matching": 1, "modified": 1, "operationRan": true } })
    );
    let held = async |id: &str| {
        w.get::<Account>(id).await.unwrap().access[0]
            .organization
            .clone()
    };
    assert!(held("ann").await.roles.is_empty() && held("bob").await.roles == ["buyer"]);
    assert_eq!(held("ann").await.domains, ["a-d"]);
}

#[actix_web::test]
async fn terms_are_delivered_accepted_and_declined() {
    let w = world().await;
    w.person("ann", &[]).await;
    w.person("bob", &[]).await;
    let terms = json!({ "required": true, "terms": "T", "termsVersion": "1" });
    w.status(
        "owner",
        "PATCH",
        "organizations/a",
        replace("/access", terms),
    )
    .await;
    let define = async || {
        let path = "access/organization/a/account/ann";
        let (_, body) = w
            .call("owner", "PUT", path, json!({ "domains": ["a-d"] }))
            .await;
        body["data"]["access"][0]["organization"]["terms"].clone()
    };
    assert_eq!(
        define().await,
        json!({ "required": true, "accepted": false, "termsDeliveredOn": NOW,
                "termsOfAccess": "T", "termsVersion": "1" })
    );
    let answer = async |who: &str, action: Json| {
        w.call(
            who,
            "PUT",
            "access/organizations/a/terms",
            json!({ "action": action }),
        )
        .await
    };
    assert_eq!(answer("bob", json!("accept")).await.0, 400, "not a member");
    assert_eq!(answer("ann", json!(null)).await.0, 400);
    assert_eq!(answer("ann", json!("maybe")).await.0, 400);
    let (status, body) = answer("ann", json!("accept")).await;
    assert_eq!((status, &body["data"]["action"]), (200, &json!("accepted")));
    assert_eq!(
        define().await["accepted"],
        true,
        "the acceptance of this version stays"
    );
    let body = replace("/access/termsVersion", "2");
    w.status("owner", "PATCH", "organizations/a", body).await;
    assert_eq!(
        define().await["accepted"],
        false,
        "another version is asked for anew"
    );
    let (_, list) = w
        .call("ann", "GET", "access/organizations", json!({}))
        .await;
    let first = &list["data"][0];
    assert_eq!(first["terms"]["termsOfAccess"], "T");
    assert_eq!(
        first["domains"],
        json!([{ "_id": "a-d", "name": "Administrative" }])
    );
    assert_eq!(first["organization"]["_id"], "a");
    assert_eq!(answer("ann", json!("decline")).await.0, 200);
    assert!(w.organizations_of("ann").await.is_empty());
}

#[actix_web::test]
async fn my_organizations_are_those_of_the_token() {
    let w = world().await;
    w.person("ann", &[("a", "")]).await;
    let (_, body) = w
        .call("ann", "GET", "access/my/organizations", json!({}))
        .await;
    assert_eq!(
        body["data"],
        json!({ "sub": "ann", "organizations": [{ "id": "a", "name": "a" }] })
    );
    w.put::<Product>(
        json!({ "_id": "free", "authGroup": "g1", "name": "Free", "codedId": "f",
                             "b2c": true, "meta": { "core": "z" } }),
    )
    .await;
    let path = "access/my/organizations/a/products";
    let (_, body) = w.call("ann", "GET", path, json!({})).await;
    assert_eq!(body["data"]["b2b"], json!([]), "none in this token");
    assert_eq!(body["data"]["b2c"][0]["id"], "free");
}
