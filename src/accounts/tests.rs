//! The endpoints from the request on, on an embedded store.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::{Value as Json, json};
use ueauth_actors::ManualClock;

use crate::accounts::model::{LoginAttempt, PasswordHistory};
use crate::accounts::routes::ROUTES;
use crate::accounts::{Account, passwords};
use crate::app::{App, Parts};
use crate::gate::tokens::{self, NewIat};
use crate::gate::{Ctx, Route, chain};
use crate::groups::AuthGroup;
use crate::http::Request;
use crate::http::hosts::Hosts;
use crate::http::request::Body;
use crate::http::router::{Found, Router};
use crate::oidc::records::{AccessToken, Purpose, Record, RefreshToken, Session};
use crate::organizations::Organization;
use crate::profiles::{Profile, ProfileAccess};
use crate::settings::Settings;
use crate::store::{Object, Value, eq};

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
    let mut router = Router::default();
    for route in ROUTES {
        router.add(route.method.clone(), route.path, route).unwrap();
    }
    let world = World {
        app,
        router,
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
            "g1-member:::accounts::read:own g1-member:::accounts::update:own g1-member:::accounts::delete:own",
        );
        let extra: Object = [
            ("group".to_owned(), Value::from("g1")),
            ("x-access-group".to_owned(), Value::from("member")),
            ("x-access-permissions".to_owned(), Value::from(permissions)),
        ]
        .into_iter()
        .collect();
        let token = AccessToken {
            iat: NOW / 1000,
            exp: NOW / 1000 + 600,
            jti: id.to_owned(),
            kind: "AccessToken".to_owned(),
            client_id: "portal".to_owned(),
            account_id: id.to_owned(),
            session_uid: Some(format!("{id}-1")),
            extra,
            ..AccessToken::default()
        };
        let record = Record::new(format!("token-{id}"), token, Some(NOW / 1000 + 600));
        self.app
            .store
            .of::<Record<AccessToken>>()
            .insert(&record)
            .await
            .unwrap();
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
        let Found::Route(route, params) =
            self.router.find(&method, path.split('?').next().unwrap())
        else {
            panic!("no such route: {path}")
        };
        let mut http = TestRequest::with_uri(path).method(method);
        if let Some(token) = token {
            http = http.insert_header(("authorization", format!("Bearer {token}")));
        }
        let host = self.app.settings.service_host().to_owned();
        let hosts = Hosts {
            header: host.clone(),
            name: host.clone(),
            effective: host,
            ..Hosts::default()
        };
        let mut req = Request::new(http.to_http_request(), hosts, "id".to_owned());
        req.set_params(params).unwrap();
        req.body = Body::Json(body);
        let reply = match chain::run(Ctx::new(Arc::clone(&self.app), req, route)).await {
            Ok(reply) => reply,
            Err(e) => return (e.status.as_u16(), e.body("id")),
        };
        let status = reply.status().as_u16();
        let bytes = actix_web::body::to_bytes(reply.into_body()).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Json::Null);
        (status, body)
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
        let new = NewIat {
            group: "g1".to_owned(),
            life: 900,
            sub: Some(id.to_owned()),
            email: Some(format!("{id}@acc.test")),
            ..NewIat::default()
        };
        tokens::mint(&self.app, Purpose::AccountAction, new)
            .await
            .unwrap()
            .id
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

#[actix_web::test]
async fn hole_the_callers_own_password_is_not_echoed_and_a_generated_one_is() {
    let w = world(|_| {}).await;
    let body = json!({ "email": "Ada@Acc.test", "username": "ADA", "password": "Ada!pass1" });
    let (status, answer) = w.call(Method::POST, "/api/gee/account", None, body).await;
    assert_eq!(status, 201, "{answer}");
    let data = &answer["data"];
    assert_eq!(
        (&data["email"], &data["username"]),
        (&json!("ada@acc.test"), &json!("ada"))
    );
    assert_eq!(data["modifiedBy"], "SYSTEM_ADMIN");
    for hidden in [
        "password",
        "phone",
        "access",
        "identities",
        "recoverCodes",
        "_id",
    ] {
        assert!(data.get(hidden).is_none(), "{hidden}");
    }
    assert!(w.matches(data["id"].as_str().unwrap(), "Ada!pass1").await);
    let body = json!({ "email": "gen@acc.test", "generatePassword": true });
    let (status, answer) = w.call(Method::POST, "/api/g1/account", None, body).await;
    assert_eq!(status, 201);
    let data = &answer["data"];
    let made = data["password"].as_str().unwrap();
    assert!(w.matches(data["id"].as_str().unwrap(), made).await);
}

