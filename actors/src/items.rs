//! The keeper of sessions and of interactions.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use futures_util::future::LocalBoxFuture;
use tokio::sync::Notify;

use crate::{
    ActorError, Change, JournalError, Millis, Record,
    env::Setup,
    keeper::Core,
    shelf::{ATTEMPTS, Shelf},
    timers::Timers,
};

/// Timers of items no longer in memory that are tolerated before a sweep.
const SLACK: usize = 64;

/// Rounds in which all items with a key are looked for and removed.
const SWEEPS: usize = 3;

/// An item as an update sees it.
#[derive(Debug, Clone)]
pub struct Draft<T> {
    /// The item itself.
    pub value: T,
    /// From this moment on the item does not exist any more.
    pub deadline: Option<Millis>,
    /// Secondary keys.
    pub keys: Vec<String>,
}

/// Changes a draft; `false` means to leave the item as it is.
pub(crate) type Edit<T> = Box<dyn FnMut(&mut Draft<T>) -> bool + Send>;

pub(crate) struct ItemCore<T: Send + Sync + 'static> {
    shelf: Shelf<T>,
    timers: RefCell<Timers<String>>,
    rescheduled: Notify,
}

impl<T: Clone + Send + Sync + 'static> Core for ItemCore<T> {
    type Value = T;

    fn build(setup: Setup<T>) -> Self {
        Self {
            shelf: Shelf::new(setup),
            timers: RefCell::default(),
            rescheduled: Notify::new(),
        }
    }

    fn drive(self: Rc<Self>) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let next = self.timers.borrow().next();
                let clock = &self.shelf.env().clock;
                let rest = async {
                    match next {
                        Some(at) => clock.sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = rest => {}
                    () = self.rescheduled.notified() => continue,
                }
                loop {
                    let due = self.timers.borrow_mut().pop_due(self.shelf.now());
                    let Some(id) = due else { break };
                    self.expire(&id).await;
                }
            }
        })
    }

    fn resync(self: Rc<Self>) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move { self.shelf.publish("", Change::Resync).await })
    }

    fn abandon(&self) {
        self.shelf.abandon();
        self.timers.borrow_mut().clear();
    }
}

