//! The embedded store's file: reopened, grown, and killed in the middle of writing.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use serde::{Deserialize, Serialize};
use ueauth::store::{
    Collection, Date, Document, Expiry, Filter, Index, Order, Query, Store, StoreError, eq,
};

use crate::bench::{ITEMS, Item, START, options};

fn url(directory: &Path) -> String {
    format!("sqlite:{}", directory.join("store.db").display())
}

async fn open(directory: &Path, collections: &[&'static Collection]) -> Result<Store, StoreError> {
    let time = Arc::new(AtomicI64::new(START));
    Store::open(&options(&url(directory), &time), collections).await
}

fn check(directory: &Path) {
    let file = rusqlite::Connection::open(directory.join("store.db")).unwrap();
    let verdict: String = file
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
}

#[tokio::test]
async fn a_closed_store_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &[&ITEMS]).await.unwrap();
    let items = store.of::<Item>();
    items.insert(&Item::new("a")).await.unwrap();
    store.close().await;
    let after = items.get("a").await;
    assert!(
        matches!(after, Err(StoreError::Unavailable { .. })),
        "{after:?}"
    );
    check(directory.path());
    let store = open(directory.path(), &[&ITEMS]).await.unwrap();
    assert!(store.of::<Item>().get("a").await.unwrap().is_some());
    assert!(store.of::<Item>().insert(&Item::new("a")).await.is_err());
}

#[derive(Serialize, Deserialize)]
struct Grown {
    #[serde(rename = "_id")]
    id: String,
    email: String,
    rank: i64,
    #[serde(default)]
    until: Option<Date>,
}

static GROWN: Collection = Collection {
    name: "items",
    indexes: &[
        Index::unique(&["email"]),
        Index::plain(&["rank"]),
        Index::plain(&["group", "rank"]),
    ],
    expiry: &[Expiry::at("until")],
};

static STRICT: Collection = Collection {
    name: "items",
    indexes: &[Index::unique(&["group"])],
    expiry: &[],
};

impl Document for Grown {
    const COLLECTION: &'static Collection = &GROWN;

    fn id(&self) -> &str {
        &self.id
    }
}

#[tokio::test]
async fn new_declarations_apply_to_old_documents() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &[&ITEMS]).await.unwrap();
    for (id, rank) in [("a", 3), ("b", 1), ("c", 2)] {
        let mut item = Item::new(id);
        item.rank = rank;
        store.of::<Item>().insert(&item).await.unwrap();
    }
    let ended = Item::new("d").with("until", Date::from_millis(START));
    store.of::<Item>().insert(&ended).await.unwrap();
    store.close().await;

    let store = open(directory.path(), &[&GROWN]).await.unwrap();
    let grown = store.of::<Grown>();
    let sorted = Query::new(eq("group", "g")).sort("rank", Order::Ascending);
    let ids: String = grown
        .find(sorted)
        .await
        .unwrap()
        .into_iter()
        .map(|item| item.id)
        .collect();
    assert_eq!(ids, "bca");
    assert_eq!(grown.count(eq("rank", 2)).await.unwrap(), 1);
    assert_eq!(grown.count(Filter::All).await.unwrap(), 3);
    let twin = Grown {
        id: "e".to_owned(),
        email: "a@example.com".to_owned(),
        rank: 0,
        until: None,
    };
    match grown.insert(&twin).await {
        Err(StoreError::Duplicate { index, .. }) => assert_eq!(index, "email_1"),
        other => panic!("{other:?}"),
    }
    store.close().await;

    let refused = open(directory.path(), &[&STRICT]).await;
    assert!(matches!(refused.err(), Some(StoreError::Duplicate { .. })));
    let store = open(directory.path(), &[&ITEMS]).await.unwrap();
    assert_eq!(store.of::<Item>().count(eq("group", "g")).await.unwrap(), 4);
    store.close().await;
    check(directory.path());
}

const DIRECTORY: &str = "UEAUTH_TEST_KILLED_WRITER";
const WRITERS: usize = 32;
const WRITES: usize = 10_000;

/// The process that is killed: it prints the id of each acknowledged document.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_writer() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let store = open(Path::new(&directory), &[&ITEMS]).await.unwrap();
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let items = store.of::<Item>();
            tokio::spawn(async move {
                for number in 0..=WRITES / WRITERS {
                    let id = format!("{writer}-{number}");
                    items.insert(&Item::new(&id)).await.unwrap();
                    println!("acknowledged {id}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "durability::killed_writer",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIRECTORY, directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    for line in lines {
        let line = line.unwrap();
        if let Some((_, id)) = line.split_once("acknowledged ") {
            acknowledged.push(id.to_owned());
        }
        if acknowledged.len() == WRITES / 2 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged.len() >= WRITES / 2);
    assert!(
        acknowledged.len() < WRITES,
        "the writer was not interrupted"
    );
    check(directory.path());
    let store = open(directory.path(), &[&ITEMS]).await.unwrap();
    let items = store.of::<Item>();
    for id in &acknowledged {
        assert!(items.get(id).await.unwrap().is_some(), "{id} is lost");
        let found = items
            .count(eq("email", format!("{id}@example.com")) & eq("group", "g"))
            .await;
        assert_eq!(found.unwrap(), 1, "{id} has no index entry");
    }
}

#[tokio::test]
async fn a_second_process_is_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path(), &[&ITEMS]).await.unwrap();
    let second = open(directory.path(), &[&ITEMS]).await.unwrap();
    first.of::<Item>().insert(&Item::new("a")).await.unwrap();
    second.of::<Item>().insert(&Item::new("b")).await.unwrap();
    assert_eq!(first.of::<Item>().count(Filter::All).await.unwrap(), 2);
    assert!(second.of::<Item>().insert(&Item::new("a")).await.is_err());
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "text").unwrap();
    let below_a_file = directory.path().join("file");
    let refused = open(&below_a_file, &[&ITEMS]).await.err();
    assert!(
        matches!(refused, Some(StoreError::Unavailable { .. })),
        "{refused:?}"
    );
    std::fs::write(
        directory.path().join("store.db"),
        "this is no database".repeat(100),
    )
    .unwrap();
    let refused = open(directory.path(), &[&ITEMS]).await.err();
    assert!(
        matches!(refused, Some(StoreError::Engine { .. })),
        "{refused:?}"
    );
}
