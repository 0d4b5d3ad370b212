//! A whole database is moved to another engine and back.

use std::path::{Path, PathBuf};

use bson::{Bson, Document as Members, doc};
use tempfile::TempDir;

use crate::databases::{
    Dump, Foreign, Ran, assert_same, blanked, dump_file, kill_when, recorded, run,
    stores_nested_arrays,
};
use crate::raw::recordings;
use crate::server::Server;
use crate::skip::skip;

struct File {
    _folder: TempDir,
    path: PathBuf,
    address: String,
}

impl File {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("moved.db");
        let address = format!("sqlite:{}", path.display());
        Self {
            _folder: folder,
            path,
            address,
        }
    }

    fn dump(&self) -> Dump {
        dump_file(&self.path)
    }
}

fn migrate(from: &str, to: &str) -> Ran {
    run(&["migrate", "--from", from, "--to", to])
}

fn accounts(count: i32) -> Vec<Members> {
    (0..count)
        .map(|number| {
            doc! {
                "_id": format!("account {number}"), "username": format!("user {number}"),
                "email": format!("{number}@x.test"), "authGroup": "g",
                "password": "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
                "note": i64::from(number), "__v": 0_i32,
            }
        })
        .collect()
}

/// Values of the types that every server stores.
fn common() -> Members {
    doc! {
        "_id": "common", "username": "common", "email": "c@x.test", "authGroup": "g", "password": "",
        "int32": 7_i32, "int64": 7_i64, "double": 7.0, "fraction": 0.1, "large": i64::MIN, "tiny": f64::MIN_POSITIVE,
        "date": bson::DateTime::from_millis(-1), "later": bson::DateTime::from_millis(253_402_300_800_000),
        "oid": bson::oid::ObjectId::from_bytes([7; 12]), "null": null, "true": true,
        "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![0, 255, 1] },
        "timestamp": bson::Timestamp { time: 5, increment: 6 },
        "regex": bson::Regex { pattern: "^a".try_into().expect("a pattern"), options: "i".try_into().expect("options") },
        "text": "e\u{301} ü 漢字 🦀 \u{202e}", "empty": "", "list": [1_i32, 1_i64, 1.0, {}], "z": 1, "a": { "z": 1, "a": 2 },
    }
}

/// Those and all others.
fn all_types() -> Members {
    let mut members = common();
    members.extend(doc! {
        "_id": "all\0types", "username": "all", "email": "a@x.test",
        "nul": "a\0b", "nested": [[], [1]], "infinite": f64::INFINITY, "nan": f64::NAN, "minus": -0.0,
        "decimal": "1.10".parse::<bson::Decimal128>().expect("a decimal"),
        "uuid": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![9; 16] },
        "code": Bson::JavaScriptCode("f()".to_owned()), "symbol": Bson::Symbol("s".to_owned()),
        "least": Bson::MinKey, "most": Bson::MaxKey, "undefined": Bson::Undefined,
        "dotted.name": { "https://x.test/a.b": 1 }, "$dollar": 1,
    });
    members
}

/// Writes documents into a file past the server's types, under names of known collections.
fn fill(file: &File, collection: &str, documents: &[Members]) {
    // an empty move makes the tables
    let other = rusqlite::Connection::open(&file.path).expect("a file");
    for document in documents {
        let bytes = bson::serialize_to_vec(document).expect("bytes");
        let id = document.get_str("_id").expect("a text");
        other
            .execute(
                &format!(
                    "INSERT INTO \"{collection}\" (id, v, expires, doc) VALUES (?1, 1, NULL, ?2)"
                ),
                (id, bytes),
            )
            .expect("a row");
    }
}

/// A store as a server makes it, without documents.
async fn empty_store() -> File {
    let file = File::new();
    let mut server = Server::start_at(&file.address, &[]).await;
    server.kill();
    file
}

