mod api;

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::body::to_bytes;
use actix_web::http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use actix_web::test::TestRequest;
use futures_util::future::join_all;
use secrecy::SecretString;
use serde_json::{Value as Json, json};
use ueauth_actors::ManualClock;

use super::ROUTES;
use crate::app::{App, Parts};
use crate::clients::{Client, rules};
use crate::gate::tokens::{self, NewIat};
use crate::gate::{Ctx, Route, chain};
use crate::groups::AuthGroup;
use crate::http::Request;
use crate::http::hosts::Hosts;
use crate::http::request::Body;
use crate::jose::{Jwk, generate_group_keys};
use crate::oidc::records::{Purpose, Record, RegistrationAccessToken};
use crate::products::Product;
use crate::settings::Settings;
use crate::store::Filter;

const NOW: i64 = 1_795_505_797_000;

fn keys() -> Vec<Jwk> {
    static KEYS: std::sync::LazyLock<Vec<Jwk>> =
        std::sync::LazyLock::new(|| generate_group_keys().unwrap());
    KEYS.clone()
}

struct World {
    app: App,
    clock: Arc<ManualClock>,
    // the store's files live as long as this
    _files: tempfile::TempDir,
}

struct Answer {
    status: u16,
    body: Json,
    headers: HashMap<String, String>,
}

impl Answer {
    fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_default().to_owned()
    }

    fn refused(&self, status: u16, error: &str, message: &str) {
        assert_eq!(
            (self.status, self.text("error"), self.text("message")),
            (status, error.to_owned(), message.to_owned())
        );
    }
}

impl World {
    async fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut settings = Settings::defaults().unwrap();
        settings.store.url =
            SecretString::from(format!("sqlite:{}", files.path().join("db").display()));
        settings.security.single_use_iat = true;
        settings.rate_limits.enabled = false;
        let clock = Arc::new(ManualClock::new(NOW));
        let app = Parts::start(settings, clock.clone(), None).await.unwrap();
        for id in ["g1", "g2"] {
            let mut group: AuthGroup = serde_json::from_value(json!({
                "_id": id, "name": id, "prettyName": format!("{id}-alias"), "owner": "o",
                "active": true, "associatedClient": format!("{id}-primary"),
            }))
            .unwrap();
            group.config.keys = keys();
            app.store.of::<AuthGroup>().insert(&group).await.unwrap();
        }
        Self {
            app,
            clock,
            _files: files,
        }
    }

    async fn iat(&self, group: &str, purpose: Purpose) -> String {
        let new = NewIat {
            group: group.to_owned(),
            life: 600,
            ..NewIat::default()
        };
        tokens::mint(&self.app, purpose, new).await.unwrap().id
    }

    async fn clients(&self) -> u64 {
        self.app
            .store
            .of::<Client>()
            .count(Filter::All)
            .await
            .unwrap()
    }

    async fn call(
        &self,
        method: &str,
        group: &str,
        id: Option<&str>,
        token: Option<&str>,
        body: Body,
    ) -> Answer {
        let route = ROUTES
            .iter()
            .find(|r| r.method == method && r.path.contains("id") == id.is_some())
            .unwrap();
        let path = match id {
            Some(id) => format!("/{group}/reg/{id}"),
            None => format!("/{group}/reg"),
        };
        let param = id.map(|id| ("id", id.to_owned()));
        self.send(route, group, param, &path, token, body).await
    }

    /// What a request on a route answers.
    async fn send(
        &self,
        route: &'static Route,
        group: &str,
        param: Option<(&'static str, String)>,
        path: &str,
        token: Option<&str>,
        body: Body,
    ) -> Answer {
        let mut http = TestRequest::default()
            .method(route.method.clone())
            .uri(path);
        if let Some(token) = token {
            http = http.insert_header(("authorization", format!("bearer {token}")));
        }
        let hosts = Hosts {
            effective: self.app.settings.service_host().to_owned(),
            ..Hosts::default()
        };
        let mut req = Request::new(http.to_http_request(), hosts, "request".to_owned());
        let mut params = vec![("group", group.to_owned())];
        params.extend(param);
        req.set_params(params).unwrap();
        req.body = body;
        let mut ctx = Ctx::new(self.app.clone(), req, route);
        group.clone_into(&mut ctx.typed_group);
        ctx.tenant = self.app.tenants.active(&self.app, group).await.unwrap();
        let (status, headers, body) = match chain::run(ctx).await {
            Ok(reply) => {
                let headers = reply.headers().clone();
                let status = reply.status();
                let bytes = to_bytes(reply.into_body()).await.unwrap();
                let headers = headers
                    .iter()
                    .map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_owned()))
                    .collect();
                (
                    status,
                    headers,
                    serde_json::from_slice(&bytes).unwrap_or_default(),
                )
            }
            Err(e) => {
                let headers = e
                    .headers
                    .iter()
                    .map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_owned()))
                    .collect();
                (e.status, headers, e.body("request"))
            }
        };
        Answer {
            status: status.as_u16(),
            body,
            headers,
        }
    }

    async fn register(&self, group: &str, token: &str, body: Json) -> Answer {
        self.call("POST", group, None, Some(token), Body::Json(body))
            .await
    }

    async fn manage(&self, method: &str, id: &str, token: &str, body: Option<Json>) -> Answer {
        let body = body.map_or(Body::Empty, Body::Json);
        self.call(method, "g1", Some(id), Some(token), body).await
    }

    /// A registered client: id, registration access token, secret.
    async fn client(&self, name: &str) -> (String, String, String) {
        let iat = self.iat("g1", Purpose::ClientRegistration).await;
        let made = self.register("g1", &iat, app(name)).await;
        assert_eq!(made.status, 201, "{}", made.body);
        (
            made.text("client_id"),
            made.text("registration_access_token"),
            made.text("client_secret"),
        )
    }
}

