//! Lists of stored documents, as list options and search words ask for them.

use serde_json::Value as Json;

use crate::app::App;
use crate::http::error::ApiResult;
use crate::http::failures::list_options;
use crate::http::odata::Fields;
use crate::http::reply;
use crate::http::request::Pairs;
use crate::store::{Document, Filter, Query, text};

/// Narrows the server's condition to documents with the words of `search`, if it is sent.
pub fn with_search(base: Filter, pairs: &Pairs) -> Filter {
    let words = pairs
        .iter()
        .find(|(name, value)| name == "search" && !value.trim().is_empty());
    match words {
        Some((_, words)) => base.and(text(words.as_str())),
        None => base,
    }
}

/// The documents that satisfy the server's condition and the client's.
pub async fn documents<T: Document>(
    app: &App,
    pairs: &Pairs,
    fields: &Fields,
    base: Filter,
    show: impl Fn(&T) -> Json,
    hide: impl Fn(&mut Json),
) -> ApiResult<Vec<Json>> {
    let options = list_options(pairs, fields, app.settings.limits.list_maximum)?;
    found(app, options.into_query(base), show, hide).await
}

/// Documents of a query. A selection is answered as stored, without defaults, less what `hide`
/// takes out.
pub async fn found<T: Document>(
    app: &App,
    query: Query,
    show: impl Fn(&T) -> Json,
    hide: impl Fn(&mut Json),
) -> ApiResult<Vec<Json>> {
    let docs = app.store.of::<T>();
    if query.select.is_none() {
        return Ok(docs.find(query).await?.iter().map(show).collect());
    }
    let objects = docs.find_objects(query).await?;
    Ok(objects
        .iter()
        .map(|object| {
            let mut out = object.to_json();
            reply::rename_id(&mut out);
            hide(&mut out);
            out
        })
        .collect())
}
