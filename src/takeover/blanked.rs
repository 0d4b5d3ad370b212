//! A database as it is to be moved: as it is, but for passwords in clear text.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use crate::accounts::clear_text::{BLANKED, is_clear};
use crate::accounts::model::ACCOUNTS;
use crate::store::Collection;
use crate::store::bulk::{BulkError, Depot, Found, IndexFinding, Scan, shown_id_of};

/// Shows the accounts of a database without passwords in clear text.
pub struct Blanked {
    depot: Box<dyn Depot>,
    accounts: Accounts,
}

/// Ids of those that had one.
type Accounts = Arc<Mutex<HashSet<String>>>;

impl Blanked {
    pub fn new(depot: Box<dyn Depot>) -> Self {
        Self {
            depot,
            accounts: Accounts::default(),
        }
    }

    /// How many of the accounts that were read had one.
    pub fn accounts(&self) -> usize {
        self.accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

/// The document with something else in place of its password, if that is in clear text.
fn blank(document: &RawDocument) -> Option<RawDocumentBuf> {
    if !document.get_str("password").is_ok_and(is_clear) {
        return None;
    }
    let mut out = RawDocumentBuf::new();
    for field in document {
        let (name, value) = field.ok()?;
        let value = if name.as_str() == "password" {
            RawBsonRef::String(BLANKED)
        } else {
            value
        };
        out.append(name, value);
    }
    Some(out)
}

fn blank_all(accounts: &Accounts, documents: &mut [RawDocumentBuf]) {
    for document in documents {
        if let Some(blanked) = blank(document) {
            accounts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(shown_id_of(&blanked));
            *document = blanked;
        }
    }
}

#[async_trait]
impl Depot for Blanked {
    async fn collections(&self) -> Result<Vec<Found>, BulkError> {
        self.depot.collections().await
    }

    async fn indexes(&self, of: &'static Collection) -> Result<Vec<IndexFinding>, BulkError> {
        self.depot.indexes(of).await
    }

    async fn scan(&self, collection: &str) -> Result<Box<dyn Scan>, BulkError> {
        let scan = self.depot.scan(collection).await?;
        if collection != ACCOUNTS.name {
            return Ok(scan);
        }
        let accounts = Arc::clone(&self.accounts);
        Ok(Box::new(BlankedScan { scan, accounts }))
    }

    async fn fetch(
        &self,
        collection: &str,
        like: &[RawDocumentBuf],
    ) -> Result<Vec<RawDocumentBuf>, BulkError> {
        let mut found = self.depot.fetch(collection, like).await?;
        if collection == ACCOUNTS.name {
            blank_all(&self.accounts, &mut found);
        }
        Ok(found)
    }

    async fn note(&self) -> Result<Option<String>, BulkError> {
        self.depot.note().await
    }
}

struct BlankedScan {
    scan: Box<dyn Scan>,
    accounts: Accounts,
}

#[async_trait]
impl Scan for BlankedScan {
    async fn next(&mut self) -> Result<Vec<RawDocumentBuf>, BulkError> {
        let mut documents = self.scan.next().await?;
        blank_all(&self.accounts, &mut documents);
        Ok(documents)
    }
}