#[tokio::test]
async fn a_recorded_database_goes_there_and_back() {
    let Some(folder) = recordings() else {
        skip("moving a database", "there is no recorded one");
        return;
    };
    let (Some(old), Some(back)) = (Foreign::new().await, Foreign::new().await) else {
        return;
    };
    for (name, documents) in recorded(&folder) {
        old.add(&name, documents).await;
    }
    let object_id = bson::oid::ObjectId::from_bytes([3; 12]);
    old.add("reports", vec![doc! { "_id": "r1", "n": 1 }, common()])
        .await;
    old.add(
        "visits",
        vec![doc! { "_id": object_id, "n": 1_i64 }, doc! { "_id": 5_i32 }],
    )
    .await;
    old.add("Visits", vec![doc! { "_id": "other case" }]).await;
    old.add("old.things", vec![doc! { "_id": "o1" }]).await;
    old.add(
        "roles",
        vec![doc! { "_id": object_id, "authGroup": "lost" }],
    )
    .await;
    let before = old.dump().await;

    let file = File::new();
    let ran = migrate(&old.address, &file.address).expect(0);
    let (blanked, count) = blanked(before.clone());
    let said = format!("{count} accounts had passwords in clear text");
    assert!(count > 0 && ran.out.contains(&said), "{}", ran.out);
    assert!(
        ran.err.contains("reports: not a collection of this server"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("documents/s"), "{}", ran.err);
    assert_same(&before, &old.dump().await);
    let there = file.dump();
    assert_eq!(there["accounts"].len(), before["accounts"].len());
    assert_eq!(there["reports"].len(), 2);

    // a server starts on it, and its own documents move too
    let mut server = Server::start_at(&file.address, &[]).await;
    server.kill();
    migrate(&file.address, &back.address).expect(0);
    assert_same(&blanked, &back.dump().await);
    let names = back
        .database
        .collection::<Members>("accounts")
        .list_index_names()
        .await;
    let names = names.expect("indexes");
    assert!(
        names.iter().any(|name| name == "email_1_authGroup_1"),
        "{names:?}"
    );
}

#[tokio::test]
async fn every_type_arrives_as_it_was() {
    let from = empty_store().await;
    fill(&from, "accounts", &[common(), all_types()]);
    let to = File::new();
    migrate(&from.address, &to.address).expect(0);
    assert_same(&from.dump(), &to.dump());
    assert_eq!(to.dump()["accounts"].len(), 2);

    let Some(server) = Foreign::new().await else {
        return;
    };
    let mut nested = accounts(2);
    nested[1].insert("metadata", doc! { "a.b": [[1]] });
    let from = empty_store().await;
    fill(&from, "accounts", &nested);
    if stores_nested_arrays() {
        migrate(&from.address, &server.address).expect(0);
    } else {
        // FerretDB does not store arrays in arrays: the document is named
        let refused = migrate(&from.address, &server.address).expect(2);
        let said = "does not take the document account 1 of accounts";
        assert!(refused.err.contains(said), "{}", refused.err);
    }
}

/// Kills a move in the middle, looks at what is left, and finishes it.
async fn interrupted(from: &str, to: &str, reached: impl AsyncFn() -> bool) {
    let args = ["migrate", "--from", from, "--to", to];
    kill_when(&args, "accounts:", reached).await;
    let other = empty_store().await;
    let refused = migrate(&other.address, to).expect(2);
    assert!(refused.err.contains("unfinished move"), "{}", refused.err);
    let refused = run(&[
        "serve",
        "--development",
        "--set",
        &format!("store.url={to}"),
    ]);
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.err.contains("unfinished move"), "{}", refused.err);
    let looked = run(&["check", to]).expect(2);
    assert!(looked.out.contains("is not finished"), "{}", looked.out);
    let ran = migrate(from, to).expect(0);
    assert!(ran.err.contains("going on"), "{}", ran.err);
}

#[tokio::test]
async fn a_move_to_a_file_goes_on_after_a_kill() {
    let Some(old) = Foreign::new().await else {
        return;
    };
    old.add("accounts", accounts(20_000)).await;
    old.add("roles", vec![doc! { "_id": "r" }]).await;
    let file = File::new();
    let some = async || {
        let Ok(file) = rusqlite::Connection::open(&file.path) else {
            return false;
        };
        let count = file.query_row("SELECT count(*) FROM accounts", [], |row| {
            row.get::<_, i64>(0)
        });
        count.is_ok_and(|count| count > 0)
    };
    interrupted(&old.address, &file.address, some).await;
    assert_same(&old.dump().await, &file.dump());
    let again = migrate(&old.address, &file.address).expect(2);
    assert!(again.err.contains("is not empty"), "{}", again.err);
}

