//! Building the declared indexes on the server.

use bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use std::time::Duration;

use super::super::bulk::{IndexFinding, IndexKind};
use super::super::{Collection, Index, StoreError, When};
use super::errors;

/// Unique indexes of earlier writers that refuse documents which are right today.
const RETIRED: &[(&str, &str)] = &[
    (
        "federated_tokens",
        "payload.authGroup_1_payload.accountId_1_payload.clientId_1_payload.grantId_1",
    ),
    ("pkce_sessions", "payload.authGroup_1_payload.state_1"),
];

fn is_retired(collection: &Collection, name: &str) -> bool {
    RETIRED.contains(&(collection.name, name))
}

/// Creates what is missing and drops what is retired; returns whether the text index is there.
///
/// A server may lack a feature, or old data may violate a new unique index. The server then works
/// without the index, as it did before, and a line in the log says so.
pub async fn build(
    documents: &mongodb::Collection<RawDocumentBuf>,
    collection: &Collection,
) -> Result<bool, StoreError> {
    let mut text = false;
    for index in collection.indexes {
        let built = create(documents, collection, &index.name(), model(index)).await?;
        text = text || (index.text && built);
    }
    for rule in collection.expiry {
        let options = IndexOptions::builder()
            .expire_after(Duration::from_secs(rule.after_seconds.into()))
            .build();
        let model = IndexModel::builder()
            .keys(doc! { rule.field: 1 })
            .options(options)
            .build();
        create(documents, collection, &format!("{}_1", rule.field), model).await?;
    }
    for (_, name) in RETIRED.iter().filter(|(of, _)| *of == collection.name) {
        match documents.drop_index(*name).await.map_err(errors::classify) {
            Ok(()) => tracing::info!(collection = collection.name, index = name, "index dropped"),
            Err(error @ StoreError::Unavailable { .. }) => return Err(error),
            // as a rule it is not there
            Err(_) => {}
        }
    }
    Ok(text)
}

async fn create(
    documents: &mongodb::Collection<RawDocumentBuf>,
    collection: &Collection,
    name: &str,
    model: IndexModel,
) -> Result<bool, StoreError> {
    match documents
        .create_index(model)
        .await
        .map_err(errors::classify)
    {
        Ok(_) => Ok(true),
        Err(error @ StoreError::Unavailable { .. }) => Err(error),
        Err(error) => {
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(
                collection = collection.name,
                index = name,
                reason = reason.unwrap_or_else(|| error.to_string()),
                "the server did not build an index; the store goes on without it"
            );
            Ok(false)
        }
    }
}

fn model(index: &Index) -> IndexModel {
    let keys: Document = index
        .paths()
        .map(|(path, descending)| {
            let kind: bson::Bson = match (index.text, descending) {
                (true, _) => "text".into(),
                (false, true) => (-1).into(),
                (false, false) => 1.into(),
            };
            (path.to_owned(), kind)
        })
        .collect();
    let mut options = IndexOptions::default();
    options.unique = index.unique.then_some(true);
    options.partial_filter_expression = condition(index);
    IndexModel::builder().keys(keys).options(options).build()
}

fn condition(index: &Index) -> Option<Document> {
    match index.when {
        When::Always => None,
        When::Set(path) => Some(doc! { path: { "$exists": true, "$gt": "" } }),
        When::True(path) => Some(doc! { path: { "$exists": true, "$eq": true } }),
    }
}

/// How the indexes that the server lists differ from the declared ones.
pub fn compare(collection: &Collection, there: Vec<Document>) -> Vec<IndexFinding> {
    let mut findings = Vec::new();
    let mut rest: Vec<Document> = there
        .into_iter()
        .filter(|index| keys_of(index) != [("_id".to_owned(), 1)])
        .collect();
    let mut taken = |test: &dyn Fn(&Document) -> bool| {
        let position = rest.iter().position(test)?;
        Some(rest.remove(position))
    };
    let mut note = |name: String, kind, declared| {
        findings.push(IndexFinding {
            name,
            kind,
            declared,
        });
    };
    for index in collection.indexes {
        let wanted: Vec<(String, i64)> = index
            .paths()
            .map(|(path, descending)| (path.to_owned(), if descending { -1 } else { 1 }))
            .collect();
        let found = if index.text {
            taken(&|found| found.get_document("weights").is_ok() || is_text(found))
        } else {
            taken(&|found| !is_text(found) && keys_of(found) == wanted)
        };
        let kind = match found {
            None => IndexKind::Missing,
            Some(found) => match difference(index, &found) {
                Some(text) => IndexKind::Different(text),
                None => continue,
            },
        };
        note(index.name(), kind, Some(index));
    }
    for rule in collection.expiry {
        let name = format!("{}_1", rule.field);
        let found = taken(&|found| keys_of(found) == [(rule.field.to_owned(), 1)]);
        let seconds = found
            .as_ref()
            .map(|found| found.get("expireAfterSeconds").and_then(number));
        match seconds {
            None => note(name, IndexKind::Missing, None),
            Some(seconds) if seconds != Some(rule.after_seconds.into()) => {
                let text = match seconds {
                    Some(seconds) => format!("documents end after {seconds} s there"),
                    None => "documents do not end by it there".to_owned(),
                };
                note(name, IndexKind::Different(text), None);
            }
            Some(_) => {}
        }
    }
    for index in rest {
        let name = index.get_str("name").unwrap_or_default().to_owned();
        let kind = if is_retired(collection, &name) {
            IndexKind::Retired
        } else {
            // with the id among its keys, no two documents can share a key
            let with_id = keys_of(&index).iter().any(|(path, _)| path == "_id");
            IndexKind::Unknown {
                unique: is_unique(&index) && !with_id,
            }
        };
        findings.push(IndexFinding {
            name,
            kind,
            declared: None,
        });
    }
    findings
}

fn difference(index: &Index, found: &Document) -> Option<String> {
    if index.text {
        let mut there: Vec<String> = match found.get_document("weights") {
            Ok(weights) => weights.keys().cloned().collect(),
            Err(_) => keys_of(found).into_iter().map(|(path, _)| path).collect(),
        };
        let mut wanted: Vec<&str> = index.paths().map(|(path, _)| path).collect();
        there.sort_unstable();
        wanted.sort_unstable();
        return (there != wanted).then(|| format!("it searches {}", there.join(", ")));
    }
    if is_unique(found) != index.unique {
        let text = if index.unique {
            "it is not unique there"
        } else {
            "it is unique there"
        };
        return Some(text.to_owned());
    }
    let filter = found.get_document("partialFilterExpression").ok();
    if filter != condition(index).as_ref() {
        return Some("it covers other documents there".to_owned());
    }
    let sparse = found.get_bool("sparse").unwrap_or_default();
    sparse.then(|| "it is sparse there".to_owned())
}

fn is_unique(index: &Document) -> bool {
    index.get_bool("unique").unwrap_or_default()
}

fn is_text(index: &Document) -> bool {
    index
        .get_document("key")
        .is_ok_and(|keys| keys.values().any(|kind| kind.as_str() == Some("text")))
}

fn keys_of(index: &Document) -> Vec<(String, i64)> {
    let Ok(keys) = index.get_document("key") else {
        return Vec::new();
    };
    keys.iter()
        .map(|(path, direction)| (path.clone(), number(direction).unwrap_or_default()))
        .collect()
}

/// Servers and shells write whole numbers in three types.
#[allow(clippy::cast_possible_truncation)]
fn number(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(n) => Some((*n).into()),
        Bson::Int64(n) => Some(*n),
        Bson::Double(n) => Some(*n as i64),
        _ => None,
    }
}