#[actix_web::test]
async fn creating_is_refused_as_clients_know_it() {
    let w = world(|_| {}).await;
    for (body, status, message) in [
        (
            json!({}),
            400,
            "Error while validating request: request/body must have required property 'email'",
        ),
        (
            json!({ "email": "x@acc.test" }),
            428,
            "password is required",
        ),
        (
            json!({ "email": "x@acc.test", "password": "abc" }),
            417,
            "Password must follow this policy: At least 6 characters, at least one special character.",
        ),
        (
            json!({ "email": "x@acc.test", "password": "Abc!def", "zzz": 1 }),
            400,
            "Error while validating request: request/body must NOT have additional properties",
        ),
        (
            json!({ "email": "OWNER@acc.test", "password": "Abc!def" }),
            409,
            "accounts index: email_1_authGroup_1 dup key: { email, authGroup }",
        ),
        (
            json!({ "email": "x@acc.test", "username": "Owner", "password": "Abc!def" }),
            409,
            "accounts index: username_1_authGroup_1 dup key: { username, authGroup }",
        ),
    ] {
        let (got, answer) = w
            .call(Method::POST, "/api/g1/account", None, body.clone())
            .await;
        assert_eq!(got, status, "{body}");
        assert_eq!(answer["message"], message, "{body}");
    }
    let locked = world(|g| g.locked = true).await;
    let body = json!({ "email": "x@acc.test", "password": "Abc!def" });
    let (status, _) = locked
        .call(Method::POST, "/api/g1/account", None, body.clone())
        .await;
    assert_eq!(status, 401);
    let (status, answer) = locked.as_owner(Method::POST, "/api/g1/account", body).await;
    assert_eq!(
        (status, &answer["data"]["modifiedBy"]),
        (201, &json!("owner"))
    );
}

#[actix_web::test]
async fn the_owners_first_account_activates_its_group() {
    let w = world(|_| {}).await;
    let group: AuthGroup = serde_json::from_value(json!({
        "_id": "g2", "name": "G2", "prettyName": "two", "owner": "Boss@two.test", "active": false,
    }))
    .unwrap();
    w.app.store.of::<AuthGroup>().insert(&group).await.unwrap();
    let new = NewIat {
        group: "g2".to_owned(),
        life: 900,
        ..NewIat::default()
    };
    let token = tokens::mint(&w.app, Purpose::GroupActivation, new)
        .await
        .unwrap()
        .id;
    let create = |token, body| w.call(Method::POST, "/api/two/account", token, body);
    let body = |email: &str, password: &str| json!({ "email": email, "password": password });
    let token = Some(token.as_str());
    assert_eq!(
        create(None, body("boss@two.test", "Boss!pass")).await.0,
        401
    );
    assert_eq!(create(token, body("x@two.test", "Boss!pass")).await.0, 412);
    assert_eq!(create(token, body("boss@two.test", "weak")).await.0, 417);
    let generated = json!({ "email": "boss@two.test", "generatePassword": true });
    let (status, answer) = create(token, generated).await;
    assert_eq!(status, 201, "{answer}");
    let data = &answer["data"];
    assert!(data["access"].is_object() && data["client"].is_object());
    assert_eq!(data["account"]["verified"], true);
    let id = data["account"]["id"].as_str().unwrap();
    let password = data["account"]["password"].as_str().unwrap();
    assert!(w.matches(id, password).await);
    // from now on it is a group like any other, open to registration
    let (status, _) = create(token, body("next@two.test", "Next!pass")).await;
    assert_eq!(status, 201);
}

