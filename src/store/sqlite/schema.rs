//! Tables and index entries of the embedded store, and their growth with the declarations.

use std::collections::HashMap;

use bson::RawDocument;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::{Collection, Index, StoreError, plan};

/// Bump when the bytes of index entries change; all entries are then built anew.
const ENTRY_FORMAT: u32 = 1;

/// A collection's tables: documents, entries of unique and of plain indexes.
pub struct Table {
    pub collection: &'static Collection,
    pub indexes: Vec<Numbered>,
    pub sql: Sql,
}

/// An index and the number that its entries carry.
pub struct Numbered {
    pub index: &'static Index,
    pub number: i64,
}

/// The statements of one collection, built once so that the cache finds them.
pub struct Sql {
    pub get: String,
    pub all: String,
    pub all_ascending: String,
    pub all_descending: String,
    pub count: String,
    pub expired: String,
    pub insert: String,
    pub replace: String,
    pub delete: String,
    pub look: String,
    pub holder: String,
    pub add_unique: String,
    pub add_plain: String,
    pub remove_unique: String,
    pub remove_plain: String,
    documents: String,
    unique: String,
    plain: String,
}

const LIVE: &str = "(d.expires IS NULL OR d.expires > ?1)";

impl Sql {
    fn new(collection: &Collection) -> Self {
        let documents = format!("\"{}\"", collection.name);
        let unique = format!("\"{}.unique\"", collection.name);
        let plain = format!("\"{}.plain\"", collection.name);
        let select = format!("SELECT d.id, d.v, d.doc FROM {documents} AS d WHERE {LIVE}");
        Self {
            get: format!("{select} AND d.id = ?2"),
            all_ascending: format!("{select} ORDER BY d.id"),
            all_descending: format!("{select} ORDER BY d.id DESC"),
            all: select,
            count: format!("SELECT count(*) FROM {documents} AS d WHERE {LIVE}"),
            expired: format!("SELECT id, doc FROM {documents} WHERE expires <= ?1 LIMIT ?2"),
            insert: format!(
                "INSERT INTO {documents} (id, v, expires, doc) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING"
            ),
            replace: format!("UPDATE {documents} SET v = ?2, expires = ?3, doc = ?4 WHERE id = ?1"),
            delete: format!("DELETE FROM {documents} WHERE id = ?1"),
            look: format!("SELECT v, expires, doc FROM {documents} WHERE id = ?1"),
            holder: format!("SELECT id FROM {unique} WHERE ix = ?1 AND key = ?2"),
            add_unique: format!(
                "INSERT INTO {unique} (ix, key, id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING"
            ),
            add_plain: format!(
                "INSERT INTO {plain} (ix, key, id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING"
            ),
            remove_unique: format!("DELETE FROM {unique} WHERE ix = ?1 AND key = ?2 AND id = ?3"),
            remove_plain: format!("DELETE FROM {plain} WHERE ix = ?1 AND key = ?2 AND id = ?3"),
            documents,
            unique,
            plain,
        }
    }

    /// Live documents by index entries, within a key range.
    pub fn entries(&self, unique: bool, order: Option<super::super::Order>) -> String {
        use super::super::Order;
        let table = if unique { &self.unique } else { &self.plain };
        let order = match order {
            None => "",
            Some(Order::Ascending) => " ORDER BY i.key, i.id",
            Some(Order::Descending) => " ORDER BY i.key DESC, i.id",
        };
        // CROSS JOIN keeps SQLite from starting at the documents.
        format!(
            "SELECT d.id, d.v, d.doc FROM {table} AS i CROSS JOIN {} AS d ON d.id = i.id
             WHERE {LIVE} AND i.ix = ?2 AND i.key >= ?3 AND i.key < ?4{order}",
            self.documents
        )
    }
}

/// Creates what is missing, and builds or drops index entries where declarations changed.
pub fn prepare(
    connection: &mut Connection,
    collections: &[&'static Collection],
) -> Result<HashMap<&'static str, Table>, StoreError> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS \"ueauth.declared\" (
             collection TEXT NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL,
             number INTEGER PRIMARY KEY AUTOINCREMENT, UNIQUE (collection, name))",
    )?;
    let mut tables = HashMap::new();
    for collection in collections {
        let table = grow(&transaction, collection)?;
        if tables.insert(collection.name, table).is_some() {
            return Err(StoreError::config(format!(
                "two document types declare the collection {}",
                collection.name
            )));
        }
    }
    transaction.commit()?;
    Ok(tables)
}

/// Whether a collection's name is also a table's.
pub fn is_plain(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    !name.is_empty() && name.chars().all(plain)
}

/// The statement that creates the table of a collection's documents.
pub fn documents_table(name: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS \"{name}\" (
             id TEXT NOT NULL PRIMARY KEY, v INTEGER NOT NULL, expires INTEGER, doc BLOB NOT NULL);"
    )
}

/// What an index's entries depend on, as it is noted in the file.
pub fn definition(index: &Index) -> String {
    format!(
        "{ENTRY_FORMAT} {:?} {} {:?}",
        index.keys, index.unique, index.when
    )
}

