//! Documents read lately, ready for use, for a store that this process alone writes to.
//!
//! Whoever writes forgets the document before the write is answered, and what was read meanwhile
//! is not kept, so nobody sees a state older than an answered write.

use std::any::Any;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle, GuardResult, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, Equivalent, Weighter};

use super::Document;

/// Another process that writes to the file, against all advice, is noticed after this time (ms).
const AGE: i64 = 1_000;
/// A document in use takes about this many times its stored size.
const SWELL: usize = 4;
/// Usual size of a document in use.
const USUAL: usize = 2_048;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key(&'static str, Box<str>);

/// Hashes as [`Key`] does.
#[derive(Hash)]
struct Seen<'a>(&'static str, &'a str);

impl Equivalent<Key> for Seen<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == key.0 && self.1 == &*key.1
    }
}

#[derive(Clone)]
struct Entry {
    document: Arc<dyn Any + Send + Sync>,
    weight: usize,
    read: i64,
    ends: Option<i64>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Entry> for Weight {
    fn weight(&self, _: &Key, entry: &Entry) -> u64 {
        u64::try_from(entry.weight).unwrap_or(u64::MAX)
    }
}

type Guard<'a> =
    PlaceholderGuard<'a, Key, Entry, Weight, DefaultHashBuilder, DefaultLifecycle<Key, Entry>>;

/// A document that is about to be read.
pub struct Place<'a>(Guard<'a>);

impl Place<'_> {
    /// Keeps what was read, unless somebody has written the document since the place was taken.
    pub fn fill<T: Document>(self, document: &Arc<T>, size: usize, now: i64, ends: Option<i64>) {
        let _ = self.0.insert(Entry {
            document: Arc::clone(document) as Arc<dyn Any + Send + Sync>,
            weight: size.saturating_mul(SWELL),
            read: now,
            ends,
        });
    }
}

pub struct Recent {
    documents: Cache<Key, Entry, Weight>,
    /// Ids by another key: only a hint where to look.
    ids: Cache<Key, Arc<str>>,
}

impl Recent {
    /// For about that many bytes.
    pub fn new(capacity: usize) -> Self {
        let count = capacity.checked_div(USUAL).unwrap_or_default();
        Self {
            documents: Cache::with_weighter(
                count,
                u64::try_from(capacity).unwrap_or(u64::MAX),
                Weight,
            ),
            ids: Cache::new(count),
        }
    }

    pub fn get<T: Document>(&self, id: &str, now: i64) -> Option<Arc<T>> {
        let key = Seen(T::COLLECTION.name, id);
        let entry = self.documents.get(&key)?;
        let fresh = (0..AGE).contains(&now.saturating_sub(entry.read));
        if !fresh || entry.ends.is_some_and(|end| end <= now) {
            self.documents.remove(&key);
            return None;
        }
        entry.document.downcast().ok()
    }

    /// None while somebody else reads the document.
    pub fn place<T: Document>(&self, id: &str) -> Option<Place<'_>> {
        let key = Key(T::COLLECTION.name, id.into());
        match self
            .documents
            .get_value_or_guard(&key, Some(Duration::ZERO))
        {
            GuardResult::Guard(guard) => Some(Place(guard)),
            GuardResult::Value(_) | GuardResult::Timeout => None,
        }
    }

    pub fn forget(&self, collection: &'static str, id: &str) {
        self.documents.remove(&Seen(collection, id));
    }

    pub fn id_of(&self, path: &'static str, value: &str) -> Option<Arc<str>> {
        self.ids.get(&Seen(path, value))
    }

    pub fn learn_id(&self, path: &'static str, value: &str, id: &str) {
        self.ids.insert(Key(path, value.into()), id.into());
    }
}
