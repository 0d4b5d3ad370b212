//! Groups in a store of their own, without HTTP.

mod founding;

use std::sync::Arc;

use serde_json::{Value as Json, json};
use ueauth_actors::SystemClock;

use super::bootstrap::{self, NewOwner, NewPassword};
use super::patching::{self, Editor};
use super::*;
use crate::accounts::Account;
use crate::app::{App, Parts};
use crate::clients::Client;
use crate::domains::Domain;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::jose::Alg;
use crate::oidc::records::{InitialAccessToken, Record};
use crate::organizations::Organization;
use crate::permissions::Permission;
use crate::products::Product;
use crate::roles::Role;
use crate::settings::{Settings, Sources};
use crate::store::{Document, Filter, Object, Value, eq};

const PASSWORD: &str = "Passw0rd!x";

async fn app() -> App {
    let flags = [
        ("store.url", "sqlite::memory:"),
        ("hash.memory_kib", "64"),
        ("hash.iterations", "1"),
    ];
    let settings = Settings::load(&Sources {
        flags: flags
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        ..Sources::default()
    })
    .unwrap();
    Parts::start(settings, Arc::new(SystemClock), None)
        .await
        .unwrap()
}

async fn count<T: Document>(app: &App) -> u64 {
    app.store.of::<T>().count(Filter::All).await.unwrap()
}

/// Accounts, clients, products, permissions, organizations, domains, roles.
async fn counts(app: &App) -> [u64; 7] {
    [
        count::<Account>(app).await,
        count::<Client>(app).await,
        count::<Product>(app).await,
        count::<Permission>(app).await,
        count::<Organization>(app).await,
        count::<Domain>(app).await,
        count::<Role>(app).await,
    ]
}

const OF_ONE_GROUP: [u64; 7] = [1, 1, 2, 134, 1, 1, 3];

fn code<T>(result: ApiResult<T>) -> u16 {
    result.err().map_or(200, |e: ApiError| e.status.as_u16())
}

fn request(alias: &str) -> Json {
    json!({ "name": "Acme", "prettyName": alias, "owner": "Owner@acme.test",
            "primaryDomain": "acme.test", "primaryEmail": "info@acme.test" })
}

fn owner(password: &str) -> NewOwner {
    NewOwner {
        email: "owner@ACME.test".to_owned(),
        username: None,
        password: NewPassword::Given(password.to_owned().into()),
        phone: None,
        metadata: None,
    }
}

async fn waiting(app: &App, alias: &str) -> Arc<Tenant> {
    let made = new_group::create(app, &request(alias)).await.unwrap();
    app.tenants
        .find(app, &made.group.id)
        .await
        .unwrap()
        .unwrap()
}

async fn active(app: &App, alias: &str) -> bootstrap::Activated {
    let tenant = waiting(app, alias).await;
    bootstrap::activate(app, &tenant, owner(PASSWORD))
        .await
        .unwrap()
}

#[tokio::test]
async fn names_are_given_once_whatever_their_case() {
    let app = app().await;
    let made = new_group::create(&app, &request("Acme")).await.unwrap();
    assert_eq!(
        made.group.primary_domain.as_deref(),
        Some("https://acme.test")
    );
    assert!(!made.group.active && made.group.is_pending());
    assert_eq!(code(new_group::create(&app, &request("aCME")).await), 409);
    assert_eq!(
        code(new_group::create(&app, &request(&made.group.id)).await),
        409
    );
    let unnamed = new_group::create(&app, &request("")).await.unwrap().group;
    assert_eq!(unnamed.pretty_name, unnamed.id);
    for (name, free) in [
        ("acme", false),
        ("acm", true),
        ("Login", false),
        ("root", true),
        ("init", false),
        ("a.b*", true),
    ] {
        assert_eq!(
            rules::is_available(&app, name).await.unwrap(),
            free,
            "{name}"
        );
    }
    for name in ["login", "ROOT", "groups"] {
        let refused = new_group::check_requested_names(&app, &request(name));
        assert_eq!(code(refused), 403, "{name}");
    }
    let mut body = request("x");
    body["name"] = json!(" UE Auth ");
    assert_eq!(code(new_group::check_requested_names(&app, &body)), 403);
    body["owner"] = json!("nobody");
    assert_eq!(code(new_group::create(&app, &body).await), 400);
}

