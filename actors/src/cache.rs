//! Read-only snapshots that callers read without an actor hop.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use dashmap::{DashMap, mapref::entry::Entry};

use crate::Record;

/// Few shards: there are many groups, and each has its own maps.
const SHARDS: usize = 4;

struct Slot<T> {
    record: Arc<Record<T>>,
    touched: AtomicBool,
}

/// A bounded cache of records with second-chance eviction.
///
/// A load that overlaps an invalidation must not put back what it read. So every invalidation
/// raises the generation *before* it removes, and [`Cache::put`] checks the generation its
/// caller saw before reading, under the lock of the entry.
pub(crate) struct Cache<T> {
    slots: DashMap<String, Slot<T>>,
    generation: AtomicU64,
    order: Mutex<VecDeque<String>>,
    capacity: usize,
    total: Arc<AtomicUsize>,
    total_capacity: usize,
}

/// What [`Cache::generation`] showed before a read began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generation(u64);

impl<T> Cache<T> {
    /// A cache of at most `capacity` records, and about `total_capacity` in all caches that
    /// share `total`.
    pub(crate) fn new(capacity: usize, total: Arc<AtomicUsize>, total_capacity: usize) -> Self {
        Self {
            slots: DashMap::with_shard_amount(SHARDS),
            generation: AtomicU64::new(0),
            order: Mutex::new(VecDeque::new()),
            capacity: capacity.max(1),
            total,
            total_capacity,
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Record<T>>> {
        let slot = self.slots.get(id)?;
        slot.touched.store(true, Ordering::Relaxed);
        Some(Arc::clone(&slot.record))
    }

    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::SeqCst))
    }

    /// Stores what was read or written since `seen`; forgets the id if that may be stale.
    pub(crate) fn put(&self, record: &Arc<Record<T>>, seen: Generation) {
        let fresh = match self.slots.entry(record.id.clone()) {
            Entry::Occupied(entry) if self.generation().0 != seen.0 => {
                entry.remove();
                self.total.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            Entry::Occupied(mut entry) => {
                entry.get_mut().record = Arc::clone(record);
                false
            }
            Entry::Vacant(_) if self.generation().0 != seen.0 => return,
            Entry::Vacant(entry) => {
                entry.insert(Slot {
                    record: Arc::clone(record),
                    touched: AtomicBool::new(false),
                });
                true
            }
        };
        if fresh {
            self.total.fetch_add(1, Ordering::Relaxed);
            self.admit(record.id.clone());
        }
    }

    fn order(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, id: String) {
        let mut order = self.order();
        order.push_back(id);
        // Removed ids stay in the queue until they come up; sweep before that can add up.
        if order.len() > self.capacity.saturating_mul(2) {
            let mut seen = std::collections::HashSet::new();
            order.retain(|id| self.slots.contains_key(id) && seen.insert(id.clone()));
        }
        let mut chances = order.len().saturating_mul(2);
        while chances > 0 && order.len() > 1 && self.is_full() {
            chances -= 1;
            let Some(id) = order.pop_front() else { break };
            let spared = self
                .slots
                .get(&id)
                .is_some_and(|slot| slot.touched.swap(false, Ordering::Relaxed));
            if spared {
                order.push_back(id);
            } else {
                self.forget(&id);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.slots.len() > self.capacity || self.total.load(Ordering::Relaxed) > self.total_capacity
    }

    /// Forgets a record this node changed itself.
    pub(crate) fn forget(&self, id: &str) {
        if self.slots.remove(id).is_some() {
            self.total.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Forgets a record that another node changed.
    pub(crate) fn invalidate(&self, id: &str) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.forget(id);
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.slots.retain(|_, _| {
            self.total.fetch_sub(1, Ordering::Relaxed);
            false
        });
        self.order().clear();
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.slots.contains_key(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

impl<T> Drop for Cache<T> {
    fn drop(&mut self) {
        self.total.fetch_sub(self.slots.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> Arc<Record<u8>> {
        Arc::new(Record::new(id, 0))
    }

    fn cache(capacity: usize, total_capacity: usize) -> (Cache<u8>, Arc<AtomicUsize>) {
        let total = Arc::new(AtomicUsize::new(0));
        let cache = Cache::new(capacity, Arc::clone(&total), total_capacity);
        (cache, total)
    }

    #[test]
    fn stays_within_its_bound_and_spares_what_is_read() {
        let (cache, total) = cache(3, 100);
        for id in ["a", "b", "c"] {
            cache.put(&record(id), cache.generation());
        }
        assert!(cache.get("a").is_some());
        cache.put(&record("d"), cache.generation());
        assert!(cache.get("a").is_some(), "read lately");
        assert!(cache.get("b").is_none(), "oldest not read");
        for n in 0..1000 {
            cache.put(&record(&n.to_string()), cache.generation());
        }
        assert_eq!(cache.len(), 3);
        assert_eq!(total.load(Ordering::Relaxed), 3);
        assert!(cache.order().len() <= 6);
        drop(cache);
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn shares_one_total_bound() {
        let total = Arc::new(AtomicUsize::new(0));
        let caches: Vec<_> = (0..4)
            .map(|_| Cache::<u8>::new(100, Arc::clone(&total), 10))
            .collect();
        for n in 0..100 {
            for cache in &caches {
                cache.put(&record(&n.to_string()), cache.generation());
            }
        }
        // A cache keeps its newest record whatever the others hold.
        assert!(total.load(Ordering::Relaxed) <= 10 + caches.len());
    }

    #[test]
    fn does_not_keep_what_was_invalidated_while_read() {
        let (cache, total) = cache(3, 100);
        let seen = cache.generation();
        cache.invalidate("a");
        cache.put(&record("a"), seen);
        assert!(cache.get("a").is_none());
        cache.put(&record("a"), cache.generation());
        let seen = cache.generation();
        cache.invalidate("b");
        cache.put(&record("a"), seen);
        assert!(
            cache.get("a").is_none(),
            "an overwritten copy may be stale too"
        );
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn removed_ids_do_not_add_up() {
        let (cache, _) = cache(4, 100);
        for n in 0..1000 {
            cache.put(&record(&n.to_string()), cache.generation());
            cache.invalidate(&n.to_string());
        }
        assert!(cache.order().len() <= 9);
    }
}
