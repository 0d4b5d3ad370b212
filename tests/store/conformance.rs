//! Reading, writing, uniqueness, races, lifetimes.

use std::sync::Arc;

use ueauth::store::{
    Date, Filter, MAX_DOCUMENT, Order, Query, StoreError, Value, and, any_of, eq, exists, gt, gte,
    lt, ne, text,
};

use crate::bench::{Bench, Item, Pass, START};

fn duplicate(result: Result<impl Sized, StoreError>) -> (String, Vec<String>) {
    match result.err() {
        Some(StoreError::Duplicate { index, keys, .. }) => (index, keys),
        other => panic!("expected a duplicate, got {other:?}"),
    }
}

pub async fn round_trip(bench: Bench) {
    let items = bench.store.of::<Item>();
    let item = Item::new("a").with("note", "first");
    items.insert(&item).await.unwrap();
    let read = items.get("a").await.unwrap().unwrap();
    assert_eq!(read.email, item.email);
    assert_eq!(read.extra.get("note"), item.extra.get("note"));
    assert_eq!(read.extra.get("__v"), Some(&Value::Int32(0)));
    assert_eq!(read.extra.len(), 2, "nothing else is added: {read:?}");
    assert_eq!(items.get("b").await.unwrap(), None);
    assert!(items.delete("a").await.unwrap());
    assert!(!items.delete("a").await.unwrap());
    assert_eq!(items.get("a").await.unwrap(), None);
    bench.store.ping().await.unwrap();
    assert!(bench.store.is_connected());
}

pub async fn unique_keys_are_enforced(bench: Bench) {
    let items = bench.store.of::<Item>();
    items.insert(&Item::new("a")).await.unwrap();
    let (index, keys) = duplicate(items.insert(&Item::new("a")).await);
    assert_eq!((index.as_str(), keys), ("_id_", vec!["_id".to_owned()]));

    let mut twin = Item::new("b");
    twin.email = Item::new("a").email;
    let (index, keys) = duplicate(items.insert(&twin).await);
    assert_eq!(index, "email_1_group_1");
    assert_eq!(keys, ["email", "group"]);
    assert_eq!(items.get("b").await.unwrap(), None);

    twin.group = "other".to_owned();
    items.insert(&twin).await.unwrap();
    let moved = items
        .update("b", |item: &mut Item| {
            item.group = "g".to_owned();
            item.rank = 7;
            Ok::<_, StoreError>(())
        })
        .await;
    assert_eq!(duplicate(moved).0, "email_1_group_1");
    assert_eq!(items.get("b").await.unwrap().unwrap().rank, 0);

    twin.group = "g".to_owned();
    assert_eq!(duplicate(items.put(&twin).await).0, "email_1_group_1");
    items.delete("a").await.unwrap();
    items.put(&twin).await.unwrap();
}

pub async fn missing_counts_as_a_value_of_a_unique_key(bench: Bench) {
    if bench.limited {
        return;
    }
    let anything = bench.store.of::<crate::shapes::Sparse>();
    anything
        .insert(&crate::shapes::Sparse::new("a"))
        .await
        .unwrap();
    let (index, _) = duplicate(anything.insert(&crate::shapes::Sparse::new("b")).await);
    assert_eq!(index, "email_1_group_1");
}

pub async fn partial_unique_keys_are_enforced(bench: Bench) {
    if bench.limited {
        return;
    }
    let items = bench.store.of::<Item>();
    for id in ["a", "b"] {
        items.insert(&Item::new(id)).await.unwrap();
    }
    for id in ["c", "d"] {
        items.insert(&Item::new(id).with("slug", "")).await.unwrap();
    }
    for id in ["e", "f"] {
        items
            .insert(&Item::new(id).with("slug", Value::Null))
            .await
            .unwrap();
    }
    items
        .insert(&Item::new("g").with("slug", "s"))
        .await
        .unwrap();
    let twin = items.insert(&Item::new("h").with("slug", "s")).await;
    assert_eq!(duplicate(twin).0, "group_1_slug_1");
    let into = items
        .update("a", |item: &mut Item| {
            item.extra.insert("slug", "s");
            Ok::<_, StoreError>(())
        })
        .await;
    assert_eq!(duplicate(into).0, "group_1_slug_1");
    let found = items
        .find(eq("group", "g") & eq("slug", "s"))
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    let without = items
        .count(eq("group", "g") & eq("slug", Value::Null))
        .await
        .unwrap();
    assert_eq!(without, 4);

    for id in ["i", "j"] {
        items
            .insert(&Item::new(id).with("core", false))
            .await
            .unwrap();
    }
    items
        .insert(&Item::new("k").with("core", true))
        .await
        .unwrap();
    let twin = items.insert(&Item::new("l").with("core", true)).await;
    assert_eq!(duplicate(twin).0, "group_1_core_1");
}