fn app(name: &str) -> Json {
    json!({ "client_name": name, "redirect_uris": ["https://one.test/cb"] })
}

#[actix_web::test]
async fn a_registration_answers_what_was_stored() {
    let w = World::new().await;
    let iat = w.iat("g1", Purpose::ClientRegistration).await;
    let made = w.register("g1-alias", &iat, app("One")).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.headers[CACHE_CONTROL.as_str()], "no-store");
    let id = made.text("client_id");
    assert_eq!(made.text("client_secret").len(), 86);
    assert_eq!(made.text("registration_access_token").len(), 43);
    assert_eq!(made.body["client_id_issued_at"], NOW / 1000);
    assert_eq!(
        made.text("registration_client_uri"),
        format!("http://localhost:3000/g1-alias/reg/{id}")
    );
    let stored = w.app.store.of::<Client>().get(&id).await.unwrap().unwrap();
    assert_eq!(stored.payload.auth_group, "g1");
    assert_eq!(stored.payload.client_id, id);
}

#[actix_web::test]
async fn refusals_carry_the_protocol_s_challenge() {
    let w = World::new().await;
    let realm = "Bearer realm=\"http://localhost:3000/g1\"";
    let none = w
        .call("POST", "g1", None, None, Body::Json(app("One")))
        .await;
    none.refused(
        400,
        "invalid_request",
        "OIDC - Bad Request - no access token provided",
    );
    assert_eq!(none.headers[WWW_AUTHENTICATE.as_str()], realm);
    assert_eq!(none.headers[CACHE_CONTROL.as_str()], "no-store");
    let wrong = w.register("g1", "nonsense", app("One")).await;
    wrong.refused(
        401,
        "invalid_token",
        "OIDC - Unauthorized - invalid token provided",
    );
    assert_eq!(
        wrong.headers[WWW_AUTHENTICATE.as_str()],
        format!("{realm}, error=\"invalid_token\", error_description=\"invalid token provided\"")
    );
    let iat = w.iat("g1", Purpose::ClientRegistration).await;
    let mut elsewhere = app("One");
    elsewhere["auth_group"] = json!("g2");
    let elsewhere = w.register("g1", &iat, elsewhere).await;
    elsewhere.refused(400, "access_denied", "OIDC - Bad Request");
    assert_eq!(
        elsewhere.headers[WWW_AUTHENTICATE.as_str()],
        format!("{realm}, error=\"access_denied\"")
    );
    let mut hostile = app("One");
    hostile["dynamic_scope"] = json!("a\"b\\ü");
    let hostile = w.register("g1", &iat, hostile).await;
    assert!(
        hostile.headers[WWW_AUTHENTICATE.as_str()].contains("value a'b?? must"),
        "{:?}",
        hostile.headers
    );
    let form = Body::Form(vec![("client_name".to_owned(), "x".to_owned())]);
    w.call("POST", "g1", None, Some(&iat), form).await.refused(
        400,
        "invalid_request",
        "OIDC - Bad Request - only application/json content-type bodies are supported on POST /reg",
    );
    // none of these used the token up
    assert_eq!(w.register("g1", &iat, app("One")).await.status, 201);
    assert_eq!(w.register("g1", &iat, app("Two")).await.status, 401);
}

