//! Typed documents at rest, on `MongoDB` or in an embedded file.
//!
//! Writes are atomic per document. [`Docs::update`] is compare-and-set, so no change of another
//! writer is overwritten; [`Docs::take`] hands a document to exactly one caller. Expired documents
//! are never returned.

pub mod bulk;
mod codec;
mod collection;
mod compare;
mod engine;
mod error;
mod matching;
mod mongo;
mod plan;
mod projection;
mod query;
mod recent;
mod sqlite;
mod value;

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::{Change, Engine, Stored};

pub use collection::{Collection, Document, Expiry, Index, When};
pub use error::{MAX_DOCUMENT, Source, StoreError};
pub use query::{
    Filter, Order, Path, Query, and, any_of, contains, elem, ends_with, eq, exists, gt, gte, lt,
    lte, ne, not, or, starts_with, text,
};
pub use value::{Date, Object, Value, from_json, integer, optional_integer, to_json};

/// The current time in milliseconds since the epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How often a compare-and-set is tried before [`StoreError::Conflict`].
const ATTEMPTS: u32 = 32;

/// How to reach the store.
#[derive(Clone)]
pub struct StoreOptions {
    /// `sqlite:PATH`, `sqlite::memory:`, `mongodb://…` or `mongodb+srv://…`.
    pub url: String,
    /// Threads that read from the embedded store.
    pub readers: usize,
    /// About how much memory (bytes) the embedded store may use for documents read lately.
    pub cache: usize,
    /// How long to look for a server before [`StoreError::Unavailable`].
    pub timeout: Duration,
    /// Connections to one server that are kept open.
    pub min_connections: u32,
    /// Most connections to one server.
    pub max_connections: u32,
    /// The name that the server shows in its logs.
    pub app_name: String,
    /// The source of the current time; decides what has expired.
    pub clock: Clock,
}

impl StoreOptions {
    /// The defaults for a store at this address.
    pub fn new(url: impl Into<String>, clock: Clock) -> Self {
        Self {
            url: url.into(),
            readers: 2,
            cache: 32 << 20,
            timeout: Duration::from_secs(10),
            min_connections: 0,
            max_connections: 64,
            app_name: "ueauth".to_owned(),
            clock,
        }
    }
}

struct Shared {
    engine: Box<dyn Engine>,
    clock: Clock,
    connected: AtomicBool,
    turns: Vec<tokio::sync::Mutex<()>>,
}

impl Shared {
    fn now(&self) -> i64 {
        (self.clock)()
    }

    /// Remembers for [`Store::is_connected`] whether the engine answered.
    fn note<R>(&self, result: Result<R, StoreError>) -> Result<R, StoreError> {
        let lost = matches!(
            result,
            Err(StoreError::Unavailable { .. } | StoreError::Full { .. })
        );
        self.connected.store(!lost, Ordering::Relaxed);
        result
    }

    fn turn(&self, id: &str) -> Option<&tokio::sync::Mutex<()>> {
        use std::hash::{Hash, Hasher};
        let mut hasher = std::hash::DefaultHasher::new();
        id.hash(&mut hasher);
        let count = u64::try_from(self.turns.len()).ok()?;
        let slot = usize::try_from(hasher.finish().checked_rem(count)?).ok()?;
        self.turns.get(slot)
    }
}