pub async fn concurrent_increments_are_not_lost(bench: Bench) {
    let items = bench.store.of::<Item>();
    items.insert(&Item::new("a")).await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let items = items.clone();
            tokio::spawn(async move {
                items
                    .update("a", |item: &mut Item| {
                        item.rank += 1;
                        Ok::<_, StoreError>(())
                    })
                    .await
                    .unwrap()
                    .unwrap()
                    .rank
            })
        })
        .collect();
    let mut ranks = Vec::new();
    for task in tasks {
        ranks.push(task.await.unwrap());
    }
    ranks.sort_unstable();
    assert_eq!(ranks, (1..=64).collect::<Vec<_>>());
    assert_eq!(items.get("a").await.unwrap().unwrap().rank, 64);
}

#[derive(Debug, PartialEq)]
enum Refusal {
    No,
    Store,
}

impl From<StoreError> for Refusal {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

pub async fn update_is_nothing_or_all(bench: Bench) {
    let items = bench.store.of::<Item>();
    items.insert(&Item::new("a")).await.unwrap();
    let refused = items
        .update("a", |item: &mut Item| {
            item.rank = 1;
            Err(Refusal::No)
        })
        .await;
    assert_eq!(refused, Err(Refusal::No));
    assert_eq!(items.get("a").await.unwrap().unwrap().rank, 0);

    let missing = items.update("b", |_: &mut Item| Err(Refusal::No)).await;
    assert_eq!(missing, Ok(None));

    let renamed = items
        .update("a", |item: &mut Item| {
            item.id = "b".to_owned();
            Ok::<_, Refusal>(())
        })
        .await;
    assert_eq!(renamed, Err(Refusal::Store));

    let same = items.update("a", |_: &mut Item| Ok::<_, Refusal>(())).await;
    assert_eq!(same.unwrap().unwrap().id, "a");

    let removed = items
        .update("a", |item: &mut Item| {
            item.extra.remove("__v");
            item.extra.insert("new", 1);
            Ok::<_, Refusal>(())
        })
        .await;
    removed.unwrap().unwrap();
    let read = items.get("a").await.unwrap().unwrap();
    assert_eq!(read.extra.get("__v"), None);
    assert_eq!(read.extra.get("new"), Some(&Value::Int32(1)));
}

pub async fn update_where_checks_its_filter_again(bench: Bench) {
    let items = bench.store.of::<Item>();
    items.insert(&Item::new("a")).await.unwrap();
    let unused = eq("_id", "a") & eq("rank", 0);
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let (items, unused) = (items.clone(), unused.clone());
            tokio::spawn(async move {
                items
                    .update_where(unused, |item: &mut Item| {
                        item.rank = 1;
                        Ok::<_, StoreError>(())
                    })
                    .await
                    .unwrap()
                    .is_some()
            })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += u32::from(task.await.unwrap());
    }
    assert_eq!(winners, 1);
}

pub async fn a_change_to_another_field_is_noticed(bench: Bench) {
    let items = bench.store.of::<Item>();
    items.insert(&Item::new("a")).await.unwrap();
    let mut runs = 0;
    let updated = items
        .update("a", |item: &mut Item| {
            runs += 1;
            if runs == 1 {
                let other = items.update("a", |item: &mut Item| {
                    item.extra.insert("limit", 5);
                    Ok::<_, StoreError>(())
                });
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(other))?;
            }
            item.rank = if item.extra.contains_key("limit") {
                5
            } else {
                100
            };
            Ok::<_, StoreError>(())
        })
        .await;
    assert_eq!(updated.unwrap().unwrap().rank, 5);
    assert_eq!(runs, 2);
}

