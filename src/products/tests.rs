//! The endpoints of products from the request on, on an embedded store, and the world that the
//! tests of roles, permissions and client access use as well.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use ueauth_actors::ManualClock;

use crate::accounts::Account;
use crate::app::{App, Parts};
use crate::clients::Client;
use crate::domains::Domain;
use crate::gate::{Route, testing};
use crate::groups::AuthGroup;
use crate::http::router::Router;
use crate::oidc::records::AccessToken;
use crate::organizations::Organization;
use crate::permissions::Permission;
use crate::products::Product;
use crate::roles::Role;
use crate::settings::Settings;
use crate::store::{Document, Object};

const NOW: i64 = 1_800_000_000_000;

/// The group `g1` of `owner` with the core products `admin` and `portal`, the product `shop` and
/// the organizations `core`, `acme` (portal, shop) and `other` (portal); and the group `root`.
pub struct World {
    pub app: App,
    router: Router<&'static Route>,
    _folder: tempfile::TempDir,
}

pub async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::defaults().unwrap();
    settings.store.url = format!("sqlite:{}", folder.path().join("t.db").display()).into();
    settings.security.root_full_control = true;
    let app = Parts::start(settings, Arc::new(ManualClock::new(NOW)), None)
        .await
        .unwrap();
    let w = World {
        app,
        router: testing::router(),
        _folder: folder,
    };
    for (id, name, owner) in [("g1", "gee", "owner"), ("rg", "root", "nobody")] {
        w.put::<AuthGroup>(json!({
            "_id": id, "name": name, "prettyName": name, "owner": owner, "active": true,
            "associatedClient": "ui",
        }))
        .await;
    }
    let org = |id: &str, group: &str, core: bool, products: &[&str]| json!({ "_id": id, "authGroup": group, "name": id, "core": core, "associatedProducts": products });
    w.put::<Organization>(org("rcore", "rg", true, &[])).await;
    w.put::<Organization>(org("core", "g1", true, &["admin", "portal"]))
        .await;
    w.put::<Organization>(org("acme", "g1", false, &["portal", "shop"]))
        .await;
    w.put::<Organization>(org("other", "g1", false, &["portal"]))
        .await;
    w.put::<Domain>(json!({
        "_id": "d1", "authGroup": "g1", "organization": "acme", "name": "d1",
        "associatedOrgProducts": ["shop"],
    }))
    .await;
    for (id, coded, core) in [
        ("admin", "AdminCode1", "groupAdmin"),
        ("portal", "PortalCod1", "orgAdmin"),
    ] {
        w.put::<Product>(json!({
            "_id": id, "authGroup": "g1", "name": id, "codedId": coded, "type": "global",
            "core": true, "meta": { "core": core },
        }))
        .await;
    }
    w.put::<Product>(json!({
        "_id": "shop", "authGroup": "g1", "name": "Shop", "codedId": "ShopCode01",
        "meta": { "core": "u1" }, "associatedClients": ["long gone"],
    }))
    .await;
    w.put::<Product>(json!({
        "_id": "foreign", "authGroup": "rg", "name": "F", "codedId": "ForeignCo1",
        "meta": { "core": "u2" },
    }))
    .await;
    w.person("g1", "owner", json!({})).await;
    w.person("rg", "rooty", json!({})).await;
    w
}

impl World {
    pub async fn put<T: Document>(&self, doc: Json) {
        let doc: T = serde_json::from_value(doc).unwrap();
        self.app.store.of::<T>().insert(&doc).await.unwrap();
    }

    pub async fn get<T: Document>(&self, id: &str) -> Option<T> {
        self.app.store.of::<T>().get(id).await.unwrap()
    }