#[actix_web::test]
async fn hole_a_user_name_can_not_be_the_address_of_another() {
    let w = world(|_| {}).await;
    w.add("bob").await;
    for names in [
        json!({ "email": "x@acc.test", "username": "Bob@acc.test", "password": "Abc!def" }),
        json!({ "email": "bob", "username": "x", "password": "Abc!def" }),
    ] {
        let (status, _) = w
            .call(Method::POST, "/api/g1/account", None, names.clone())
            .await;
        assert_eq!(status, 409, "{names}");
    }
    let (status, _) = w
        .as_owner(
            Method::PATCH,
            "/api/g1/account/bob",
            replace("/username", "owner@acc.test"),
        )
        .await;
    assert_eq!(status, 409);
    assert_eq!(w.account("bob").await.username, "bob");
}

#[actix_web::test]
async fn a_profile_belongs_to_the_new_account_and_its_maker_may_view_it() {
    let w = world(|g| g.locked = true).await;
    let body = json!({
        "email": "ada@acc.test", "password": "Ada!pass1",
        "profile": { "givenName": "Ada", "accountId": "owner", "authGroup": "other" },
    });
    let (_, answer) = w.as_owner(Method::POST, "/api/g1/account", body).await;
    let profiles = w
        .app
        .store
        .of::<Profile>()
        .find(eq("authGroup", "g1"))
        .await
        .unwrap();
    assert_eq!(profiles.len(), 1);
    assert_eq!(
        profiles[0].account_id,
        answer["data"]["id"].as_str().unwrap()
    );
    assert_eq!(profiles[0].details.given_name.as_deref(), Some("Ada"));
    let access = w
        .app
        .store
        .of::<ProfileAccess>()
        .find(eq("authGroup", "g1"))
        .await
        .unwrap();
    assert_eq!(access.len(), 1);
    assert_eq!(access[0].viewing_account_id, "owner");
}

#[actix_web::test]
async fn a_due_verify_message_that_is_not_sent_is_no_success() {
    let w = world(|g| {
        g.config.auto_verify = true;
        g.plugin_options.notification.enabled = true;
    })
    .await;
    let mut plugins = crate::plugins::rules::first(&w.app, "x").await.unwrap();
    plugins.notifications.enabled = true;
    w.app
        .store
        .of::<crate::plugins::Plugins>()
        .put(&plugins)
        .await
        .unwrap();
    w.app.plugins.changed();
    let body = json!({ "email": "ada@acc.test", "password": "Ada!pass1" });
    let (status, answer) = w.call(Method::POST, "/api/g1/account", None, body).await;
    assert_eq!(status, 424);
    assert_eq!(answer["data"]["account"]["email"], "ada@acc.test");
}

#[actix_web::test]
async fn hole_imported_accounts_hold_no_clear_password_and_names_in_lower_case() {
    let w = world(|_| {}).await;
    let body = json!([
        { "email": "One@acc.test", "id": "chosen" },
        { "email": "two@acc.test", "username": "TWO", "phone": { "txt": "+15550001" } },
        { "email": "ONE@acc.test", "username": "again" },
        { "email": "three@acc.test", "username": "owner" },
        { "email": "four@acc.test", "id": "owner" },
        { "email": "five@acc.test" },
    ]);
    let (status, answer) = w.as_owner(Method::POST, "/api/g1/accounts", body).await;
    assert_eq!(status, 201, "{answer}");
    let data = &answer["data"];
    assert_eq!((&data["attempted"], &data["ok"]), (&json!(6), &json!(3)));
    let failed: Vec<_> = data["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["index"].as_u64().unwrap())
        .collect();
    assert_eq!(failed, [2, 3, 4]);
    assert_eq!(data["failed"][0]["err"]["code"], 11000);
    assert!(data["failed"][0]["err"].get("op").is_none());
    assert_eq!(data["success"][0]["id"], "chosen");
    assert_eq!(data["success"][1]["username"], "two");
    let one = w.account("chosen").await;
    assert_eq!(
        (&*one.email, &*one.modified_by, one.verified),
        ("one@acc.test", "owner", false)
    );
    assert!(one.password.starts_with("unusable:"));
    assert!(!w.matches("chosen", &one.password).await);
    let many: Vec<Json> = (0..1001)
        .map(|i| json!({ "email": format!("m{i}@acc.test") }))
        .collect();
    let (status, answer) = w
        .as_owner(Method::POST, "/api/g1/accounts", many.into())
        .await;
    assert_eq!(status, 400, "{answer}");
}

#[actix_web::test]
async fn reading_shows_others_to_administrators_and_the_phone_to_oneself() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    let ada = Some("token-ada");
    let get = |path: &'static str, token| w.call(Method::GET, path, token, Json::Null);
    let (status, answer) = get("/api/g1/account/me", ada).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&answer["data"]["id"], &answer["data"]["phone"]),
        (&json!("ada"), &json!({}))
    );
    let (status, answer) = get("/api/g1/account/owner", ada).await;
    assert_eq!((status, &answer["message"]), (404, &json!("owner")));
    let (status, answer) = get("/api/g1/account/ada", Some("token-owner")).await;
    assert_eq!((status, answer["data"].get("phone")), (200, None));
    let (status, answer) = get("/api/g1/account/nobody", Some("token-owner")).await;
    assert_eq!(
        (status, &answer["message"]),
        (404, &json!("id requested was nobody"))
    );
    assert_eq!(get("/api/g1/account/ada", None).await.0, 401);
    assert_eq!(get("/api/g1/accounts", ada).await.0, 403);
}

