//! Looking at a database before a server runs on it.

use std::collections::BTreeSet;

use bson::{Bson, Document as Members, doc};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::databases::{Dump, Foreign, assert_same, dump_file, recorded, run};
use crate::raw::recordings;
use crate::skip::skip;

/// A database of another writer, to look at over the wire or as a file.
struct Base {
    foreign: Foreign,
    file: Option<TempDir>,
}

impl Base {
    async fn new(collections: Vec<(String, Vec<Members>)>, embedded: bool) -> Option<Self> {
        let foreign = Foreign::new().await?;
        for (name, documents) in collections {
            foreign.add(&name, documents).await;
        }
        let file = embedded.then(|| TempDir::new().expect("a temporary folder"));
        let base = Self { foreign, file };
        if embedded {
            let address = base.address();
            run(&["migrate", "--from", &base.foreign.address, "--to", &address]).expect(0);
        }
        Some(base)
    }

    fn address(&self) -> String {
        self.file.as_ref().map_or_else(
            || self.foreign.address.clone(),
            |folder| format!("sqlite:{}", folder.path().join("a.db").display()),
        )
    }

    async fn dump(&self) -> Dump {
        match &self.file {
            Some(folder) => dump_file(&folder.path().join("a.db")),
            None => self.foreign.dump().await,
        }
    }
}

/// What it finds, as JSON; fails when it writes anything.
async fn look(base: &Base, code: i32) -> (Value, String) {
    let before = base.dump().await;
    let json = run(&["check", "--json", &base.address()]).expect(code);
    let text = run(&["check", &base.address()]).expect(code);
    assert_same(&before, &base.dump().await);
    let report = serde_json::from_str(&json.out).unwrap_or_else(|e| panic!("{e}: {}", json.out));
    (report, text.out)
}

async fn recorded_one(embedded: bool) {
    let Some(folder) = recordings() else {
        skip("checking a database", "there is no recorded one");
        return;
    };
    let mut collections = recorded(&folder);
    collections.push(("reports".to_owned(), vec![doc! { "_id": "r" }]));
    let Some(base) = Base::new(collections.clone(), embedded).await else {
        return;
    };
    let (report, text) = look(&base, 0).await;
    assert_eq!(report["ready"], true, "{report}");
    assert!(text.contains("Nothing stands in the way"), "{text}");
    for (name, documents) in &collections {
        let listed = report["collections"].as_array().expect("a list");
        let found = listed.iter().find(|found| found["name"] == name.as_str());
        let found = found.unwrap_or_else(|| panic!("{name}: {report}"));
        assert_eq!(found["documents"], documents.len(), "{name}");
        assert_eq!(found["known"], name != "reports", "{name}");
    }
    let accounts = collections.iter().find(|(name, _)| name == "accounts");
    let (mut expected, mut clear) = (BTreeSet::new(), 0);
    for account in &accounts.expect("accounts").1 {
        let password = account.get_str("password").expect("a password");
        if !password.starts_with("$2a$") {
            clear += 1;
            // what was moved has lost it
            if embedded {
                continue;
            }
            expected.insert(account.get_str("_id").expect("an id"));
            assert!(!text.contains(password), "a password is printed");
            assert!(
                !report.to_string().contains(password),
                "a password is printed"
            );
        }
    }
    let found = &report["clearTextPasswords"];
    assert_eq!(found["count"], expected.len());
    let ids = found["list"].as_array().expect("a list");
    let ids: BTreeSet<&str> = ids.iter().filter_map(Value::as_str).collect();
    assert_eq!(ids, expected);
    assert!(clear > 0);
}

#[tokio::test]
async fn a_recorded_database_is_ready_on_a_server() {
    recorded_one(false).await;
}

#[tokio::test]
async fn a_recorded_database_is_ready_in_a_file() {
    recorded_one(true).await;
}

fn account(id: &str) -> Members {
    doc! {
        "_id": id, "username": id, "email": format!("{id}@x.test"), "authGroup": "g",
        "password": "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", "__v": 0_i32,
    }
}

fn broken() -> Vec<(String, Vec<Members>)> {
    let with = |id: &str, field: &str, value: Bson| {
        let mut account = account(id);
        account.insert(field, value);
        account
    };
    let mut nameless = account("nameless");
    nameless.remove("email");
    let elsewhere = doc! { "organization": { "id": "o", "roles": ["r", { "s3cret": 1 }] } };
    vec![
        (
            "accounts".to_owned(),
            vec![
                account("good"),
                with("torn", "verified", "s3cret".into()),
                with("deep", "access", vec![elsewhere].into()),
                nameless,
                with("plain", "password", "s3cret".into()),
            ],
        ),
        (
            "session".to_owned(),
            vec![doc! { "_id": "s", "payload": "s3cret", "expiresAt": 1 }],
        ),
    ]
}