    /// An account with a token; `access` maps organizations to `[permissions, products]`.
    pub async fn person(&self, group: &str, id: &str, access: Json) {
        let (email, name) = (format!("{id}@p.test"), id.to_owned());
        let mut account = crate::accounts::create::blank(&self.app, group, email, name);
        id.clone_into(&mut account.id);
        self.app
            .store
            .of::<Account>()
            .insert(&account)
            .await
            .unwrap();
        let access = access.as_object().unwrap();
        let part = |n: usize| -> Json {
            access
                .iter()
                .map(|(org, both)| (org.clone(), both[n].clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let organizations: Vec<&str> = access.keys().map(String::as_str).collect();
        let claims = json!({
            "group": group,
            "x-access-group": "member",
            "x-access-organizations": organizations.join(" "),
            "x-access-permissions": part(0),
            "x-access-products": part(1),
        });
        let token = AccessToken {
            client_id: "ui".to_owned(),
            account_id: id.to_owned(),
            extra: Object::from_json(&claims).unwrap(),
            ..AccessToken::default()
        };
        testing::token(&self.app, id, token).await;
    }

    /// Status and body of the answer to the person, whose token is its id. `call` is a method and
    /// a path below `/api/g1`.
    pub async fn call(&self, person: &str, call: &str, body: Json) -> (u16, Json) {
        let (method, path) = call.split_once(' ').unwrap();
        let path = format!("/api/g1{path}");
        testing::call(&self.app, &self.router, person, method, &path, body).await
    }

    pub async fn ask(&self, person: &str, call: &str) -> (u16, Json) {
        self.call(person, call, json!({})).await
    }

    /// A permission of a product, not core.
    pub async fn permission(&self, id: &str, product: &str, coded: &str) {
        let (target, action) = coded.split_once("::").unwrap();
        self.put::<Permission>(json!({
            "_id": id, "authGroup": "g1", "product": product, "target": target,
            "action": action.trim_end_matches(":own"), "coded": coded,
        }))
        .await;
    }

    pub async fn role(&self, id: &str, product: &str, more: Json) {
        let mut doc = json!({
            "_id": id, "authGroup": "g1", "name": id, "product": product, "codedId": format!("c-{id}"),
        });
        let map = doc.as_object_mut().unwrap();
        map.extend(more.as_object().unwrap().clone());
        self.put::<Role>(doc).await;
    }
}

pub fn replace(path: &str, value: impl Into<Json>) -> Json {
    json!([{ "op": "replace", "path": path, "value": value.into() }])
}

#[actix_web::test]
async fn hole_a_refused_deletion_keeps_the_product_and_its_permissions() {
    let w = world().await;
    w.permission("p1", "shop", "orders::read").await;
    w.role("clerk", "shop", json!({})).await;
    let (status, answer) = w.ask("owner", "DELETE /products/shop").await;
    assert_eq!(status, 400, "{answer}");
    assert_eq!(answer["data"][0]["id"], "acme");
    w.app
        .store
        .of::<Organization>()
        .delete("acme")
        .await
        .unwrap();
    let (status, answer) = w.ask("owner", "DELETE /products/shop").await;
    assert_eq!(
        (status, &answer["data"]),
        (400, &json!([{ "id": "clerk", "name": "clerk" }]))
    );
    assert!(w.get::<Permission>("p1").await.is_some());
    w.app.store.of::<Role>().delete("clerk").await.unwrap();
    let (status, answer) = w.ask("owner", "DELETE /products/ShopCode01").await;
    assert_eq!(
        (status, &answer["data"]["permissionsDeleted"]),
        (200, &json!(1))
    );
    assert!(w.get::<Permission>("p1").await.is_none());
    assert!(w.get::<Product>("shop").await.is_none());
    assert_eq!(w.ask("owner", "DELETE /products/shop").await.0, 404);
}

#[actix_web::test]
async fn hole_core_products_are_for_the_root_group_alone() {
    let w = world().await;
    let new = json!({ "name": "X", "core": true });
    assert_eq!(w.call("owner", "POST /products", new.clone()).await.0, 403);
    let patch = replace("/b2c", true);
    let change = "PATCH /products/AdminCode1";
    assert_eq!(w.call("owner", change, patch.clone()).await.0, 403);
    assert_eq!(w.ask("owner", "DELETE /products/admin").await.0, 403);
    assert!(!w.get::<Product>("admin").await.unwrap().b2c);
    let (status, answer) = w.call("rooty", "POST /products", new).await;
    assert_eq!((status, &answer["data"]["core"]), (201, &json!(true)));
    let tenant = w.app.tenants.find(&w.app, "g1").await.unwrap().unwrap();
    assert_eq!(
        tenant
            .core(&w.app.store)
            .await
            .unwrap()
            .unwrap()
            .products
            .len(),
        2
    );
    assert_eq!(w.call("rooty", change, patch).await.0, 200);
    let tenant = w.app.tenants.find(&w.app, "g1").await.unwrap().unwrap();
    let core = tenant.core(&w.app.store).await.unwrap().unwrap();
    assert!(core.products.iter().any(|p| p.b2c), "the snapshot is fresh");
}

#[actix_web::test]
async fn hole_a_patch_leaves_what_identifies_a_product() {
    let w = world().await;
    let before = w.get::<Product>("shop").await.unwrap();
    for (path, value) in [
        ("/codedId", json!("AdminCode1")),
        ("/authGroup", json!("rg")),
        ("/core", json!(true)),
        ("/meta", json!({ "core": "groupAdmin" })),
        ("/createdBy", json!("me")),
        ("/_id", json!("x")),
        ("/type", json!("gadget")),
        ("/name", json!("")),
        ("/name", json!(5)),
    ] {
        let body = json!([{ "op": "add", "path": path, "value": value }]);
        let (status, answer) = w.call("owner", "PATCH /products/shop", body).await;
        assert_eq!(
            (status, &answer["error"]),
            (400, &json!("ValidationError")),
            "{path}"
        );
    }
    let after = w.get::<Product>("shop").await.unwrap();
    assert_eq!(json!(after), json!(before));
    let (status, answer) = w
        .call(
            "owner",
            "PATCH /products/ShopCode01",
            replace("/name", "Stall"),
        )
        .await;
    assert_eq!(
        (status, &answer["data"]["modifiedBy"]),
        (200, &json!("owner"))
    );
    assert_eq!(answer["data"]["meta"], json!({}));
    let stored = w.get::<Product>("shop").await.unwrap();
    assert_eq!(stored.meta.core.as_deref(), Some("u1"));
    let change = w.call("owner", "PATCH /products/foreign", replace("/name", "x"));
    assert_eq!(change.await.0, 404, "of another group");
}

#[actix_web::test]
async fn clients_of_a_product_are_the_groups() {
    let w = world().await;
    for (id, group) in [("c1", "g1"), ("c2", "rg")] {
        let payload = json!({ "auth_group": group, "client_id": id, "client_name": id });
        w.put::<Client>(json!({ "_id": id, "payload": payload }))
            .await;
    }
    let add = |id: &str| json!([{ "op": "add", "path": "/associatedClients/-", "value": id }]);
    let (status, answer) = w.call("owner", "PATCH /products/shop", add("c2")).await;
    assert_eq!(status, 400);
    assert_eq!(
        answer["message"],
        "products validation failed: associatedClients.1: Client does not exist in this authGroup"
    );
    let (status, answer) = w.call("owner", "PATCH /products/shop", add("c1")).await;
    assert_eq!(
        (status, &answer["data"]["associatedClients"]),
        (200, &json!(["long gone", "c1"])),
        "what is gone may stay"
    );
    let new = |id: &str| json!({ "name": format!("N {id}"), "associatedClients": [id] });
    assert_eq!(w.call("owner", "POST /products", new("c2")).await.0, 400);
    assert_eq!(w.call("owner", "POST /products", new("c1")).await.0, 201);
    assert_eq!(w.call("owner", "POST /products", new("c1")).await.0, 409);
}

#[actix_web::test]
async fn hole_own_callers_see_their_organizations_products_only() {
    let w = world().await;
    let access = json!({ "acme": ["PortalCod1:::products::read:own", "portal shop"] });
    w.person("g1", "ada", access).await;
    w.person("g1", "bob", json!({})).await;
    for (call, status) in [
        ("GET /products", 403),
        ("GET /organization/acme/products", 200),
        ("GET /organization/acme/products/shop", 200),
        ("GET /organization/acme/products/admin", 404),
        ("GET /organization/acme/products/ShopCode01", 404),
        ("GET /organization/acme/domain/d1/products", 200),
        ("GET /organization/acme/domain/d1/products/shop", 200),
        ("GET /organization/acme/domain/d1/products/portal", 404),
        ("GET /organization/acme/domain/nope/products", 428),
        ("GET /organization/other/products", 403),
        ("GET /organization/core/products", 403),
    ] {
        assert_eq!(w.ask("ada", call).await.0, status, "{call}");
        assert_eq!(w.ask("bob", call).await.0, 403, "{call}");
        assert_eq!(w.ask("nobody", call).await.0, 401, "{call}");
    }
    let (_, answer) = w.ask("ada", "GET /organization/acme/products").await;
    assert_eq!(
        answer["data"][1],
        json!({ "id": "shop", "codedId": "ShopCode01", "authGroup": "g1", "name": "Shop", "b2c": false, "core": false })
    );
    let acme = json!({ "core": ["AdminCode1:::products::read:own", "portal"] });
    w.person("g1", "eve", acme).await;
    assert_eq!(w.ask("eve", "GET /products/portal").await.0, 200);
    assert_eq!(w.ask("eve", "GET /products/shop").await.0, 403);
    assert_eq!(
        w.ask("owner", "GET /organization/nope/products").await.0,
        404
    );
    assert_eq!(w.ask("owner", "GET /products/foreign").await.0, 404);
}
