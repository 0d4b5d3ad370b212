//! Organizations themselves.

use super::*;
use crate::profiles::OrganizationProfile;

const NEW: &str = "organizations";

fn new(name: &str, more: Json) -> Json {
    let mut out = json!({ "name": name, "description": "d", "contactEmail": "x@y.test" });
    for (key, value) in more.as_object().unwrap() {
        out[key] = value.clone();
    }
    out
}

#[actix_web::test]
async fn a_new_organization_has_the_portal_and_a_domain_for_it() {
    let w = world().await;
    let (status, body) = w
        .call(
            "owner",
            "POST",
            NEW,
            new("Ini", json!({ "alias": "INI", "meta": "m" })),
        )
        .await;
    assert_eq!(status, 201, "{body}");
    let (organization, domain) = (&body["data"]["organization"], &body["data"]["domain"]);
    assert_eq!(organization["alias"], "ini");
    assert_eq!(organization["createdBy"], "owner");
    assert_eq!(organization["associatedProducts"], json!(["org"]));
    assert_eq!(organization["core"], false);
    assert!(organization.get("meta").is_none());
    assert_eq!(domain["meta"]["admin"], organization["id"]);
    assert_eq!(domain["name"], "G - Ini - Administrative Domain");
    let refused = w.call("owner", "POST", NEW, new("Ini", json!({}))).await;
    assert_eq!(refused.0, 409);
    let domains = w.app.store.of::<Domain>();
    let count = domains.count(crate::store::Filter::All).await.unwrap();
    assert_eq!(count, 4, "a refused organization leaves no domain");
}

#[actix_web::test]
async fn hole_one_name_in_a_path_never_leads_to_two_organizations() {
    let w = world().await;
    let made = async |more: Json| w.status("owner", "POST", NEW, new("X", more)).await;
    let names = json!({ "externalId": "ext", "alias": "ali" });
    assert_eq!(made(names).await, 201);
    for more in [
        json!({ "alias": "EXT" }),
        json!({ "alias": "a" }),
        json!({ "externalId": "ali" }),
        json!({ "externalId": "ALI" }),
        json!({ "externalId": "core" }),
    ] {
        let body = new("Y", more);
        let status = w.status("owner", "POST", NEW, body.clone()).await;
        assert_eq!(status, 409, "{body}");
    }
    assert_eq!(
        w.status("owner", "PATCH", "organizations/b", add("/alias", "A"))
            .await,
        409
    );
    assert_eq!(
        w.status("owner", "PATCH", "organizations/b", add("/alias", "BB"))
            .await,
        200
    );
    assert_eq!(w.organization("b").await.alias.as_deref(), Some("bb"));
    assert_eq!(
        w.status("owner", "GET", "organizations/Bb", json!({}))
            .await,
        200
    );
}

