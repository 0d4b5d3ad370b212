//! The embedded engine and the server give the same answers to generated filters.

use bson::doc;
use ueauth::store::{Filter, Value, and, elem, not, or};

use crate::bench::{Anything, Bench};
use crate::filters::found;

fn values() -> Vec<Value> {
    vec![
        Value::Null,
        Value::Int32(1),
        Value::Int64(2),
        Value::Double(2.5),
        "x".into(),
        "".into(),
        true.into(),
        Value::DateTime(bson::DateTime::from_millis(1000)),
    ]
}

/// Documents whose fields `p` and `q.r` take every value, alone and in arrays.
fn documents() -> Vec<Anything> {
    // FerretDB takes a field below an empty array for null, so there is none of those.
    let mut shapes: Vec<bson::Document> = vec![doc! {}, doc! { "p": [] }, doc! { "q": {} }];
    for value in values() {
        shapes.push(doc! { "p": value.clone() });
        shapes.push(doc! { "p": [value.clone()] });
        shapes.push(doc! { "p": [1, value.clone(), "z"] });
        shapes.push(doc! { "q": { "r": value.clone() } });
        shapes.push(doc! { "q": [{ "r": value.clone() }, { "r": 7, "s": value.clone() }] });
    }
    shapes
        .into_iter()
        .enumerate()
        .map(|(number, fields)| Anything {
            id: format!("{number:02} "),
            fields: fields.into(),
        })
        .collect()
}

fn leaves() -> Vec<Filter> {
    let mut leaves = Vec::new();
    for path in ["p", "q.r"] {
        for value in values() {
            leaves.push(Filter::Eq(path.into(), value.clone()));
            leaves.push(Filter::Ne(path.into(), value.clone()));
            leaves.push(Filter::In(path.into(), vec![value.clone(), 7.into()]));
            if value != Value::Null && value != Value::Boolean(true) {
                leaves.push(Filter::Gt(path.into(), value.clone()));
                leaves.push(Filter::Gte(path.into(), value.clone()));
                leaves.push(Filter::Lt(path.into(), value.clone()));
                leaves.push(Filter::Lte(path.into(), value.clone()));
            }
        }
        leaves.push(Filter::Exists(path.into(), true));
        leaves.push(Filter::Exists(path.into(), false));
        leaves.push(Filter::Contains(path.into(), "X".into()));
    }
    leaves
}

fn filters() -> Vec<Filter> {
    let leaves = leaves();
    let mut filters = leaves.clone();
    for (number, leaf) in leaves.iter().enumerate() {
        let other = &leaves[(number * 37 + 11) % leaves.len()];
        filters.push(not(leaf.clone()));
        filters.push(and([leaf.clone(), other.clone()]));
        filters.push(or([leaf.clone(), not(other.clone())]));
    }
    for value in values() {
        let either = Filter::Eq("r".into(), value.clone());
        let both = and([
            Filter::Eq("r".into(), 7.into()),
            Filter::Eq("s".into(), value),
        ]);
        filters.push(elem("q", either));
        filters.push(elem("q", both));
    }
    filters
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_agree_on_every_filter() {
    let Some(server) = Bench::server().await else {
        return;
    };
    let embedded = Bench::memory().await;
    for bench in [&server, &embedded] {
        bench
            .store
            .of::<Anything>()
            .insert_many(&documents())
            .await
            .unwrap();
    }
    let mut differences = Vec::new();
    for filter in filters() {
        let ours = found(&embedded, &filter).await.unwrap();
        let theirs = found(&server, &filter).await.unwrap();
        if ours != theirs {
            differences.push(format!(
                "{filter:?}\n  embedded {ours}\n  server   {theirs}"
            ));
        }
    }
    assert!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
}
