//! A database that another program, which knows nothing of this store, writes to as well.

use bson::{Document, doc};
use mongodb::Client;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use ueauth::store::{StoreError, Value};

use crate::bench::{Bench, Item};

async fn database(bench: &Bench) -> mongodb::Database {
    let client = Client::with_uri_str(&bench.url).await.unwrap();
    client.default_database().unwrap()
}

/// Adds to `rank` while the other program makes its change between reading and writing.
async fn add_during(bench: &Bench, change: Document) -> (u32, Item) {
    let items = bench.store.of::<Item>();
    let foreign = database(bench).await.collection::<Document>("items");
    let mut runs = 0;
    let updated = items
        .update("a", |item: &mut Item| {
            runs += 1;
            if runs == 1 {
                let set = foreign.update_one(doc! { "_id": "a" }, doc! { "$set": change.clone() });
                block_in_place(|| Handle::current().block_on(async { set.await.unwrap() }));
            }
            item.rank += 1;
            Ok::<_, StoreError>(())
        })
        .await;
    updated.unwrap().unwrap();
    (runs, items.get("a").await.unwrap().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_another_program_are_not_overwritten() {
    let Some(bench) = Bench::server().await else {
        return;
    };
    let foreign = database(&bench).await.collection::<Document>("items");
    let document = doc! { "_id": "a", "email": "e", "rank": 0_i32, "note": "old", "__v": 3_i32 };
    foreign.insert_one(document).await.unwrap();

    let (runs, item) = add_during(&bench, doc! { "rank": 10_i32 }).await;
    assert_eq!((runs, item.rank), (2, 11));
    let (runs, item) = add_during(&bench, doc! { "note": "new" }).await;
    assert_eq!((runs, item.rank), (1, 12));
    assert_eq!(item.extra.get("note"), Some(&Value::from("new")));
    assert_eq!(item.extra.get("__v"), Some(&Value::Int32(3)));
    let (runs, item) = add_during(&bench, doc! { "rank": 50_i32, "note": "last" }).await;
    assert_eq!((runs, item.rank), (2, 51));
    let stored = foreign
        .find_one(doc! { "_id": "a" })
        .await
        .unwrap()
        .unwrap();
    assert!(stored.get_i64("__rev").is_ok());
    assert_eq!(item.extra.get("__rev"), None);
}