#[actix_web::test]
async fn hole_secrets_of_a_connection_stay_inside() {
    let w = world().await;
    w.person(
        "ann",
        &[(
            "a",
            "organizations::read:own organizations-limited::update:own",
        )],
    )
    .await;
    let sso = json!({ "name": "My IdP", "client_id": "c", "client_secret": "s3cret",
                      "discovery_url": "https://idp.test" });
    let (status, body) = w
        .call(
            "owner",
            "PATCH",
            "organizations/a",
            add("/sso", json!({ "oidc": sso })),
        )
        .await;
    assert_eq!(status, 200, "{body}");
    let shown = &body["data"]["sso"]["oidc"];
    assert_eq!(shown["client_secret"], "s3cret");
    assert_eq!(shown["response_type"], "code");
    let uri = shown["redirectUris"][0].as_str().unwrap();
    assert!(
        uri.ends_with("/g1/interaction/callback/oidc/org:a/my_idp"),
        "{uri}"
    );
    let (status, body) = w.call("ann", "GET", "organizations/a", json!({})).await;
    assert_eq!(status, 200, "{body}");
    assert!(!body.to_string().contains("s3cret"), "{body}");
    for body in [
        json!([{ "op": "copy", "from": "/sso/oidc/client_secret", "path": "/description" }]),
        json!([{ "op": "test", "path": "/sso/oidc/client_secret", "value": "s3cret" }]),
        json!([{ "op": "move", "from": "/sso/oidc", "path": "/metadata" }]),
    ] {
        assert_eq!(w.status("ann", "PATCH", "organizations/a", body).await, 403);
    }
    let probe = "organizations?$filter=startswith(sso/oidc/client_secret,'s')";
    assert_eq!(w.status("owner", "GET", probe, json!({})).await, 400);
    let (_, body) = w
        .call(
            "ann",
            "PATCH",
            "organizations/a",
            replace("/sso/oidc/buttonText", "Go"),
        )
        .await;
    assert!(!body.to_string().contains("s3cret"), "{body}");
    // without its secret a connection keeps the stored one, as nobody is shown it
    let mut again = sso.clone();
    again.as_object_mut().unwrap().remove("client_secret");
    let body = replace("/sso/oidc", again);
    assert_eq!(w.status("ann", "PATCH", "organizations/a", body).await, 200);
    let stored = w.organization("a").await.sso.unwrap().to_json();
    assert_eq!(stored["oidc"]["client_secret"], "s3cret");
    assert!(stored["oidc"].get("redirectUris").is_none());
}

#[actix_web::test]
async fn hole_the_private_key_of_a_connection_is_never_shown() {
    let w = world().await;
    let saml = json!({ "name": "S", "idpCertificates": ["c"], "ssoLoginUrl": "https://l.test",
                       "ssoLogoutUrl": "https://o.test" });
    let (status, body) = w
        .call(
            "owner",
            "POST",
            NEW,
            new("Saml", json!({ "sso": { "saml": saml } })),
        )
        .await;
    assert_eq!(status, 201, "{body}");
    let shown = &body["data"]["organization"];
    let certificate = shown["sso"]["saml"]["spCertificate"].as_str().unwrap();
    assert!(certificate.contains("BEGIN CERTIFICATE"));
    assert!(!body.to_string().contains("PRIVATE KEY"));
    let stored = w.organization(shown["id"].as_str().unwrap()).await;
    assert!(stored.sso.unwrap().to_json()["saml"]["spPrivateKey"].is_string());
    let (_, list) = w
        .call("owner", "GET", "organizations?$select=sso", json!({}))
        .await;
    assert!(!list.to_string().contains("PRIVATE KEY"), "{list}");
    let two =
        json!({ "oidc": { "name": "n", "client_id": "c", "discovery_url": "https://x.test" } });
    let mut both = two.clone();
    both["saml"] = saml;
    let (status, _) = w
        .call("owner", "POST", NEW, new("Two", json!({ "sso": both })))
        .await;
    assert_eq!(status, 400, "one connection at most");
}

#[actix_web::test]
async fn hole_permissions_of_one_organization_do_not_count_in_another() {
    let w = world().await;
    let admin = "organizations-limited::update:own organizations::read:own organizations::delete:own domains::create:own";
    w.person_in("eve", &[("a", admin), ("b", "")], Some("a"))
        .await;
    assert_eq!(
        w.status("eve", "GET", "organizations/a", json!({})).await,
        200
    );
    for (method, path) in [
        ("GET", "organizations/b"),
        ("PATCH", "organizations/b"),
        ("DELETE", "organizations/b"),
    ] {
        assert_eq!(
            w.status("eve", method, path, json!([])).await,
            403,
            "{method} {path}"
        );
    }
    let body = json!({ "name": "X" });
    assert_eq!(
        w.status("eve", "POST", "organizations/b/domains", body.clone())
            .await,
        403
    );
    assert_eq!(
        w.status("eve", "POST", "organizations/a/domains", body)
            .await,
        201
    );
}