#[actix_web::test]
async fn lists_follow_their_options_and_hole_hidden_fields_can_not_be_probed() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    let get = |path: &'static str| w.as_owner(Method::GET, path, Json::Null);
    let (status, answer) = get("/api/g1/accounts?$filter=email%20eq%20%27ada@acc.test%27").await;
    assert_eq!((status, answer["data"].as_array().unwrap().len()), (200, 1));
    assert!(answer["data"][0].get("password").is_none());
    let (_, answer) = get("/api/g1/accounts?$select=email,access&$orderby=email").await;
    assert_eq!(
        answer["data"],
        json!([{ "id": "ada", "email": "ada@acc.test" }, { "id": "owner", "email": "owner@acc.test" }])
    );
    for path in [
        "/api/g1/accounts?$filter=startswith(password,%27$%27)",
        "/api/g1/accounts?$orderby=password",
        "/api/g1/accounts?$filter=recoverCodes%20eq%20%27x%27",
    ] {
        let (status, answer) = get(path).await;
        assert_eq!(
            (status, &answer["message"]),
            (400, &json!("Check your oData inputs")),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn search_finds_exactly_and_by_words() {
    let w = world(|_| {}).await;
    w.add("dave").await;
    w.add("davesolo").await;
    let get = |path: &'static str| w.as_owner(Method::GET, path, Json::Null);
    let (status, answer) = get("/api/g1/accounts/search").await;
    assert_eq!(
        (status, &answer["message"]),
        (400, &json!("no search provided"))
    );
    let solo = json!({ "id": "davesolo", "email": "davesolo@acc.test", "username": "davesolo" });
    let (_, answer) = get("/api/g1/accounts/search?q=DaveSolo").await;
    assert_eq!(answer["data"], json!({ "exact": solo, "like": [solo] }));
    let (_, answer) = get("/api/g1/accounts/search?q=zzz").await;
    assert_eq!(answer["data"], json!({ "exact": null, "like": [] }));
    let (_, answer) = get("/api/g1/accounts/search?q=davesolo&restrictEmail=other.test").await;
    assert_eq!(answer["data"], json!({ "exact": {}, "like": [] }));
    let (_, answer) = get("/api/g1/accounts/search?q=davesolo&restrictEmail=x.test,acc.test").await;
    assert_eq!(
        answer["data"]["like"],
        json!([{ "id": "davesolo", "email": "davesolo@acc.test" }])
    );
}

#[actix_web::test]
async fn patches_name_their_author_and_hole_change_nobody_elses_account() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    w.add("bob").await;
    let (status, answer) = w
        .call(
            Method::PATCH,
            "/api/g1/account/me",
            Some("token-ada"),
            replace("/username", "ADA2"),
        )
        .await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["data"]["username"], &answer["data"]["modifiedBy"]),
        (&json!("ada2"), &json!("ada"))
    );
    let (status, answer) = w
        .call(
            Method::PATCH,
            "/api/g1/account/bob",
            Some("token-ada"),
            replace("/username", "x"),
        )
        .await;
    assert_eq!((status, &answer["message"]), (404, &json!("bob")));
    let (status, _) = w
        .call(
            Method::PATCH,
            "/api/g1/account/me",
            Some("token-ada"),
            json!({ "op": "add" }),
        )
        .await;
    assert_eq!(status, 400);
    let (status, answer) = w
        .as_owner(Method::PATCH, "/api/g1/account/nobody", json!([]))
        .await;
    assert_eq!((status, &answer["message"]), (404, &json!("nobody")));
    let (status, _) = w
        .as_owner(
            Method::PATCH,
            "/api/g1/account/owner",
            replace("/active", false),
        )
        .await;
    assert_eq!(status, 400);
}

