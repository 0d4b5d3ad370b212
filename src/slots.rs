//! Turns for what follows requests by calling others' services. Each group has a share, so that
//! the dead services of one keep nobody else waiting; what finds no turn waits in its group's line.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::settings::Outgoing;

/// The lines of a server; none of them waits for another.
#[derive(Debug)]
pub struct Slots {
    /// Reports to those who asked custom challenges.
    pub callbacks: Line,
    /// Pushes to devices.
    pub pushes: Line,
    /// What an answer brings about in this server.
    pub follow_ups: Line,
}

impl Slots {
    pub fn new(settings: &Outgoing) -> Self {
        let line = || {
            Line::new(
                settings.at_once.get(),
                settings.at_once_per_group.get(),
                settings.waiting_per_group,
            )
        };
        Self {
            callbacks: line(),
            pushes: line(),
            follow_ups: line(),
        }
    }
}

/// A line for one kind of work.
#[derive(Debug)]
pub struct Line(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    all: Semaphore,
    share: usize,
    /// How many of a group may be in line, those whose turn it is included.
    most: usize,
    groups: Mutex<HashMap<Arc<str>, Group>>,
}

#[derive(Debug)]
struct Group {
    turns: Arc<Semaphore>,
    inside: HashSet<Arc<str>>,
}

impl Shared {
    fn groups(&self) -> MutexGuard<'_, HashMap<Arc<str>, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn new(at_once: usize, share: usize, waiting: usize) -> Self {
        let at_once = at_once.min(Semaphore::MAX_PERMITS);
        let share = share.min(at_once);
        Self(Arc::new(Shared {
            all: Semaphore::new(at_once),
            share,
            most: share.saturating_add(waiting),
            groups: Mutex::default(),
        }))
    }

    /// A place in the group's line; none if the line is full or that very thing is in it.
    pub fn enter(&self, group: &str, what: &str) -> Option<Place> {
        let mut groups = self.0.groups();
        if !groups.contains_key(group) {
            let new = Group {
                turns: Arc::new(Semaphore::new(self.0.share)),
                inside: HashSet::new(),
            };
            groups.insert(Arc::from(group), new);
        }
        let (name, own) = groups.get_key_value(group)?;
        if own.inside.len() >= self.0.most || own.inside.contains(what) {
            return None;
        }
        let place = Place {
            line: Arc::clone(&self.0),
            group: Arc::clone(name),
            what: Arc::from(what),
            turns: Arc::clone(&own.turns),
        };
        if let Some(own) = groups.get_mut(group) {
            own.inside.insert(Arc::clone(&place.what));
        }
        Some(place)
    }

    /// Groups of which nothing more may enter.
    pub fn full(&self) -> Vec<String> {
        let groups = self.0.groups();
        let full = groups.iter().filter(|(_, g)| g.inside.len() >= self.0.most);
        full.map(|(name, _)| (**name).to_owned()).collect()
    }
}

/// A place in a line, until it is dropped.
#[derive(Debug)]
pub struct Place {
    line: Arc<Shared>,
    group: Arc<str>,
    what: Arc<str>,
    turns: Arc<Semaphore>,
}

impl Place {
    /// Does one thing when it is its turn. Pauses belong between turns, not into one.
    pub async fn turn<T>(&self, it: impl Future<Output = T>) -> T {
        // the group's own first: of each group no more than its share waits for the others
        let _own = self.turns.acquire().await;
        let _all = self.line.all.acquire().await;
        it.await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut groups = self.line.groups();
        if let Some(own) = groups.get_mut(&self.group) {
            own.inside.remove(&self.what);
            if own.inside.is_empty() {
                groups.remove(&self.group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// A turn that does not end by itself.
    fn endless(place: &Place) -> impl Future<Output = ()> + '_ {
        place.turn(std::future::pending())
    }

    fn done(place: &Place) -> bool {
        place.turn(async {}).now_or_never().is_some()
    }

    #[test]
    fn one_group_takes_no_more_than_its_share() {
        let line = Line::new(3, 2, 10);
        let places: Vec<Place> = (0..5)
            .map(|n| line.enter("a", &n.to_string()).unwrap())
            .collect();
        let mut turns: Vec<_> = places.iter().map(|p| Box::pin(endless(p))).collect();
        for turn in &mut turns {
            assert!(turn.as_mut().now_or_never().is_none());
        }
        let other = line.enter("b", "0").unwrap();
        assert!(done(&other), "a turn is left for others");
        let third = line.enter("a", "more").unwrap();
        assert!(!done(&third));
        turns.truncate(1);
        assert!(done(&third), "a turn that has ended is free again");
    }

    #[test]
    fn a_turn_is_not_held_between_two() {
        let line = Line::new(1, 1, 1);
        let (first, second) = (line.enter("a", "1").unwrap(), line.enter("a", "2").unwrap());
        assert!(done(&first) && done(&second) && done(&first));
    }

    #[test]
    fn a_line_is_as_long_as_it_may_be_and_forgets_who_left() {
        let line = Line::new(4, 1, 2);
        let mut places: Vec<Place> = (0..3)
            .map(|n| line.enter("a", &n.to_string()).unwrap())
            .collect();
        assert!(line.enter("a", "3").is_none());
        assert_eq!(line.full(), ["a"]);
        assert!(line.enter("b", "3").is_some());
        places.pop();
        assert!(line.full().is_empty());
        assert!(line.enter("a", "0").is_none(), "it is in line already");
        assert!(line.enter("a", "2").is_some());
        drop(places);
        assert!(line.0.groups().is_empty());
    }
}