#[actix_web::test]
async fn hole_an_organization_does_not_license_itself() {
    let w = world().await;
    w.person("ann", &[("b", "organizations-limited::update:own")])
        .await;
    for body in [
        add("/associatedProducts/-", "shop"),
        replace("/type", "internal"),
        replace("/core", true),
        replace("/authGroup", "other"),
        replace("/_id", "core"),
        json!([{ "op": "remove", "path": "/createdBy" }]),
    ] {
        let status = w
            .status("ann", "PATCH", "organizations/b", body.clone())
            .await;
        assert_eq!(status, 400, "{body}");
    }
    let body = replace("/name", "B2");
    assert_eq!(w.status("ann", "PATCH", "organizations/b", body).await, 200);
    let b = w.organization("b").await;
    assert_eq!((&*b.name, &*b.modified_by), ("B2", "ann"));
    assert_eq!(
        w.status("ann", "PATCH", "organizations/a", json!([])).await,
        403
    );
}

#[actix_web::test]
async fn hole_products_are_not_swapped_away() {
    let w = world().await;
    w.put::<Product>(json!({ "_id": "p2", "authGroup": "g1", "name": "P2", "codedId": "p2", "meta": { "core": "y" } }))
        .await;
    let patch = |list: Json| {
        w.call(
            "owner",
            "PATCH",
            "organizations/a",
            replace("/associatedProducts", list),
        )
    };
    assert_eq!(
        patch(json!(["shop", "p2"])).await.0,
        403,
        "a core product for another one"
    );
    let none = json!([]);
    assert_eq!(patch(none).await.0, 403);
    assert_eq!(
        patch(json!(["org", "shop", "adm"])).await.0,
        400,
        "the group's own portal"
    );
    assert_eq!(patch(json!(["org", "shop", "nope"])).await.0, 400);
    w.put::<Domain>(
        json!({ "_id": "d1", "authGroup": "g1", "organization": "a", "name": "D1",
                            "associatedOrgProducts": ["shop"], "meta": { "admin": "u" } }),
    )
    .await;
    let (status, body) = patch(json!(["org", "p2"])).await;
    assert_eq!(status, 400);
    assert_eq!(body["data"][0]["productId"], "shop");
    assert_eq!(
        body["data"][0]["domainReferences"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(patch(json!(["org", "shop", "p2", "p2"])).await.0, 200);
    let mirror: Domain = w.get("a-d").await.unwrap();
    assert_eq!(mirror.associated_org_products, ["org", "shop", "p2"]);
    assert_eq!(
        w.organization("a").await.associated_products,
        ["org", "shop", "p2"]
    );
    // the administrative domain alone does not block
    assert_eq!(patch(json!(["org", "shop"])).await.0, 200);
    let mirror: Domain = w.get("a-d").await.unwrap();
    assert_eq!(mirror.associated_org_products, ["org", "shop"]);
}

#[actix_web::test]
async fn hole_a_refused_deletion_changes_nothing() {
    let w = world().await;
    w.person("ann", &[("a", "organizations::delete:own")]).await;
    w.role("mine", Some("a")).await;
    w.role("theirs", Some("b")).await;
    w.put::<OrganizationProfile>(
        json!({ "_id": "p", "authGroup": "g1", "organization": "a", "accountId": "ann" }),
    )
    .await;
    let (status, body) = w
        .call("owner", "DELETE", "organizations/a", json!({}))
        .await;
    assert_eq!(
        (status, &body["data"]),
        (400, &json!([{ "id": "ann", "authGroup": "g1" }]))
    );
    assert!(w.get::<Role>("mine").await.is_some() && w.get::<Domain>("a-d").await.is_some());
    assert!(w.get::<OrganizationProfile>("p").await.is_some());
    assert_eq!(
        w.status("owner", "DELETE", "organizations/core", json!({}))
            .await,
        403
    );
    assert_eq!(
        w.status("owner", "DELETE", "organizations/nope", json!({}))
            .await,
        404
    );
    assert_eq!(
        w.status(
            "owner",
            "DELETE",
            "access/organization/a/account/ann",
            json!({})
        )
        .await,
        200
    );
    assert_eq!(
        w.status("owner", "DELETE", "organizations/a", json!({}))
            .await,
        200
    );
    assert!(w.get::<Organization>("a").await.is_none());
    assert!(w.get::<Role>("mine").await.is_none() && w.get::<Role>("theirs").await.is_some());
    assert!(w.get::<Domain>("a-d").await.is_none() && w.get::<Domain>("b-d").await.is_some());
    assert!(w.get::<OrganizationProfile>("p").await.is_none());
}

#[actix_web::test]
async fn hole_new_terms_suspend_members_until_they_accept() {
    let w = world().await;
    w.person("ann", &[("a", "")]).await;
    w.person("bob", &[("b", "")]).await;
    let terms = |version: &str, disable: bool| {
        let terms = json!({ "required": true, "terms": "T", "termsVersion": version, "disableAccessOnChange": disable });
        w.call(
            "owner",
            "PATCH",
            "organizations/a",
            replace("/access", terms),
        )
    };
    let held = async |id: &str| {
        w.get::<Account>(id).await.unwrap().access[0]
            .organization
            .terms
            .clone()
    };
    assert_eq!(terms("1", false).await.0, 200);
    assert!(!held("ann").await.required, "only announced");
    assert_eq!(terms("2", true).await.0, 200);
    let ann = held("ann").await;
    assert!(ann.required && !ann.accepted && ann.terms_accepted_on.is_none());
    assert_eq!(
        (ann.terms_version.as_deref(), ann.terms_of_access.as_deref()),
        (Some("2"), Some("T"))
    );
    assert_eq!(
        ann.terms_delivered_on.map(crate::store::Date::as_millis),
        Some(NOW)
    );
    assert!(!held("bob").await.required);
    let accept = json!({ "action": "accept" });
    assert_eq!(
        w.status("ann", "PUT", "access/organizations/a/terms", accept)
            .await,
        200
    );
    assert_eq!(terms("2", true).await.0, 200);
    assert!(
        held("ann").await.accepted,
        "the same version does not ask again"
    );
}

#[actix_web::test]
async fn a_change_of_the_groups_own_organization_is_known_at_once() {
    let w = world().await;
    let core = async || {
        let tenant = w.app.tenants.active(&w.app, "g1").await.unwrap().unwrap();
        tenant
            .core(&w.app.store)
            .await
            .unwrap()
            .unwrap()
            .organization
            .description
            .clone()
    };
    assert_eq!(core().await, None);
    let body = add("/description", "new");
    assert_eq!(
        w.status("owner", "PATCH", "organizations/core", body).await,
        200
    );
    assert_eq!(core().await.as_deref(), Some("new"));
    let body = replace("/name", "X");
    assert_eq!(
        w.status("owner", "PATCH", "organizations/core", body).await,
        400
    );
}

#[actix_web::test]
async fn stored_fields_that_are_not_known_survive_and_are_not_added() {
    let w = world().await;
    let body = add("/zzz", 1);
    assert_eq!(
        w.status("owner", "PATCH", "organizations/a", body).await,
        200
    );
    assert!(w.organization("a").await.extra.get("zzz").is_none());
    let body = json!([{ "op": "remove", "path": "/name" }]);
    assert_eq!(
        w.status("owner", "PATCH", "organizations/a", body).await,
        400
    );
    let body = replace("/type", "friendly");
    assert_eq!(
        w.status("owner", "PATCH", "organizations/a", body).await,
        400
    );
    let body = replace("/associatedProducts", json!([{ "a": 1 }]));
    assert_eq!(
        w.status("owner", "PATCH", "organizations/a", body).await,
        400
    );
}
