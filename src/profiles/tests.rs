//! The endpoints of profiles from the request on.

use serde_json::{Value as Json, json};

use crate::accounts::Account;
use crate::accounts::model::AccessEntry;
use crate::products::tests::{World, replace, world};
use crate::profiles::request::{SnapshotStatus, State};
use crate::profiles::{
    OrganizationProfile, Profile, ProfileAccess, ProfileRequest, ProfileSnapshot,
};
use crate::store::{StoreError, eq};

/// People `ada` and `bob`, of whom `ada` has a profile and belongs to the organization `acme`;
/// `mona` manages what `acme` keeps about people, `nick` does so for `other`.
async fn people() -> World {
    let w = world().await;
    let member = |more: &str| json!({ "member": [format!("g1-member:::accounts::read:own g1-member:::accounts::update:own g1-member:::accounts::delete:own {more}"), ""] });
    let manager = |org: &str| {
        let all = ["read", "create", "update", "delete"]
            .map(|a| format!("PortalCod1:::orguserprofile::{a}:own"))
            .join(" ");
        json!({ org: [all, "portal,PortalCod1"] })
    };
    w.person("g1", "ada", member("")).await;
    w.person("g1", "bob", member("")).await;
    w.person("g1", "mona", manager("acme")).await;
    w.person("g1", "nick", manager("other")).await;
    let entry: AccessEntry =
        serde_json::from_value(json!({ "organization": { "id": "acme" } })).unwrap();
    w.app
        .store
        .of::<Account>()
        .update("ada", |a: &mut Account| {
            a.access = vec![entry.clone()];
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    w.put::<Profile>(json!({
        "_id": "p-ada", "authGroup": "g1", "accountId": "ada", "givenName": "Ada",
        "meta": { "core": "inner", "shown": 1 },
    }))
    .await;
    w
}

async fn record(w: &World, id: &str, more: Json) {
    let mut doc = json!({ "_id": id, "authGroup": "g1", "organization": "acme", "accountId": "ada", "employer": "Acme" });
    doc.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    w.put::<OrganizationProfile>(doc).await;
}

/// The id of a request from `bob` to `ada`.
async fn ask(w: &World, body: Json) -> String {
    let (status, answer) = w.call("bob", "POST /profile/request/ada", body).await;
    assert_eq!(status, 201, "{answer}");
    answer["data"]["id"].as_str().unwrap().to_owned()
}

async fn decide(w: &World, person: &str, id: &str, action: &str) -> u16 {
    let call = format!("PATCH /profile/request/{id}");
    w.call(person, &call, json!({ "action": action })).await.0
}

#[actix_web::test]
async fn people_keep_a_profile_of_their_own() {
    let w = people().await;
    assert_eq!(w.ask("bob", "GET /profile").await.0, 404);
    assert_eq!(w.ask("bob", "DELETE /profile").await.0, 404);
    assert_eq!(w.call("bob", "PATCH /profile", json!([])).await.0, 404);
    let body = json!({ "accountId": "ada", "givenName": "Bob", "additionalEmails": [{ "email": "b@x.test" }] });
    let (status, answer) = w.call("bob", "POST /profile", body.clone()).await;
    assert_eq!((status, &answer["data"]["accountId"]), (201, &json!("bob")));
    assert_eq!(w.call("bob", "POST /profile", body).await.0, 409);
    let (status, answer) = w
        .call("bob", "PATCH /profile", replace("/givenName", "Rob"))
        .await;
    assert_eq!(
        (
            status,
            &answer["data"]["givenName"],
            &answer["data"]["modifiedBy"]
        ),
        (200, &json!("Rob"), &json!("bob"))
    );
    for (path, value) in [
        ("/accountId", "ada"),
        ("/authGroup", "rg"),
        ("/_id", "x"),
        ("/createdBy", "ada"),
    ] {
        let (status, _) = w.call("bob", "PATCH /profile", replace(path, value)).await;
        assert_eq!(status, 400, "{path}");
    }
    assert_eq!(w.ask("bob", "DELETE /profile").await.0, 200);
    assert_eq!(
        w.ask("ada", "GET /profile").await.1["data"]["givenName"],
        "Ada"
    );
}

#[actix_web::test]
async fn what_the_server_keeps_in_a_profile_is_neither_shown_nor_found_out() {
    let w = people().await;
    for (who, call) in [
        ("ada", "GET /profile"),
        ("ada", "GET /profiles/ada"),
        ("rooty", "GET /profiles"),
        ("rooty", "GET /profiles?$select=meta"),
    ] {
        let (status, answer) = w.ask(who, call).await;
        assert_eq!(status, 200, "{call}: {answer}");
        assert!(!answer.to_string().contains("inner"), "{call}: {answer}");
    }
    let query = "GET /profiles?$filter=meta.core%20eq%20%27inner%27";
    assert_eq!(w.ask("rooty", query).await.0, 400);
    let probe = json!([{ "op": "test", "path": "/meta/core", "value": "inner" }]);
    assert_eq!(w.call("ada", "PATCH /profile", probe).await.0, 403);
}

#[actix_web::test]
async fn hole_profiles_are_for_their_owners_and_those_they_let_in() {
    let w = people().await;
    for who in ["bob", "owner", "mona", "rooty"] {
        assert_eq!(w.ask(who, "GET /profiles/ada").await.0, 403, "{who}");
    }
    for who in ["ada", "owner", "mona"] {
        assert_eq!(w.ask(who, "GET /profiles").await.0, 403, "{who}");
    }
    let view = |id: &str, group: &str, until: &str| {
        json!({
            "_id": id, "authGroup": group, "viewingAccountId": "bob", "targetAccountId": "ada",
            "expiresAt": until,
        })
    };
    w.put::<ProfileAccess>(view("foreign", "rg", "2100-01-01T00:00:00Z"))
        .await;
    w.put::<ProfileAccess>(view("ended", "g1", "2020-01-01T00:00:00Z"))
        .await;
    assert_eq!(w.ask("bob", "GET /profiles/ada").await.0, 403);
    assert_eq!(w.ask("bob", "GET /profile/access/ended").await.0, 404);
    w.put::<ProfileAccess>(view("open", "g1", "2100-01-01T00:00:00Z"))
        .await;
    assert_eq!(w.ask("bob", "GET /profiles/ada").await.0, 200);
    assert_eq!(w.ask("ada", "GET /profiles/bob").await.0, 403);
    for (who, expected) in [("mona", 404), ("ada", 200), ("bob", 200)] {
        let (status, _) = w.ask(who, "GET /profile/access/open").await;
        assert_eq!(status, expected, "{who}");
    }
    assert_eq!(w.ask("mona", "DELETE /profile/access/open").await.0, 404);
    assert_eq!(w.ask("ada", "DELETE /profile/access/open").await.0, 200);
    assert_eq!(w.ask("bob", "GET /profiles/ada").await.0, 403);
}

#[actix_web::test]
async fn hole_a_request_is_decided_once_and_by_its_target_alone() {
    let w = people().await;
    let body = json!({ "type": "access", "requestDetails": "d", "accessExpirationTime": "7" });
    let id = ask(&w, body).await;
    for who in ["bob", "owner", "mona"] {
        assert_eq!(decide(&w, who, &id, "approved").await, 404, "{who}");
    }
    assert_eq!(decide(&w, "ada", &id, "new").await, 400);
    let call = format!("PATCH /profile/request/{id}");
    assert_eq!(w.ask("ada", &call).await.0, 428);
    let both = futures_util::future::join(
        Box::pin(decide(&w, "ada", &id, "approved")),
        Box::pin(decide(&w, "ada", &id, "approved")),
    )
    .await;
    assert_eq!([both.0.min(both.1), both.0.max(both.1)], [200, 409]);
    assert_eq!(decide(&w, "ada", &id, "denied").await, 409);
    let views = w.app.store.of::<ProfileAccess>();
    let found = views.find(eq("authGroup", "g1")).await.unwrap();
    assert_eq!(found.len(), 1);
    let week = found[0].expires_at.unwrap().as_millis() - found[0].created_at.as_millis();
    assert_eq!(week, 7 * 86_400_000);
    let request = w.get::<ProfileRequest>(&id).await.unwrap();
    assert_eq!(
        (request.state, &*request.modified_by),
        (State::Approved, "ada")
    );
}

#[actix_web::test]
async fn requests_are_between_two() {
    let w = people().await;
    let id = ask(&w, json!({ "type": "access", "requestDetails": "d" })).await;
    let path = format!("/profile/request/{id}");
    for (who, expected) in [("ada", 200), ("bob", 200), ("mona", 404), ("owner", 404)] {
        let (status, _) = w.ask(who, &format!("GET {path}")).await;
        assert_eq!(status, expected, "{who}");
    }
    for (who, call, expected) in [
        ("ada", "GET /profile/requests/Received", 1),
        ("ada", "GET /profile/requests/sent", 0),
        ("bob", "GET /profile/requests/SENT", 1),
        ("mona", "GET /profile/requests/received", 0),
        (
            "bob",
            "GET /profile/requests/sent?$filter=targetAccountId%20ne%20%27ada%27",
            0,
        ),
    ] {
        let (_, answer) = w.ask(who, call).await;
        assert_eq!(answer["data"].as_array().unwrap().len(), expected, "{call}");
    }
    assert_eq!(w.ask("ada", "GET /profile/requests/all").await.0, 400);
    assert_eq!(w.ask("mona", &format!("DELETE {path}")).await.0, 404);
    assert_eq!(w.ask("bob", &format!("DELETE {path}")).await.0, 200);
    assert_eq!(w.ask("bob", &format!("DELETE {path}")).await.0, 404);
    let closed = |a: &mut Account| {
        a.accepting_profile_requests = false;
        Ok::<_, StoreError>(())
    };
    w.app
        .store
        .of::<Account>()
        .update("ada", closed)
        .await
        .unwrap();
    let body = json!({ "type": "access", "requestDetails": "d" });
    assert_eq!(
        w.call("bob", "POST /profile/request/ada", body.clone())
            .await
            .0,
        423
    );
    assert_eq!(
        w.call("bob", "POST /profile/request/rooty", body).await.0,
        404
    );
}

#[actix_web::test]
async fn a_copy_is_what_was_approved_and_a_denied_one_is_marked() {
    let w = people().await;
    let body = json!({ "type": "copy", "requestDetails": "d" });
    let id = ask(&w, body.clone()).await;
    let call = format!("GET /profile/snapshot/{id}");
    let (_, answer) = w.ask("bob", &call).await;
    assert_eq!(answer["data"]["status"], "pending");
    assert!(answer["data"].get("snapShot").is_none());
    assert_eq!(decide(&w, "ada", &id, "approved").await, 200);
    let (_, answer) = w.ask("bob", &call).await;
    let copy = &answer["data"];
    assert_eq!(copy["status"], "approved");
    assert_eq!(copy["snapShot"]["_id"], "p-ada");
    assert_eq!(copy["snapShot"]["givenName"], "Ada");
    assert_eq!(w.ask("mona", &call).await.0, 404);
    assert_eq!(w.ask("mona", &call.replace("GET", "DELETE")).await.0, 404);
    assert_eq!(w.ask("ada", &call.replace("GET", "DELETE")).await.0, 200);

    let denied = ask(&w, body.clone()).await;
    assert_eq!(decide(&w, "ada", &denied, "denied").await, 200);
    let (_, answer) = w
        .ask("bob", &format!("GET /profile/snapshot/{denied}"))
        .await;
    assert_eq!(answer["data"]["status"], "denied");
    assert!(answer["data"].get("snapShot").is_none());

    // a copy that is gone can not be approved, and the request stays open
    let late = ask(&w, body).await;
    let gone = eq("requestId", late.as_str());
    w.app
        .store
        .of::<ProfileSnapshot>()
        .take(gone)
        .await
        .unwrap();
    assert_eq!(decide(&w, "ada", &late, "approved").await, 409);
    assert_eq!(
        w.get::<ProfileRequest>(&late).await.unwrap().state,
        State::New
    );
}

#[actix_web::test]
async fn snapshots_of_an_existing_database_are_understood() {
    let w = people().await;
    w.put::<ProfileSnapshot>(json!({
        "_id": "s", "authGroup": "g1", "requestId": "r", "callerId": "bob", "accountId": "ada",
        "status": "approve", "createdAt": "2100-01-01T00:00:00Z",
    }))
    .await;
    let stored = w.get::<ProfileSnapshot>("s").await.unwrap();
    assert_eq!(stored.status, SnapshotStatus::Approved);
    let (_, answer) = w.ask("bob", "GET /profile/snapshot/r").await;
    assert_eq!(answer["data"]["status"], "approved");
}

#[actix_web::test]
async fn hole_only_members_ask_on_behalf_of_an_organization() {
    let w = people().await;
    record(&w, "o-ada", json!({ "bio": "old" })).await;
    let body = json!({ "type": "sync", "requestDetails": "d", "orgId": "acme" });
    let call = "POST /profile/request/ada";
    for who in ["bob", "nick"] {
        assert_eq!(w.call(who, call, body.clone()).await.0, 403, "{who}");
    }
    let (status, answer) = w.call("mona", call, body.clone()).await;
    assert_eq!(status, 201, "{answer}");
    let id = answer["data"]["id"].as_str().unwrap();
    assert_eq!(decide(&w, "ada", id, "approved").await, 200);
    let kept = w.get::<OrganizationProfile>("o-ada").await.unwrap();
    assert_eq!(kept.details.given_name.as_deref(), Some("Ada"));
    assert_eq!(kept.details.bio.as_deref(), Some("old"));
    assert!(kept.details.meta.is_none());
    assert_eq!(
        (&*kept.modified_by, kept.account_id.as_deref()),
        ("ada", Some("ada"))
    );

    // without a record there is nothing to bring up to date, and the request stays open
    w.app
        .store
        .of::<OrganizationProfile>()
        .delete("o-ada")
        .await
        .unwrap();
    let (_, answer) = w.call("owner", call, body).await;
    let id = answer["data"]["id"].as_str().unwrap();
    assert_eq!(decide(&w, "ada", id, "approved").await, 404);
    assert_eq!(w.get::<ProfileRequest>(id).await.unwrap().state, State::New);
}

#[actix_web::test]
async fn hole_requests_name_organizations_by_id_and_callbacks_are_https() {
    let w = people().await;
    w.app
        .store
        .of::<crate::organizations::Organization>()
        .update("acme", |o: &mut crate::organizations::Organization| {
            o.alias = Some("best".to_owned());
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    let call = "POST /profile/request/ada";
    let body = json!({ "type": "sync", "requestDetails": "d", "orgId": "Best" });
    let (_, answer) = w.call("mona", call, body).await;
    assert_eq!(answer["data"]["orgId"], "acme");
    for (body, expected) in [
        (json!({ "type": "sync", "requestDetails": "d" }), 428),
        (
            json!({ "type": "sync", "requestDetails": "d", "orgId": "none" }),
            400,
        ),
        (
            json!({ "type": "copy", "requestDetails": "d", "dataCallback": "http://x.test/https" }),
            400,
        ),
        (
            json!({ "type": "copy", "requestDetails": "d", "dataCallback": "https://10.0.0.1/" }),
            400,
        ),
        (
            json!({ "type": "copy", "requestDetails": "d", "dataCallback": "https://x.test/" }),
            201,
        ),
    ] {
        let (status, answer) = w.call("mona", call, body.clone()).await;
        assert_eq!(status, expected, "{body} {answer}");
    }
}

#[actix_web::test]
async fn organizations_keep_profiles_of_their_members() {
    let w = people().await;
    let body = json!({ "accountId": "ada", "givenName": "Ada", "externalId": "e-1" });
    let path = "/organization/acme/profile";
    let create = format!("POST {path}s");
    let (status, answer) = w.call("mona", &create, body.clone()).await;
    assert_eq!(status, 201, "{answer}");
    let id = answer["data"]["id"].as_str().unwrap().to_owned();
    assert_eq!(answer["data"]["deleteRequested"], false);
    assert_eq!(w.call("mona", &create, body.clone()).await.0, 409);
    let stranger = json!({ "accountId": "bob" });
    let (status, answer) = w.call("mona", &create, stranger).await;
    assert_eq!((status, &answer["error"]), (400, &json!("ValidationError")));
    for key in [id.as_str(), "ada", "e-1"] {
        let (status, _) = w.ask("mona", &format!("GET {path}/{key}")).await;
        assert_eq!(status, 200, "{key}");
        let call = format!("PATCH {path}/{key}");
        let (status, _) = w.call("mona", &call, replace("/externalId", "e-1")).await;
        assert_eq!(status, 200, "{key}");
    }
    for who in ["bob", "nick"] {
        for call in [
            "GET /organization/acme/profiles".to_owned(),
            format!("DELETE {path}/{id}"),
        ] {
            assert_eq!(w.ask(who, &call).await.0, 403, "{who} {call}");
        }
        assert_eq!(w.call(who, &create, body.clone()).await.0, 403, "{who}");
    }
    for (path_in, value) in [
        ("/organization", "other"),
        ("/accountId", "bob"),
        ("/authGroup", "rg"),
    ] {
        let call = format!("PATCH {path}/{id}");
        assert_eq!(
            w.call("mona", &call, replace(path_in, value)).await.0,
            400,
            "{path_in}"
        );
    }
    let (_, answer) = w
        .ask(
            "mona",
            "GET /organization/acme/profiles?$filter=givenName%20eq%20%27Ada%27",
        )
        .await;
    assert_eq!(answer["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        w.ask("mona", "GET /organization/none/profiles").await.0,
        403
    );
    assert_eq!(
        w.ask("owner", "GET /organization/none/profiles").await.0,
        404
    );
    assert_eq!(w.ask("mona", &format!("DELETE {path}/e-1")).await.0, 200);
    for call in ["GET", "DELETE"] {
        assert_eq!(w.ask("mona", &format!("{call} {path}/e-1")).await.0, 404);
    }
}

#[actix_web::test]
async fn hole_people_read_and_steer_their_own_record_and_no_other() {
    let w = people().await;
    record(&w, "o-ada", json!({})).await;
    // an external id that looks like a person opens nothing
    let other = json!({ "accountId": "owner", "externalId": "bob" });
    record(&w, "o-other", other).await;
    let read = "GET /organization/acme/profile";
    assert_eq!(w.ask("ada", &format!("{read}/ada")).await.0, 200);
    assert_eq!(w.ask("ada", &format!("{read}/o-ada")).await.0, 403);
    assert_eq!(w.ask("bob", &format!("{read}/ada")).await.0, 403);
    assert_eq!(w.ask("bob", &format!("{read}/bob")).await.0, 404);

    let (_, answer) = w.ask("ada", "GET /organizations/profiles/account/me").await;
    let mine = &answer["data"][0];
    assert_eq!(
        (&mine["organizationProfileId"], &mine["organizationName"]),
        (&json!("o-ada"), &json!("acme"))
    );
    assert!(mine.get("employer").is_none());
    assert_eq!(
        w.ask("bob", "GET /organizations/profiles/account/ada")
            .await
            .0,
        404
    );

    let ask = |who: &'static str, id: &str, request: &str| {
        let call = format!("POST /organizations/acme/profiles/account/{id}");
        let body = json!({ "request": request });
        let w = &w;
        async move { w.call(who, &call, body).await }
    };
    let (status, answer) = ask("ada", "me", "remove").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["data"]["orgProfileId"], &answer["data"]["verified"]),
        (&json!("o-ada"), &json!(true))
    );
    assert!(answer["data"]["date"].is_string());
    assert_eq!(ask("bob", "ada", "remain").await.0, 403);
    assert_eq!(ask("bob", "me", "remove").await.0, 400);
    assert_eq!(ask("ada", "me", "other").await.0, 400);
    let call = "POST /organizations/acme/profiles/account/me";
    assert_eq!(w.ask("ada", call).await.0, 422);
    // the organization can not take the request back
    let patch = replace("/deleteRequested", false);
    let (status, _) = w
        .call("mona", "PATCH /organization/acme/profile/ada", patch)
        .await;
    assert_eq!(status, 400);
    assert!(
        w.get::<OrganizationProfile>("o-ada")
            .await
            .unwrap()
            .delete_requested
    );
    assert_eq!(ask("ada", "ada", "remain").await.0, 200);
    let kept = w.get::<OrganizationProfile>("o-ada").await.unwrap();
    assert_eq!(
        (kept.delete_requested, kept.delete_requested_date),
        (false, None)
    );
}

#[actix_web::test]
async fn hole_what_is_personal_goes_with_the_account() {
    let w = people().await;
    record(&w, "o-ada", json!({})).await;
    let copy = ask(&w, json!({ "type": "copy", "requestDetails": "d" })).await;
    let open = ask(&w, json!({ "type": "access", "requestDetails": "d" })).await;
    assert_eq!(decide(&w, "ada", &copy, "approved").await, 200);
    assert_eq!(decide(&w, "ada", &open, "approved").await, 200);
    assert_eq!(w.ask("owner", "DELETE /account/ada").await.0, 200);
    let store = &w.app.store;
    let here = || eq("authGroup", "g1");
    assert_eq!(store.of::<Profile>().count(here()).await.unwrap(), 0);
    assert_eq!(
        store
            .of::<OrganizationProfile>()
            .count(here())
            .await
            .unwrap(),
        0
    );
    assert_eq!(store.of::<ProfileAccess>().count(here()).await.unwrap(), 0);
    assert_eq!(store.of::<ProfileRequest>().count(here()).await.unwrap(), 0);
    assert_eq!(
        store.of::<ProfileSnapshot>().count(here()).await.unwrap(),
        0
    );
}
