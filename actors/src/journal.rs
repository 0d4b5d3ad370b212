//! Where items live when no actor holds them, and what decides a race between nodes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use crate::Millis;

/// Distinguishes the successive states of one stored item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Version(pub u64);

/// One stored item.
#[derive(Debug)]
pub struct Record<T> {
    /// Unique within its group and kind.
    pub id: String,
    /// Given by the journal at each write; ignored by [`Journal::insert`].
    pub version: Version,
    /// From this moment on the item does not exist any more.
    pub deadline: Option<Millis>,
    /// Secondary keys such as `account:<id>` or `uid:<uid>`.
    pub keys: Vec<String>,
    /// The item itself.
    pub value: Arc<T>,
}

// Written out because a derived one would ask for `T: Clone`.
impl<T> Clone for Record<T> {
    fn clone(&self) -> Self {
        Self {
            id: self.id.clone(),
            version: self.version,
            deadline: self.deadline,
            keys: self.keys.clone(),
            value: Arc::clone(&self.value),
        }
    }
}

impl<T> Record<T> {
    /// A record that has not been written yet.
    pub fn new(id: impl Into<String>, value: T) -> Self {
        Self {
            id: id.into(),
            version: Version::default(),
            deadline: None,
            keys: Vec::new(),
            value: Arc::new(value),
        }
    }

    /// Sets the moment from which the item does not exist any more.
    pub fn until(mut self, deadline: Millis) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Adds a secondary key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Whether the item still exists at `now`.
    pub fn live(&self, now: Millis) -> bool {
        self.deadline.is_none_or(|deadline| now < deadline)
    }
}

/// Why a journal did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// An item with this id (or another unique member) is already there.
    #[error("an item with this identity already exists")]
    Exists,
    /// The stored version is not the expected one; `current` is `None` if the item is gone.
    #[error("the stored item is not in the expected version: read it again and retry")]
    Conflict {
        /// The version that is stored now.
        current: Option<Version>,
    },
    /// The journal could not be reached or failed; nothing is known about the item.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read as an item of this kind.
    #[error("the stored item cannot be read: {0}")]
    Corrupt(String),
}

/// Durable items of one kind, shared by all nodes.
///
/// Each method is atomic for its item. Items past their deadline may or may not be returned;
/// the keepers check.
#[async_trait]
pub trait Journal<T>: Send + Sync + 'static {
    /// The item as it is stored now.
    async fn load(&self, group: &str, id: &str) -> Result<Option<Record<T>>, JournalError>;

    /// The items of a group that still have something ahead of them. For challenges these are
    /// the pending ones; sessions and interactions are never listed.
    async fn list(&self, group: &str) -> Result<Vec<Record<T>>, JournalError>;

    /// The items of a group that carry this secondary key.
    async fn find_by(&self, group: &str, key: &str) -> Result<Vec<Record<T>>, JournalError>;

    /// Writes a new item, or fails with [`JournalError::Exists`].
    async fn insert(&self, group: &str, record: &Record<T>) -> Result<Version, JournalError>;

    /// Replaces the item if it is stored in version `expected`, else [`JournalError::Conflict`].
    async fn replace(
        &self,
        group: &str,
        record: &Record<T>,
        expected: Version,
    ) -> Result<Version, JournalError>;

    /// Deletes the item. `Ok(true)` for exactly one caller, `Ok(false)` if nothing was there,
    /// [`JournalError::Conflict`] if it is stored in another version than `expected`.
    async fn delete(
        &self,
        group: &str,
        id: &str,
        expected: Option<Version>,
    ) -> Result<bool, JournalError>;

    /// The groups for which [`Journal::list`] would return something. Asked once, at start-up,
    /// of the journal of challenges; the others may keep this default.
    async fn groups(&self) -> Result<Vec<String>, JournalError> {
        Ok(Vec::new())
    }
}

type Shelf<T> = HashMap<String, BTreeMap<String, Record<T>>>;

