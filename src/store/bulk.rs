//! Whole databases, document by document and byte for byte: for checking and for moving them.
//!
//! Unlike [`Store`](super::Store) this sees every collection, declared or not, and every document,
//! expired or not; and it opens a source without changing anything in it.

use async_trait::async_trait;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Collection, Index, StoreError, StoreOptions, mongo, plan, sqlite};

/// Most documents of one batch.
pub const BATCH: usize = 1000;
/// A batch ends with the document that reaches this size.
pub const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// What a document is called in a message.
pub fn shown_id(id: Option<RawBsonRef<'_>>) -> String {
    match id {
        Some(RawBsonRef::String(text)) => text.to_owned(),
        Some(other) => bson::Bson::try_from(other).map_or_else(
            |_| "(unreadable)".to_owned(),
            |id| id.into_canonical_extjson().to_string(),
        ),
        None => "(none)".to_owned(),
    }
}

/// The `_id` of a document, for messages.
pub fn shown_id_of(document: &RawDocument) -> String {
    shown_id(document.get("_id").ok().flatten())
}

#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database does not take a document.
    #[error("the target does not take the document {id} of {collection}: {reason}")]
    Refused {
        collection: String,
        id: String,
        reason: String,
    },
    /// A server has the file of an embedded store open.
    #[error("a server is using {0}; stop it first")]
    InUse(String),
}

pub(super) fn unfinished() -> StoreError {
    StoreError::config(
        "it is the target of an unfinished move; run `ueauth migrate` again with the same addresses to finish it, or delete it and start anew",
    )
}

/// A collection as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub documents: u64,
    /// Something other than stored documents, such as a view; it cannot be moved.
    pub computed: bool,
}

/// How an index differs from what is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFinding {
    pub name: String,
    pub kind: IndexKind,
    /// The declared index, unless it is one that only the database has.
    pub declared: Option<&'static Index>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// Not there; the server builds it.
    Missing,
    /// There with other options, named here.
    Different(String),
    /// Not declared. A unique one refuses documents that the server may want to write.
    Unknown { unique: bool },
    /// Of an earlier writer; the server drops it.
    Retired,
}

/// An open database, to read.
#[async_trait]
pub trait Depot: Send + Sync {
    /// In the order of their names.
    async fn collections(&self) -> Result<Vec<Found>, BulkError>;

    /// How the indexes differ from the declaration.
    async fn indexes(&self, of: &'static Collection) -> Result<Vec<IndexFinding>, BulkError>;

    /// Goes through all documents of a collection.
    async fn scan(&self, collection: &str) -> Result<Box<dyn Scan>, BulkError>;

    /// Those documents that have the `_id` of one of these.
    async fn fetch(
        &self,
        collection: &str,
        like: &[RawDocumentBuf],
    ) -> Result<Vec<RawDocumentBuf>, BulkError>;

    /// What was noted about an unfinished move to here.
    async fn note(&self) -> Result<Option<String>, BulkError>;
}

/// One that can be filled.
#[async_trait]
pub trait Goal: Depot {
    /// Makes a collection without documents; `false` if there is no place for one of this name.
    async fn create(&self, collection: &str) -> Result<bool, BulkError>;

    /// Adds documents that are not there.
    async fn insert(
        &self,
        collection: &str,
        documents: Vec<RawDocumentBuf>,
    ) -> Result<(), BulkError>;

    /// Writes a document over the one with its `_id`.
    async fn replace(&self, collection: &str, document: &RawDocument) -> Result<(), BulkError>;

    /// Notes what is being moved to here; servers do not start on it then.
    async fn set_note(&self, note: &str) -> Result<(), BulkError>;