#[tokio::test]
async fn a_patch_obeys_the_rules_and_drops_what_is_unknown() {
    let app = app().await;
    let made = active(&app, "acme").await;
    active(&app, "other").await;
    let id = made.group.id.as_str();
    let owner = Editor {
        sub: made.account.id.clone(),
        root: false,
    };
    let manager = Editor {
        sub: "somebody".to_owned(),
        root: false,
    };
    let change = async |editor: &Editor, operations: Json| {
        patching::patch(&app, id, &operations, editor).await
    };
    let group = change(
        &owner,
        json!([
            { "op": "replace", "path": "/name", "value": "Acme Inc" },
            { "op": "add", "path": "/surprise", "value": true },
            { "op": "replace", "path": "/config/ttl/idToken", "value": 60 },
        ]),
    )
    .await
    .unwrap();
    assert_eq!(
        (group.name.as_str(), group.modified_by.as_str()),
        ("Acme Inc", owner.sub.as_str())
    );
    assert_eq!(group.config.ttl.id_token.as_i64(), Some(60));
    assert!(group.extra.is_empty());
    let seen = app.tenants.active(&app, "acme").await.unwrap().unwrap();
    assert_eq!(seen.ttl.id_token, 60);
    let stored = app.store.of::<AuthGroup>().get(&made.group.id).await;
    let stored = stored.unwrap().unwrap();
    assert_eq!(stored.config.keys, made.group.config.keys);

    let set = |path: &str, value: Json| json!([{ "op": "add", "path": path, "value": value }]);
    for (path, value, status) in [
        ("/config/keys", json!([]), 403),
        ("/config/cookieKeys/0", json!("mine"), 403),
        ("/_id", json!("x"), 400),
        ("/createdAt", json!("2020-01-01T00:00:00.000Z"), 400),
        ("/associatedClient", json!("x"), 400),
        (
            "/securityExpiration",
            json!("2020-01-01T00:00:00.000Z"),
            400,
        ),
        ("/aliasDnsUi", json!("a.test"), 400),
        ("/locked", json!("yes"), 400),
        ("/config/passwordPolicy/pattern/custom", json!("(["), 400),
        ("/owner", json!("nobody"), 400),
        ("/prettyName", json!("login"), 403),
        ("/prettyName", json!("OTHER"), 409),
        ("/prettyName", json!("a b"), 400),
        ("/pluginOptions/notification/enabled", json!(true), 405),
    ] {
        assert_eq!(
            code(change(&owner, set(path, value)).await),
            status,
            "{path}"
        );
    }
    for path in ["/owner", "/active"] {
        let value = if path == "/active" {
            json!(false)
        } else {
            json!("somebody")
        };
        assert_eq!(
            code(change(&manager, set(path, value)).await),
            403,
            "{path}"
        );
    }
    assert_eq!(
        code(change(&manager, set("/prettyName", json!("Acme"))).await),
        200
    );
    assert!(app.tenants.active(&app, "acme").await.unwrap().is_none());
    let peek = json!([{ "op": "copy", "from": "/config/keys", "path": "/metadata" }]);
    assert_eq!(code(change(&owner, peek).await), 403);
}

