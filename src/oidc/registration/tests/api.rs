//! The routes beside registration, through their whole chain of steps.

use serde_json::{Value as Json, json};

use super::{Answer, NOW, World};
use crate::accounts::Account;
use crate::clients::Client;
use crate::gate::{Route, testing, tokens};
use crate::http::request::Body;
use crate::oidc::initial_access;
use crate::oidc::records::{AccessToken, ClientCredentials, Purpose, Record};
use crate::organizations::Organization;
use crate::products::Product;
use crate::roles::Role;
use crate::store::{Document, Object};

const OWNER: &str = "o";
const MEMBER: &str = "m";

async fn put<T: Document>(w: &World, document: Json) {
    let document: T = serde_json::from_value(document).unwrap();
    w.app.store.of::<T>().insert(&document).await.unwrap();
}

/// A group with core objects, its owner, a member, and a service client with a role.
async fn world() -> World {
    let w = World::new().await;
    put::<Organization>(
        &w,
        json!({ "_id": "org", "authGroup": "g1", "name": "Org", "core": true }),
    )
    .await;
    put::<Product>(
        &w,
        json!({
            "_id": "admin", "authGroup": "g1", "name": "A", "codedId": "adm", "core": true,
            "type": "global",
            "meta": { "core": "groupAdmin" },
        }),
    )
    .await;
    put::<Role>(
        &w,
        json!({
            "_id": "r", "authGroup": "g1", "name": "R", "codedId": "rol", "product": "admin",
            "productCodedId": "adm", "permissions": ["x clients::read:own"],
        }),
    )
    .await;
    for id in [OWNER, MEMBER] {
        put::<Account>(
            &w,
            json!({
                "_id": id, "authGroup": "g1", "username": id, "password": "x",
                "email": format!("{id}@one.test"),
            }),
        )
        .await;
    }
    for id in ["g1-primary", "service"] {
        put::<Client>(
            &w,
            json!({
                "_id": id,
                "payload": {
                    "auth_group": "g1", "client_id": id, "client_name": id, "client_secret": "hush",
                },
                "access": { "product": "admin", "roles": ["r"] },
            }),
        )
        .await;
    }
    w
}

fn object(json: Json) -> Object {
    Object::from_json(&json).unwrap()
}

impl World {
    /// An access token of a person.
    async fn person(&self, id: &str) -> String {
        let token = AccessToken {
            client_id: "g1-primary".to_owned(),
            account_id: id.to_owned(),
            extra: object(json!({ "group": "g1", "x-access-group": "member" })),
            ..AccessToken::default()
        };
        let name = format!("token-{id}");
        testing::token(&self.app, &name, token).await;
        name
    }

    /// An access token of the service client.
    async fn service(&self, permissions: &str) -> String {
        let payload = ClientCredentials {
            iat: NOW / 1000,
            exp: NOW / 1000 + 600,
            jti: "service".to_owned(),
            kind: "ClientCredentials".to_owned(),
            client_id: "service".to_owned(),
            scope: Some("access".to_owned()),
            extra: object(json!({
                "group": "g1", "x-access-group": "member", "x-access-permissions": permissions,
            })),
            ..ClientCredentials::default()
        };
        let record = Record::new("token-service".to_owned(), payload, None);
        let tokens = self.app.store.of::<Record<ClientCredentials>>();
        tokens.put(&record).await.unwrap();
        record.id
    }

    async fn ask(
        &self,
        routes: &'static [Route],
        (method, path): (&str, &str),
        token: Option<&str>,
        body: Json,
    ) -> Answer {
        let bare = path.split('?').next().unwrap();
        let parts: Vec<&str> = bare.split('/').collect();
        let fits = |r: &&Route| {
            let pattern: Vec<&str> = r.path.split('/').collect();
            let same = pattern
                .iter()
                .zip(&parts)
                .all(|(p, s)| p.starts_with('{') || p == s);
            r.method == method && pattern.len() == parts.len() && same
        };
        let route = routes.iter().find(fits).unwrap();
        let last = parts[parts.len() - 1].to_owned();
        let id = route.path.ends_with("{id}").then_some(("id", last));
        self.send(route, "g1", id, path, token, Body::Json(body))
            .await
    }
}

