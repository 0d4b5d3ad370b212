//! Accounts in organizations.

use super::*;
use crate::profiles::OrganizationProfile;
use crate::store::eq;

const MANAGER: &str = "accounts-organization::read:own accounts-organization::update:own accounts-organization::delete:own";

/// The four calls that change who belongs to an organization or what members hold.
fn membership_calls(organization: &str) -> [(&'static str, String, Json); 4] {
    [
        (
            "PUT",
            format!("organization/{organization}/account"),
            json!({ "email": "bob@acc.test" }),
        ),
        (
            "PUT",
            format!("organization/{organization}/accounts"),
            json!(["bob"]),
        ),
        (
            "DELETE",
            format!("organization/{organization}/accounts"),
            json!(["cy"]),
        ),
        (
            "DELETE",
            format!("access/organization/{organization}/accounts"),
            json!({ "accounts": ["cy"], "domains": [format!("{organization}-d")] }),
        ),
    ]
}

#[actix_web::test]
async fn hole_plain_members_do_not_manage_membership() {
    let w = world().await;
    w.person("ann", &[("a", "")]).await;
    w.person("bob", &[]).await;
    w.person("cy", &[("a", ""), ("b", "")]).await;
    for who in ["ann", "bob"] {
        for (method, path, body) in membership_calls("a") {
            assert_eq!(
                w.status(who, method, &path, body).await,
                403,
                "{who} {method} {path}"
            );
        }
    }
    assert!(w.organizations_of("bob").await.is_empty());
    let cy: Account = w.get("cy").await.unwrap();
    assert_eq!(cy.access[0].organization.domains, ["a-d"]);
}

#[actix_web::test]
async fn hole_managers_of_one_organization_do_not_manage_another() {
    let w = world().await;
    w.person("bob", &[]).await;
    w.person("cy", &[("a", ""), ("b", "")]).await;
    w.person("mia", &[("a", MANAGER), ("b", "")]).await;
    // the same with a token that is bound to the organization that is managed
    w.person_in("max", &[("a", MANAGER), ("b", "")], Some("a"))
        .await;
    for who in ["mia", "max"] {
        for (method, path, body) in membership_calls("b") {
            assert_eq!(
                w.status(who, method, &path, body).await,
                403,
                "{who} {method} {path}"
            );
        }
        let path = "access/organization/b/account/cy";
        assert_eq!(w.status(who, "DELETE", path, json!({})).await, 404);
        for (method, path, body) in membership_calls("a") {
            let (status, answer) = w.call(who, method, &path, body).await;
            assert!(
                (200..300).contains(&status),
                "{who} {method} {path} {answer}"
            );
        }
        w.status("owner", "PUT", "organization/a/accounts", json!(["cy"]))
            .await;
    }
    assert_eq!(w.organizations_of("bob").await, ["a"]);
}

#[actix_web::test]
async fn hole_members_leave_but_do_not_remove_others() {
    let w = world().await;
    w.person("ann", &[("a", "")]).await;
    w.person("cy", &[("a", ""), ("b", "")]).await;
    w.person("mia", &[("a", MANAGER)]).await;
    let delete = async |who: &str, organization: &str, id: &str| {
        let path = format!("access/organization/{organization}/account/{id}");
        w.call(who, "DELETE", &path, json!({})).await
    };
    assert_eq!(delete("ann", "a", "cy").await.0, 404);
    assert_eq!(delete("mia", "b", "cy").await.0, 404);
    let (status, body) = delete("cy", "b", "cy").await;
    assert_eq!(status, 200);
    assert_eq!(
        body["data"],
        json!({ "id": "cy", "organization": "b", "action": "removed" })
    );
    assert_eq!(delete("mia", "a", "cy").await.0, 200);
    assert_eq!(delete("mia", "nope", "ann").await.0, 404);
    assert!(w.organizations_of("cy").await.is_empty());
}

#[actix_web::test]
async fn hole_an_address_is_compared_whole_with_every_listed_domain() {
    let w = world().await;
    let body = replace("/emailDomains", json!(["Initech.test", "other.test"]));
    assert_eq!(
        w.status("owner", "PATCH", "organizations/a", body).await,
        200
    );
    for id in ["in", "evil", "sub", "oth"] {
        w.person(id, &[]).await;
    }
    let emails = [
        ("in", "in@initech.test"),
        ("evil", "evil@initech.test.evil.test"),
        ("sub", "initech.test@evil.test"),
        ("oth", "oth@other.test"),
    ];
    for (id, email) in emails {
        let accounts = w.app.store.of::<Account>();
        let set = accounts.update(id, |a| {
            email.clone_into(&mut a.email);
            Ok::<_, crate::store::StoreError>(())
        });
        set.await.unwrap();
    }
    let invite = async |email: &str| {
        w.call(
            "owner",
            "PUT",
            "organization/a/account",
            json!({ "email": email }),
        )
        .await
    };
    let (status, body) = invite("new@initech.test.evil.test").await;
    assert_eq!(
        (status, &body["data"]),
        (400, &json!(["Initech.test", "other.test"]))
    );
    // the invited name is fine, the address of the account that has it is not
    assert_eq!(
        w.app
            .store
            .of::<Account>()
            .update("evil", |a| {
                "x@initech.test".clone_into(&mut a.username);
                Ok::<_, crate::store::StoreError>(())
            })
            .await
            .unwrap()
            .unwrap()
            .username,
        "x@initech.test"
    );
    assert_eq!(invite("x@initech.test").await.0, 400);
    for id in ["evil", "sub"] {
        let path = format!("access/organization/a/account/{id}");
        assert_eq!(w.status("owner", "PUT", &path, json!({})).await, 400);
    }
    let mixed = json!(["in", 5]);
    assert_eq!(
        w.status("owner", "PUT", "organization/a/accounts", mixed)
            .await,
        400
    );
    let all = json!(["in", "evil", "sub", "oth", "nobody"]);
    let (status, body) = w.call("owner", "PUT", "organization/a/accounts", all).await;
    assert_eq!((status, &body["data"]["modifiedCount"]), (200, &json!(2)));
    for (id, _) in emails {
        let expected = if matches!(id, "in" | "oth") {
            vec!["a"]
        } else {
            Vec::new()
        };
        assert_eq!(w.organizations_of(id).await, expected, "{id}");
    }
}

#[actix_web::test]
async fn bulk_changes_report_what_they_did() {
    let w = world().await;
    w.person("ann", &[("a", ""), ("b", "")]).await;
    w.person("bob", &[]).await;
    let bulk = async |method: &str, body: Json| {
        let (status, body) = w
            .call("owner", method, "organization/a/accounts", body)
            .await;
        (
            status,
            body["data"]["modifiedCount"].clone(),
            body["data"]["matchedCount"].clone(),
        )
    };
    assert_eq!(
        bulk("PUT", json!(["ann", "bob"])).await,
        (200, json!(1), json!(1))
    );
    assert_eq!(
        bulk("DELETE", json!(["ann", "bob"])).await,
        (200, json!(2), json!(2))
    );
    assert_eq!(w.organizations_of("ann").await, ["b"]);
    assert_eq!(
        bulk("DELETE", json!(["ann"])).await,
        (200, json!(0), json!(0))
    );
    assert_eq!(bulk("PUT", json!({})).await.0, 428);
    assert_eq!(
        w.status("owner", "PUT", "organization/nope/accounts", json!([]))
            .await,
        404
    );
}

#[actix_web::test]
async fn an_invitation_makes_an_account_and_a_member() {
    let w = world().await;
    let body = json!({ "email": "New@acc.test", "profile": { "givenName": "N", "employer": "E", "accountId": "owner" } });
    let (status, body) = w.call("owner", "PUT", "organization/a/account", body).await;
    assert_eq!(status, 201, "{body}");
    let data = &body["data"];
    assert_eq!(data["access"], json!([{ "organization": { "id": "a" } }]));
    let id = data["id"].as_str().unwrap();
    let account: Account = w.get(id).await.unwrap();
    assert_eq!((&*account.email, account.verified), ("new@acc.test", false));
    assert_eq!(w.organizations_of(id).await, ["a"]);
    let password = data["generatedPassword"].as_str().unwrap().to_owned();
    let verdict = w
        .app
        .hasher
        .verify(password.into(), &account.password)
        .await;
    assert!(verdict.unwrap().is_match());
    let profiles = w.app.store.of::<OrganizationProfile>();
    let profile = profiles
        .find_one(eq("accountId", id))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(profile.details.employer.as_deref(), Some("E"));
    // once more: a member already, and no new password
    let body = json!({ "email": "new@acc.test" });
    let (status, body) = w.call("owner", "PUT", "organization/a/account", body).await;
    assert_eq!((status, body["data"].get("generatedPassword")), (201, None));
    assert_eq!(w.organizations_of(id).await, ["a"]);
    assert_eq!(
        w.status("owner", "PUT", "organization/a/account", json!({}))
            .await,
        428
    );
}

#[actix_web::test]
async fn hole_an_invitation_does_not_revive_a_blocked_account() {
    let w = world().await;
    w.person("bob", &[]).await;
    let block = replace("/blocked", true);
    assert_eq!(w.status("owner", "PATCH", "account/bob", block).await, 200);
    let body = json!({ "email": "bob@acc.test" });
    assert_eq!(
        w.status("owner", "PUT", "organization/a/account", body)
            .await,
        409
    );
    assert!(w.organizations_of("bob").await.is_empty());
}

#[actix_web::test]
async fn hole_members_learn_nothing_of_each_other_that_answers_do_not_show() {
    let w = world().await;
    w.person("ann", &[("a", "")]).await;
    w.person("bob", &[("a", ""), ("b", "")]).await;
    w.person("zoe", &[("b", "")]).await;
    let get = async |who: &str, query: &str| {
        let path = format!("organization/a/accounts{query}");
        let (status, body) = w.call(who, "GET", &path, json!({})).await;
        (status, body["data"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(get("ann", "").await, (200, 2));
    assert_eq!(get("zoe", "").await.0, 403);
    assert_eq!(get("ann", "?$filter=domains%20eq%20'a-d'").await, (200, 2));
    assert_eq!(get("ann", "?$filter=domains%20eq%20'b-d'").await, (200, 0));
    // conditions of the caller narrow the server's, they do not replace it
    for (query, of_owner) in [
        ("?$filter=access/organization/id%20eq%20'b'", (200, 1)),
        (
            "?$filter=username%20eq%20'zoe'%20or%20username%20eq%20'bob'",
            (200, 1),
        ),
    ] {
        assert_eq!(get("owner", query).await, of_owner, "{query}");
    }
    assert_eq!(
        get("ann", "?$filter=access/organization/id%20eq%20'b'")
            .await
            .0,
        400
    );
    assert_eq!(get("ann", "?$filter=phone/txt%20ne%20null").await.0, 400);
    let one = async |who: &str, id: &str| {
        w.status(
            who,
            "GET",
            &format!("organization/a/account/{id}"),
            json!({}),
        )
        .await
    };
    assert_eq!(
        (one("ann", "bob").await, one("ann", "zoe").await),
        (200, 404)
    );
    assert_eq!(
        (one("zoe", "bob").await, one("zoe", "zoe").await),
        (403, 404)
    );
}

#[actix_web::test]
async fn hole_plain_members_do_not_search_the_group() {
    let w = world().await;
    w.person("ann", &[("a", "")]).await;
    w.person("mia", &[("a", MANAGER)]).await;
    for path in [
        "accounts/search?q=ann",
        "organization/a/accounts/search?q=ann",
    ] {
        assert_eq!(w.status("ann", "GET", path, json!({})).await, 403, "{path}");
        assert_eq!(
            w.status("owner", "GET", path, json!({})).await,
            200,
            "{path}"
        );
    }
    let path = "organization/a/accounts/search?q=ann";
    assert_eq!(w.status("mia", "GET", path, json!({})).await, 200);
}
