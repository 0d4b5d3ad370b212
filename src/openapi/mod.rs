//! The server's own OpenAPI document: what the route tables know, and what is written about each route.
//!
//! The writing is in `api.yaml` files beside the rooms; [`notes`] says what they may hold. A route without notes,
//! notes without a route and a name that means nothing are found by the tests.

mod notes;
mod operation;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::Bytes;
use moka::sync::Cache;
use serde_json::{Map, Value as Json, json};

use crate::groups::Tenant;
use crate::serve::all_routes;
use notes::{Book, NotesError};

/// Operations that only the operator of the whole service has use for.
const OPERATOR: &[&str] = &[
    "/api/init",
    "/api/group",
    "/api/group/{id}",
    "/api/group/{id}/alias-dns",
    "/api/group/{id}/alias-dns/{target}",
    "/api/group-info/{group}",
    "/api/groups",
    "/api/groupcheck/{prettyName}",
    "/api/{group}/checkforupdates",
    "/api/{group}/updatecore",
];

static BOOK: LazyLock<Result<Book, NotesError>> = LazyLock::new(Book::open);

/// Documents ready to send, by all that makes them differ.
static READY: LazyLock<Cache<(String, bool), Bytes>> = LazyLock::new(|| Cache::new(32));

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("the notes on the API cannot be read: {0}")]
    Notes(&'static NotesError),
    #[error("the notes on the sockets cannot be read: {0}")]
    Sockets(#[source] serde_saphyr::Error),
    #[error("the document could not be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// The document as it is sent. `clean` leaves out what is for the operator and what is no API.
pub fn bytes(server: &str, tenant: Option<&Tenant>, clean: bool) -> Result<Bytes, DocumentError> {
    let head = head(book()?, server, tenant);
    let key = (head.to_string(), clean);
    if let Some(ready) = READY.get(&key) {
        return Ok(ready);
    }
    let made = Bytes::from(serde_json::to_vec(&whole(
        head,
        book()?,
        server,
        tenant,
        clean,
    ))?);
    READY.insert(key, made.clone());
    Ok(made)
}

/// What the server pushes over sockets, as an AsyncAPI document.
pub fn asyncapi(server: &str, secure: bool) -> Result<Json, DocumentError> {
    let mut document: Json =
        serde_saphyr::from_str(include_str!("asyncapi.yaml")).map_err(DocumentError::Sockets)?;
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    let host = server.split_once("://").map_or(server, |(_, host)| host);
    let protocol = if secure { "wss" } else { "ws" };
    document["servers"] = json!({ "this": { "host": host, "protocol": protocol } });
    Ok(document)
}

/// The document. `clean` leaves out what is for the operator and what is no API.
pub fn document(server: &str, tenant: Option<&Tenant>, clean: bool) -> Result<Json, DocumentError> {
    let book = book()?;
    Ok(whole(
        head(book, server, tenant),
        book,
        server,
        tenant,
        clean,
    ))
}

fn book() -> Result<&'static Book, DocumentError> {
    BOOK.as_ref().map_err(DocumentError::Notes)
}

/// What differs from group to group. The group's id is in it, so that it can stand for the whole document.
fn head(book: &Book, server: &str, tenant: Option<&Tenant>) -> Json {
    let description = match tenant {
        Some(t) => format!(
            "# {} ({})\n\nIdentity and access of this group.\n\n{}",
            t.group.name,
            t.id(),
            book.intro
        ),
        None => format!(
            "Identity and access for many groups of users.\n\n{}",
            book.intro
        ),
    };
    let logo = tenant.and_then(|t| {
        let skin = &t.group.config.ui.skin;
        skin.logo.clone().or_else(|| skin.splash_image.clone())
    });
    json!({
        "openapi": "3.0.0",
        "info": {
            "title": crate::site::NAME,
            "version": env!("CARGO_PKG_VERSION"),
            "description": description,
            "x-logo": { "url": logo.unwrap_or_else(|| format!("{server}/logo.png")) },
        },
        "servers": [{ "url": server }],
    })
}

fn whole(
    mut document: Json,
    book: &Book,
    server: &str,
    tenant: Option<&Tenant>,
    clean: bool,
) -> Json {
    let group = tenant.map(Tenant::id);
    let mut paths = Map::new();
    let mut tags = BTreeSet::new();
    for route in all_routes() {
        if clean
            && (OPERATOR.contains(&route.path)
                || route.path.starts_with("/api/plugins/")
                || !route.path.starts_with("/api/"))
        {
            continue;
        }
        let path = match group {
            Some(id) => route.path.replace("{group}", id),
            None => route.path.to_owned(),
        };
        let operation = operation::describe(book, route, group.is_some());
        tags.extend(
            operation["tags"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Json::as_str)
                .map(ToOwned::to_owned),
        );
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(map) = entry.as_object_mut() {
            map.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    let mut components = book.components();
    let mut schemes = book.security.clone();
    if let Some(id) = group {
        let discovery = format!("{server}/{id}/.well-known/openid-configuration");
        schemes.insert(
            operation::OPEN_ID.to_owned(),
            json!({ "type": "openIdConnect", "openIdConnectUrl": discovery }),
        );
    }
    components.insert("securitySchemes".to_owned(), schemes.into());
    let tags: Vec<Json> = book
        .tags
        .iter()
        .filter(|(name, _)| tags.contains(*name))
        .map(|(name, text)| json!({ "name": name, "description": text }))
        .collect();
    if let Some(map) = document.as_object_mut() {
        map.insert("tags".to_owned(), tags.into());
        map.insert("paths".to_owned(), paths.into());
        map.insert("components".to_owned(), components.into());
    }
    document
}