pub async fn take_has_one_winner(bench: Bench) {
    let items = bench.store.of::<Item>();
    items
        .insert(&Item::new("a").with("tags", vec!["x"]))
        .await
        .unwrap();
    items.insert(&Item::new("b")).await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let items = items.clone();
            tokio::spawn(async move { items.take(eq("tags", "x")).await.unwrap() })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap());
    }
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].id, "a");
    assert_eq!(items.count(Filter::All).await.unwrap(), 1);
}

fn pass(id: &str, code: &str, ends: Option<i64>) -> Pass {
    Pass {
        id: id.to_owned(),
        code: code.to_owned(),
        expires_at: ends.map(|millis| Date::from_millis(START + millis)),
        created_at: None,
    }
}

pub async fn expired_documents_are_gone(bench: Bench) {
    let passes = bench.store.of::<Pass>();
    passes.insert(&pass("a", "1", Some(1000))).await.unwrap();
    passes.insert(&pass("b", "2", None)).await.unwrap();
    let mut created = pass("c", "3", None);
    created.created_at = Some(Date::from_millis(START));
    passes.insert(&created).await.unwrap();
    let mut both = pass("d", "4", Some(1_000_000_000));
    both.created_at = created.created_at;
    passes.insert(&both).await.unwrap();
    bench.pass_time(999);
    assert!(passes.get("a").await.unwrap().is_some());
    bench.pass_time(1);
    assert_eq!(passes.get("a").await.unwrap(), None);
    assert_eq!(passes.find_one(eq("code", "1")).await.unwrap(), None);
    assert_eq!(passes.count(Filter::All).await.unwrap(), 3);
    assert_eq!(passes.take(eq("_id", "a")).await.unwrap(), None);
    let update = passes
        .update("a", |pass: &mut Pass| {
            pass.expires_at = None;
            Ok::<_, StoreError>(())
        })
        .await;
    assert_eq!(update.unwrap(), None);
    assert!(!passes.delete("a").await.unwrap());
    assert_eq!(bench.store.purge().await.unwrap(), 1);
    assert_eq!(bench.store.purge().await.unwrap(), 0);
    bench.pass_time(3_600_000 - 1000);
    let left = passes.find(Query::default()).await.unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].id, "b");
    assert_eq!(bench.store.purge().await.unwrap(), 2);
}

pub async fn expired_documents_free_their_keys(bench: Bench) {
    let passes = bench.store.of::<Pass>();
    passes.insert(&pass("a", "1", Some(1000))).await.unwrap();
    let taken = passes.insert(&pass("b", "1", None)).await;
    assert_eq!(duplicate(taken).0, "code_1");
    bench.pass_time(1000);
    passes.insert(&pass("b", "1", Some(2000))).await.unwrap();
    passes.insert(&pass("c", "2", Some(9000))).await.unwrap();
    bench.pass_time(1000);
    passes.insert(&pass("b", "3", Some(3000))).await.unwrap();
    bench.pass_time(1000);
    let moved = passes
        .update("c", |pass: &mut Pass| {
            pass.code = "3".to_owned();
            Ok::<_, StoreError>(())
        })
        .await;
    assert_eq!(moved.unwrap().unwrap().code, "3");
    passes.put(&pass("d", "2", Some(4000))).await.unwrap();
    bench.pass_time(1000);
    let many = [
        pass("e", "5", None),
        pass("f", "2", None),
        pass("g", "6", None),
    ];
    passes.insert_many(&many).await.unwrap();
    assert_eq!(passes.count(Filter::All).await.unwrap(), 4);
}