/// The way to all documents; cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Opens the store and builds what the collections declare.
    ///
    /// Only these collections can be used afterwards.
    pub async fn open(
        options: &StoreOptions,
        collections: &[&'static Collection],
    ) -> Result<Store, StoreError> {
        let engine = connect(options, collections).await?;
        Ok(Store {
            shared: Arc::new(Shared {
                engine,
                clock: Arc::clone(&options.clock),
                connected: AtomicBool::new(true),
                turns: (0..64).map(|_| tokio::sync::Mutex::new(())).collect(),
            }),
        })
    }

    /// The documents of one type.
    pub fn of<T: Document>(&self) -> Docs<T> {
        Docs {
            shared: Arc::clone(&self.shared),
            kind: PhantomData,
        }
    }

    /// Asks the engine for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.shared.note(self.shared.engine.ping().await)
    }

    /// Whether the engine answered when it was last used.
    pub fn is_connected(&self) -> bool {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// Deletes expired documents and returns how many there were.
    pub async fn purge(&self) -> Result<u64, StoreError> {
        self.shared.note(self.shared.engine.purge().await)
    }

    /// Deletes expired documents at this interval until the store is dropped.
    pub fn spawn_purger(&self, interval: Duration) -> tokio::task::JoinHandle<()> {
        let shared = Arc::downgrade(&self.shared);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                match shared.note(shared.engine.purge().await) {
                    Ok(0) => {}
                    Ok(count) => tracing::debug!(count, "expired documents deleted"),
                    Err(error) => tracing::warn!(%error, "expired documents could not be deleted"),
                }
            }
        })
    }

    /// Finishes accepted work and lets go of files and connections; later operations fail.
    pub async fn close(self) {
        self.shared.engine.close().await;
    }
}

async fn connect(
    options: &StoreOptions,
    collections: &[&'static Collection],
) -> Result<Box<dyn Engine>, StoreError> {
    match options.url.split_once(':') {
        Some(("sqlite", _)) => Ok(Box::new(sqlite::Sqlite::open(options, collections).await?)),
        Some(("mongodb" | "mongodb+srv", _)) => {
            Ok(Box::new(mongo::Mongo::open(options, collections).await?))
        }
        _ => Err(StoreError::config(
            "the address of the store must begin with sqlite: or mongodb:",
        )),
    }
}

/// Whether a stored document has the shape that its type needs.
pub fn readable<T: Document>(document: &bson::RawDocument) -> Result<(), StoreError> {
    codec::decode::<T>(document).map(drop)
}

/// The documents of one type; cheap to clone.
pub struct Docs<T> {
    shared: Arc<Shared>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Docs<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            kind: PhantomData,
        }
    }
}