#[actix_web::test]
async fn registration_tokens_are_for_those_with_the_permission() {
    let w = world().await;
    let on = ("POST", "/g1/token/initial-access");
    let ask =
        async |token: Option<&str>, body| w.ask(initial_access::ROUTES, on, token, body).await;
    let owner = w.person(OWNER).await;
    let member = w.person(MEMBER).await;
    assert_eq!(ask(None, json!({})).await.status, 401);
    assert_eq!(ask(Some(&member), json!({})).await.status, 403);
    let made = ask(Some(&owner), json!({})).await;
    assert_eq!(made.status, 200, "{}", made.body);
    assert_eq!(made.body["exp"], NOW / 1000 + 604_800);
    assert_eq!(made.text("jti").len(), 43);
    let permitted = w.service("adm:::initialaccesstoken::create").await;
    assert_eq!(ask(Some(&permitted), json!({})).await.status, 200);
    // a name in the token does not make it stand for that account
    let body = json!({ "sub": MEMBER, "email": "m@one.test", "expires": 600 });
    let named = ask(Some(&owner), body).await;
    assert_eq!(named.body["sub"], MEMBER);
    assert_eq!(named.body["email"], "m@one.test");
    let token = named.text("jti");
    for (purpose, found) in [
        (Purpose::ClientRegistration, true),
        (Purpose::AccountAction, false),
        (Purpose::StepUp, false),
    ] {
        let hit = tokens::find(&w.app, "g1", &token, purpose).await.unwrap();
        assert_eq!(hit.is_some(), found, "{purpose:?}");
    }
    for expires in [
        json!(0),
        json!(-1),
        json!(2_678_401),
        json!(1.5),
        json!("600"),
    ] {
        let answer = ask(Some(&owner), json!({ "expires": expires })).await;
        assert_eq!(answer.status, 400, "{expires}");
    }
    let longest = ask(Some(&owner), json!({ "expires": 2_678_400 })).await;
    assert_eq!(longest.status, 200);
}

#[actix_web::test]
async fn step_up_tokens_are_for_persons_and_their_state() {
    let w = world().await;
    let on = ("POST", "/g1/token/simple-iat");
    let ask = async |token: &str, body| w.ask(initial_access::ROUTES, on, Some(token), body).await;
    let member = w.person(MEMBER).await;
    let made = ask(&member, json!({ "state": "abc" })).await;
    assert_eq!((made.status, made.text("type")), (201, "IAT".to_owned()));
    let data = &made.body["data"];
    assert_eq!(data["state"], "abc");
    assert_eq!(data["sub"], MEMBER);
    assert_eq!(data["email"], "m@one.test");
    assert_eq!(data["exp"], NOW / 1000 + 600);
    let token = data["jti"].as_str().unwrap();
    for (purpose, found) in [
        (Purpose::StepUp, true),
        (Purpose::ClientRegistration, false),
    ] {
        let hit = tokens::find(&w.app, "g1", token, purpose).await.unwrap();
        assert_eq!(hit.is_some(), found, "{purpose:?}");
    }
    let made = ask(&member, json!({})).await;
    let state = made.body["data"]["state"].as_str().unwrap();
    assert_eq!(state.len(), 64);
    let service = w.service("").await;
    ask(&service, json!({}))
        .await
        .refused(403, "Forbidden", "request must be from a person");
}

#[actix_web::test]
async fn clients_are_listed_and_read_without_their_secrets() {
    let w = world().await;
    let owner = w.person(OWNER).await;
    let get = async |path: &str, token: &str| {
        let routes = crate::clients::routes::ROUTES;
        w.ask(routes, ("GET", path), Some(token), json!({})).await
    };
    let found = get(
        "/api/g1/clients?$orderby=client_name%20desc&$filter=client_name%20ne%20'x'%20and%20auth_group%20eq%20'g1'",
        &owner,
    )
    .await;
    assert_eq!(found.status, 200, "{}", found.body);
    assert_eq!(found.body["data"][0]["client_name"], "service");
    assert_eq!(found.body["data"][1]["client_name"], "g1-primary");
    assert_eq!(found.body["data"][0]["access"]["product"], "admin");
    assert_eq!(found.body["data"][0].get("client_secret"), None);
    let some = get("/api/g1/clients?$select=client_name&search=service", &owner).await;
    assert_eq!(some.body["data"], json!([{ "client_name": "service" }]));
    get(
        "/api/g1/clients?$filter=startswith(client_secret,'h')",
        &owner,
    )
    .await
    .refused(400, "Bad Request", "Check your oData inputs");
    let one = get("/api/g1/client/service", &owner).await;
    assert_eq!(one.body["data"]["client_id"], "service");
    assert_eq!(one.body["data"].get("client_secret"), None);
    get("/api/g1/client/nope", &owner)
        .await
        .refused(404, "Not Found", "id requested was nope");
    // a client with rights to its own only
    let own = w.service("adm:::clients::read:own").await;
    assert_eq!(get("/api/g1/clients", &own).await.status, 403);
    assert_eq!(get("/api/g1/client/service", &own).await.status, 200);
    get("/api/g1/client/g1-primary", &own)
        .await
        .refused(404, "Not Found", "g1-primary");
}