pub async fn put_replaces_or_adds(bench: Bench) {
    let items = bench.store.of::<Item>();
    items.put(&Item::new("a").with("old", 1)).await.unwrap();
    items.put(&Item::new("a").with("new", 2)).await.unwrap();
    let read = items.get("a").await.unwrap().unwrap();
    assert_eq!(read.extra.get("old"), None);
    assert_eq!(read.extra.get("new"), Some(&Value::Int32(2)));
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let items = items.clone();
            tokio::spawn(async move { items.put(&Item::new("z").with("by", number)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(items.count(Filter::All).await.unwrap(), 2);
}

pub async fn insert_many_stops_at_the_first_failure(bench: Bench) {
    let items = bench.store.of::<Item>();
    let documents = ["a", "b", "a", "c"].map(Item::new);
    assert_eq!(duplicate(items.insert_many(&documents).await).0, "_id_");
    let ids: Vec<_> = items
        .find(Query::default().sort("_id", Order::Ascending))
        .await
        .unwrap()
        .into_iter()
        .map(|item| item.id)
        .collect();
    assert_eq!(ids, ["a", "b"]);
    items.insert_many(&[]).await.unwrap();
}

pub async fn many_are_updated_and_deleted(bench: Bench) {
    let items = bench.store.of::<Item>();
    for number in 0..10 {
        let mut item = Item::new(&number.to_string());
        item.rank = number;
        items.insert(&item).await.unwrap();
    }
    let changed = items
        .update_many(lt("rank", 4), |item: &mut Item| {
            item.rank += 100;
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    assert_eq!(changed, 4);
    assert_eq!(items.count(gte("rank", 100)).await.unwrap(), 4);
    assert_eq!(items.delete_many(gte("rank", 100)).await.unwrap(), 4);
    assert_eq!(
        items
            .delete_many(any_of("_id", ["4", "5", "none"]))
            .await
            .unwrap(),
        2
    );
    assert_eq!(items.count(Filter::All).await.unwrap(), 4);
}

async fn ids(bench: &Bench, query: Query) -> String {
    let found = bench.store.of::<Item>().find(query).await.unwrap();
    found.into_iter().map(|item| item.id).collect()
}

pub async fn sorting_is_stable(bench: Bench) {
    let items = bench.store.of::<Item>();
    for (id, rank, group) in [
        ("d", 1, "x"),
        ("b", 2, "x"),
        ("c", 1, "x"),
        ("a", 1, "y"),
        ("f", 3, "y"),
        ("e", 2, "y"),
    ] {
        let mut item = Item::new(id);
        item.rank = rank;
        item.group = group.to_owned();
        items.insert(&item).await.unwrap();
    }
    let all = || Query::default();
    assert_eq!(
        ids(&bench, all().sort("rank", Order::Ascending)).await,
        "acdbef"
    );
    assert_eq!(
        ids(&bench, all().sort("rank", Order::Descending)).await,
        "fbeacd"
    );
    assert_eq!(
        ids(&bench, all().sort("_id", Order::Descending)).await,
        "fedcba"
    );
    let two = all()
        .sort("group", Order::Descending)
        .sort("rank", Order::Ascending);
    assert_eq!(ids(&bench, two).await, "aefcdb");
    // The same order when an index gives it, in both directions, and by pages.
    let x = || Query::new(eq("group", "x"));
    assert_eq!(
        ids(&bench, x().sort("rank", Order::Descending)).await,
        "bcd"
    );
    assert_eq!(ids(&bench, x().sort("rank", Order::Ascending)).await, "cdb");
    let page = |skip| x().sort("rank", Order::Descending).skip(skip).limit(2);
    assert_eq!(ids(&bench, page(0)).await, "bc");
    assert_eq!(ids(&bench, page(2)).await, "d");
    let ranged = Query::new(eq("group", "x") & gt("rank", 1)).sort("rank", Order::Ascending);
    assert_eq!(ids(&bench, ranged).await, "b");
    let missing = all()
        .sort("none", Order::Ascending)
        .sort("rank", Order::Descending);
    assert_eq!(ids(&bench, missing).await, "fbeacd");
    items.insert(&Item::new("g").with("mark", 1)).await.unwrap();
    items
        .insert(&Item::new("h").with("mark", vec![0, 5]))
        .await
        .unwrap();
    let some = |order| Query::new(exists("mark", true)).sort("mark", order);
    assert_eq!(ids(&bench, some(Order::Ascending)).await, "hg");
    assert_eq!(ids(&bench, some(Order::Descending)).await, "hg");
}

pub async fn pages_and_selections(bench: Bench) {
    let items = bench.store.of::<Item>();
    for number in 0..10 {
        let item = Item::new(&number.to_string()).with(
            "deep",
            Value::Document(
                [
                    ("a".to_owned(), Value::Int32(number)),
                    ("b".to_owned(), Value::Null),
                ]
                .into_iter()
                .collect(),
            ),
        );
        items.insert(&item).await.unwrap();
    }
    let page = |skip, limit| {
        Query::default()
            .sort("_id", Order::Ascending)
            .skip(skip)
            .limit(limit)
    };
    assert_eq!(ids(&bench, page(0, 3)).await, "012");
    assert_eq!(ids(&bench, page(8, 5)).await, "89");
    assert_eq!(ids(&bench, page(20, 5)).await, "");
    assert_eq!(ids(&bench, page(0, 0)).await, "");
    let filtered = Query::new(and([ne("_id", "0"), ne("_id", "2")]));
    let filtered = filtered.sort("_id", Order::Ascending).skip(1).limit(2);
    assert_eq!(ids(&bench, filtered).await, "34");

    let selected = items
        .find_objects(page(1, 1).select(["email", "deep.a", "none"]))
        .await
        .unwrap();
    let json = serde_json::to_value(&selected[0]).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"_id": "1", "email": "1@example.com", "deep": {"a": 1}})
    );
    let whole = items
        .find_objects(page(1, 1).select(["deep.a", "deep"]))
        .await
        .unwrap();
    assert_eq!(
        serde_json::to_value(&whole[0]).unwrap(),
        serde_json::json!({"_id": "1", "deep": {"a": 1, "b": null}})
    );
    assert_eq!(
        items.find(page(1, 1).select(["email"])).await.unwrap()[0].group,
        "g"
    );
}

pub async fn words_are_found(bench: Bench) {
    let items = bench.store.of::<Item>();
    items
        .insert(&Item::new("a").with("name", "Grey Whale"))
        .await
        .unwrap();
    items
        .insert(&Item::new("b").with("labels", vec!["whale", "sea"]))
        .await
        .unwrap();
    items
        .insert(&Item::new("c").with("name", "narwhal tooth"))
        .await
        .unwrap();
    let found = |words: &str, group: &str| {
        let filter = text(words) & eq("group", group);
        let bench = &bench;
        async move { ids(bench, Query::new(filter).sort("_id", Order::Ascending)).await }
    };
    assert_eq!(found("WHALE", "g").await, "ab");
    assert_eq!(found("tooth, sea", "g").await, "bc");
    assert_eq!(found("tooth", "other").await, "");
    assert_eq!(found("whales", "none").await, "");
    assert_eq!(found("", "g").await, "");
    assert_eq!(found("-whale \"sea", "g").await, "ab");
}

pub async fn large_documents_are_refused(bench: Bench) {
    let items = bench.store.of::<Item>();
    let large = Item::new("a").with("note", "x".repeat(MAX_DOCUMENT));
    match items.insert(&large).await {
        Err(StoreError::TooLarge { size, .. }) => assert!(size > MAX_DOCUMENT),
        other => panic!("{other:?}"),
    }
    let fits = Item::new("a").with("note", "x".repeat(MAX_DOCUMENT - 4096));
    items.insert(&fits).await.unwrap();
    let grown = items
        .update("a", |item: &mut Item| {
            item.extra.insert("more", "y".repeat(8192));
            Ok::<_, StoreError>(())
        })
        .await;
    assert!(matches!(grown, Err(StoreError::TooLarge { .. })));
    let turned = items
        .update("a", |item: &mut Item| {
            item.extra.insert("note", "z".repeat(MAX_DOCUMENT - 4096));
            Ok::<_, StoreError>(())
        })
        .await;
    turned.unwrap().unwrap();
    let read = items.get("a").await.unwrap().unwrap();
    assert_eq!(
        read.extra.get_str("note").unwrap().len(),
        MAX_DOCUMENT - 4096
    );
    assert!(read.extra.get_str("note").unwrap().starts_with('z'));
}

pub async fn an_undeclared_collection_is_refused(bench: Bench) {
    let strangers = Arc::new(bench.store.of::<crate::shapes::Stranger>());
    let result = strangers.get("a").await;
    assert!(
        matches!(result, Err(StoreError::Config { .. })),
        "{result:?}"
    );
}
