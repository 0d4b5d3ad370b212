//! A database of another system is taken over: people sign in, and what was issued keeps working.

use std::path::Path;
use std::sync::Arc;

use bson::{Bson, Document as Members, doc};
use serde_json::{Value, json};
use ueauth::accounts::Account;
use ueauth::store::{Document, Store as Documents, StoreOptions, and, eq};
use ueauth_actors::{Clock, SystemClock};

use crate::flow::{Flow, claims, text};
use crate::raw::{Raw, extended, members, recordings};
use crate::server::{Server, Store};
use crate::skip::skip;
use crate::visitor::Visitor;

/// A person of the recorded database, with the password they had there.
const GROUP: &str = "acme";
const EMAIL: &str = "owner@acme.test";
const PASSWORD: &str = "Acm3!pass";

#[tokio::test]
async fn embedded() {
    take_over(Store::Embedded).await;
}

#[tokio::test]
async fn mongodb() {
    take_over(Store::Mongo).await;
}

async fn take_over(store: Store) {
    let Some(folder) = recordings() else {
        skip("taking over a database", "there is no recorded one");
        return;
    };
    let filled = async |address: &str| fill(address, &folder).await;
    let Some(mut server) = Server::start_on(store, &[], filled).await else {
        return;
    };
    sign_in(&server, &folder).await;
    server.kill();
    let (address, group) = (server.store.clone(), group(&folder));
    let account = Box::pin(account(&address, text(&group["_id"]))).await;
    assert!(account.password.starts_with("$argon2id$"), "not rehashed");
    server.restart().await;
    sign_in(&server, &folder).await;

    refresh(&server, &folder).await;
    use_access_token(&server, &folder).await;
    register(&server, &folder).await;
}

/// Signs in at the group's own client and checks whose token that gives.
async fn sign_in(server: &Server, folder: &Path) {
    let group = group(folder);
    let client = client(folder, &group["associatedClient"]);
    let issuer = format!("{}/{}", server.url, text(&group["_id"]));
    let flow = Flow::new(&issuer, &client, &[]);
    let wrong = Visitor::new(server)
        .authorize(&flow.url, EMAIL, "Wr0ng!pass")
        .await;
    assert_eq!(wrong.page().status, 200);
    let back = Visitor::new(server)
        .authorize(&flow.url, EMAIL, PASSWORD)
        .await
        .away();
    let id = claims(&flow.tokens(&back).await["id_token"]);
    assert_eq!(id["sub"], group["owner"]);
}

/// A refresh token of the old system gives new tokens.
async fn refresh(server: &Server, folder: &Path) {
    let old = find(folder, "refresh_token", |token| {
        token["payload"].get("consumed").is_none()
    });
    let payload = &old["payload"];
    let client = client(folder, &payload["clientId"]);
    let issuer = format!("{}/{}", server.url, text(&client["auth_group"]));
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&old["_id"])),
    ];
    let answer = Server::http()
        .post(format!("{issuer}/token"))
        .basic_auth(text(&client["client_id"]), client["client_secret"].as_str())
        .form(&form);
    let new = expect(answer, 200).await;
    assert!(new["access_token"].is_string(), "{new}");
    assert_eq!(claims(&new["id_token"])["sub"], payload["accountId"]);
}

/// An opaque access token of the old system still says whose it is.
async fn use_access_token(server: &Server, folder: &Path) {
    let token = find(folder, "access_token", |token| {
        let payload = &token["payload"];
        payload.get("expiresWithSession").is_none()
            && payload["scope"]
                .as_str()
                .is_some_and(|s| s.contains("openid"))
    });
    let client = client(folder, &token["payload"]["clientId"]);
    let issuer = format!("{}/{}", server.url, text(&client["auth_group"]));
    let userinfo = Server::http()
        .get(format!("{issuer}/me"))
        .bearer_auth(text(&token["_id"]));
    let userinfo = expect(userinfo, 200).await;
    assert_eq!(userinfo["sub"], token["payload"]["accountId"]);
}