    /// Builds what servers need, and forgets the note.
    async fn finish(&self) -> Result<(), BulkError>;
}

/// A way through a collection.
#[async_trait]
pub trait Scan: Send {
    /// The next documents; none at the end.
    async fn next(&mut self) -> Result<Vec<RawDocumentBuf>, BulkError>;
}

/// Opens a database to read from; nothing in it changes.
///
/// With `alone`, an embedded store that a server is using is refused.
pub async fn source(
    options: &StoreOptions,
    declared: &[&'static Collection],
    alone: bool,
) -> Result<Box<dyn Depot>, BulkError> {
    match options.url.split_once(':') {
        Some(("sqlite", _)) => Ok(Box::new(sqlite::bulk::File::source(options, alone).await?)),
        Some(("mongodb" | "mongodb+srv", _)) => Ok(Box::new(
            mongo::bulk::Server::open(options, declared).await?,
        )),
        _ => Err(scheme().into()),
    }
}

/// Opens a database to write to; makes a file that is missing.
pub async fn target(
    options: &StoreOptions,
    declared: &[&'static Collection],
) -> Result<Box<dyn Goal>, BulkError> {
    match options.url.split_once(':') {
        Some(("sqlite", _)) => Ok(Box::new(
            sqlite::bulk::File::target(options, declared).await?,
        )),
        Some(("mongodb" | "mongodb+srv", _)) => Ok(Box::new(
            mongo::bulk::Server::open(options, declared).await?,
        )),
        _ => Err(scheme().into()),
    }
}

fn scheme() -> StoreError {
    StoreError::config("an address must begin with sqlite: or mongodb:")
}

/// The address without what is secret in it, for people and for telling databases apart.
pub fn public_address(url: &str) -> String {
    if let Some(rest) = url.strip_prefix("sqlite:") {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        let full = std::path::absolute(path)
            .map_or_else(|_| path.to_owned(), |path| path.display().to_string());
        return format!("sqlite:{full}");
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return "(an address of another form)".to_owned();
    };
    let rest = rest.split('?').next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    let database = if path.is_empty() { "ueauth" } else { path };
    format!("{scheme}://{hosts}/{database}")
}

/// Ids and sizes gathered into batches.
#[derive(Default)]
pub(super) struct Batch {
    pub documents: Vec<RawDocumentBuf>,
    bytes: usize,
}

impl Batch {
    pub fn push(&mut self, document: RawDocumentBuf) {
        self.bytes += document.as_bytes().len();
        self.documents.push(document);
    }

    pub fn is_full(&self) -> bool {
        self.documents.len() >= BATCH || self.bytes >= BATCH_BYTES
    }
}

/// Finds documents that share the key of a unique index which is not there yet.
///
/// The keys lie in a temporary file, so that memory stays bounded.
pub struct Twins(Connection);

impl Twins {
    pub fn new() -> Result<Self, StoreError> {
        // an empty name is a file that vanishes with the connection
        let keys = Connection::open("")?;
        keys.execute_batch(
            "PRAGMA journal_mode = OFF;
             PRAGMA synchronous = OFF;
             CREATE TABLE keys (ix INTEGER NOT NULL, key BLOB NOT NULL, id TEXT NOT NULL,
                 PRIMARY KEY (ix, key)) WITHOUT ROWID;
             BEGIN;",
        )?;
        Ok(Self(keys))
    }

    /// The id of an earlier document with the same key in the index; `number` tells indexes apart.
    pub fn of(
        &mut self,
        number: i64,
        index: &Index,
        document: &RawDocument,
    ) -> Result<Option<String>, StoreError> {
        let id = shown_id_of(document);
        for key in plan::entries(index, document) {
            let added = self
                .0
                .prepare_cached("INSERT INTO keys VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
                .execute(params![number, key, id])?;
            if added > 0 {
                continue;
            }
            let holder: Option<String> = self
                .0
                .prepare_cached("SELECT id FROM keys WHERE ix = ?1 AND key = ?2")?
                .query_row(params![number, key], |row| row.get(0))
                .optional()?;
            if let Some(holder) = holder.filter(|holder| *holder != id) {
                return Ok(Some(holder));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        assert_eq!(
            public_address("mongodb://me:s3cret@a:1,b:2/data?replicaSet=x"),
            "mongodb://a:1,b:2/data"
        );
        assert_eq!(public_address("mongodb://h"), "mongodb://h/ueauth");
        assert_eq!(public_address("sqlite:///a/b.db"), "sqlite:/a/b.db");
        assert!(!public_address("me:s3cret@host").contains("s3cret"));
    }

    #[test]
    fn twins_are_found() {
        const INDEX: Index = Index::unique(&["a"]);
        let mut twins = Twins::new().unwrap();
        let mut add = |id: &str, a: i32| {
            twins
                .of(0, &INDEX, &bson::rawdoc! { "_id": id, "a": a })
                .unwrap()
        };
        assert_eq!(add("x", 1), None);
        assert_eq!(add("y", 2), None);
        assert_eq!(add("z", 1), Some("x".to_owned()));
    }
}
