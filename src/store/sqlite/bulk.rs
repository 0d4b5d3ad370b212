//! An embedded store's file as a source or a target of whole databases.
//!
//! What the store's tables cannot hold lies aside in a table of its own: collections whose names
//! are no table names, and documents whose `_id` is not a text.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::super::bulk::{
    BATCH, Batch, BulkError, Depot, Found, Goal, IndexFinding, IndexKind, Scan, shown_id_of,
};
use super::super::{Collection, StoreError, StoreOptions};
use super::schema::{self, Table};
use super::write::Edit;
use super::{PATIENCE, Place, connect, create, lock_file};

const ASIDE: &str = "ueauth.aside";
const NOTE: &str = "ueauth.move";

struct Inner {
    connection: Connection,
    /// The declared collections; empty for a source.
    tables: HashMap<&'static str, Table>,
}

/// The file, and the lock that says so.
pub struct File {
    inner: Arc<Mutex<Inner>>,
    _lock: Option<fs::File>,
}

/// Where a document lies.
#[derive(Clone)]
enum Home {
    Table(String),
    Aside(String),
}

impl File {
    pub async fn source(options: &StoreOptions, alone: bool) -> Result<Self, BulkError> {
        let path = file_of(&options.url)?;
        blocking(move || {
            if !path.exists() {
                return Err(
                    StoreError::config(format!("there is no file {}", path.display())).into(),
                );
            }
            let lock = if alone { lock(&path)? } else { None };
            let connection = Connection::open_with_flags(
                &path,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )
            .map_err(StoreError::from)?;
            connection
                .busy_timeout(PATIENCE)
                .map_err(StoreError::from)?;
            let known: bool = connection
                .query_row(
                    "SELECT count(*) > 0 FROM sqlite_master WHERE name = 'ueauth.declared'",
                    [],
                    |row| row.get(0),
                )
                .map_err(StoreError::from)?;
            if !known {
                return Err(StoreError::config("the file is not a store of this server").into());
            }
            Ok(Self {
                inner: Arc::new(Mutex::new(Inner {
                    connection,
                    tables: HashMap::new(),
                })),
                _lock: lock,
            })
        })
        .await
    }

    pub async fn target(
        options: &StoreOptions,
        declared: &[&'static Collection],
    ) -> Result<Self, BulkError> {
        let path = file_of(&options.url)?;
        let declared = declared.to_vec();
        blocking(move || {
            create(&path)?;
            let lock = lock(&path)?;
            let mut connection = connect(&Place::File(path), PATIENCE)?;
            // a store that will be refused is not touched
            if note(&connection)?.is_none() && is_filled(&connection)? {
                return Ok(Self {
                    inner: Arc::new(Mutex::new(Inner {
                        connection,
                        tables: HashMap::new(),
                    })),
                    _lock: lock,
                });
            }
            let tables = schema::prepare(&mut connection, &declared)?;
            connection
                .execute_batch(&format!(
                    "CREATE TABLE IF NOT EXISTS \"{ASIDE}\" (
                         collection TEXT NOT NULL, id BLOB NOT NULL, doc BLOB NOT NULL,
                         UNIQUE (collection, id))"
                ))
                .map_err(StoreError::from)?;
            Ok(Self {
                inner: Arc::new(Mutex::new(Inner { connection, tables })),
                _lock: lock,
            })
        })
        .await
    }

    async fn with<R: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Inner) -> Result<R, BulkError> + Send + 'static,
    ) -> Result<R, BulkError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || run(&mut inner.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

async fn blocking<R: Send + 'static>(
    run: impl FnOnce() -> Result<R, BulkError> + Send + 'static,
) -> Result<R, BulkError> {
    tokio::task::spawn_blocking(run)
        .await
        .map_err(StoreError::engine)?
}

fn file_of(url: &str) -> Result<PathBuf, StoreError> {
    match Place::of(url)? {
        Place::File(path) => Ok(path),
        Place::Memory => Err(StoreError::config(
            "a store in memory can neither be checked nor moved; name a file",
        )),
    }
}

/// None where no lock can be made, such as on a medium that is read-only.
fn lock(path: &Path) -> Result<Option<fs::File>, BulkError> {
    let Ok(file) = lock_file(path) else {
        return Ok(None);
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(_) => Err(BulkError::InUse(path.display().to_string())),
    }
}

