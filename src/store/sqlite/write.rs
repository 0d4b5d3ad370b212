//! Writing to the embedded store; every function runs inside the writer's transaction.

use std::collections::HashSet;

use bson::{RawDocument, RawDocumentBuf};
use rusqlite::{Connection, OptionalExtension, params};

use super::super::{Filter, Query, StoreError, plan};
use super::read;
use super::schema::{self, Table};

/// Expired documents deleted in one go, so that a large purge does not hold up other writes.
pub const PURGE_BATCH: i64 = 500;

struct Current {
    revision: i64,
    expires: Option<i64>,
    document: RawDocumentBuf,
}

impl Current {
    fn expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

pub fn insert(
    connection: &Connection,
    table: &Table,
    document: &RawDocument,
    now: i64,
) -> Result<(), StoreError> {
    let id = id(document)?;
    if !add(connection, table, id, document)? {
        match look(connection, table, id)? {
            Some(twin) if twin.expired(now) => {
                remove(connection, table, id, &twin.document)?;
                add(connection, table, id, document)?;
            }
            _ => return Err(StoreError::duplicate_id(table.collection.name)),
        }
    }
    index(connection, table, id, None, document, now)
}

pub fn put(
    connection: &Connection,
    table: &Table,
    document: &RawDocument,
    now: i64,
) -> Result<(), StoreError> {
    let id = id(document)?;
    match look(connection, table, id)? {
        Some(old) => overwrite(connection, table, id, &old.document, document, now),
        None => insert(connection, table, document, now),
    }
}

/// `false` if the document has another revision by now.
pub fn replace(
    connection: &Connection,
    table: &Table,
    document: &RawDocument,
    seen: i64,
    now: i64,
) -> Result<bool, StoreError> {
    let id = id(document)?;
    match look(connection, table, id)? {
        Some(old) if old.revision == seen && !old.expired(now) => {
            overwrite(connection, table, id, &old.document, document, now)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

pub fn take(
    connection: &Connection,
    table: &Table,
    filter: &Filter,
    now: i64,
) -> Result<Option<RawDocumentBuf>, StoreError> {
    let query = Query::new(filter.clone()).limit(1);
    let plan = read::plan(table, filter, &[]);
    let Some(found) = read::find(connection, table, &query, &plan, now)?.pop() else {
        return Ok(None);
    };
    remove(connection, table, id(&found.document)?, &found.document)?;
    Ok(Some(found.document))
}

pub fn delete(
    connection: &Connection,
    table: &Table,
    filter: &Filter,
    now: i64,
) -> Result<u64, StoreError> {
    let mut count = 0;
    let query = Query::new(filter.clone());
    let plan = read::plan(table, filter, &[]);
    for found in read::find(connection, table, &query, &plan, now)? {
        remove(connection, table, id(&found.document)?, &found.document)?;
        count += 1;
    }
    Ok(count)
}

/// Deletes at most [`PURGE_BATCH`] expired documents.
pub fn purge(connection: &Connection, table: &Table, now: i64) -> Result<i64, StoreError> {
    let mut ended: Vec<(String, RawDocumentBuf)> = Vec::new();
    {
        let mut statement = connection.prepare_cached(&table.sql.expired)?;
        let mut rows = statement.query(params![now, PURGE_BATCH])?;
        while let Some(row) = rows.next()? {
            ended.push((row.get(0)?, schema::stored(row.get_ref(1)?)?.to_owned()));
        }
    }
    let mut count = 0;
    for (id, document) in ended {
        remove(connection, table, &id, &document)?;
        count += 1;
    }
    Ok(count)
}

fn id(document: &RawDocument) -> Result<&str, StoreError> {
    document.get_str("_id").map_err(StoreError::engine)
}

/// Any other number than before will do, even for a document that was deleted and came back.
fn revision() -> i64 {
    rand::random()
}

fn look(connection: &Connection, table: &Table, id: &str) -> Result<Option<Current>, StoreError> {
    let mut statement = connection.prepare_cached(&table.sql.look)?;
    let mut rows = statement.query([id])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(Current {
        revision: row.get(0)?,
        expires: row.get(1)?,
        document: schema::stored(row.get_ref(2)?)?.to_owned(),
    }))
}

fn add(
    connection: &Connection,
    table: &Table,
    id: &str,
    document: &RawDocument,
) -> Result<bool, StoreError> {
    let end = table.collection.end_of(document);
    let added = connection
        .prepare_cached(&table.sql.insert)?
        .execute(params![id, revision(), end, document.as_bytes()])?;
    Ok(added > 0)
}

fn overwrite(
    connection: &Connection,
    table: &Table,
    id: &str,
    old: &RawDocument,
    new: &RawDocument,
    now: i64,
) -> Result<(), StoreError> {
    let end = table.collection.end_of(new);
    connection
        .prepare_cached(&table.sql.replace)?
        .execute(params![id, revision(), end, new.as_bytes()])?;
    index(connection, table, id, Some(old), new, now)
}

/// Brings the index entries of a document from its old to its new state.
fn index(
    connection: &Connection,
    table: &Table,
    id: &str,
    old: Option<&RawDocument>,
    new: &RawDocument,
    now: i64,
) -> Result<(), StoreError> {
    for numbered in &table.indexes {
        let before: HashSet<Vec<u8>> = old
            .map(|old| plan::entries(numbered.index, old).into_iter().collect())
            .unwrap_or_default();
        let after: HashSet<Vec<u8>> = plan::entries(numbered.index, new).into_iter().collect();
        for key in before.difference(&after) {
            schema::remove_entry(connection, table, numbered, key, id)?;
        }
        for key in after.difference(&before) {
            if schema::add_entry(connection, table, numbered, key, id)? {
                continue;
            }
            let freed = make_room(connection, table, numbered, key, now)?;
            if !freed || !schema::add_entry(connection, table, numbered, key, id)? {
                return Err(schema::duplicate(table.collection, numbered.index));
            }
        }
    }
    Ok(())
}

/// Removes the holder of a unique key if it has expired.
fn make_room(
    connection: &Connection,
    table: &Table,
    numbered: &schema::Numbered,
    key: &[u8],
    now: i64,
) -> Result<bool, StoreError> {
    let holder: Option<String> = connection
        .prepare_cached(&table.sql.holder)?
        .query_row(params![numbered.number, key], |row| row.get(0))
        .optional()?;
    let Some(holder) = holder else {
        return Ok(true);
    };
    match look(connection, table, &holder)? {
        Some(twin) if twin.expired(now) => {
            remove(connection, table, &holder, &twin.document)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn remove(
    connection: &Connection,
    table: &Table,
    id: &str,
    document: &RawDocument,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(&table.sql.delete)?
        .execute([id])?;
    for numbered in &table.indexes {
        for key in plan::entries(numbered.index, document) {
            schema::remove_entry(connection, table, numbered, &key, id)?;
        }
    }
    Ok(())
}
