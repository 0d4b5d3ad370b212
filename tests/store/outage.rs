//! Servers that are not there, or go away and come back.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use ueauth::store::{Store, StoreError, StoreOptions};

use crate::bench::{Ferret, ITEMS, Item, START, free_port, options, skip};

fn impatient(url: &str) -> StoreOptions {
    let mut options = options(url, &Arc::new(AtomicI64::new(START)));
    options.timeout = Duration::from_millis(300);
    options
}

#[tokio::test]
async fn an_absent_server_is_unavailable() {
    let url = format!("mongodb://127.0.0.1:{}/x", free_port());
    let error = Store::open(&impatient(&url), &[&ITEMS]).await.err();
    assert!(
        matches!(error, Some(StoreError::Unavailable { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn wrong_addresses_are_said_to_be_wrong() {
    for url in ["", "store.db", "http://127.0.0.1", "sqlite:", "mongodb://"] {
        let error = Store::open(&impatient(url), &[&ITEMS]).await.err();
        assert!(
            matches!(error, Some(StoreError::Config { .. })),
            "{url:?}: {error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_is_used_again() {
    if Ferret::find().is_none() {
        skip("no FerretDB (UEAUTH_TEST_FERRETDB)");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = Ferret::start(free_port(), directory.path()).unwrap();
    let (port, address) = (server.port, server.address());
    let mut options = options(&address, &Arc::new(AtomicI64::new(START)));
    options.timeout = Duration::from_secs(5);
    let store = Store::open(&options, &[&ITEMS]).await.unwrap();
    let items = store.of::<Item>();
    items.insert(&Item::new("a")).await.unwrap();
    assert!(store.is_connected());

    server.stop();
    let lost = items.get("a").await;
    assert!(
        matches!(lost, Err(StoreError::Unavailable { .. })),
        "{lost:?}"
    );
    assert!(!store.is_connected());
    let lost = items.insert(&Item::new("b")).await;
    assert!(
        matches!(lost, Err(StoreError::Unavailable { .. })),
        "{lost:?}"
    );

    let _server = Ferret::start(port, directory.path()).unwrap();
    let mut read = items.get("a").await;
    for _ in 0..5 {
        if read.is_ok() {
            break;
        }
        read = items.get("a").await;
    }
    assert_eq!(read.unwrap().unwrap().id, "a");
    assert!(store.is_connected());
    items.insert(&Item::new("c")).await.unwrap();
}