/// An initial access token of the old system registers a client.
async fn register(server: &Server, folder: &Path) {
    let active = |id: &Value| {
        find_in(folder, "auth_groups", |group| group["_id"] == *id)
            .is_some_and(|group| group["active"] == true)
    };
    let token = find(folder, "initial_access_token", |token| {
        let payload = &token["payload"];
        ["sub", "email", "uid", "state"]
            .iter()
            .all(|name| payload.get(name).is_none())
            && active(&payload["auth_group"])
    });
    let group = text(&token["payload"]["auth_group"]);
    let metadata = json!({"client_name": "newcomer", "redirect_uris": ["https://new.test/cb"]});
    let registration = Server::http()
        .post(format!("{}/{group}/reg", server.url))
        .bearer_auth(text(&token["_id"]))
        .json(&metadata);
    let client = expect(registration, 201).await;
    assert_eq!(client["client_name"], "newcomer");
}

async fn expect(request: reqwest::RequestBuilder, status: u16) -> Value {
    let answer = request.send().await.expect("an answer");
    let (url, got) = (answer.url().clone(), answer.status());
    let body = answer.text().await.expect("a text");
    assert_eq!(got, status, "{url}: {body}");
    serde_json::from_str(&body).expect("JSON")
}

// --- the recorded database

fn load(folder: &Path, collection: &str) -> Vec<Members> {
    let file = folder.join(format!("{collection}.json"));
    extended(&std::fs::read_to_string(file).expect("the recorded collection"))
}

fn find_in(folder: &Path, collection: &str, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
    load(folder, collection)
        .into_iter()
        .map(|document| Bson::Document(document).into_relaxed_extjson())
        .find(wanted)
}

fn find(folder: &Path, collection: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    find_in(folder, collection, wanted).unwrap_or_else(|| panic!("none fits in {collection}"))
}

fn group(folder: &Path) -> Value {
    find(folder, "auth_groups", |group| group["prettyName"] == GROUP)
}

fn client(folder: &Path, id: &Value) -> Value {
    let mut client = find(folder, "client", |client| client["_id"] == *id);
    client["payload"].take()
}

async fn open(address: &str) -> Documents {
    let options = StoreOptions::new(address, Arc::new(|| SystemClock.now()));
    Documents::open(&options, &ueauth::app::collections())
        .await
        .expect("the store")
}

async fn account(address: &str, group: &str) -> Account {
    let store = open(address).await;
    let wanted = and([eq("email", EMAIL), eq("authGroup", group)]);
    let found = store.of::<Account>().find_one(wanted).await;
    store.close().await;
    found.expect("an answer").expect("the account")
}

/// Moves the life of whatever runs out into the present.
fn renew(document: &mut Members) {
    let now = SystemClock.now();
    if document.contains_key("expiresAt") {
        let until = bson::DateTime::from_millis(now + 3_600_000);
        document.insert("expiresAt", until);
    }
    if let Ok(payload) = document.get_document_mut("payload")
        && payload.contains_key("exp")
    {
        payload.extend(doc! { "iat": now / 1000 - 60, "exp": now / 1000 + 3600 });
    }
}

async fn insert<T: Document>(store: &Documents, folder: &Path) {
    let documents: Vec<_> = load(folder, T::COLLECTION.name)
        .into_iter()
        .map(|document| {
            let mut document = members(Bson::Document(document));
            renew(&mut document);
            Raw::<T>::new(document)
        })
        .collect();
    let inserted = store.of::<Raw<T>>().insert_many(&documents).await;
    inserted.unwrap_or_else(|e| panic!("{}: {e}", T::COLLECTION.name));
}

async fn fill(address: &str, folder: &Path) {
    macro_rules! insert_all {
        ($store:ident, $folder:ident, $($name:ident: $type:ty, $version:ident;)+) => {
            $(insert::<$type>(&$store, $folder).await;)+
        };
    }
    let store = open(address).await;
    for_document_types!(insert_all, store, folder);
    store.close().await;
}
