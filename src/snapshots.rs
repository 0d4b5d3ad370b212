//! Values read from the store, kept and shared until they change.
//!
//! Most requests read some of them, so a read touches as little memory as possible: with many
//! groups in use, none of it is in the processor's caches.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::{DashMap, Entry};
use ueauth_actors::{Clock, Millis};

/// How exactly it is known when a value was last used (ms).
const GRAIN: Millis = 1_000;

/// What is found by its own name.
pub trait Named {
    fn name(&self) -> &str;
}

/// A value is its own key: its name is looked at by whoever asks for it anyway.
struct Kept<T>(Arc<T>);

impl<T: Named> Borrow<str> for Kept<T> {
    fn borrow(&self) -> &str {
        self.0.name()
    }
}

impl<T: Named> Hash for Kept<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name().hash(state);
    }
}

impl<T: Named> PartialEq for Kept<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl<T: Named> Eq for Kept<T> {}

struct Times {
    read: Millis,
    used: AtomicI64,
}

impl Times {
    fn used(&self) -> Millis {
        self.used.load(Ordering::Relaxed)
    }
}

/// How many values are kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub capacity: usize,
    /// How long a value is kept that nobody asks for.
    pub idle: Duration,
    /// How old a value may get when others may write too.
    pub max_age: Option<Duration>,
}

/// Proof that a read began before it is kept.
#[derive(Debug, Clone, Copy)]
pub struct Began(u64);

/// Values by their names.
pub struct Snapshots<T> {
    kept: DashMap<Kept<T>, Times>,
    /// Counts what was forgotten, so that a read that began before is not kept.
    generation: AtomicU64,
    clock: Arc<dyn Clock>,
    capacity: usize,
    idle: Millis,
    max_age: Millis,
}

impl<T> std::fmt::Debug for Snapshots<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshots")
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

impl<T: Named> Snapshots<T> {
    pub fn new(rules: Rules, clock: Arc<dyn Clock>) -> Self {
        Self {
            kept: DashMap::new(),
            generation: AtomicU64::new(0),
            clock,
            capacity: rules.capacity,
            idle: millis(rules.idle),
            max_age: rules.max_age.map_or(Millis::MAX, millis),
        }
    }

    pub fn get(&self, name: &str) -> Option<Arc<T>> {
        let kept = self.kept.get(name)?;
        let (value, times) = kept.pair();
        let now = self.clock.now();
        if self.is_old(times, now) {
            return None;
        }
        // written rarely, or all cores would wait for each other at values that all requests use
        if now.saturating_sub(times.used()) >= GRAIN {
            times.used.store(now, Ordering::Relaxed);
        }
        Some(Arc::clone(&value.0))
    }

    /// A clock that was set back makes all of them old.
    fn is_old(&self, times: &Times, now: Millis) -> bool {
        !(0..self.max_age).contains(&now.saturating_sub(times.read))
    }

    /// To be called before a value is read from the store.
    pub fn begin(&self) -> Began {
        Began(self.generation.load(Ordering::Acquire))
    }

    /// Keeps what was read, unless something was forgotten since the read began.
    pub fn keep(&self, value: Arc<T>, began: Began) {
        let now = self.clock.now();
        {
            let entry = self.kept.entry(Kept(Arc::clone(&value)));
            // whoever forgets from here on has to wait for the entry, and then removes it
            if self.generation.load(Ordering::Acquire) != began.0 {
                return;
            }
            let times = Times {
                read: now,
                used: AtomicI64::new(now),
            };
            match entry {
                // its key is the older value
                Entry::Occupied(occupied) => drop(occupied.replace_entry(times)),
                Entry::Vacant(vacant) => drop(vacant.insert(times)),
            }
        }
        // between two times of tidying it may become somewhat more
        if self.kept.len() > self.capacity.saturating_add(self.capacity / 4) {
            self.tidy();
        }
    }

