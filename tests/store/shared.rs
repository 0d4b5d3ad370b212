//! Shared reading: fast where the store allows, never older than an answered write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use ueauth::store::{Date, StoreError, eq};

use crate::bench::{Bench, Item, Pass, START};

async fn rank(bench: &Bench, id: &str, rank: i64) {
    bench
        .store
        .of::<Item>()
        .update(id, |item: &mut Item| {
            item.rank = rank;
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap()
        .unwrap();
}

pub async fn every_kind_of_write_is_seen_at_once(bench: Bench) {
    let items = bench.store.of::<Item>();
    let read = async |id: &str| items.read(id).await.unwrap().map(|item| item.rank);

    assert_eq!(read("a").await, None);
    items.insert(&Item::new("a")).await.unwrap();
    assert_eq!(read("a").await, Some(0), "insert");
    rank(&bench, "a", 1).await;
    assert_eq!(read("a").await, Some(1), "update");
    let mut put = Item::new("a");
    put.rank = 2;
    items.put(&put).await.unwrap();
    assert_eq!(read("a").await, Some(2), "put");
    items
        .update_where(eq("email", "a@example.com"), |item: &mut Item| {
            item.rank = 3;
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    assert_eq!(read("a").await, Some(3), "update_where");
    items
        .update_many(eq("group", "g"), |item: &mut Item| {
            item.rank = 4;
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    assert_eq!(read("a").await, Some(4), "update_many");
    assert!(items.take(eq("rank", 4)).await.unwrap().is_some());
    assert_eq!(read("a").await, None, "take");
    items.insert_many(&[put]).await.unwrap();
    assert_eq!(read("a").await, Some(2), "insert_many");
    assert!(items.delete("a").await.unwrap());
    assert_eq!(read("a").await, None, "delete");
    items.insert(&Item::new("a")).await.unwrap();
    assert_eq!(read("a").await, Some(0));
    assert_eq!(items.delete_many(eq("group", "g")).await.unwrap(), 1);
    assert_eq!(read("a").await, None, "delete_many");
}

pub async fn a_refused_write_changes_nothing_that_is_shared(bench: Bench) {
    let items = bench.store.of::<Item>();
    items.insert(&Item::new("a")).await.unwrap();
    assert!(items.read("a").await.unwrap().is_some());
    let mut twin = Item::new("b");
    twin.email = Item::new("a").email;
    assert!(items.insert_many(&[Item::new("c"), twin]).await.is_err());
    assert!(items.read("b").await.unwrap().is_none());
    assert!(items.read("a").await.unwrap().is_some());
    assert!(items.read("c").await.unwrap().is_some());
}

pub async fn nobody_sees_less_than_what_was_answered(bench: Bench) {
    let items = bench.store.of::<Item>();
    items.insert(&Item::new("a")).await.unwrap();
    let rounds = if bench.limited { 50 } else { 1_000 };
    let (answered, done) = (
        Arc::new(AtomicI64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (items, answered, done) = (items.clone(), Arc::clone(&answered), Arc::clone(&done));
            tokio::spawn(async move {
                let mut reads = 0_u64;
                while !done.load(Ordering::Acquire) {
                    let least = answered.load(Ordering::Acquire);
                    let seen = items.read("a").await.unwrap().unwrap().rank;
                    assert!(seen >= least, "read {seen} after {least} was answered");
                    reads += 1;
                    tokio::task::yield_now().await;
                }
                reads
            })
        })
        .collect();
    for round in 1..=rounds {
        rank(&bench, "a", round).await;
        answered.store(round, Ordering::Release);
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}

pub async fn what_is_shared_expires(bench: Bench) {
    let passes = bench.store.of::<Pass>();
    let pass = Pass {
        id: "a".to_owned(),
        code: "1".to_owned(),
        expires_at: Some(Date::from_millis(START + 500)),
        created_at: None,
    };
    passes.insert(&pass).await.unwrap();
    assert!(passes.read("a").await.unwrap().is_some());
    bench.pass_time(499);
    assert!(passes.read("a").await.unwrap().is_some());
    bench.pass_time(1);
    assert!(passes.read("a").await.unwrap().is_none());
    assert!(passes.at_hand("a").is_none());

    // its unique key is free again, and its id too
    let next = Pass {
        expires_at: None,
        ..pass
    };
    passes.insert(&next).await.unwrap();
    assert_eq!(*passes.read("a").await.unwrap().unwrap(), next);
}

pub async fn another_key_leads_to_the_same_document(bench: Bench) {
    let items = bench.store.of::<Item>();
    let by = async |email: &'static str| {
        let found = items.read_by("email", email, |item| item.email == email);
        found.await.unwrap().map(|item| item.id.clone())
    };
    assert_eq!(by("a@example.com").await, None);
    items.insert(&Item::new("a")).await.unwrap();
    assert_eq!(by("a@example.com").await.as_deref(), Some("a"));
    assert_eq!(by("a@example.com").await.as_deref(), Some("a"));
    items
        .update("a", |item: &mut Item| {
            item.email = "b@example.com".to_owned();
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    assert_eq!(by("a@example.com").await, None);
    assert_eq!(by("b@example.com").await.as_deref(), Some("a"));
    items.delete("a").await.unwrap();
    assert_eq!(by("b@example.com").await, None);
    items.insert(&Item::new("b")).await.unwrap();
    assert_eq!(by("b@example.com").await.as_deref(), Some("b"));
}

pub async fn the_embedded_store_shares_for_a_second(bench: Bench) {
    if !bench.url.starts_with("sqlite:") {
        return;
    }
    let items = bench.store.of::<Item>();
    items.insert(&Item::new("a")).await.unwrap();
    assert!(items.at_hand("a").is_none());
    let first = items.read("a").await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &items.at_hand("a").unwrap()));
    bench.pass_time(999);
    assert!(Arc::ptr_eq(
        &first,
        &items.read("a").await.unwrap().unwrap()
    ));
    bench.pass_time(1);
    assert!(items.at_hand("a").is_none());
    let second = items.read("a").await.unwrap().unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert_eq!(first, second);
}