#[actix_web::test]
async fn of_many_registrations_with_one_token_one_succeeds() {
    let w = World::new().await;
    let iat = w.iat("g1", Purpose::ClientRegistration).await;
    let answers = join_all((0..32).map(|n| w.register("g1", &iat, app(&format!("App {n}"))))).await;
    let made = answers.iter().filter(|a| a.status == 201).count();
    let refused = answers.iter().filter(|a| a.status == 401).count();
    assert_eq!((made, refused, w.clients().await), (1, 31, 1));
}

#[actix_web::test]
async fn of_many_registrations_with_one_name_one_succeeds_and_the_tokens_stay() {
    let w = World::new().await;
    let mut iats = Vec::new();
    for _ in 0..8 {
        iats.push(w.iat("g1", Purpose::ClientRegistration).await);
    }
    let answers = join_all(iats.iter().map(|iat| w.register("g1", iat, app("Same")))).await;
    assert_eq!(answers.iter().filter(|a| a.status == 201).count(), 1);
    for (answer, iat) in answers.iter().zip(&iats) {
        if answer.status == 201 {
            continue;
        }
        answer.refused(
            409,
            "Conflict",
            "This client name already exists in your auth group",
        );
        assert_eq!(w.register("g1", iat, app(iat)).await.status, 201);
    }
}

#[actix_web::test]
async fn only_registration_tokens_of_this_group_register() {
    let w = World::new().await;
    for purpose in [
        Purpose::StepUp,
        Purpose::AccountAction,
        Purpose::GroupActivation,
        Purpose::MagicLink,
    ] {
        let iat = w.iat("g1", purpose).await;
        assert_eq!(w.register("g1", &iat, app("One")).await.status, 401);
    }
    let foreign = w.iat("g2", Purpose::ClientRegistration).await;
    assert_eq!(w.register("g1", &foreign, app("One")).await.status, 401);
    let late = w.iat("g1", Purpose::ClientRegistration).await;
    w.clock.set(NOW + 600_000);
    assert_eq!(w.register("g1", &late, app("One")).await.status, 401);
    assert_eq!(w.clients().await, 0);
}