impl<T: Clone + Send + Sync + 'static> ItemCore<T> {
    /// Only items in memory have a timer: the others are the journal's to purge.
    fn schedule(&self, id: &str, deadline: Option<Millis>) {
        let Some(at) = deadline else {
            self.timers.borrow_mut().remove(&id.to_owned());
            return;
        };
        if self.shelf.is_abandoned() {
            return;
        }
        let cache = &self.shelf.setup.cache;
        let mut timers = self.timers.borrow_mut();
        // Items leave the cache without a word; forget their timers before they add up.
        if timers.len() > cache.len().saturating_mul(2).saturating_add(SLACK) {
            timers.retain(|id| cache.contains(id));
        }
        if timers.set(id.to_owned(), at) {
            self.rescheduled.notify_one();
        }
    }

    fn unschedule(&self, id: &str) {
        self.timers.borrow_mut().remove(&id.to_owned());
    }

    async fn expire(&self, id: &str) {
        let _lock = self.shelf.lock(id).await;
        let now = self.shelf.now();
        let Some(record) = self.shelf.setup.cache.get(id) else {
            return;
        };
        if record.live(now) {
            self.schedule(id, record.deadline);
            return;
        }
        match self.shelf.delete(id, record.version).await {
            Ok(true) => self.shelf.publish(id, Change::Expired).await,
            // Another node changed or expired it: whoever needs it will read it again.
            Ok(false) | Err(JournalError::Conflict { .. }) => {}
            // Nobody is given an expired item, so deleting it is a matter of tidiness.
            Err(error) => tracing::warn!(%error, "an expired item was left to the journal"),
        }
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Option<Arc<Record<T>>>, ActorError> {
        let _lock = self.shelf.lock(id).await;
        let found = self.shelf.read(id).await?;
        if let Some(record) = &found {
            self.schedule(id, record.deadline);
        }
        Ok(found)
    }

    pub(crate) async fn create(&self, record: Record<T>) -> Result<Arc<Record<T>>, ActorError> {
        let _lock = self.shelf.lock(&record.id).await;
        let record = self.shelf.insert(record).await?;
        self.schedule(&record.id, record.deadline);
        self.shelf.publish(&record.id, Change::Created).await;
        Ok(record)
    }

    pub(crate) async fn update(
        &self,
        id: &str,
        mut edit: Edit<T>,
    ) -> Result<Option<Arc<Record<T>>>, ActorError> {
        let _lock = self.shelf.lock(id).await;
        let mut found = self.shelf.read(id).await?;
        let mut reread = false;
        for _ in 0..ATTEMPTS {
            let Some(record) = found else {
                self.unschedule(id);
                return Err(ActorError::NotFound);
            };
            let mut draft = draft(&record);
            if edit(&mut draft) {
                match self.shelf.replace(written(draft, &record)).await {
                    Ok(record) => {
                        self.schedule(id, record.deadline);
                        self.shelf.publish(id, Change::Updated).await;
                        return Ok(Some(record));
                    }
                    Err(JournalError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            } else if reread {
                return Ok(None);
            }
            // A refusal stands only if it was not a stale copy that was refused.
            found = self.shelf.fresh(id).await?;
            reread = true;
        }
        Err(ActorError::Contended)
    }

    pub(crate) async fn rotate(
        &self,
        old: &str,
        new: String,
        mut edit: Edit<T>,
    ) -> Result<Option<Arc<Record<T>>>, ActorError> {
        // In a fixed order, so that two rotations in opposite directions cannot block each other.
        let (first, second) = if old <= new.as_str() {
            (old, new.as_str())
        } else {
            (new.as_str(), old)
        };
        let _first = self.shelf.lock(first).await;
        let _second = if first == second {
            None
        } else {
            Some(self.shelf.lock(second).await)
        };
        let mut found = self.shelf.read(old).await?;
        for _ in 0..ATTEMPTS {
            let Some(record) = found else {
                return Err(ActorError::NotFound);
            };
            let mut draft = draft(&record);
            if !edit(&mut draft) {
                return Ok(None);
            }
            // Deleted first: both carry the same unique keys, and of racing rotations one wins.
            match self.shelf.delete(old, record.version).await {
                Ok(true) => {
                    self.unschedule(old);
                    self.shelf.publish(old, Change::Removed).await;
                    let mut renewed = written(draft, &record);
                    renewed.id = new;
                    let renewed = self.shelf.insert(renewed).await?;
                    self.schedule(&renewed.id, renewed.deadline);
                    self.shelf.publish(&renewed.id, Change::Created).await;
                    return Ok(Some(renewed));
                }
                Ok(false) => return Err(ActorError::NotFound),
                Err(JournalError::Conflict { .. }) => found = self.shelf.fresh(old).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(ActorError::Contended)
    }

    pub(crate) async fn remove(
        &self,
        id: &str,
        change: Change,
    ) -> Result<Option<Arc<Record<T>>>, ActorError> {
        let _lock = self.shelf.lock(id).await;
        let removed = self.shelf.withdraw(id).await?;
        self.unschedule(id);
        if removed.is_some() {
            self.shelf.publish(id, change).await;
        }
        Ok(removed)
    }

    pub(crate) async fn find_by(&self, key: &str) -> Result<Vec<Arc<Record<T>>>, ActorError> {
        let setup = &self.shelf.setup;
        let found = setup.journal.find_by(&setup.group, key).await?;
        let now = self.shelf.now();
        let live = found.into_iter().filter(|record| record.live(now));
        Ok(live.map(Arc::new).collect())
    }

    pub(crate) async fn remove_by(&self, key: &str) -> Result<usize, ActorError> {
        let mut count = 0;
        // Once more after a find: an item may have been rotated to a new id in the meantime.
        for _ in 0..SWEEPS {
            let found = self.find_by(key).await?;
            if found.is_empty() {
                break;
            }
            for record in found {
                if self.remove(&record.id, Change::Removed).await?.is_some() {
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}

fn draft<T: Clone>(record: &Record<T>) -> Draft<T> {
    Draft {
        value: T::clone(&record.value),
        deadline: record.deadline,
        keys: record.keys.clone(),
    }
}

fn written<T>(draft: Draft<T>, record: &Record<T>) -> Record<T> {
    Record {
        id: record.id.clone(),
        version: record.version,
        deadline: draft.deadline,
        keys: draft.keys,
        value: Arc::new(draft.value),
    }
}
