//! All deadlines of a keeper in one queue.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use crate::Millis;

/// At most one deadline per key.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    queue: BTreeSet<(Millis, K)>,
    deadlines: HashMap<K, Millis>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self {
            queue: BTreeSet::new(),
            deadlines: HashMap::new(),
        }
    }
}

impl<K: Ord + Hash + Clone> Timers<K> {
    /// Sets or moves the deadline of `key`; true if the earliest deadline changed.
    pub(crate) fn set(&mut self, key: K, at: Millis) -> bool {
        let before = self.next();
        if let Some(old) = self.deadlines.insert(key.clone(), at) {
            self.queue.remove(&(old, key.clone()));
        }
        self.queue.insert((at, key));
        self.next() != before
    }

    /// Forgets the deadline of `key`.
    pub(crate) fn remove(&mut self, key: &K) {
        if let Some((key, at)) = self.deadlines.remove_entry(key) {
            self.queue.remove(&(at, key));
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Millis> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Removes and returns a key whose deadline has come, the earliest first.
    pub(crate) fn pop_due(&mut self, now: Millis) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.queue.pop_first()?;
        self.deadlines.remove(&key);
        Some(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// Keeps only the keys for which `keep` holds.
    pub(crate) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        self.queue.retain(|(_, key)| keep(key));
        let queue = &self.queue;
        self.deadlines
            .retain(|key, at| queue.contains(&(*at, key.clone())));
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.deadlines.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pops_in_order_and_moves() {
        let mut timers = Timers::default();
        assert!(timers.set("b", 20));
        assert!(timers.set("a", 10));
        assert!(!timers.set("c", 30));
        assert!(timers.set("a", 25));
        timers.remove(&"c");
        assert_eq!(timers.pop_due(19), None);
        assert_eq!(timers.pop_due(30), Some("b"));
        assert_eq!(timers.pop_due(30), Some("a"));
        assert_eq!(timers.pop_due(99), None);
        assert_eq!(timers.next(), None);
    }
}