/// What is noted about an unfinished move to this file.
pub fn note(connection: &Connection) -> Result<Option<String>, StoreError> {
    if !has_table(connection, NOTE)? {
        return Ok(None);
    }
    Ok(connection
        .query_row(&format!("SELECT note FROM \"{NOTE}\""), [], |row| {
            row.get(0)
        })
        .optional()?)
}

fn has_table(connection: &Connection, name: &str) -> Result<bool, StoreError> {
    Ok(connection.query_row(
        "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = ?1",
        [name],
        |row| row.get(0),
    )?)
}

/// The tables of collections: SQLite ignores case in their names, collections do not.
fn names(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'
         ORDER BY name",
    )?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    Ok(names
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .filter(|name| schema::is_plain(name))
        .collect())
}

fn is_filled(connection: &Connection) -> Result<bool, StoreError> {
    for name in names(connection)? {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM \"{name}\")");
        if connection.query_row(&sql, [], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a collection of this name can have a table, given those that exist.
fn may_be_table(name: &str, tables: &[String]) -> bool {
    let lower = name.to_ascii_lowercase();
    schema::is_plain(name)
        && !lower.starts_with("sqlite_")
        && !tables
            .iter()
            .any(|other| other != name && other.to_ascii_lowercase() == lower)
}

/// An `_id` as bytes: a document that holds it alone.
fn id_bytes(document: &RawDocument) -> Result<Vec<u8>, StoreError> {
    let id = document
        .get("_id")
        .map_err(StoreError::engine)?
        .unwrap_or(RawBsonRef::Null);
    let mut alone = RawDocumentBuf::new();
    alone.append(bson::cstr!(""), id);
    Ok(alone.into_bytes())
}

fn homes(connection: &Connection, collection: &str) -> Result<Vec<Home>, StoreError> {
    let mut homes = Vec::new();
    if names(connection)?.iter().any(|name| name == collection) {
        homes.push(Home::Table(collection.to_owned()));
    }
    if has_table(connection, ASIDE)? {
        homes.push(Home::Aside(collection.to_owned()));
    }
    Ok(homes)
}

fn has_own_table(inner: &Inner, collection: &str) -> Result<bool, StoreError> {
    Ok(names(&inner.connection)?
        .iter()
        .any(|name| name == collection))
}

/// `table` says whether the collection has one.
fn add(
    inner: &Inner,
    collection: &str,
    table: bool,
    document: &RawDocument,
) -> Result<(), StoreError> {
    let connection = &inner.connection;
    let text = document.get_str("_id").ok();
    if let (Some(table), Some(_)) = (inner.tables.get(collection), text) {
        // nothing counts as expired, so that nothing has to make room
        return Edit::new(connection, table).insert(document, i64::MIN);
    }
    if let Some(id) = text.filter(|_| table) {
        connection
            .prepare_cached(&format!(
                "INSERT INTO \"{collection}\" (id, v, expires, doc) VALUES (?1, ?2, NULL, ?3)"
            ))?
            .execute(params![id, rand::random::<i64>(), document.as_bytes()])?;
        return Ok(());
    }
    connection
        .prepare_cached(&format!(
            "INSERT INTO \"{ASIDE}\" (collection, id, doc) VALUES (?1, ?2, ?3)"
        ))?
        .execute(params![
            collection,
            id_bytes(document)?,
            document.as_bytes()
        ])?;
    Ok(())
}

fn overwrite(inner: &Inner, collection: &str, document: &RawDocument) -> Result<(), StoreError> {
    let connection = &inner.connection;
    if let (Some(table), Ok(_)) = (inner.tables.get(collection), document.get_str("_id")) {
        return Edit::new(connection, table).put(document, i64::MIN);
    }
    for home in homes(connection, collection)? {
        match (home, document.get_str("_id")) {
            (Home::Table(name), Ok(id)) => {
                connection.execute(&format!("DELETE FROM \"{name}\" WHERE id = ?1"), [id])?;
            }
            (Home::Aside(name), _) => {
                connection.execute(
                    &format!("DELETE FROM \"{ASIDE}\" WHERE collection = ?1 AND id = ?2"),
                    params![name, id_bytes(document)?],
                )?;
            }
            _ => {}
        }
    }
    add(
        inner,
        collection,
        has_own_table(inner, collection)?,
        document,
    )
}

/// In one transaction: all of it or nothing.
fn transact(
    inner: &mut Inner,
    run: impl FnOnce(&Inner) -> Result<(), BulkError>,
) -> Result<(), BulkError> {
    inner
        .connection
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(StoreError::from)?;
    let done = run(inner);
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = inner
        .connection
        .execute_batch(end)
        .map_err(StoreError::from);
    done?;
    Ok(ended?)
}

fn refusal(collection: &str, document: &RawDocument, error: StoreError) -> BulkError {
    match error {
        StoreError::Unavailable { .. } | StoreError::Full { .. } => error.into(),
        error => BulkError::Refused {
            collection: collection.to_owned(),
            id: shown_id_of(document),
            reason: error.to_string(),
        },
    }
}

fn read(row: &rusqlite::Row<'_>, at: usize) -> Result<RawDocumentBuf, StoreError> {
    Ok(schema::stored(row.get_ref(at)?)?.to_owned())
}

#[async_trait]
impl Depot for File {
    async fn collections(&self) -> Result<Vec<Found>, BulkError> {
        self.with(|inner| {
            let connection = &inner.connection;
            let mut found = HashMap::<String, u64>::new();
            for name in names(connection)? {
                let count: i64 = connection
                    .query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| {
                        row.get(0)
                    })
                    .map_err(StoreError::from)?;
                found.insert(name, count.unsigned_abs());
            }
            if has_table(connection, ASIDE)? {
                let mut statement = connection
                    .prepare(&format!(
                        "SELECT collection, count(*) FROM \"{ASIDE}\" GROUP BY collection"
                    ))
                    .map_err(StoreError::from)?;
                let rows = statement
                    .query_map([], |row| {
                        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
                    })
                    .map_err(StoreError::from)?;
                for row in rows {
                    let (name, count) = row.map_err(StoreError::from)?;
                    *found.entry(name).or_default() += count.unsigned_abs();
                }
            }
            let mut found: Vec<_> = found
                .into_iter()
                .map(|(name, documents)| Found {
                    name,
                    documents,
                    computed: false,
                })
                .collect();
            found.sort_unstable_by(|left, right| left.name.cmp(&right.name));
            Ok(found)
        })
        .await
    }

    async fn indexes(&self, of: &'static Collection) -> Result<Vec<IndexFinding>, BulkError> {
        self.with(move |inner| {
            let mut there = schema::declared(&inner.connection, of)?;
            there.remove("(expiry)");
            let mut findings = Vec::new();
            for index in of.indexes.iter().filter(|index| !index.text) {
                let kind = match there.remove(&index.name()) {
                    None => IndexKind::Missing,
                    Some((_, found)) if found != schema::definition(index) => {
                        IndexKind::Different("built for another declaration".to_owned())
                    }
                    Some(_) => continue,
                };
                findings.push(IndexFinding {
                    name: index.name(),
                    kind,
                    declared: Some(index),
                });
            }
            // the store drops them by itself
            findings.extend(there.into_keys().map(|name| IndexFinding {
                name,
                kind: IndexKind::Retired,
                declared: None,
            }));
            Ok(findings)
        })
        .await
    }

    async fn scan(&self, collection: &str) -> Result<Box<dyn Scan>, BulkError> {
        let collection = collection.to_owned();
        let homes = self
            .with(move |inner| Ok(homes(&inner.connection, &collection)?))
            .await?;
        Ok(Box::new(Rows {
            inner: Arc::clone(&self.inner),
            homes,
            after: i64::MIN,
        }))
    }

    async fn fetch(
        &self,
        collection: &str,
        like: &[RawDocumentBuf],
    ) -> Result<Vec<RawDocumentBuf>, BulkError> {
        let collection = collection.to_owned();
        let like = like.to_vec();
        self.with(move |inner| {
            let connection = &inner.connection;
            let mut found = Vec::new();
            for home in homes(connection, &collection)? {
                let sql = match &home {
                    Home::Table(name) => format!("SELECT doc FROM \"{name}\" WHERE id = ?1"),
                    Home::Aside(_) => {
                        format!("SELECT doc FROM \"{ASIDE}\" WHERE collection = ?1 AND id = ?2")
                    }
                };
                let mut statement = connection.prepare_cached(&sql).map_err(StoreError::from)?;
                for document in &like {
                    let mut rows = match (&home, document.get_str("_id")) {
                        (Home::Table(_), Ok(id)) => statement.query([id]),
                        (Home::Table(_), Err(_)) => continue,
                        (Home::Aside(name), _) => {
                            statement.query(params![name, id_bytes(document)?])
                        }
                    }
                    .map_err(StoreError::from)?;
                    while let Some(row) = rows.next().map_err(StoreError::from)? {
                        found.push(read(row, 0)?);
                    }
                }
            }
            Ok(found)
        })
        .await
    }

    async fn note(&self) -> Result<Option<String>, BulkError> {
        self.with(|inner| Ok(note(&inner.connection)?)).await
    }
}

#[async_trait]
impl Goal for File {
    async fn create(&self, collection: &str) -> Result<bool, BulkError> {
        let collection = collection.to_owned();
        self.with(move |inner| {
            let may = may_be_table(&collection, &names(&inner.connection)?);
            if may {
                inner
                    .connection
                    .execute_batch(&schema::documents_table(&collection))
                    .map_err(StoreError::from)?;
            }
            Ok(may)
        })
        .await
    }

    async fn insert(
        &self,
        collection: &str,
        documents: Vec<RawDocumentBuf>,
    ) -> Result<(), BulkError> {
        let collection = collection.to_owned();
        self.with(move |inner| {
            transact(inner, |inner| {
                let table = has_own_table(inner, &collection)?;
                for document in &documents {
                    add(inner, &collection, table, document)
                        .map_err(|error| refusal(&collection, document, error))?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn replace(&self, collection: &str, document: &RawDocument) -> Result<(), BulkError> {
        let collection = collection.to_owned();
        let document = document.to_owned();
        self.with(move |inner| {
            transact(inner, |inner| {
                overwrite(inner, &collection, &document)
                    .map_err(|error| refusal(&collection, &document, error))
            })
        })
        .await
    }

    async fn set_note(&self, note: &str) -> Result<(), BulkError> {
        let note = note.to_owned();
        self.with(move |inner| {
            transact(inner, |inner| {
                let connection = &inner.connection;
                connection
                    .execute_batch(&format!(
                        "DROP TABLE IF EXISTS \"{NOTE}\"; CREATE TABLE \"{NOTE}\" (note TEXT NOT NULL)"
                    ))
                    .map_err(StoreError::from)?;
                connection
                    .execute(&format!("INSERT INTO \"{NOTE}\" VALUES (?1)"), [note])
                    .map_err(StoreError::from)?;
                Ok(())
            })
        })
        .await
    }

    async fn finish(&self) -> Result<(), BulkError> {
        self.with(|inner| {
            inner
                .connection
                .execute_batch(&format!(
                    "DROP TABLE IF EXISTS \"{NOTE}\"; PRAGMA wal_checkpoint(TRUNCATE);"
                ))
                .map_err(StoreError::from)?;
            Ok(())
        })
        .await
    }
}

/// Goes by row numbers, so that no transaction stays open between batches.
struct Rows {
    inner: Arc<Mutex<Inner>>,
    homes: Vec<Home>,
    after: i64,
}

#[async_trait]
impl Scan for Rows {
    async fn next(&mut self) -> Result<Vec<RawDocumentBuf>, BulkError> {
        while let Some(home) = self.homes.first().cloned() {
            let inner = Arc::clone(&self.inner);
            let after = self.after;
            let (documents, last) = blocking(move || {
                let inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(page(&inner.connection, &home, after)?)
            })
            .await?;
            if documents.is_empty() {
                self.homes.remove(0);
                self.after = i64::MIN;
                continue;
            }
            self.after = last;
            return Ok(documents);
        }
        Ok(Vec::new())
    }
}

fn page(
    connection: &Connection,
    home: &Home,
    after: i64,
) -> Result<(Vec<RawDocumentBuf>, i64), StoreError> {
    let (sql, collection) = match home {
        Home::Table(name) => (
            format!(
                "SELECT rowid, doc FROM \"{name}\" WHERE rowid > ?1 AND ?2 = ?2 ORDER BY rowid LIMIT ?3"
            ),
            name,
        ),
        Home::Aside(name) => (
            format!(
                "SELECT rowid, doc FROM \"{ASIDE}\" WHERE rowid > ?1 AND collection = ?2 ORDER BY rowid LIMIT ?3"
            ),
            name,
        ),
    };
    let mut statement = connection.prepare_cached(&sql)?;
    let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![after, collection, limit])?;
    let mut batch = Batch::default();
    let mut last = after;
    while !batch.is_full()
        && let Some(row) = rows.next()?
    {
        last = row.get(0)?;
        batch.push(read(row, 1)?);
    }
    Ok((batch.documents, last))
}
