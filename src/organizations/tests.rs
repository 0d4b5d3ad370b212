//! Organizations, their domains and members, from the request on, on an embedded store.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use ueauth_actors::ManualClock;

use crate::accounts::Account;
use crate::accounts::model::{AccessEntry, OrganizationAccess};
use crate::app::{App, Parts};
use crate::domains::Domain;
use crate::gate::{Route, testing};
use crate::groups::AuthGroup;
use crate::http::router::Router;
use crate::oidc::records::AccessToken;
use crate::organizations::Organization;
use crate::products::Product;
use crate::roles::Role;
use crate::settings::Settings;
use crate::store::{Document, Object, Value};

mod access;
mod domains;
mod members;
mod whole;

const NOW: i64 = 1_800_000_000_000;
const MEMBER: &str = "g1-member:::accounts::read:own g1-member:::accounts::update:own g1-member:::accounts::delete:own g1-member:::useraccess::read:own";

struct World {
    app: App,
    router: Router<&'static Route>,
    _folder: tempfile::TempDir,
}

/// A group `g1` of `owner` with organizations `core`, `a` and `b`, each with its administrative
/// domain (`core-d`, `a-d`, `b-d`), and a product `shop` that `a` has.
async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::defaults().unwrap();
    settings.store.url = format!("sqlite:{}", folder.path().join("t.db").display()).into();
    settings.hash.memory_kib = 8.try_into().unwrap();
    settings.hash.iterations = 1.try_into().unwrap();
    let app = Parts::start(settings, Arc::new(ManualClock::new(NOW)), None)
        .await
        .unwrap();
    let w = World {
        app,
        router: testing::router(),
        _folder: folder,
    };
    w.put::<AuthGroup>(json!({
        "_id": "g1", "name": "G", "prettyName": "gee", "owner": "owner", "active": true, "associatedClient": "portal",
    }))
    .await;
    for (id, core) in [("adm", "groupAdmin"), ("org", "orgAdmin")] {
        w.put::<Product>(json!({
            "_id": id, "authGroup": "g1", "name": id, "codedId": format!("{id}code"),
            "type": "global", "core": true, "meta": { "core": core },
        }))
        .await;
    }
    w.put::<Product>(json!({
        "_id": "shop", "authGroup": "g1", "name": "Shop", "codedId": "shopcode", "meta": { "core": "x" },
    }))
    .await;
    for (id, products) in [
        ("core", json!(["adm", "org"])),
        ("a", json!(["org", "shop"])),
        ("b", json!(["org"])),
    ] {
        w.put::<Organization>(json!({
            "_id": id, "authGroup": "g1", "name": id, "core": id == "core",
            "associatedProducts": products,
        }))
        .await;
        w.put::<Domain>(json!({
            "_id": format!("{id}-d"), "authGroup": "g1", "organization": id, "name": "Administrative",
            "core": true, "associatedOrgProducts": products, "meta": { "admin": id },
        }))
        .await;
    }
    w.person("owner", &[]).await;
    w
}

impl World {
    async fn put<T: Document>(&self, document: Json) {
        let document: T = serde_json::from_value(document).unwrap();
        self.app.store.of::<T>().insert(&document).await.unwrap();
    }

    async fn get<T: Document>(&self, id: &str) -> Option<T> {
        self.app.store.of::<T>().get(id).await.unwrap()
    }

    async fn person(&self, id: &str, held: &[(&str, &str)]) {
        self.person_in(id, held, None).await;
    }

    /// An account in the organizations, with a token that carries these permissions of the
    /// customers' portal there, and maybe states an organization as its context.
    async fn person_in(&self, id: &str, held: &[(&str, &str)], context: Option<&str>) {
        let mut account = crate::accounts::create::blank(
            &self.app,
            "g1",
            format!("{id}@acc.test"),
            id.to_owned(),
        );
        id.clone_into(&mut account.id);
        let mut permissions = Object::new();
        permissions.insert("member", MEMBER);
        for (organization, codes) in held {
            account.access.push(AccessEntry {
                organization: OrganizationAccess {
                    id: (*organization).to_owned(),
                    domains: vec![format!("{organization}-d")],
                    ..OrganizationAccess::default()
                },
                extra: Object::default(),
            });
            let coded: Vec<String> = codes
                .split_whitespace()
                .map(|c| format!("orgcode:::{c}"))
                .collect();
            permissions.insert(*organization, coded.join(" "));
        }
        let organizations: Vec<&str> = held.iter().map(|(o, _)| *o).collect();
        self.app
            .store
            .of::<Account>()
            .insert(&account)
            .await
            .unwrap();
        let mut extra: Object = [
            ("group".to_owned(), Value::from("g1")),
            ("x-access-group".to_owned(), Value::from("member")),
            (
                "x-access-organizations".to_owned(),
                Value::from(organizations.join(" ")),
            ),
            ("x-access-permissions".to_owned(), Value::from(permissions)),
        ]
        .into_iter()
        .collect();
        if let Some(context) = context {
            extra.insert("x-organization-context", context);
        }
        let token = AccessToken {
            client_id: "portal".to_owned(),
            account_id: id.to_owned(),
            extra,
            ..AccessToken::default()
        };
        testing::token(&self.app, &format!("token-of-{id}"), token).await;
    }

    /// Status and body of the answer to a caller, who is named like the token.
    async fn call(&self, who: &str, method: &str, path: &str, body: Json) -> (u16, Json) {
        let (token, path) = (format!("token-of-{who}"), format!("/api/g1/{path}"));
        testing::call(&self.app, &self.router, &token, method, &path, body).await
    }

    async fn status(&self, who: &str, method: &str, path: &str, body: Json) -> u16 {
        self.call(who, method, path, body).await.0
    }

    async fn organization(&self, id: &str) -> Organization {
        self.get(id).await.unwrap()
    }

    /// The ids of the organizations that the account is in.
    async fn organizations_of(&self, id: &str) -> Vec<String> {
        let account: Account = self.get(id).await.unwrap();
        account
            .access
            .into_iter()
            .map(|e| e.organization.id)
            .collect()
    }

    async fn role(&self, id: &str, organization: Option<&str>) {
        let mut role = json!({
            "_id": id, "authGroup": "g1", "name": id, "codedId": id, "product": "shop",
        });
        if let Some(organization) = organization {
            role["custom"] = true.into();
            role["organization"] = organization.into();
        }
        self.put::<Role>(role).await;
    }
}

fn replace(path: &str, value: impl Into<Json>) -> Json {
    json!([{ "op": "replace", "path": path, "value": value.into() }])
}

fn add(path: &str, value: impl Into<Json>) -> Json {
    json!([{ "op": "add", "path": path, "value": value.into() }])
}
