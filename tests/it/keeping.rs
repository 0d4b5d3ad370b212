//! A database of the other system, used by this server: everybody gets in, everything reads as it
//! did, and what the other system would find afterwards is still in its form.

use std::path::Path;

use bson::{Bson, Document as Members};
use reqwest::Method;
use serde_json::{Value, json};

use crate::databases::{Dump, Foreign, blanked, dump_file, recorded, run};
use crate::flow::{Flow, claims, text};
use crate::raw::recordings;
use crate::server::{Server, Store};
use crate::skip::skip;
use crate::tenant::api_token;
use crate::visitor::{Landing, Visitor};

/// What outlives sessions and tokens.
const KEPT: &[&str] = &[
    "accounts",
    "auth_groups",
    "client",
    "domains",
    "org_profiles",
    "organizations",
    "p-histories",
    "permissions",
    "plugins",
    "product_keys",
    "products",
    "profiles",
    "roles",
];

#[tokio::test]
async fn embedded() {
    keeps(Store::Embedded).await;
}

#[tokio::test]
async fn mongodb() {
    keeps(Store::Mongo).await;
}

/// Somebody whose password is written down beside the recordings.
struct Person {
    group: String,
    email: String,
    username: String,
    password: String,
    state: String,
}

fn people(folder: &Path) -> Vec<Person> {
    let text = std::fs::read_to_string(folder.join("README.md")).expect("the list of passwords");
    let mut people = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [group, email, username, password, state] = cells.as_slice() else {
            continue;
        };
        // without quotes it is a remark
        let quoted = |cell: &str| cell.strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
        if let (Some(group), Some(email), Some(username), Some(password)) = (
            quoted(group),
            quoted(email),
            quoted(username),
            quoted(password),
        ) {
            people.push(Person {
                group,
                email,
                username,
                password,
                state: quoted(state).unwrap_or_default(),
            });
        }
    }
    assert!(people.len() > 50, "{}", people.len());
    people
}

/// The recorded database as the other system left it.
struct Old(Vec<(String, Vec<Members>)>);

impl Old {
    fn of(&self, collection: &str) -> Vec<Value> {
        let found = self.0.iter().find(|(name, _)| name == collection);
        let documents = &found.expect("a collection").1;
        documents
            .iter()
            .map(|document| Bson::Document(document.clone()).into_relaxed_extjson())
            .collect()
    }

    fn active_groups(&self) -> Vec<Value> {
        let mut groups = self.of("auth_groups");
        groups.retain(|group| group["active"] == true);
        groups
    }

    fn client(&self, id: &Value) -> Option<Value> {
        let mut clients = self.of("client").into_iter();
        let mut client = clients.find(|client| client["_id"] == *id)?;
        Some(client["payload"].take())
    }
}

async fn keeps(store: Store) {
    let Some(folder) = recordings() else {
        skip("taking over a database", "there is no recorded one");
        return;
    };
    let Some(foreign) = Foreign::new().await else {
        return;
    };
    let old = Old(recorded(&folder));
    for (name, documents) in &old.0 {
        foreign.add(name, documents.clone()).await;
    }
    let (before, clear) = blanked(foreign.dump().await);
    assert!(clear > 0, "no recorded password is in clear text");
    let mut server = match store {
        Store::Mongo => Server::start_at(&foreign.address, &[]).await,
        Store::Embedded => {
            let moved = async |address: &str| {
                run(&["migrate", "--from", &foreign.address, "--to", address]).expect(0);
            };
            let started = Server::start_on(store, &[], moved).await;
            started.expect("the embedded store")
        }
    };
    everybody_signs_in(&server, &old, &people(&folder)).await;
    clients_get_tokens(&server, &old).await;
    everything_reads_the_same(&server, &old, &people(&folder)).await;
    server.kill();
    let after = match store {
        Store::Mongo => {
            let said = "wrote over passwords that were stored in clear text";
            assert!(server.log().contains(said), "not written over");
            foreign.dump().await
        }
        Store::Embedded => dump_file(Path::new(server.store.trim_start_matches("sqlite:"))),
    };
    assert_kept(&before, &after);
}

