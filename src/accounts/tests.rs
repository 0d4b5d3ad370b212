//! The endpoints from the request on, on an embedded store.

use std::sync::Arc;

use actix_web::http::Method;
use serde_json::{Value as Json, json};
use ueauth_actors::ManualClock;

use crate::accounts::model::{LoginAttempt, PasswordHistory};
use crate::accounts::{Account, passwords};
use crate::app::{App, Parts};
use crate::gate::tokens::{self, NewIat};
use crate::gate::{Route, testing};
use crate::groups::AuthGroup;
use crate::http::router::Router;
use crate::oidc::records::{AccessToken, Purpose, Record, RefreshToken, Session};
use crate::organizations::Organization;
use crate::profiles::{Profile, ProfileAccess};
use crate::settings::Settings;
use crate::store::{Object, Value, eq};

mod changing;
mod making;
mod operating;
mod recovering;

const NOW: i64 = 1_800_000_000_000;

struct World {
    app: App,
    router: Router<&'static Route>,
    _folder: tempfile::TempDir,
}

/// A group `g1` whose owner is the account `owner`.
async fn world(edit: impl FnOnce(&mut AuthGroup)) -> World {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::defaults().unwrap();
    settings.store.url = format!("sqlite:{}", folder.path().join("t.db").display()).into();
    settings.hash.memory_kib = 8.try_into().unwrap();
    settings.hash.iterations = 1.try_into().unwrap();
    let app = Parts::start(settings, Arc::new(ManualClock::new(NOW)), None)
        .await
        .unwrap();
    let mut group: AuthGroup = serde_json::from_value(json!({
        "_id": "g1", "name": "G", "prettyName": "gee", "owner": "owner", "active": true,
        "associatedClient": "portal",
    }))
    .unwrap();
    edit(&mut group);
    app.store.of::<AuthGroup>().insert(&group).await.unwrap();
    let core: Organization = serde_json::from_value(json!({
        "_id": "core", "authGroup": "g1", "name": "Core", "core": true,
    }))
    .unwrap();
    app.store.of::<Organization>().insert(&core).await.unwrap();
    let world = World {
        app,
        router: testing::router(),
        _folder: folder,
    };
    world.add("owner").await;
    world
}

impl World {
    /// An account whose names follow from its id, with a token of its own.
    async fn add(&self, id: &str) {
        let hash = self.app.hasher.hash("Old!pass1".to_owned().into()).await;
        let mut account = crate::accounts::create::blank(
            &self.app,
            "g1",
            format!("{id}@acc.test"),
            id.to_owned(),
        );
        id.clone_into(&mut account.id);
        account.password = hash.unwrap();
        self.app
            .store
            .of::<Account>()
            .insert(&account)
            .await
            .unwrap();
        let mut permissions = Object::new();
        permissions.insert(
            "member",
            "g1-member:::accounts::read:own g1-member:::accounts::update:own g1-member:::accounts::delete:own g1-member:::operations-user::create:own",
        );
        let extra: Object = [
            ("group".to_owned(), Value::from("g1")),
            ("x-access-group".to_owned(), Value::from("member")),
            ("x-access-permissions".to_owned(), Value::from(permissions)),
        ]
        .into_iter()
        .collect();
        let token = AccessToken {
            client_id: "portal".to_owned(),
            account_id: id.to_owned(),
            session_uid: Some(format!("{id}-1")),
            extra,
            ..AccessToken::default()
        };
        testing::token(&self.app, &format!("token-{id}"), token).await;
        for n in 1..=2 {
            let session = Session {
                uid: format!("{id}-{n}"),
                account_id: Some(id.to_owned()),
                kind: "Session".to_owned(),
                ..Session::default()
            };
            let mut record = Record::new(format!("s-{id}-{n}"), session, Some(NOW / 1000 + 600));
            record.extra.insert("authGroup", "g1");
            self.app
                .store
                .of::<Record<Session>>()
                .insert(&record)
                .await
                .unwrap();
        }
    }

    /// Status and body of the answer. `token` is sent as bearer token.
    async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Json,
    ) -> (u16, Json) {
        let (status, body, _) = self.browse(method, path, token, "", false, body).await;
        (status, body)
    }

    /// As [`World::call`] with cookies; answers the first cookie that is set, too.
    async fn browse(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        cookie: &str,
        secure: bool,
        body: Json,
    ) -> (u16, Json, String) {
        let token = token.map(|t| format!("Bearer {t}"));
        let mut headers = vec![("cookie", cookie)];
        headers.extend(token.as_deref().map(|t| ("authorization", t)));
        let answer = testing::answer(
            &self.app,
            &self.router,
            &method,
            path,
            &headers,
            secure,
            body,
        )
        .await;
        let cookie = answer
            .as_ref()
            .ok()
            .and_then(|reply| reply.headers().get("set-cookie"));
        let cookie = cookie.map_or_else(String::new, |c| c.to_str().unwrap().to_owned());
        let (status, body) = testing::read(answer).await;
        (status, body, cookie)
    }

    async fn as_owner(&self, method: Method, path: &str, body: Json) -> (u16, Json) {
        self.call(method, path, Some("token-owner"), body).await
    }

    async fn account(&self, id: &str) -> Account {
        self.app
            .store
            .of::<Account>()
            .get(id)
            .await
            .unwrap()
            .unwrap()
    }

    async fn mailed_token(&self, id: &str) -> String {
        self.proof(id, Purpose::AccountAction).await
    }

    async fn is_live(&self, token: &str, purpose: Purpose) -> bool {
        let found = tokens::find(&self.app, "g1", token, purpose).await;
        found.unwrap().is_some()
    }

    async fn proof(&self, id: &str, purpose: Purpose) -> String {
        let new = NewIat {
            group: "g1".to_owned(),
            life: 900,
            sub: Some(id.to_owned()),
            email: Some(format!("{id}@acc.test")),
            ..NewIat::default()
        };
        tokens::mint(&self.app, purpose, new).await.unwrap().id
    }

    async fn sessions(&self, id: &str) -> Vec<String> {
        let filter = eq("payload.accountId", id);
        let found = self
            .app
            .store
            .of::<Record<Session>>()
            .find(filter)
            .await
            .unwrap();
        found.into_iter().map(|s| s.id).collect()
    }

    async fn matches(&self, id: &str, password: &str) -> bool {
        let stored = self.account(id).await.password;
        let verdict = self
            .app
            .hasher
            .verify(password.to_owned().into(), &stored)
            .await;
        verdict.unwrap().is_match()
    }
}

fn replace(path: &str, value: impl Into<Json>) -> Json {
    json!([{ "op": "replace", "path": path, "value": value.into() }])
}
