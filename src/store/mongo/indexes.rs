//! Building the declared indexes on the server.

use bson::{Document, RawDocumentBuf, doc};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use std::time::Duration;

use super::super::{Collection, Index, StoreError, When};
use super::errors;

/// Creates what is missing; returns whether the text index is there.
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
    options.partial_filter_expression = match index.when {
        When::Always => None,
        When::Set(path) => Some(doc! { path: { "$exists": true, "$gt": "" } }),
        When::True(path) => Some(doc! { path: { "$exists": true, "$eq": true } }),
    };
    IndexModel::builder().keys(keys).options(options).build()
}