    pub fn forget(&self, name: &str) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.kept.remove(name);
    }

    pub fn forget_all(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.kept.clear();
        self.kept.shrink_to_fit();
    }

    /// Gives back the room of those that nobody asks for, and of the longest unused ones if there
    /// are too many.
    pub fn tidy(&self) {
        let now = self.clock.now();
        self.kept.retain(|_, times| {
            now.saturating_sub(times.used()) < self.idle && !self.is_old(times, now)
        });
        let mut left = self.kept.len().saturating_sub(self.capacity);
        let mut used: Vec<Millis> = Vec::new();
        if left > 0 {
            let all = self.kept.iter();
            used.extend(all.map(|kept| kept.used()));
            used.sort_unstable();
        }
        if let Some(&until) = left.checked_sub(1).and_then(|last| used.get(last)) {
            self.kept.retain(|_, times| {
                let goes = left > 0 && times.used() <= until;
                left -= usize::from(goes);
                !goes
            });
        }
        self.kept.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ueauth_actors::ManualClock;

    #[derive(Debug, PartialEq)]
    struct Thing(String, u32);

    impl Named for Thing {
        fn name(&self) -> &str {
            &self.0
        }
    }

    fn snapshots(rules: Rules) -> (Snapshots<Thing>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(1_000_000));
        (Snapshots::new(rules, Arc::clone(&clock) as _), clock)
    }

    const RULES: Rules = Rules {
        capacity: 8,
        idle: Duration::from_mins(1),
        max_age: None,
    };

    fn thing(name: &str, value: u32) -> Arc<Thing> {
        Arc::new(Thing(name.to_owned(), value))
    }

    fn put(snapshots: &Snapshots<Thing>, name: &str, value: u32) {
        snapshots.keep(thing(name, value), snapshots.begin());
    }

    fn value(snapshots: &Snapshots<Thing>, name: &str) -> Option<u32> {
        snapshots.get(name).map(|thing| thing.1)
    }

    fn names(snapshots: &Snapshots<Thing>) -> Vec<String> {
        let all = snapshots.kept.iter();
        let mut ids: Vec<_> = all.map(|kept| kept.key().0.0.clone()).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn what_is_kept_is_found_until_it_is_forgotten() {
        let (snapshots, _) = snapshots(RULES);
        put(&snapshots, "a", 1);
        put(&snapshots, "b", 2);
        assert_eq!(value(&snapshots, "a"), Some(1));
        put(&snapshots, "a", 3);
        assert_eq!(value(&snapshots, "a"), Some(3));
        snapshots.forget("a");
        assert_eq!(value(&snapshots, "a"), None);
        assert_eq!(value(&snapshots, "b"), Some(2));
        snapshots.forget_all();
        assert_eq!(value(&snapshots, "b"), None);
    }

    #[test]
    fn a_read_that_began_before_a_change_is_not_kept() {
        let (snapshots, _) = snapshots(RULES);
        let began = snapshots.begin();
        snapshots.forget("a");
        snapshots.keep(thing("a", 1), began);
        assert_eq!(value(&snapshots, "a"), None);
        let began = snapshots.begin();
        snapshots.forget_all();
        snapshots.keep(thing("a", 1), began);
        assert_eq!(value(&snapshots, "a"), None);
    }

    #[test]
    fn what_nobody_asks_for_goes() {
        let (snapshots, clock) = snapshots(RULES);
        put(&snapshots, "a", 1);
        put(&snapshots, "b", 2);
        clock.advance(Duration::from_secs(40));
        assert!(snapshots.get("a").is_some());
        clock.advance(Duration::from_secs(40));
        snapshots.tidy();
        assert_eq!(names(&snapshots), ["a"]);
    }

    #[test]
    fn what_others_may_have_changed_is_not_believed_for_long() {
        let max_age = Some(Duration::from_secs(2));
        let (snapshots, clock) = snapshots(Rules { max_age, ..RULES });
        put(&snapshots, "a", 1);
        clock.advance(Duration::from_millis(1_999));
        assert!(snapshots.get("a").is_some());
        clock.advance(Duration::from_millis(1));
        assert_eq!(value(&snapshots, "a"), None);
        snapshots.tidy();
        assert!(names(&snapshots).is_empty());
    }

    #[test]
    fn the_longest_unused_make_room() {
        let (snapshots, clock) = snapshots(RULES);
        for number in 0..10 {
            put(&snapshots, &format!("{number:02}"), number);
            clock.advance(Duration::from_secs(1));
        }
        assert!(snapshots.get("00").is_some());
        assert_eq!(names(&snapshots).len(), 10, "a quarter more is let pass");
        put(&snapshots, "10", 10);
        assert_eq!(
            names(&snapshots),
            ["00", "04", "05", "06", "07", "08", "09", "10"]
        );
    }

    #[test]
    fn of_those_used_at_one_time_only_as_many_go_as_must() {
        let (snapshots, _) = snapshots(RULES);
        for number in 0..11 {
            put(&snapshots, &number.to_string(), number);
        }
        assert_eq!(names(&snapshots).len(), 8);
    }
}
