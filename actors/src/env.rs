//! What every keeper of a registry shares.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use tokio::sync::watch;

use crate::{Bus, Clock, Config, Counters, Journal, Kind, Millis, cache::Cache};

/// The outside world, the limits and the gauges.
pub(crate) struct Env {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) node: Arc<str>,
    pub(crate) config: Config,
    pub(crate) gauges: Gauges,
    health: watch::Receiver<bool>,
}

impl Env {
    pub(crate) fn new(config: Config, clock: Arc<dyn Clock>, bus: Arc<dyn Bus>) -> Self {
        let health = bus.health();
        Self {
            clock,
            bus,
            node: node_name().into(),
            config,
            gauges: Gauges::default(),
            health,
        }
    }

    /// Whether notices get through, so that a cached copy may be believed.
    pub(crate) fn trusted(&self) -> bool {
        *self.health.borrow()
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }
}

/// A name no other registry has. Each `RandomState` is seeded from the system's randomness.
fn node_name() -> String {
    use std::hash::{BuildHasher, RandomState};
    let part = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", part(), part())
}

/// Numbers of live things, for metrics.
#[derive(Default)]
pub(crate) struct Gauges {
    pub(crate) supervisors: Arc<AtomicUsize>,
    pub(crate) keepers: Arc<AtomicUsize>,
    pub(crate) waiters: Arc<AtomicUsize>,
    pub(crate) subscriptions: Arc<AtomicUsize>,
    pub(crate) pending: Arc<AtomicUsize>,
    pub(crate) sessions: Arc<AtomicUsize>,
    pub(crate) interactions: Arc<AtomicUsize>,
    pub(crate) challenges: Arc<AtomicUsize>,
    pub(crate) restarts: AtomicUsize,
    pub(crate) refused: AtomicUsize,
}

impl Gauges {
    pub(crate) fn snapshot(&self) -> Counters {
        let read = |gauge: &AtomicUsize| gauge.load(Ordering::Relaxed);
        Counters {
            supervisors: read(&self.supervisors),
            keepers: read(&self.keepers),
            waiters: read(&self.waiters),
            subscriptions: read(&self.subscriptions),
            pending_challenges: read(&self.pending),
            cached_sessions: read(&self.sessions),
            cached_interactions: read(&self.interactions),
            cached_challenges: read(&self.challenges),
            restarts: read(&self.restarts),
            refused: read(&self.refused),
        }
    }
}

/// Counts itself for as long as it lives.
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(crate) fn new(gauge: &Arc<AtomicUsize>) -> Self {
        gauge.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(gauge))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What keeps a group from being idle.
#[derive(Default)]
pub(crate) struct Usage {
    /// Waiters, subscriptions and pending challenges.
    pub(crate) held: Arc<AtomicUsize>,
    last: AtomicI64,
}

impl Usage {
    pub(crate) fn touch(&self, now: Millis) {
        self.last.fetch_max(now, Ordering::Relaxed);
    }

    pub(crate) fn last(&self) -> Millis {
        self.last.load(Ordering::Relaxed)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst) > 0
    }
}

/// What a keeper is built from, and built from again after a restart.
pub(crate) struct Setup<T> {
    pub(crate) env: Arc<Env>,
    pub(crate) group: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) journal: Arc<dyn Journal<T>>,
    pub(crate) cache: Arc<Cache<T>>,
    pub(crate) usage: Arc<Usage>,
}

impl<T> Clone for Setup<T> {
    fn clone(&self) -> Self {
        Self {
            env: Arc::clone(&self.env),
            group: Arc::clone(&self.group),
            kind: self.kind,
            journal: Arc::clone(&self.journal),
            cache: Arc::clone(&self.cache),
            usage: Arc::clone(&self.usage),
        }
    }
}