async fn everybody_signs_in(server: &Server, old: &Old, people: &[Person]) {
    let mut failures = Vec::new();
    let mut count = 0;
    for group in old.active_groups() {
        let Some(client) = old.client(&group["associatedClient"]) else {
            continue;
        };
        let issuer = format!("{}/{}", server.url, text(&group["_id"]));
        let members = people.iter().filter(|person| {
            group["prettyName"] == person.group.as_str()
                && match person.state.as_str() {
                    "" => true,
                    "unverified" => group["config"]["requireVerified"] != true,
                    _ => false,
                }
        });
        for person in members {
            count += 1;
            let flow = Flow::new(&issuer, &client, &[]);
            let name = if count % 2 == 0 {
                &person.email
            } else {
                &person.username
            };
            let landing = Visitor::new(server)
                .authorize(&flow.url, name, &person.password)
                .await;
            match landing {
                Landing::Away(back) => {
                    let id = claims(&flow.tokens(&back).await["id_token"]);
                    let mut accounts = old.of("accounts").into_iter();
                    let account = accounts.find(|account| account["_id"] == id["sub"]);
                    assert_eq!(
                        account.expect("the account")["email"],
                        person.email.as_str()
                    );
                }
                Landing::Page(page) => failures.push(format!(
                    "{} {name}: stopped at {} ({})",
                    person.group, page.url, page.status
                )),
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {count}:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(count > 50, "{count}");
}

async fn clients_get_tokens(server: &Server, old: &Old) {
    let groups: Vec<Value> = old
        .active_groups()
        .into_iter()
        .map(|mut g| g["_id"].take())
        .collect();
    let mut count = 0;
    for client in old.of("client") {
        let payload = &client["payload"];
        let grants = payload["grant_types"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if !grants.contains(&json!("client_credentials"))
            || payload["token_endpoint_auth_method"] != "client_secret_basic"
            || !groups.contains(&payload["auth_group"])
        {
            continue;
        }
        count += 1;
        let issuer = format!("{}/{}", server.url, text(&payload["auth_group"]));
        let answer = Server::http()
            .post(format!("{issuer}/token"))
            .basic_auth(text(&client["_id"]), payload["client_secret"].as_str())
            .form(&[("grant_type", "client_credentials")])
            .send()
            .await
            .expect("an answer");
        let status = answer.status();
        let body = answer.text().await.expect("a text");
        assert_eq!(status, 200, "{}: {body}", client["_id"]);
    }
    assert!(count > 3, "{count}");
}

async fn read(server: &Server, token: &str, path: &str) -> Value {
    let answer = Server::http()
        .request(Method::GET, format!("{}{path}", server.url))
        .bearer_auth(token)
        .send()
        .await
        .expect("an answer");
    let status = answer.status();
    let body = answer.text().await.expect("a text");
    assert_eq!(status, 200, "{path}: {body}");
    let mut body: Value = serde_json::from_str(&body).expect("JSON");
    body["data"].take()
}

async fn everything_reads_the_same(server: &Server, old: &Old, people: &[Person]) {
    for name in ["acme", "org-co", "imp-co"] {
        let mut groups = old.active_groups().into_iter();
        let group = groups
            .find(|group| group["prettyName"] == name)
            .expect("the group");
        let id = text(&group["_id"]);
        let mut accounts = old.of("accounts");
        accounts.retain(|account| account["authGroup"] == id);
        let owner = accounts
            .iter()
            .find(|account| account["_id"] == group["owner"]);
        let email = text(&owner.expect("the owner")["email"]);
        let person = people
            .iter()
            .find(|person| person.email == email)
            .expect("a password");
        let client = old.client(&group["associatedClient"]).expect("the client");
        let token = api_token(server, id, &client, email, &person.password).await;

        let listed = read(server, &token, &format!("/api/{id}/accounts?$top=500")).await;
        let listed = listed.as_array().expect("a list");
        assert_eq!(listed.len(), accounts.len(), "{name}");
        for account in &accounts {
            let found = listed.iter().find(|found| found["id"] == account["_id"]);
            let found = found.unwrap_or_else(|| panic!("{} is not listed", account["_id"]));
            for field in [
                "username",
                "email",
                "active",
                "blocked",
                "verified",
                "authGroup",
            ] {
                assert_eq!(
                    found[field], account[field],
                    "{field} of {}",
                    account["_id"]
                );
            }
            for entry in account["access"].as_array().into_iter().flatten() {
                let held = &entry["organization"];
                let (organization, account) = (text(&held["id"]), text(&account["_id"]));
                let known = old.of("organizations");
                if !known.iter().any(|known| known["_id"] == organization) {
                    continue;
                }
                let path =
                    format!("/api/{id}/access/organization/{organization}/account/{account}");
                let read = read(server, &token, &path).await;
                let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
                assert_eq!(read["domains"], json!(list(&held["domains"])), "{path}");
                assert_eq!(read["roles"], json!(list(&held["roles"])), "{path}");
            }
        }
        for (collection, path) in [("organizations", "organizations"), ("products", "products")] {
            let mut stored = old.of(collection);
            stored.retain(|stored| stored["authGroup"] == id);
            let listed = read(server, &token, &format!("/api/{id}/{path}?$top=500")).await;
            let listed = listed.as_array().expect("a list");
            assert_eq!(listed.len(), stored.len(), "{path} of {name}");
            for stored in &stored {
                let found = listed.iter().find(|found| found["id"] == stored["_id"]);
                let found = found.unwrap_or_else(|| panic!("{} is not listed", stored["_id"]));
                assert_eq!(found["name"], stored["name"]);
            }
        }
    }
}

/// Nothing but passwords has changed: hashes to better ones, clear text to none.
fn assert_kept(before: &Dump, after: &Dump) {
    let mut rehashed = 0;
    for name in KEPT {
        let Some(documents) = before.get(*name) else {
            continue;
        };
        for (id, old) in documents {
            // groups that were never activated end by themselves
            if old.contains_key("securityExpiration") {
                continue;
            }
            let mut new = after[*name]
                .get(id)
                .unwrap_or_else(|| panic!("{name}: {id} is gone"))
                .clone();
            new.remove("__rev");
            let hash = |document: &Members| document.get_str("password").map(str::to_owned);
            if let (Ok(was), Ok(is)) = (hash(old), hash(&new))
                && was != is
            {
                assert!(
                    was.starts_with("$2a$") && is.starts_with("$argon2id$"),
                    "{id}"
                );
                new.insert("password", was);
                rehashed += 1;
            }
            let bytes = |document: &Members| bson::serialize_to_vec(document).expect("bytes");
            assert_eq!(bytes(old), bytes(&new), "{name}: {old}\n{new}");
        }
    }
    assert!(rehashed > 50, "{rehashed}");
}