#[actix_web::test]
async fn an_update_replaces_the_metadata_and_rotates_the_token() {
    let w = World::new().await;
    let (id, rat, secret) = w.client("One").await;
    let shown = w.manage("GET", &id, &rat, None).await;
    assert_eq!(
        (shown.status, shown.text("client_secret")),
        (200, secret.clone())
    );
    assert_eq!(shown.text("registration_access_token"), rat);
    let body = json!({
        "client_id": id, "client_secret": secret, "auth_group": "g1", "client_name": "One B",
        "redirect_uris": ["https://two.test/cb"], "client_skip_consent": true, "logo_uri": null,
    });
    let changed = w.manage("PUT", &id, &rat, Some(body.clone())).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.text("client_secret"), secret);
    let new = changed.text("registration_access_token");
    assert_ne!(new, rat);
    w.manage("GET", &id, &rat, None).await.refused(
        401,
        "invalid_token",
        "OIDC - Unauthorized - invalid token provided",
    );
    let shown = w.manage("GET", &id, &new, None).await;
    assert_eq!(shown.text("client_name"), "One B");
    assert_eq!(shown.body["client_skip_consent"], true);
    // the cache shows the change too
    let tenant = w.app.tenants.active(&w.app, "g1").await.unwrap().unwrap();
    let cached = rules::find(&w.app, &tenant, &id).await.unwrap().unwrap();
    assert_eq!(cached.payload.client_name, "One B");
    // of two updates with one token, one is made
    let both = join_all((0..8).map(|_| w.manage("PUT", &id, &new, Some(body.clone())))).await;
    assert_eq!(both.iter().filter(|a| a.status == 200).count(), 1);
    let left = w
        .app
        .store
        .of::<Record<RegistrationAccessToken>>()
        .count(Filter::All)
        .await
        .unwrap();
    assert_eq!(left, 1);
}

#[actix_web::test]
async fn an_update_is_refused_for_the_first_of_its_faults() {
    let w = World::new().await;
    let (id, rat, secret) = w.client("One").await;
    w.client("Other").await;
    let good = json!({
        "client_id": id, "client_secret": secret, "auth_group": "g1", "client_name": "One",
        "redirect_uris": ["https://one.test/cb"],
    });
    let with = |name: &str, value: Json| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let table = [
        (
            with("client_id", Json::Null),
            400,
            "client_id should be included in the request body",
        ),
        (
            with("client_name", json!("Other")),
            409,
            "This client name already exists in your auth group",
        ),
        (
            with("associated_product", json!("nope")),
            400,
            "Associated Product does not exist",
        ),
        (
            with("client_id_issued_at", json!(1)),
            400,
            "OIDC - Bad Request - request MUST NOT include the client_id_issued_at field",
        ),
        // another client's id makes the own name one that is taken
        (
            with("client_id", json!("x")),
            409,
            "This client name already exists in your auth group",
        ),
        (
            json!({ "client_id": "x", "client_name": "Free" }),
            400,
            "OIDC - Bad Request - provided client_id does not match the authenticated client's one",
        ),
        (
            with("client_secret", json!("x")),
            400,
            "OIDC - Bad Request - provided client_secret does not match the authenticated client's one",
        ),
        (
            with("auth_group", json!("g1-alias")),
            400,
            "OIDC - Bad Request",
        ),
        (
            with("redirect_uris", json!([])),
            400,
            "OIDC - Bad Request - redirect_uris must contain members",
        ),
    ];
    for (body, status, message) in table {
        let answer = w.manage("PUT", &id, &rat, Some(body)).await;
        assert_eq!(
            (answer.status, answer.text("message")),
            (status, message.to_owned())
        );
    }
    let patched = w.manage("PATCH", &id, &rat, Some(good.clone())).await;
    assert_eq!(patched.status, 404, "{}", patched.body);
    // the token outlives all of them
    assert_eq!(w.manage("PUT", &id, &rat, Some(good)).await.status, 200);
}

#[actix_web::test]
async fn a_token_used_on_another_client_is_destroyed() {
    let w = World::new().await;
    let (first, first_rat, _) = w.client("One").await;
    let (second, _, _) = w.client("Two").await;
    assert_eq!(w.manage("GET", &second, &first_rat, None).await.status, 401);
    assert_eq!(w.manage("GET", &first, &first_rat, None).await.status, 401);
}