#[actix_web::test]
async fn hole_a_password_change_ends_the_other_sessions_and_clears_the_lock_out() {
    let w = world(|g| g.config.failed_login_thresholds.enabled = true).await;
    w.add("ada").await;
    let attempt: LoginAttempt = serde_json::from_value(json!({
        "_id": "1", "createdAt": NOW, "authGroup": "g1", "accountId": "ada",
    }))
    .unwrap();
    w.app
        .store
        .of::<LoginAttempt>()
        .insert(&attempt)
        .await
        .unwrap();
    let body = replace("/password", "N3w!pass");
    let (status, _) = w
        .call(Method::PATCH, "/api/g1/account/me", Some("token-ada"), body)
        .await;
    assert_eq!(status, 200);
    assert!(w.matches("ada", "N3w!pass").await);
    assert_eq!(
        w.sessions("ada").await,
        ["s-ada-1"],
        "the caller's own session stays"
    );
    assert_eq!(
        w.app
            .store
            .of::<LoginAttempt>()
            .count(eq("accountId", "ada"))
            .await
            .unwrap(),
        0
    );
    w.as_owner(
        Method::PATCH,
        "/api/g1/account/ada",
        replace("/password", "An0ther!"),
    )
    .await;
    assert!(w.sessions("ada").await.is_empty());
    assert_eq!(w.sessions("owner").await.len(), 2);
}

#[actix_web::test]
async fn hole_a_mailed_token_is_used_up_by_success_alone_and_only_once() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    let token = w.mailed_token("ada").await;
    let patch = |body| w.call(Method::PATCH, "/api/g1/account/ada", Some(&token), body);
    assert_eq!(patch(replace("/username", "x")).await.0, 405);
    assert_eq!(patch(replace("/password", "weak")).await.0, 417);
    let other = w.call(
        Method::PATCH,
        "/api/g1/account/owner",
        Some(&token),
        replace("/password", "N3w!pass"),
    );
    assert_eq!(other.await.0, 404);
    assert_eq!(w.sessions("ada").await.len(), 2, "nothing has happened yet");
    let body = json!([
        { "op": "replace", "path": "/password", "value": "N3w!pass" },
        { "op": "replace", "path": "/verified", "value": true },
    ]);
    assert_eq!(patch(body.clone()).await.0, 200);
    assert!(w.account("ada").await.verified && w.matches("ada", "N3w!pass").await);
    assert!(w.sessions("ada").await.is_empty());
    assert_eq!(patch(body).await.0, 401);
}

#[actix_web::test]
async fn hole_setpass_verifies_by_mailed_token_alone() {
    let w = world(|_| {}).await;
    w.add("ada").await;
    let set = |token, password: &str| {
        w.call(
            Method::POST,
            "/api/g1/setpass",
            token,
            json!({ "password": password }),
        )
    };
    assert_eq!(set(None, "N3w!pass").await.0, 401);
    let (status, answer) = w
        .call(
            Method::POST,
            "/api/g1/setpass",
            Some("token-ada"),
            json!({}),
        )
        .await;
    assert_eq!(
        (status, &answer["message"]),
        (428, &json!("password is required"))
    );
    assert_eq!(set(Some("token-ada"), "weak").await.0, 417);
    assert_eq!(set(Some("token-ada"), "N3w!pass1").await.0, 204);
    assert!(w.matches("ada", "N3w!pass1").await);
    assert!(!w.account("ada").await.verified);
    let token = w.mailed_token("ada").await;
    assert_eq!(set(Some(&token), "weak").await.0, 417);
    assert_eq!(set(Some(&token), "N3w!pass2").await.0, 204);
    assert!(w.account("ada").await.verified && w.matches("ada", "N3w!pass2").await);
    assert_eq!(set(Some(&token), "N3w!pass3").await.0, 401);
}