fn grow(connection: &Connection, collection: &'static Collection) -> Result<Table, StoreError> {
    if !is_plain(collection.name) {
        return Err(StoreError::config(format!(
            "the collection name {:?} has characters other than letters, digits, _ and -",
            collection.name
        )));
    }
    let mut table = Table {
        collection,
        indexes: Vec::new(),
        sql: Sql::new(collection),
    };
    connection.execute_batch(&documents_table(collection.name))?;
    connection.execute_batch(&format!(
        "CREATE INDEX IF NOT EXISTS \"{name}.expires\" ON {documents} (expires)
             WHERE expires IS NOT NULL;
         CREATE TABLE IF NOT EXISTS {unique} (
             ix INTEGER NOT NULL, key BLOB NOT NULL, id TEXT NOT NULL, PRIMARY KEY (ix, key))
             WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS {plain} (
             ix INTEGER NOT NULL, key BLOB NOT NULL, id TEXT NOT NULL, PRIMARY KEY (ix, key, id))
             WITHOUT ROWID;",
        name = collection.name,
        documents = table.sql.documents,
        unique = table.sql.unique,
        plain = table.sql.plain,
    ))?;
    let mut known = declared(connection, collection)?;
    let lifetimes = format!("{ENTRY_FORMAT} {:?}", collection.expiry);
    if declare(connection, &table, &mut known, "(expiry)", &lifetimes)?.1 {
        refresh_expiry(connection, &table)?;
    }
    for index in collection.indexes.iter().filter(|index| !index.text) {
        let definition = definition(index);
        let (number, new) = declare(connection, &table, &mut known, &index.name(), &definition)?;
        let numbered = Numbered { index, number };
        if new {
            build(connection, &table, &numbered)?;
        }
        table.indexes.push(numbered);
    }
    for (name, (number, _)) in known {
        forget(connection, &table, number)?;
        tracing::info!(collection = collection.name, index = name, "index dropped");
    }
    Ok(table)
}

pub type Declared = HashMap<String, (i64, String)>;

pub fn declared(connection: &Connection, collection: &Collection) -> Result<Declared, StoreError> {
    let mut statement = connection.prepare(
        "SELECT name, number, definition FROM \"ueauth.declared\" WHERE collection = ?1",
    )?;
    let rows = statement.query_map([collection.name], |row| {
        Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The number of a declaration, and whether it is new or different.
fn declare(
    connection: &Connection,
    table: &Table,
    known: &mut Declared,
    name: &str,
    definition: &str,
) -> Result<(i64, bool), StoreError> {
    if let Some((number, stored)) = known.remove(name) {
        if stored == definition {
            return Ok((number, false));
        }
        forget(connection, table, number)?;
    }
    connection.execute(
        "INSERT INTO \"ueauth.declared\" (collection, name, definition) VALUES (?1, ?2, ?3)",
        params![table.collection.name, name, definition],
    )?;
    Ok((connection.last_insert_rowid(), true))
}

fn forget(connection: &Connection, table: &Table, number: i64) -> Result<(), StoreError> {
    for entries in [&table.sql.unique, &table.sql.plain] {
        connection.execute(&format!("DELETE FROM {entries} WHERE ix = ?1"), [number])?;
    }
    connection.execute(
        "DELETE FROM \"ueauth.declared\" WHERE number = ?1",
        [number],
    )?;
    Ok(())
}

fn build(connection: &Connection, table: &Table, numbered: &Numbered) -> Result<(), StoreError> {
    let mut documents =
        connection.prepare(&format!("SELECT id, doc FROM {}", table.sql.documents))?;
    let mut rows = documents.query([])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let document = stored(row.get_ref(1)?)?;
        for key in plan::entries(numbered.index, document) {
            if !add_entry(connection, table, numbered, &key, &id)? {
                return Err(duplicate(table.collection, numbered.index));
            }
        }
    }
    Ok(())
}

fn refresh_expiry(connection: &Connection, table: &Table) -> Result<(), StoreError> {
    let mut documents =
        connection.prepare(&format!("SELECT rowid, doc FROM {}", table.sql.documents))?;
    let mut update = connection.prepare(&format!(
        "UPDATE {} SET expires = ?2 WHERE rowid = ?1",
        table.sql.documents
    ))?;
    let mut ends: Vec<(i64, Option<i64>)> = Vec::new();
    let mut rows = documents.query([])?;
    while let Some(row) = rows.next()? {
        ends.push((
            row.get(0)?,
            table.collection.end_of(stored(row.get_ref(1)?)?),
        ));
    }
    for (row, end) in ends {
        update.execute(params![row, end])?;
    }
    Ok(())
}

/// `false` if another document holds the key of a unique index.
pub fn add_entry(
    connection: &Connection,
    table: &Table,
    numbered: &Numbered,
    key: &[u8],
    id: &str,
) -> Result<bool, StoreError> {
    let sql = if numbered.index.unique {
        &table.sql.add_unique
    } else {
        &table.sql.add_plain
    };
    let added = connection
        .prepare_cached(sql)?
        .execute(params![numbered.number, key, id])?;
    if added > 0 || !numbered.index.unique {
        return Ok(true);
    }
    let holder: Option<String> = connection
        .prepare_cached(&table.sql.holder)?
        .query_row(params![numbered.number, key], |row| row.get(0))
        .optional()?;
    Ok(holder.as_deref() == Some(id))
}

pub fn remove_entry(
    connection: &Connection,
    table: &Table,
    numbered: &Numbered,
    key: &[u8],
    id: &str,
) -> Result<(), StoreError> {
    let sql = if numbered.index.unique {
        &table.sql.remove_unique
    } else {
        &table.sql.remove_plain
    };
    connection
        .prepare_cached(sql)?
        .execute(params![numbered.number, key, id])?;
    Ok(())
}

pub fn duplicate(collection: &'static Collection, index: &Index) -> StoreError {
    StoreError::Duplicate {
        collection: collection.name,
        index: index.name(),
        keys: index.paths().map(|(path, _)| path.to_owned()).collect(),
    }
}

/// The document in a blob column.
pub fn stored(value: rusqlite::types::ValueRef<'_>) -> Result<&RawDocument, StoreError> {
    let bytes = value.as_blob().map_err(StoreError::engine)?;
    RawDocument::from_bytes(bytes).map_err(StoreError::engine)
}