enum Which<'a> {
    Id(&'a str),
    Matching(&'a Filter),
}

impl<T: Document> Docs<T> {
    /// The document with this id.
    pub async fn get(&self, id: &str) -> Result<Option<T>, StoreError> {
        self.stored(Which::Id(id))
            .await?
            .map(|stored| codec::decode(&stored.document))
            .transpose()
    }

    /// The document with this id, shared with others who read it lately where the store allows.
    pub async fn read(&self, id: &str) -> Result<Option<Arc<T>>, StoreError> {
        let Some(recent) = self.shared.engine.recent() else {
            return Ok(self.get(id).await?.map(Arc::new));
        };
        let now = self.shared.now();
        if let Some(hit) = recent.get::<T>(id, now) {
            return Ok(Some(hit));
        }
        let place = recent.place::<T>(id);
        let Some(stored) = self.stored(Which::Id(id)).await? else {
            return Ok(None);
        };
        let document = Arc::new(codec::decode(&stored.document)?);
        if let Some(place) = place {
            let size = stored.document.as_bytes().len();
            let ends = T::COLLECTION.end_of(&stored.document);
            place.fill(&document, size, now, ends);
        }
        Ok(Some(document))
    }

    /// As [`Docs::read`], but only if it is at hand: `None` says nothing about the store.
    pub fn at_hand(&self, id: &str) -> Option<Arc<T>> {
        self.shared.engine.recent()?.get(id, self.shared.now())
    }

    /// The document whose field has this value, shared as with [`Docs::read`]; `has` says whether a
    /// document is that one.
    pub async fn read_by(
        &self,
        path: &'static str,
        value: &str,
        has: impl Fn(&T) -> bool,
    ) -> Result<Option<Arc<T>>, StoreError> {
        let recent = self.shared.engine.recent();
        if let Some(id) = recent.and_then(|recent| recent.id_of(path, value))
            && let Some(found) = self.read(&id).await?
            && has(&found)
        {
            return Ok(Some(found));
        }
        let found = self.find_one(query::eq(path, value)).await?;
        if let (Some(recent), Some(found)) = (recent, &found) {
            recent.learn_id(path, value, found.id());
        }
        Ok(found.map(Arc::new))
    }

    /// All documents of a query; its `select` is ignored, since a type needs all its fields.
    pub async fn find(&self, query: impl Into<Query>) -> Result<Vec<T>, StoreError> {
        let mut query = query.into();
        query.select = None;
        self.matching(query)
            .await?
            .iter()
            .map(|stored| codec::decode(&stored.document))
            .collect()
    }

    /// The matching document with the smallest id.
    pub async fn find_one(&self, filter: Filter) -> Result<Option<T>, StoreError> {
        self.stored(Which::Matching(&filter))
            .await?
            .map(|stored| codec::decode(&stored.document))
            .transpose()
    }

    /// The documents of a query as they are stored, reduced to its `select`.
    pub async fn find_objects(&self, query: impl Into<Query>) -> Result<Vec<Object>, StoreError> {
        self.matching(query.into())
            .await?
            .into_iter()
            .map(|stored| {
                bson::Document::try_from(stored.document)
                    .map(Object::from)
                    .map_err(|error| StoreError::Decode {
                        collection: T::COLLECTION.name,
                        id: String::new(),
                        source: error.into(),
                    })
            })
            .collect()
    }

    /// How many documents match.
    pub async fn count(&self, filter: Filter) -> Result<u64, StoreError> {
        filter.check()?;
        let counted = self.shared.engine.count(T::COLLECTION, filter).await;
        self.shared.note(counted)
    }

    /// Adds a document.
    pub async fn insert(&self, document: &T) -> Result<(), StoreError> {
        self.insert_many(std::slice::from_ref(document)).await
    }

    /// Adds a document, or answers the one that was there first: of several servers that start
    /// together, one makes it.
    pub async fn insert_or_get(&self, document: T) -> Result<T, StoreError> {
        match self.insert(&document).await {
            Ok(()) => Ok(document),
            Err(e) if e.is_duplicate() => self.get(document.id()).await?.ok_or(e),
            Err(e) => Err(e),
        }
    }

    /// Adds documents in order; the first failure ends it, and those before it stay.
    pub async fn insert_many(&self, documents: &[T]) -> Result<(), StoreError> {
        let fresh: Vec<_> = documents
            .iter()
            .map(codec::fresh)
            .collect::<Result<_, _>>()?;
        let inserted = self.shared.engine.insert(T::COLLECTION, fresh).await;
        self.shared.note(inserted)
    }

    /// Writes the whole document, whether or not one with its id exists.
    pub async fn put(&self, document: &T) -> Result<(), StoreError> {
        let fresh = codec::fresh(document)?;
        let put = self
            .shared
            .engine
            .put(T::COLLECTION, document.id(), fresh)
            .await;
        self.shared.note(put)
    }

    /// Changes a document from its current to its new state, and returns the new one.
    ///
    /// `f` runs again whenever another writer was faster, so it must depend on its argument alone.
    /// Stored fields that the type does not know survive. Nothing is written if `f` changes nothing
    /// or fails; `None` if there is no such document.
    pub async fn update<E: From<StoreError>>(
        &self,
        id: &str,
        f: impl FnMut(&mut T) -> Result<(), E> + Send,
    ) -> Result<Option<T>, E> {
        self.change(Which::Id(id), f).await
    }

    /// As [`Docs::update`], for the document that `filter` finds; it must match at every attempt.
    pub async fn update_where<E: From<StoreError>>(
        &self,
        filter: Filter,
        f: impl FnMut(&mut T) -> Result<(), E> + Send,
    ) -> Result<Option<T>, E> {
        self.change(Which::Matching(&filter), f).await
    }

    /// Changes each matching document as [`Docs::update`] does, and returns how many there were.
    pub async fn update_many<E: From<StoreError>>(
        &self,
        filter: Filter,
        mut f: impl FnMut(&mut T) -> Result<(), E> + Send,
    ) -> Result<u64, E> {
        let query = Query::new(filter.clone()).select(["_id"]);
        let mut changed = 0;
        for stored in self.matching(query).await? {
            let id = stored.document.get_str("_id").map_err(StoreError::engine)?;
            let still = query::eq("_id", id).and(filter.clone());
            if self
                .change(Which::Matching(&still), &mut f)
                .await?
                .is_some()
            {
                changed += 1;
            }
        }
        Ok(changed)
    }

    /// Removes a matching document and returns it; of many callers exactly one gets it.
    pub async fn take(&self, filter: Filter) -> Result<Option<T>, StoreError> {
        filter.check()?;
        let taken = self.shared.engine.take(T::COLLECTION, filter).await;
        self.shared
            .note(taken)?
            .map(|document| codec::decode(&document))
            .transpose()
    }

    /// Removes the document with this id; `false` if there is none.
    pub async fn delete(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.delete_many(query::eq("_id", id)).await? > 0)
    }

    /// Removes all matching documents and returns how many there were.
    pub async fn delete_many(&self, filter: Filter) -> Result<u64, StoreError> {
        filter.check()?;
        let deleted = self.shared.engine.delete(T::COLLECTION, filter).await;
        self.shared.note(deleted)
    }

    async fn matching(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        query.check()?;
        let found = self.shared.engine.find(T::COLLECTION, query).await;
        self.shared.note(found)
    }

    async fn stored(&self, which: Which<'_>) -> Result<Option<Stored>, StoreError> {
        match which {
            Which::Id(id) => {
                let found = self.shared.engine.get(T::COLLECTION, id).await;
                self.shared.note(found)
            }
            Which::Matching(filter) => {
                let query = Query::new(filter.clone())
                    .sort("_id", Order::Ascending)
                    .limit(1);
                Ok(self.matching(query).await?.pop())
            }
        }
    }

    async fn change<E: From<StoreError>>(
        &self,
        which: Which<'_>,
        mut f: impl FnMut(&mut T) -> Result<(), E> + Send,
    ) -> Result<Option<T>, E> {
        let mut turn = None;
        for attempt in 0..ATTEMPTS {
            let located = match which {
                Which::Id(id) => self.stored(Which::Id(id)).await?,
                Which::Matching(filter) => self.stored(Which::Matching(filter)).await?,
            };
            let Some(seen) = located else {
                return Ok(None);
            };
            let mut document: T = codec::decode(&seen.document)?;
            let before = codec::encode(&document)?;
            f(&mut document)?;
            let after = codec::encode(&document)?;
            if before == after {
                return Ok(Some(document));
            }
            let id = seen.document.get_str("_id").map_err(StoreError::engine)?;
            if id != document.id() {
                return Err(StoreError::Encode {
                    collection: T::COLLECTION.name,
                    source: "the id of a stored document cannot be changed".into(),
                }
                .into());
            }
            let new = codec::merge(&seen.document, &before, &after).map_err(StoreError::engine)?;
            codec::fits(T::COLLECTION, &new)?;
            let change = Change {
                id,
                seen: &seen,
                new: &new,
            };
            let replaced = self.shared.engine.replace(T::COLLECTION, change).await;
            if self.shared.note(replaced)? {
                return Ok(Some(document));
            }
            // Losers of this process queue up, so that only other nodes can get in between.
            match (&turn, self.shared.turn(id)) {
                (None, Some(lock)) => turn = Some(lock.lock().await),
                _ => pause(attempt).await,
            }
        }
        Err(StoreError::Conflict {
            collection: T::COLLECTION.name,
        }
        .into())
    }
}

/// Waits a random time that grows with the attempts, so that rivals fall out of step.
async fn pause(attempt: u32) {
    let ceiling = 1_u64 << attempt.min(6);
    let millis = rand::random_range(0..=ceiling);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