async fn names_what_is_broken(embedded: bool) {
    let Some(base) = Base::new(broken(), embedded).await else {
        return;
    };
    let (report, text) = look(&base, 2).await;
    assert_eq!(report["ready"], false);
    assert_eq!(report["unreadable"]["count"], 4, "{report}");
    let fault = |id: &str| {
        let listed = report["unreadable"]["list"].as_array().expect("a list");
        let found = listed.iter().find(|found| found["id"] == id);
        found.unwrap_or_else(|| panic!("{id}: {report}"))["faults"][0].clone()
    };
    assert_eq!(fault("torn")["field"], "verified");
    assert_eq!(fault("torn")["expected"], "a boolean");
    assert_eq!(fault("torn")["found"], "a text");
    assert_eq!(fault("deep")["field"], "access.0.organization.roles.1");
    assert_eq!(fault("nameless")["field"], "email");
    assert_eq!(fault("s")["field"], "payload");
    assert!(
        text.contains("accounts torn: verified: expected a boolean, found a text"),
        "{text}"
    );
    let clear: &[&str] = if embedded { &[] } else { &["plain"] };
    assert_eq!(report["clearTextPasswords"]["list"], json!(clear));
    assert!(
        !text.contains("s3cret") && !report.to_string().contains("s3cret"),
        "{text}"
    );
}

#[tokio::test]
async fn broken_documents_are_named_on_a_server() {
    names_what_is_broken(false).await;
}

#[tokio::test]
async fn broken_documents_are_named_in_a_file() {
    names_what_is_broken(true).await;
}

#[tokio::test]
async fn indexes_and_what_violates_them_are_named() {
    let mut twin = account("two");
    twin.insert("email", "one@x.test");
    let accounts = ("accounts".to_owned(), vec![account("one"), twin]);
    let tokens = ("federated_tokens".to_owned(), vec![doc! { "_id": "f" }]);
    let Some(base) = Base::new(vec![accounts, tokens], false).await else {
        return;
    };
    let create = async |collection: &str, keys: Members, unique: bool| {
        let options = IndexOptions::builder().unique(unique).build();
        let model = IndexModel::builder().keys(keys).options(options).build();
        let target = base.foreign.database.collection::<Members>(collection);
        target.create_index(model).await.expect("an index");
    };
    create("accounts", doc! { "username": 1, "authGroup": 1 }, false).await;
    create("accounts", doc! { "authGroup": 1, "active": 1.0 }, false).await;
    create("accounts", doc! { "shoe": 1 }, true).await;
    let old = doc! {
        "payload.authGroup": 1, "payload.accountId": 1, "payload.clientId": 1, "payload.grantId": 1,
    };
    create("federated_tokens", old, true).await;

    let (report, text) = look(&base, 2).await;
    let index = |collection: &str, name: &str| {
        let listed = report["indexes"].as_array().expect("a list");
        let mut found = listed
            .iter()
            .filter(|found| found["collection"] == collection && found["index"] == name);
        found
            .next()
            .map(|found| (found["state"].clone(), found["hinders"].clone()))
    };
    let is = |state: &str, hinders: bool| Some((state.into(), hinders.into()));
    assert_eq!(
        index("accounts", "email_1_authGroup_1"),
        is("missing", false)
    );
    assert_eq!(
        index("accounts", "username_1_authGroup_1"),
        is("different", true)
    );
    assert_eq!(index("accounts", "authGroup_1_active_1"), None);
    assert_eq!(index("accounts", "shoe_1"), is("unknown", false));
    let old = "payload.authGroup_1_payload.accountId_1_payload.clientId_1_payload.grantId_1";
    assert_eq!(index("federated_tokens", old), is("retired", false));
    assert_eq!(report["sameKeys"]["count"], 1, "{report}");
    let twins = &report["sameKeys"]["list"][0];
    assert_eq!(twins["index"], "email_1_authGroup_1");
    let mut ids: Vec<&str> = twins["ids"]
        .as_array()
        .expect("ids")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["one", "two"]);
    assert!(text.contains("email_1_authGroup_1"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_reached_is_said() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("none.db");
    let ran = run(&["check", &format!("sqlite:{}", path.display())]).expect(1);
    assert!(ran.err.contains("no file"), "{}", ran.err);
    assert!(!path.exists(), "the check made a file");
    std::fs::write(&path, "no database").expect("a file");
    run(&["check", &format!("sqlite:{}", path.display())]).expect(1);
    let away = "mongodb://me:s3cret@127.0.0.1:1/x?serverSelectionTimeoutMS=200";
    let ran = run(&["check", away]).expect(1);
    assert!(ran.err.contains("not available"), "{}", ran.err);
    assert!(!ran.err.contains("s3cret"), "{}", ran.err);
}
