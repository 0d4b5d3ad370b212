//! What all keepers do with their items: read, compare-and-set, cache, publish, in order per item.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
};

use tokio::sync::OwnedMutexGuard;

use crate::{
    ActorError, Change, Journal, JournalError, Millis, Notice, Record, Version,
    cache::{Cache, Generation},
    env::{Env, Setup},
};

/// Compare-and-set attempts before a call gives up. Calls of this node queue up behind each
/// other, so only other nodes can make one fail.
pub(crate) const ATTEMPTS: usize = 32;

/// The items of one kind of one group, as its keeper sees them.
pub(crate) struct Shelf<T> {
    pub(crate) setup: Setup<T>,
    locks: Rc<Locks>,
    dead: Cell<bool>,
}

impl<T: Send + Sync + 'static> Shelf<T> {
    pub(crate) fn new(setup: Setup<T>) -> Self {
        Self {
            setup,
            locks: Rc::default(),
            dead: Cell::new(false),
        }
    }

    pub(crate) fn env(&self) -> &Env {
        &self.setup.env
    }

    pub(crate) fn now(&self) -> Millis {
        self.setup.env.now()
    }

    fn group(&self) -> &str {
        &self.setup.group
    }

    fn journal(&self) -> &dyn Journal<T> {
        &*self.setup.journal
    }

    fn cache(&self) -> &Cache<T> {
        &self.setup.cache
    }

    /// The keeper was replaced: unfinished calls finish, but leave the memory to the new one.
    pub(crate) fn abandon(&self) {
        self.dead.set(true);
        self.cache().clear();
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.dead.get()
    }

    /// Waits until no other call works on this item.
    pub(crate) async fn lock(&self, id: &str) -> ItemLock {
        self.locks.acquire(id).await
    }

    fn remember(&self, record: &Arc<Record<T>>, seen: Generation) {
        if self.dead.get() {
            self.cache().invalidate(&record.id);
        } else {
            self.cache().put(record, seen);
        }
    }

    /// The item, from memory if that can be believed.
    pub(crate) async fn read(&self, id: &str) -> Result<Option<Arc<Record<T>>>, ActorError> {
        if self.env().trusted()
            && let Some(record) = self.cache().get(id)
            && record.live(self.now())
        {
            return Ok(Some(record));
        }
        self.fresh(id).await
    }

    /// The item, from the journal.
    pub(crate) async fn fresh(&self, id: &str) -> Result<Option<Arc<Record<T>>>, ActorError> {
        let seen = self.cache().generation();
        let Some(record) = self.journal().load(self.group(), id).await? else {
            self.cache().forget(id);
            return Ok(None);
        };
        if !record.live(self.now()) {
            self.cache().forget(id);
            return Ok(None);
        }
        let record = Arc::new(record);
        self.remember(&record, seen);
        Ok(Some(record))
    }

    /// Writes a new item. One that is only still there because nobody purged it gives way.
    pub(crate) async fn insert(
        &self,
        mut record: Record<T>,
    ) -> Result<Arc<Record<T>>, JournalError> {
        let seen = self.cache().generation();
        let mut result = self.journal().insert(self.group(), &record).await;
        if matches!(result, Err(JournalError::Exists))
            && let Some(old) = self.journal().load(self.group(), &record.id).await?
            && !old.live(self.now())
            && self
                .journal()
                .delete(self.group(), &record.id, Some(old.version))
                .await?
        {
            result = self.journal().insert(self.group(), &record).await;
        }
        record.version = result?;
        let record = Arc::new(record);
        self.remember(&record, seen);
        Ok(record)
    }

    /// Compare-and-set against `record.version`.
    pub(crate) async fn replace(
        &self,
        mut record: Record<T>,
    ) -> Result<Arc<Record<T>>, JournalError> {
        let seen = self.cache().generation();
        let expected = record.version;
        let replaced = self
            .journal()
            .replace(self.group(), &record, expected)
            .await;
        match replaced {
            Ok(version) => record.version = version,
            Err(error) => {
                // Whatever went wrong, the copy in memory is not to be believed any more.
                self.cache().forget(&record.id);
                return Err(error);
            }
        }
        let record = Arc::new(record);
        self.remember(&record, seen);
        Ok(record)
    }

    /// Deletes the item in exactly this version.
    pub(crate) async fn delete(&self, id: &str, expected: Version) -> Result<bool, JournalError> {
        let deleted = self
            .journal()
            .delete(self.group(), id, Some(expected))
            .await;
        self.cache().forget(id);
        deleted
    }

    /// Deletes the item and returns it as it was; `None` if another caller was first.
    pub(crate) async fn withdraw(&self, id: &str) -> Result<Option<Arc<Record<T>>>, ActorError> {
        let mut found = self.read(id).await?;
        for _ in 0..ATTEMPTS {
            let Some(record) = found else { return Ok(None) };
            match self.delete(id, record.version).await {
                Ok(true) => return Ok(Some(record)),
                Ok(false) => return Ok(None),
                Err(JournalError::Conflict { .. }) => found = self.fresh(id).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(ActorError::Contended)
    }

    /// Tells the other nodes. The journal has decided already, so a failure only delays them.
    pub(crate) async fn publish(&self, id: &str, change: Change) {
        let notice = Notice {
            group: Arc::clone(&self.setup.group),
            kind: self.setup.kind,
            id: id.into(),
            change,
            origin: Arc::clone(&self.env().node),
        };
        if let Err(error) = self.env().bus.publish(notice).await {
            tracing::warn!(group = self.group(), ?change, %error, "a change was not announced");
        }
    }
}

/// One queue per item that is being worked on.
#[derive(Default)]
struct Locks {
    items: RefCell<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Locks {
    async fn acquire(self: &Rc<Self>, id: &str) -> ItemLock {
        let mutex = Arc::clone(self.items.borrow_mut().entry(id.to_owned()).or_default());
        // Made before waiting: a call that is dropped while it waits cleans up as well.
        let mut lock = ItemLock {
            locks: Rc::clone(self),
            id: id.to_owned(),
            guard: None,
        };
        lock.guard = Some(mutex.lock_owned().await);
        lock
    }
}

/// The exclusive right to change one item.
pub(crate) struct ItemLock {
    locks: Rc<Locks>,
    id: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for ItemLock {
    fn drop(&mut self) {
        self.guard = None;
        let mut items = self.locks.items.borrow_mut();
        // The map's own reference is the last one if nobody holds or awaits the lock.
        if items
            .get(&self.id)
            .is_some_and(|mutex| Arc::strong_count(mutex) == 1)
        {
            items.remove(&self.id);
        }
    }
}