#[tokio::test]
async fn what_old_keys_signed_still_verifies() {
    let app = app().await;
    let made = active(&app, "acme").await;
    let before = app.tenants.active(&app, "acme").await.unwrap().unwrap();
    let signer = before.keys.signer(Alg::ES256).unwrap();
    let token = signer.sign(Some("JWT"), &json!({ "sub": "x" })).unwrap();
    let rotated = keys::rotate_signing(&app, &made.group.id, "me")
        .await
        .unwrap();
    assert_ne!(rotated.config.keys, made.group.config.keys);
    let after = app.tenants.active(&app, "acme").await.unwrap().unwrap();
    assert!(after.keys.verify(&token, &[Alg::ES256]).is_err());
    assert!(after.verify(&token, &[Alg::ES256], app.now_ms()).is_ok());
    let later = app.now_ms() + 3_601_000;
    assert!(after.verify(&token, &[Alg::ES256], later).is_err());
    assert_eq!(after.jwks.matches("\"kid\"").count(), 10);
    let cookies = keys::rotate_cookies(&app, &made.group.id, "me")
        .await
        .unwrap();
    assert_ne!(cookies.config.cookie_keys, made.group.config.cookie_keys);
    assert_eq!(cookies.config.keys, rotated.config.keys);
}

#[tokio::test]
async fn aliases_come_and_go_with_the_clients_addresses() {
    let app = app().await;
    let made = active(&app, "acme").await;
    let id = made.group.id.as_str();
    let asked = |body: Json| aliases::requested(&app, &body);
    assert_eq!(code(asked(json!({ "aliasDnsUi": "http://a" }))), 400);
    assert_eq!(code(asked(json!({ "aliasDnsOIDC": "localhost" }))), 400);
    let hosts =
        asked(json!({ "aliasDnsUi": "UI.acme.test", "aliasDnsOIDC": "id.acme.test" })).unwrap();
    let group = aliases::set(&app, id, &hosts, "me").await.unwrap();
    assert_eq!(group.alias_dns_ui.as_deref(), Some("ui.acme.test"));
    let client = async || {
        app.store
            .of::<Client>()
            .get(&made.client.id)
            .await
            .unwrap()
            .unwrap()
            .payload
    };
    let now = client().await;
    assert_eq!(
        now.redirect_uris.len(),
        made.client.payload.redirect_uris.len() + 3
    );
    assert!(
        now.post_logout_redirect_uris
            .contains(&"https://ui.acme.test/signout".to_owned())
    );
    assert!(
        app.tenants
            .by_host(&app, "id.acme.test")
            .await
            .unwrap()
            .is_some()
    );
    let again = asked(json!({ "aliasDnsUi": "b.test" })).unwrap();
    assert_eq!(code(aliases::set(&app, id, &again, "me").await), 404);
    let rival = active(&app, "rival").await;
    assert_eq!(
        code(aliases::set(&app, &rival.group.id, &hosts, "me").await),
        409
    );
    aliases::remove(&app, id, aliases::Target::Portal, "me")
        .await
        .unwrap();
    aliases::remove(&app, id, aliases::Target::Provider, "me")
        .await
        .unwrap();
    let then = client().await;
    assert_eq!(then.redirect_uris, made.client.payload.redirect_uris);
    assert_eq!(
        then.post_logout_redirect_uris,
        made.client.payload.post_logout_redirect_uris
    );
    assert!(
        app.tenants
            .by_host(&app, "id.acme.test")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn an_alias_without_a_client_is_not_set() {
    let app = app().await;
    let made = active(&app, "acme").await;
    app.store
        .of::<Client>()
        .delete(&made.client.id)
        .await
        .unwrap();
    let hosts = [(aliases::Target::Portal, "ui.acme.test".to_owned())];
    assert_eq!(
        code(aliases::set(&app, &made.group.id, &hosts, "me").await),
        422
    );
    let group = app
        .store
        .of::<AuthGroup>()
        .get(&made.group.id)
        .await
        .unwrap()
        .unwrap();
    assert!(group.alias_dns_ui.is_none());
}

#[tokio::test]
async fn an_update_restores_core_permissions_and_roles() {
    let app = app().await;
    let made = active(&app, "acme").await;
    let tenant = app.tenants.active(&app, "acme").await.unwrap().unwrap();
    assert_eq!(
        core_update::status(&app, &tenant).await.unwrap()["updateRequired"],
        json!(false)
    );
    app.store
        .of::<Permission>()
        .delete_many(eq("coded", "group-keys::read:own"))
        .await
        .unwrap();
    app.store
        .of::<Role>()
        .delete_many(eq("name", "OrgManager"))
        .await
        .unwrap();
    let product = &made.core.products[0];
    app.store
        .of::<Product>()
        .update(&product.id, |p: &mut Product| {
            p.meta.roles_version = None;
            Ok::<_, crate::store::StoreError>(())
        })
        .await
        .unwrap();
    assert_eq!(
        core_update::status(&app, &tenant).await.unwrap()["updateRequired"],
        json!(true)
    );
    let done = core_update::update(&app, &tenant).await.unwrap();
    let of = &done["Acme - Super Admin Portal"];
    assert_eq!(
        (
            of["added"].as_array().unwrap().len(),
            of["roles"].as_array().unwrap().len()
        ),
        (1, 2)
    );
    assert_eq!(of["added"][0]["tags"], json!(["ag-portal"]));
    let admin = of["roles"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["name"] == "Admin")
        .unwrap();
    let fresh = format!(
        "{} group-keys::read:own",
        of["added"][0]["id"].as_str().unwrap()
    );
    assert!(
        admin["permissions"]
            .as_array()
            .unwrap()
            .contains(&json!(fresh))
    );
    assert_eq!(counts(&app).await, OF_ONE_GROUP);
    assert_eq!(
        core_update::status(&app, &tenant).await.unwrap()["updateRequired"],
        json!(false)
    );
    let again = core_update::update(&app, &tenant).await.unwrap();
    assert_eq!(again["Acme - Super Admin Portal"]["added"], json!([]));
}

#[tokio::test]
async fn lists_and_numbers_show_no_secrets() {
    let app = app().await;
    let made = active(&app, "acme").await;
    let mut with_saml = request("fed");
    with_saml["config"] = json!({ "federate": { "saml": [{ "name": "My Idp", "provider": "custom",
        "idpCertificates": ["c"], "ssoLoginUrl": "https://i.test", "ssoLogoutUrl": "https://i.test" }] } });
    let fed = new_group::create(&app, &with_saml).await.unwrap().group;
    assert!(
        fed.config.federate.saml[0]
            .get_str("spPrivateKey")
            .is_some_and(|k| k.contains("RSA PRIVATE KEY"))
    );
    let all = rules::list(&app, &Vec::new()).await.unwrap();
    let text = json!(all).to_string();
    assert_eq!(all.len(), 2);
    for secret in [
        "spPrivateKey",
        "cookieKeys",
        "\"keys\"",
        &made.group.config.cookie_keys[0],
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(text.contains(&format!(
        "/{}/interaction/callback/saml/custom/my_idp",
        fed.id
    )));
    let pairs = vec![
        ("$select".to_owned(), "name".to_owned()),
        ("$filter".to_owned(), "prettyName eq 'acme'".to_owned()),
    ];
    assert_eq!(
        json!(rules::list(&app, &pairs).await.unwrap()),
        json!([{ "id": made.group.id, "name": "Acme" }])
    );
    let bad = vec![("$filter".to_owned(), "config/cookieKeys eq 'x'".to_owned())];
    assert_eq!(code(rules::list(&app, &bad).await), 400);
    assert_eq!(
        rules::usage(&app, &made.group.id).await.unwrap(),
        json!({ "activeUsers": 1, "b2bUsers": 1, "products": 2, "organizations": 1 })
    );
    assert_eq!(
        rules::find_public(&app, "ACME").await.unwrap().id,
        made.group.id
    );
    assert_eq!(code(rules::find_public(&app, "fed").await), 404);
}
