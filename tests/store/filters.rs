//! Every operator, with the documents that it must find.

use bson::{Bson, doc};
use ueauth::store::{
    Date, Filter, Order, Query, StoreError, Value, and, any_of, contains, elem, ends_with, eq,
    exists, gt, gte, lt, lte, ne, not, or, starts_with,
};

use crate::bench::{Anything, Bench};

pub fn documents() -> Vec<Anything> {
    let day = |day: i64| Date::from_millis(day * 86_400_000);
    [
        ("a", doc! { "n": 1_i32, "s": "Alpha", "d": day(1), "t": ["x", "y"], "a": { "b": 1 } }),
        ("b", doc! { "n": 2_i64, "s": "beta", "d": day(2), "t": [], "a": [{ "b": 1, "c": 1 }, { "b": 2, "c": 2 }] }),
        ("c", doc! { "n": 2.5, "s": "ALPHABET", "d": day(3), "t": ["y"], "a": { "b": [1, 5] } }),
        ("d", doc! { "n": null, "s": null, "t": "x", "a": null }),
        ("e", doc! { "s": "(a.b)*", "n": [1, 9], "f": true, "a": [{ "b": 2, "c": 1 }] }),
        ("f", doc! { "n": "2", "s": "ünïcode", "f": false, "a": { "b": null } }),
        ("g", doc! { "n": -3_i32, "s": "be\nta", "d": "1970-01-02", "v": [3, 7, 20] }),
        ("h", doc! { "n": { "b": 1 }, "s": "", "a": { "c": 1 }, "v": [5] }),
    ]
    .into_iter()
    .map(|(id, fields)| Anything {
        id: id.to_owned(),
        fields: fields.into(),
    })
    .collect()
}

/// Filters and the ids of the documents they match.
pub fn cases() -> Vec<(Filter, &'static str)> {
    let day = |day: i64| Date::from_millis(day * 86_400_000);
    let null = || Value::Null;
    vec![
        (Filter::All, "abcdefgh"),
        (eq("n", 2), "b"),
        (eq("n", 2.0), "b"),
        (eq("n", 1_i64), "ae"),
        (eq("n", "2"), "f"),
        (eq("n", null()), "d"),
        (eq("f", null()), "abcdgh"),
        (eq("f", true), "e"),
        (eq("f", false), "f"),
        (eq("n", Bson::Document(doc! { "b": 1 })), "h"),
        (eq("n", Bson::Array(vec![1.into(), 9.into()])), "e"),
        (eq("d", day(2)), "b"),
        (eq("t", "y"), "ac"),
        (eq("t", "x"), "ad"),
        (eq("a.b", 1), "abc"),
        (eq("a.b", 2), "be"),
        (eq("a.b", 5), "c"),
        (eq("a.b", null()), "dfgh"),
        (ne("a.b", 1), "defgh"),
        (ne("n", null()), "abcefgh"),
        (ne("f", true), "abcdfgh"),
        (ne("t", "y"), "bdefgh"),
        (gt("n", 1), "bce"),
        (gte("n", 2), "bce"),
        (lt("n", 2), "aeg"),
        (lte("n", 2.0), "abeg"),
        (gt("n", "1"), "f"),
        (gte("d", day(2)), "bc"),
        (lt("d", day(2)), "a"),
        (gt("s", "a"), "bfg"),
        (lt("s", "B"), "aceh"),
        (and([gt("n", 5), lt("n", 2)]), "e"),
        (gt("a.b", 1), "bce"),
        (any_of("n", [1, 2]), "abe"),
        (any_of("n", [Value::Null, Value::Int32(2)]), "bd"),
        (any_of("t", ["x", "z"]), "ad"),
        (Filter::In("n".into(), Vec::new()), ""),
        (any_of("_id", ["c", "a", "q"]), "ac"),
        (exists("f", true), "ef"),
        (exists("f", false), "abcdgh"),
        (exists("n", true), "abcdefgh"),
        (exists("a.b", true), "abcef"),
        (exists("a.c", false), "acdfg"),
        (contains("s", "alpha"), "ac"),
        (contains("s", "A.B"), "e"),
        (contains("s", ""), "abcefgh"),
        (contains("s", "ÜNÏ"), "f"),
        (contains("t", "X"), "ad"),
        (starts_with("s", "AL"), "ac"),
        (starts_with("s", "ta"), ""),
        (starts_with("s", "(A"), "e"),
        (ends_with("s", "TA"), "bg"),
        (ends_with("s", "be"), ""),
        (ends_with("s", ")*"), "e"),
        (elem("a", eq("b", 1)), "b"),
        (elem("a", and([eq("b", 2), eq("c", 1)])), "e"),
        (and([eq("a.b", 2), eq("a.c", 1)]), "be"),
        (elem("a", ne("b", 1)), "be"),
        (elem("v", and([gt("", 4), lt("", 10)])), "gh"),
        (and([gt("v", 7), lt("v", 5)]), "g"),
        (elem("v", eq("", 5)), "h"),
        (elem("s", eq("b", 1)), ""),
        (and([]), "abcdefgh"),
        (or([]), ""),
        (or([eq("n", 1), eq("s", "beta")]), "abe"),
        (or([eq("n", 1), and([eq("f", false), eq("n", "2")])]), "aef"),
        (not(eq("n", 1)), "bcdfgh"),
        (not(gt("n", 1)), "adfgh"),
        (not(or([exists("f", true), contains("s", "a")])), "dh"),
        (not(elem("a", eq("b", 1))), "acdefgh"),
        (not(Filter::All), ""),
        (and([eq("n", 2), eq("s", "beta")]), "b"),
        (and([eq("a.b", 1), gte("s", "B")]), "b"),
        (
            and([any_of("a.b", [1, 2]), any_of("s", ["beta", "(a.b)*"])]),
            "be",
        ),
    ]
}

pub async fn found(bench: &Bench, filter: &Filter) -> Result<String, StoreError> {
    let query = Query::new(filter.clone()).sort("_id", Order::Ascending);
    let found = bench.store.of::<Anything>().find(query).await?;
    Ok(found.into_iter().map(|document| document.id).collect())
}

pub async fn every_operator(bench: Bench) {
    let anything = bench.store.of::<Anything>();
    anything.insert_many(&documents()).await.unwrap();
    let mut failures = Vec::new();
    for (filter, expected) in cases() {
        match found(&bench, &filter).await {
            Ok(ids) if ids == expected => {
                let count = anything.count(filter.clone()).await.unwrap();
                if count != expected.len() as u64 {
                    failures.push(format!("{filter:?}: counted {count}"));
                }
            }
            other => failures.push(format!("{filter:?}: {other:?} instead of {expected:?}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

pub async fn reserved_names_are_refused(bench: Bench) {
    let anything = bench.store.of::<Anything>();
    for path in ["$where", "a.$x", "", "a..b", "a\0"] {
        let result = anything.count(eq(path, 1)).await;
        assert!(
            matches!(result, Err(StoreError::Config { .. })),
            "{path:?}: {result:?}"
        );
        if path.is_empty() {
            continue;
        }
        let sorted = Query::default().sort(path, Order::Ascending);
        let result = anything.find(sorted).await;
        assert!(matches!(result, Err(StoreError::Config { .. })), "{path:?}");
        let selected = Query::default().select([path]);
        let result = anything.find_objects(selected).await;
        assert!(matches!(result, Err(StoreError::Config { .. })), "{path:?}");
    }
}