#[actix_web::test]
async fn passwords_do_not_come_back_where_that_is_forbidden() {
    let w = world(|g| g.config.restrict_password_repeats = true).await;
    w.add("ada").await;
    let set = |password: &'static str| {
        w.as_owner(
            Method::PATCH,
            "/api/g1/account/ada",
            replace("/password", password),
        )
    };
    assert_eq!(set("F1rst!pass").await.0, 200);
    assert_eq!(set("Sec0nd!pass").await.0, 200);
    assert_eq!(set("F1rst!pass").await.0, 417);
    assert!(w.matches("ada", "Sec0nd!pass").await);
    // an entry of an older database
    let old: PasswordHistory = serde_json::from_value(json!({
        "_id": "old", "createdAt": NOW - 1000, "authGroup": "g1", "accountId": "ada",
        "value": bcrypt::hash("B!crypted", 4).unwrap(),
    }))
    .unwrap();
    w.app
        .store
        .of::<PasswordHistory>()
        .insert(&old)
        .await
        .unwrap();
    assert_eq!(set("B!crypted").await.0, 417);
    for n in 0..40 {
        passwords::remember(&w.app, "g1", "ada", &format!("hash{n}"))
            .await
            .unwrap();
    }
    let count = w
        .app
        .store
        .of::<PasswordHistory>()
        .count(eq("accountId", "ada"))
        .await;
    assert_eq!(count.unwrap(), 30);
}

#[actix_web::test]
async fn hole_a_deleted_account_leaves_nothing_behind() {
    let w = world(|g| g.config.restrict_password_repeats = true).await;
    w.add("ada").await;
    w.add("bob").await;
    for id in ["ada", "bob"] {
        passwords::remember(&w.app, "g1", id, "x").await.unwrap();
        let refresh = RefreshToken {
            account_id: id.to_owned(),
            ..RefreshToken::default()
        };
        let record = Record::new(format!("r-{id}"), refresh, None);
        w.app
            .store
            .of::<Record<RefreshToken>>()
            .insert(&record)
            .await
            .unwrap();
        w.mailed_token(id).await;
    }
    let (status, answer) = w
        .call(
            Method::DELETE,
            "/api/g1/account/bob",
            Some("token-ada"),
            Json::Null,
        )
        .await;
    assert_eq!((status, &answer["message"]), (404, &json!("bob")));
    let (status, answer) = w
        .as_owner(Method::DELETE, "/api/g1/account/owner", Json::Null)
        .await;
    assert_eq!(
        (status, &answer["message"]),
        (
            400,
            &json!("You can not delete the owner of the auth group")
        )
    );
    let (status, answer) = w
        .call(
            Method::DELETE,
            "/api/g1/account/ada",
            Some("token-ada"),
            Json::Null,
        )
        .await;
    assert_eq!((status, &answer["data"]["id"]), (200, &json!("ada")));
    let (status, answer) = w
        .as_owner(Method::DELETE, "/api/g1/account/ada", Json::Null)
        .await;
    assert_eq!(
        (status, &answer["message"]),
        (404, &json!("id requested was ada"))
    );
    let store = &w.app.store;
    let iats = store.of::<Record<crate::oidc::records::InitialAccessToken>>();
    for (id, left) in [("ada", 0), ("bob", 1)] {
        let issued = || eq("payload.accountId", id);
        assert_eq!(w.sessions(id).await.len(), left * 2);
        let left = left as u64;
        assert_eq!(
            store
                .of::<Record<RefreshToken>>()
                .count(issued())
                .await
                .unwrap(),
            left
        );
        assert_eq!(
            store
                .of::<Record<AccessToken>>()
                .count(issued())
                .await
                .unwrap(),
            left
        );
        assert_eq!(
            store
                .of::<PasswordHistory>()
                .count(eq("accountId", id))
                .await
                .unwrap(),
            left
        );
        assert_eq!(iats.count(eq("payload.sub", id)).await.unwrap(), left);
    }
}
