//! What a storage engine does; documents pass through as raw BSON.

use async_trait::async_trait;
use bson::{RawDocument, RawDocumentBuf};

use super::recent::Recent;
use super::{Collection, Filter, Query, StoreError};

/// A stored document and its revision, which changes with every write.
pub struct Stored {
    pub document: RawDocumentBuf,
    pub revision: i64,
}

/// A new state for a document that is still in the state `seen`.
pub struct Change<'a> {
    pub id: &'a str,
    pub seen: &'a Stored,
    pub new: &'a RawDocument,
}

#[async_trait]
pub trait Engine: Send + Sync {
    async fn get(&self, of: &'static Collection, id: &str) -> Result<Option<Stored>, StoreError>;

    async fn find(&self, of: &'static Collection, query: Query) -> Result<Vec<Stored>, StoreError>;

    async fn count(&self, of: &'static Collection, filter: Filter) -> Result<u64, StoreError>;

    /// In order; the first failure stops it, and what came before stays.
    async fn insert(
        &self,
        of: &'static Collection,
        documents: Vec<RawDocumentBuf>,
    ) -> Result<(), StoreError>;

    async fn put(
        &self,
        of: &'static Collection,
        id: &str,
        document: RawDocumentBuf,
    ) -> Result<(), StoreError>;

    /// `false` if the document is no longer in the state seen.
    async fn replace(
        &self,
        of: &'static Collection,
        change: Change<'_>,
    ) -> Result<bool, StoreError>;

    async fn take(
        &self,
        of: &'static Collection,
        filter: Filter,
    ) -> Result<Option<RawDocumentBuf>, StoreError>;

    async fn delete(&self, of: &'static Collection, filter: Filter) -> Result<u64, StoreError>;

    async fn purge(&self) -> Result<u64, StoreError>;

    /// Documents read lately, if nobody else writes to this store.
    fn recent(&self) -> Option<&Recent> {
        None
    }

    async fn ping(&self) -> Result<(), StoreError>;

    async fn close(&self);
}
