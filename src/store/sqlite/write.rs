//! Writing to the embedded store; every function runs inside the writer's transaction.

use std::cell::RefCell;
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

fn id(document: &RawDocument) -> Result<&str, StoreError> {
    document.get_str("_id").map_err(StoreError::engine)
}

/// Any other number than before will do, even for a document that was deleted and came back.
fn revision() -> i64 {
    rand::random()
}

/// The changes of one write, and which documents they touch.
pub struct Edit<'a> {
    connection: &'a Connection,
    table: &'a Table,
    touched: RefCell<Vec<String>>,
}

impl<'a> Edit<'a> {
    pub fn new(connection: &'a Connection, table: &'a Table) -> Self {
        Self {
            connection,
            table,
            touched: RefCell::default(),
        }
    }

    /// Ids of the documents that are no longer as they were.
    pub fn touched(self) -> Vec<String> {
        self.touched.into_inner()
    }

    pub fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    pub fn insert(&self, document: &RawDocument, now: i64) -> Result<(), StoreError> {
        let id = id(document)?;
        if !self.add(id, document)? {
            match self.look(id)? {
                Some(twin) if twin.expired(now) => {
                    self.remove(id, &twin.document)?;
                    self.add(id, document)?;
                }
                _ => return Err(StoreError::duplicate_id(self.table.collection.name)),
            }
        }
        self.index(id, None, document, now)
    }

    pub fn put(&self, document: &RawDocument, now: i64) -> Result<(), StoreError> {
        let id = id(document)?;
        match self.look(id)? {
            Some(old) => self.overwrite(id, &old.document, document, now),
            None => self.insert(document, now),
        }
    }

    /// `false` if the document has another revision by now.
    pub fn replace(&self, document: &RawDocument, seen: i64, now: i64) -> Result<bool, StoreError> {
        let id = id(document)?;
        match self.look(id)? {
            Some(old) if old.revision == seen && !old.expired(now) => {
                self.overwrite(id, &old.document, document, now)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    pub fn take(&self, filter: &Filter, now: i64) -> Result<Option<RawDocumentBuf>, StoreError> {
        let query = Query::new(filter.clone()).limit(1);
        let plan = read::plan(self.table, filter, &[]);
        let Some(found) = read::find(self.connection, self.table, &query, &plan, now)?.pop() else {
            return Ok(None);
        };
        self.remove(id(&found.document)?, &found.document)?;
        Ok(Some(found.document))
    }

    pub fn delete(&self, filter: &Filter, now: i64) -> Result<u64, StoreError> {
        let mut count = 0;
        let query = Query::new(filter.clone());
        let plan = read::plan(self.table, filter, &[]);
        for found in read::find(self.connection, self.table, &query, &plan, now)? {
            self.remove(id(&found.document)?, &found.document)?;
            count += 1;
        }
        Ok(count)
    }

    /// Deletes at most [`PURGE_BATCH`] expired documents.
    pub fn purge(&self, now: i64) -> Result<i64, StoreError> {
        let mut ended: Vec<(String, RawDocumentBuf)> = Vec::new();
        {
            let mut statement = self.connection.prepare_cached(&self.table.sql.expired)?;
            let mut rows = statement.query(params![now, PURGE_BATCH])?;
            while let Some(row) = rows.next()? {
                ended.push((row.get(0)?, schema::stored(row.get_ref(1)?)?.to_owned()));
            }
        }
        let mut count = 0;
        for (id, document) in ended {
            self.remove(&id, &document)?;
            count += 1;
        }
        Ok(count)
    }

    fn look(&self, id: &str) -> Result<Option<Current>, StoreError> {
        let mut statement = self.connection.prepare_cached(&self.table.sql.look)?;
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

    fn add(&self, id: &str, document: &RawDocument) -> Result<bool, StoreError> {
        let end = self.table.collection.end_of(document);
        let added = self
            .connection
            .prepare_cached(&self.table.sql.insert)?
            .execute(params![id, revision(), end, document.as_bytes()])?;
        Ok(added > 0)
    }

    fn overwrite(
        &self,
        id: &str,
        old: &RawDocument,
        new: &RawDocument,
        now: i64,
    ) -> Result<(), StoreError> {
        let end = self.table.collection.end_of(new);
        self.touch(id);
        self.connection
            .prepare_cached(&self.table.sql.replace)?
            .execute(params![id, revision(), end, new.as_bytes()])?;
        self.index(id, Some(old), new, now)
    }

    /// Brings the index entries of a document from its old to its new state.
    fn index(
        &self,
        id: &str,
        old: Option<&RawDocument>,
        new: &RawDocument,
        now: i64,
    ) -> Result<(), StoreError> {
        for numbered in &self.table.indexes {
            let before: HashSet<Vec<u8>> = old
                .map(|old| plan::entries(numbered.index, old).into_iter().collect())
                .unwrap_or_default();
            let after: HashSet<Vec<u8>> = plan::entries(numbered.index, new).into_iter().collect();
            for key in before.difference(&after) {
                schema::remove_entry(self.connection, self.table, numbered, key, id)?;
            }
            for key in after.difference(&before) {
                if schema::add_entry(self.connection, self.table, numbered, key, id)? {
                    continue;
                }
                let freed = self.make_room(numbered, key, now)?;
                if !freed || !schema::add_entry(self.connection, self.table, numbered, key, id)? {
                    return Err(schema::duplicate(self.table.collection, numbered.index));
                }
            }
        }
        Ok(())
    }

    /// Removes the holder of a unique key if it has expired.
    fn make_room(
        &self,
        numbered: &schema::Numbered,
        key: &[u8],
        now: i64,
    ) -> Result<bool, StoreError> {
        let holder: Option<String> = self
            .connection
            .prepare_cached(&self.table.sql.holder)?
            .query_row(params![numbered.number, key], |row| row.get(0))
            .optional()?;
        let Some(holder) = holder else {
            return Ok(true);
        };
        match self.look(&holder)? {
            Some(twin) if twin.expired(now) => {
                self.remove(&holder, &twin.document)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn remove(&self, id: &str, document: &RawDocument) -> Result<(), StoreError> {
        self.touch(id);
        self.connection
            .prepare_cached(&self.table.sql.delete)?
            .execute([id])?;
        for numbered in &self.table.indexes {
            for key in plan::entries(numbered.index, document) {
                schema::remove_entry(self.connection, self.table, numbered, &key, id)?;
            }
        }
        Ok(())
    }

    fn touch(&self, id: &str) {
        self.touched.borrow_mut().push(id.to_owned());
    }
}