#[actix_web::test]
async fn credentials_are_rotated_and_clients_deleted() {
    let w = world().await;
    let owner = w.person(OWNER).await;
    let routes = crate::clients::routes::ROUTES;
    let operate = async |id: &str, token: &str, operation: &str| {
        let path = format!("/api/g1/operations/client/{id}");
        let body = json!({ "operation": operation });
        w.ask(routes, ("POST", &path), Some(token), body).await
    };
    let own = w.service("adm:::operations-client::create:own").await;
    let rotated = operate("service", &own, "rotate_secret").await;
    let secret = rotated.body["data"]["client_secret"].as_str().unwrap();
    assert_eq!(secret.len(), 86);
    operate("g1-primary", &own, "rotate_secret")
        .await
        .refused(404, "Not Found", "g1-primary");
    let made = operate("service", &owner, "rotate_registration_access_token").await;
    let first = made.body["data"].as_str().unwrap();
    assert_eq!(w.manage("GET", "service", first, None).await.status, 200);
    let made = operate("service", &owner, "rotate_registration_access_token").await;
    let second = made.body["data"].as_str().unwrap();
    assert_eq!(w.manage("GET", "service", first, None).await.status, 401);
    assert_eq!(w.manage("GET", "service", second, None).await.status, 200);
    let missing = operate("nope", &owner, "rotate_registration_access_token").await;
    assert_eq!(missing.status, 404);
    operate("service", &owner, "rotate_keys").await.refused(
        400,
        "Bad Request",
        "Unknown operation",
    );
    let unknown = operate("service", &owner, "x").await;
    assert_eq!(unknown.text("error"), "ValidationError");
    let delete = async |id: &str| {
        let path = format!("/api/g1/client/{id}");
        w.ask(routes, ("DELETE", &path), Some(&owner), json!({}))
            .await
    };
    delete("g1-primary").await.refused(
        400,
        "Bad Request",
        "You can not delete your Auth Group primary client",
    );
    let gone = delete("service").await;
    assert_eq!(gone.body["data"]["client_id"], "service");
    assert_eq!(gone.body["data"].get("client_secret"), None);
    assert_eq!(delete("service").await.status, 404);
    assert_eq!(w.manage("GET", "service", second, None).await.status, 401);
}

#[actix_web::test]
async fn access_is_shown_to_the_bearer() {
    let w = world().await;
    let get = async |path: &str, token: Option<&str>| {
        let routes = crate::access::routes::ROUTES;
        w.ask(routes, ("GET", path), token, json!({})).await
    };
    let owner = w.person(OWNER).await;
    let member = w.person(MEMBER).await;
    let service = w.service("").await;
    assert_eq!(get("/api/g1/access/validate", None).await.status, 401);
    let full = get("/api/g1/access/validate", Some(&owner)).await;
    assert_eq!((full.status, full.text("type")), (200, "Access".to_owned()));
    assert_eq!(full.body["data"]["authGroup"]["owner"], true);
    let brief = get("/api/g1/access/validate?minimized=true", Some(&member)).await;
    assert_eq!(brief.body["data"]["authGroup"], "g1");
    let client = get("/api/g1/access/validate", Some(&service)).await;
    let expected = json!({
        "sub": "service", "type": "client", "authGroup": "g1", "member": true,
        "products": "admin", "productRoles": "adm::rol", "permissions": "adm:::clients::read:own",
    });
    assert_eq!(client.body, json!({ "type": "Clients", "data": expected }));
    let of = |id: &str| format!("/api/g1/access/account/{id}");
    assert_eq!(
        get(&of(MEMBER), Some(&owner)).await.body["data"]["sub"],
        MEMBER
    );
    assert_eq!(
        get(&of("me"), Some(&owner)).await.body["data"]["sub"],
        OWNER
    );
    get(&of("nope"), Some(&owner))
        .await
        .refused(404, "Not Found", "user not found: nope");
    assert_eq!(get(&of(OWNER), Some(&member)).await.status, 403);
}