/// A journal in memory. It survives its actors but not its process.
pub struct MemoryJournal<T> {
    groups: Mutex<(u64, Shelf<T>)>,
    listed: fn(&T) -> bool,
}

impl<T> Default for MemoryJournal<T> {
    fn default() -> Self {
        Self::listing(|_| true)
    }
}

impl<T> MemoryJournal<T> {
    /// A journal whose [`Journal::list`] returns the items for which `listed` holds.
    pub fn listing(listed: fn(&T) -> bool) -> Self {
        Self {
            groups: Mutex::new((0, HashMap::new())),
            listed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, (u64, Shelf<T>)> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of items, expired ones included.
    pub fn len(&self) -> usize {
        self.lock().1.values().map(BTreeMap::len).sum()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the items whose deadline has passed at `now`.
    pub fn purge(&self, now: Millis) {
        let mut inner = self.lock();
        inner.1.retain(|_, items| {
            items.retain(|_, record| record.live(now));
            !items.is_empty()
        });
    }
}

#[async_trait]
impl<T: Send + Sync + 'static> Journal<T> for MemoryJournal<T> {
    async fn load(&self, group: &str, id: &str) -> Result<Option<Record<T>>, JournalError> {
        let inner = self.lock();
        Ok(inner.1.get(group).and_then(|items| items.get(id)).cloned())
    }

    async fn list(&self, group: &str) -> Result<Vec<Record<T>>, JournalError> {
        let inner = self.lock();
        let items = inner.1.get(group).into_iter().flat_map(BTreeMap::values);
        Ok(items
            .filter(|record| (self.listed)(&record.value))
            .cloned()
            .collect())
    }

    async fn find_by(&self, group: &str, key: &str) -> Result<Vec<Record<T>>, JournalError> {
        let inner = self.lock();
        let items = inner.1.get(group).into_iter().flat_map(BTreeMap::values);
        Ok(items
            .filter(|record| record.keys.iter().any(|own| own == key))
            .cloned()
            .collect())
    }

    async fn insert(&self, group: &str, record: &Record<T>) -> Result<Version, JournalError> {
        let mut inner = self.lock();
        let (last, groups) = &mut *inner;
        let items = groups.entry(group.to_owned()).or_default();
        if items.contains_key(&record.id) {
            return Err(JournalError::Exists);
        }
        *last += 1;
        let mut stored = record.clone();
        stored.version = Version(*last);
        items.insert(record.id.clone(), stored);
        Ok(Version(*last))
    }

    async fn replace(
        &self,
        group: &str,
        record: &Record<T>,
        expected: Version,
    ) -> Result<Version, JournalError> {
        let mut inner = self.lock();
        let (last, groups) = &mut *inner;
        let stored = groups
            .get_mut(group)
            .and_then(|items| items.get_mut(&record.id));
        match stored {
            Some(stored) if stored.version == expected => {
                *last += 1;
                *stored = record.clone();
                stored.version = Version(*last);
                Ok(Version(*last))
            }
            other => Err(JournalError::Conflict {
                current: other.map(|stored| stored.version),
            }),
        }
    }

    async fn delete(
        &self,
        group: &str,
        id: &str,
        expected: Option<Version>,
    ) -> Result<bool, JournalError> {
        let mut inner = self.lock();
        let Some(items) = inner.1.get_mut(group) else {
            return Ok(false);
        };
        match items.get(id) {
            None => Ok(false),
            Some(stored) if expected.is_some_and(|version| version != stored.version) => {
                Err(JournalError::Conflict {
                    current: Some(stored.version),
                })
            }
            Some(_) => {
                items.remove(id);
                if items.is_empty() {
                    inner.1.remove(group);
                }
                Ok(true)
            }
        }
    }

    async fn groups(&self) -> Result<Vec<String>, JournalError> {
        let inner = self.lock();
        let listed = inner
            .1
            .iter()
            .filter(|(_, items)| items.values().any(|record| (self.listed)(&record.value)));
        Ok(listed.map(|(group, _)| group.clone()).collect())
    }
}