#[actix_web::test]
async fn a_client_of_another_group_does_not_exist() {
    let w = World::new().await;
    let (id, rat, secret) = w.client("One").await;
    let body = json!({
        "client_id": id, "client_secret": secret, "auth_group": "g2", "client_name": "Taken",
        "redirect_uris": ["https://evil.test/cb"],
    });
    for (method, body) in [
        ("GET", Body::Empty),
        ("PUT", Body::Json(body)),
        ("DELETE", Body::Empty),
    ] {
        let answer = w.call(method, "g2", Some(&id), Some(&rat), body).await;
        answer.refused(
            401,
            "invalid_token",
            "OIDC - Unauthorized - invalid token provided",
        );
    }
    // without any effect on the client or its token
    let shown = w.manage("GET", &id, &rat, None).await;
    assert_eq!(
        (shown.status, shown.text("client_name")),
        (200, "One".to_owned())
    );
    // names are free in another group
    let iat = w.iat("g2", Purpose::ClientRegistration).await;
    assert_eq!(w.register("g2", &iat, app("One")).await.status, 201);
    let tenant = w.app.tenants.active(&w.app, "g2").await.unwrap().unwrap();
    assert!(rules::remove(&w.app, &tenant, &id).await.unwrap().is_none());
    assert!(
        rules::rotate_secret(&w.app, &tenant, &id)
            .await
            .unwrap()
            .is_none()
    );
}

#[actix_web::test]
async fn products_know_their_clients_until_these_are_deleted() {
    let w = World::new().await;
    let product: Product = serde_json::from_value(json!({
        "_id": "p", "authGroup": "g1", "name": "P", "codedId": "coded",
    }))
    .unwrap();
    let products = w.app.store.of::<Product>();
    products.insert(&product).await.unwrap();
    let iat = w.iat("g1", Purpose::ClientRegistration).await;
    let mut body = app("One");
    body["associated_product"] = json!("coded");
    let made = w.register("g1", &iat, body).await;
    let id = made.text("client_id");
    let listed = async || products.get("p").await.unwrap().unwrap().associated_clients;
    assert_eq!(listed().await, std::slice::from_ref(&id));
    assert_eq!(made.text("associated_product"), "p");
    let rat = made.text("registration_access_token");
    let gone = w.manage("DELETE", &id, &rat, None).await;
    assert_eq!(
        (gone.status, gone.headers[CACHE_CONTROL.as_str()].as_str()),
        (204, "no-store")
    );
    assert!(listed().await.is_empty());
    assert_eq!(w.clients().await, 0);
    assert_eq!(w.manage("DELETE", &id, &rat, None).await.status, 401);
}

#[actix_web::test]
async fn the_primary_client_keeps_all_but_its_flags() {
    let w = World::new().await;
    let (id, _, secret) = w.client("UE Auth").await;
    w.app
        .store
        .of::<AuthGroup>()
        .update("g1", |g| {
            g.associated_client = Some(id.clone());
            Ok::<_, crate::store::StoreError>(())
        })
        .await
        .unwrap();
    w.app.tenants.changed("g1");
    let tenant = w.app.tenants.active(&w.app, "g1").await.unwrap().unwrap();
    let rat = rules::rotate_registration_token(&w.app, &tenant, &id)
        .await
        .unwrap()
        .unwrap();
    w.manage("DELETE", &id, &rat, None).await.refused(
        400,
        "Bad Request",
        "You can not delete the primary client of your auth group",
    );
    let same = json!({
        "client_id": id, "client_secret": secret, "auth_group": "g1", "client_name": "UE Auth",
        "redirect_uris": ["https://one.test/cb"], "client_skip_consent": true,
    });
    for (name, value) in [
        ("redirect_uris", json!(["https://evil.test"])),
        ("client_label", json!("app")),
        ("scope", json!("openid")),
    ] {
        let mut body = same.clone();
        body[name] = value;
        let answer = w.manage("PUT", &id, &rat, Some(body)).await;
        answer.refused(400, "access_denied", "OIDC - Bad Request");
    }
    let changed = w.manage("PUT", &id, &rat, Some(same)).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.body["client_skip_consent"], true);
}