#[tokio::test]
async fn a_move_to_a_server_goes_on_after_a_kill() {
    let Some(new) = Foreign::new().await else {
        return;
    };
    let file = empty_store().await;
    fill(&file, "accounts", &accounts(10_000));
    let some = async || {
        let found = new
            .database
            .collection::<Members>("accounts")
            .find_one(doc! {})
            .await;
        found.is_ok_and(|found| found.is_some())
    };
    interrupted(&file.address, &new.address, some).await;
    assert_same(&file.dump(), &new.dump().await);
}

#[tokio::test]
async fn what_changed_meanwhile_is_noticed() {
    let from = empty_store().await;
    fill(&from, "accounts", &accounts(20_000));
    let to = File::new();
    let some = async || {
        let Ok(file) = rusqlite::Connection::open(&to.path) else {
            return false;
        };
        let count = file.query_row("SELECT count(*) FROM accounts", [], |row| {
            row.get::<_, i64>(0)
        });
        count.is_ok_and(|count| count > 0)
    };
    let args = ["migrate", "--from", &from.address, "--to", &to.address];
    kill_when(&args, "accounts:", some).await;
    let source = rusqlite::Connection::open(&from.path).expect("a file");
    source
        .execute("DELETE FROM accounts WHERE id = 'account 0'", [])
        .expect("a row");
    let mut changed = accounts(2).remove(1);
    changed.insert("note", "new");
    let bytes = bson::serialize_to_vec(&changed).expect("bytes");
    source
        .execute(
            "UPDATE accounts SET doc = ?1 WHERE id = 'account 1'",
            (bytes,),
        )
        .expect("a row");
    drop(source);
    let ran = migrate(&from.address, &to.address).expect(2);
    assert!(
        ran.out.contains("account 0 is only in the target"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("DIFFERENT in 1 documents"), "{}", ran.out);
    let note = to.dump()["accounts"]["\"account 1\""].get("note").cloned();
    assert_eq!(note, Some("new".into()));
}

#[tokio::test]
async fn a_move_that_would_harm_is_refused() {
    let from = empty_store().await;
    fill(&from, "accounts", &accounts(3));
    let same = migrate(&from.address, &from.address).expect(2);
    assert!(same.err.contains("the same database"), "{}", same.err);

    let filled = empty_store().await;
    fill(&filled, "roles", &[doc! { "_id": "r" }]);
    let before = filled.dump();
    let refused = migrate(&from.address, &filled.address).expect(2);
    assert!(
        refused.err.contains("documents in roles"),
        "{}",
        refused.err
    );
    assert_same(&before, &filled.dump());

    let to = File::new();
    let server = Server::start_at(&from.address, &[]).await;
    let refused = migrate(&from.address, &to.address).expect(2);
    assert!(refused.err.contains("stop it first"), "{}", refused.err);
    drop(server);
    let there = Path::new(&to.path).exists();
    assert!(!there, "a refused move made a file");

    let missing = migrate("sqlite:/nowhere/at-all.db", &to.address).expect(1);
    assert!(missing.err.contains("no file"), "{}", missing.err);
    let away = "mongodb://me:s3cret@127.0.0.1:1/x?serverSelectionTimeoutMS=200";
    let missing = migrate(away, &to.address).expect(1);
    assert!(!missing.err.contains("s3cret"), "{}", missing.err);

    // two documents where the store allows one
    let Some(old) = Foreign::new().await else {
        return;
    };
    let mut twins = accounts(2);
    twins[1].insert("email", "0@x.test");
    old.add("accounts", twins).await;
    let refused = migrate(&old.address, &to.address).expect(2);
    assert!(refused.err.contains("account 1"), "{}", refused.err);
    assert!(refused.err.contains("email"), "{}", refused.err);
}
