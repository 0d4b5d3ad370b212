//! The way in: which groups are awake, and where.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    num::NonZeroUsize,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::{Actor, Addr};
use dashmap::{DashMap, mapref::entry::Entry};
use futures_util::{
    StreamExt,
    future::{AbortHandle, Abortable},
};
use tokio::sync::Semaphore;

use crate::{
    ActorError, Bus, Challenge, Challenges, Clock, Delivery, Filter, Interactions, Items, Journal,
    JournalError, Kind, Millis, Record, Sessions,
    cache::Cache,
    challenges::ChallengeCore,
    env::{Env, Setup, Usage},
    group::{Group, GroupSupervisor, Receivers, Stop},
    items::ItemCore,
    keeper::{Door, Job, Port},
    threads::Arbiters,
};

/// Where actors run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// On this many threads of the registry's own.
    Own(NonZeroUsize),
    /// On the calling thread, which must run an `actix_rt` arbiter; for tests.
    Current,
}

/// Limits and intervals.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where actors run.
    pub threads: Threads,
    /// How long a group without waiters and pending challenges stays awake after its last use.
    pub idle_after: Duration,
    /// Unfinished calls per group and kind; more are refused with [`ActorError::Busy`]. Also the
    /// notices on their way to a keeper; beyond them it reads the journal instead.
    pub mailbox: usize,
    /// What [`ActorError::Busy`] says.
    pub retry_after_secs: u64,
    /// Copies of items in memory, per group and kind.
    pub cached_per_group: usize,
    /// Copies of items in memory per kind, in all groups together.
    pub cached_in_total: usize,
    /// Waits and subscriptions per group.
    pub waiters: usize,
    /// Challenges per group that are pending at the same time on this node.
    pub pending_challenges: usize,
    /// While the bus is down: how often to read again what somebody waits for.
    pub recheck_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            threads: Threads::Own(NonZeroUsize::MIN),
            idle_after: Duration::from_mins(5),
            mailbox: 1_024,
            retry_after_secs: 1,
            cached_per_group: 10_000,
            cached_in_total: 100_000,
            waiters: 100_000,
            pending_challenges: 100_000,
            recheck_every: Duration::from_secs(2),
        }
    }
}

/// What the registry needs from outside.
pub struct Parts<S, I> {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Messages between nodes.
    pub bus: Arc<dyn Bus>,
    /// Where sessions live.
    pub sessions: Arc<dyn Journal<S>>,
    /// Where interactions live.
    pub interactions: Arc<dyn Journal<I>>,
    /// Where challenges live.
    pub challenges: Arc<dyn Journal<Challenge>>,
}

/// Numbers of live things, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Groups that are awake.
    pub supervisors: usize,
    /// Their keepers.
    pub keepers: usize,
    /// Calls of [`Challenges::wait`] that have not returned.
    pub waiters: usize,
    /// Subscriptions without a result.
    pub subscriptions: usize,
    /// Challenges whose expiry this node watches.
    pub pending_challenges: usize,
    /// Sessions in memory.
    pub cached_sessions: usize,
    /// Interactions in memory.
    pub cached_interactions: usize,
    /// Challenges in memory.
    pub cached_challenges: usize,
    /// Keepers restarted since the start.
    pub restarts: usize,
    /// Calls refused as busy since the start.
    pub refused: usize,
}

/// All groups of a node. Cheap to clone; the last clone that is dropped stops the actors.
pub struct Registry<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    inner: Arc<Inner<S, I>>,
}

impl<S, I> Clone for Registry<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<S, I> Registry<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    /// Starts the threads and listens to the bus.
    pub fn start(config: Config, parts: Parts<S, I>) -> io::Result<Self> {
        let Parts {
            clock,
            bus,
            sessions,
            interactions,
            challenges,
        } = parts;
        let arbiters = Arbiters::start(config.threads)?;
        let (ear, registration) = AbortHandle::new_pair();
        let env = Arc::new(Env::new(config, clock, bus));
        let inner = Arc::new(Inner {
            groups: DashMap::new(),
            hasher: RandomState::new(),
            stopped: AtomicBool::new(false),
            env: Arc::clone(&env),
            sessions,
            interactions,
            challenges,
            ear,
            arbiters,
        });
        let listening = Abortable::new(listen(Arc::downgrade(&inner), env), registration);
        let arbiter = inner.arbiters.pick(0);
        let spawned = arbiter.is_some_and(|arbiter| {
            arbiter.spawn(async move {
                // Aborted when the registry is dropped.
                let _ = listening.await;
            })
        });
        if !spawned {
            return Err(io::Error::other("the actors' threads have ended"));
        }
        Ok(Self { inner })
    }

    /// The sessions of a group.
    pub fn sessions(&self, group: &str) -> Sessions<S> {
        let door = SessionsDoor(Arc::clone(&self.inner));
        Items::new(group.into(), Arc::new(door))
    }

    /// The interactions of a group.
    pub fn interactions(&self, group: &str) -> Interactions<I> {
        let door = InteractionsDoor(Arc::clone(&self.inner));
        Items::new(group.into(), Arc::new(door))
    }

    /// The challenges of a group.
    pub fn challenges(&self, group: &str) -> Challenges {
        let door = ChallengesDoor(Arc::clone(&self.inner));
        Challenges::new(group.into(), Arc::new(door))
    }

    /// Wakes a group up, so that its pending challenges expire on time.
    pub fn wake(&self, group: &str) -> Result<(), ActorError> {
        self.inner.with(&group.into(), |_| ())
    }

    /// Wakes up all groups with pending challenges. For the start of a process; returns how
    /// many there are.
    pub async fn resume(&self) -> Result<usize, ActorError> {
        let groups = self
            .inner
            .challenges
            .groups()
            .await
            .map_err(|error: JournalError| ActorError::Journal(error))?;
        for group in &groups {
            self.wake(group)?;
        }
        Ok(groups.len())
    }

    /// Present numbers for metrics.
    pub fn counters(&self) -> Counters {
        self.inner.env.gauges.snapshot()
    }

    /// Puts all groups to sleep and refuses further calls with [`ActorError::Stopped`].
    pub fn stop(&self) {
        self.inner.stop();
    }
}

/// One group that is awake.
struct Slot<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    group: Arc<Group<S, I>>,
    supervisor: Addr<GroupSupervisor<S, I>>,
}

pub(crate) struct Inner<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    groups: DashMap<Arc<str>, Slot<S, I>>,
    hasher: RandomState,
    stopped: AtomicBool,
    env: Arc<Env>,
    sessions: Arc<dyn Journal<S>>,
    interactions: Arc<dyn Journal<I>>,
    challenges: Arc<dyn Journal<Challenge>>,
    ear: AbortHandle,
    arbiters: Arbiters,
}

impl<S, I> Inner<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    /// Visits a group, which is started if need be. It cannot fall asleep during the visit.
    fn with<R>(
        self: &Arc<Self>,
        name: &Arc<str>,
        visit: impl FnOnce(&Group<S, I>) -> R,
    ) -> Result<R, ActorError> {
        if let Some(slot) = self.groups.get(name) {
            return Ok(visit(&slot.group));
        }
        match self.groups.entry(Arc::clone(name)) {
            Entry::Occupied(slot) => Ok(visit(&slot.get().group)),
            Entry::Vacant(vacant) => {
                if self.stopped.load(Ordering::SeqCst) {
                    return Err(ActorError::Stopped);
                }
                let slot = vacant.insert(self.start(name)?);
                Ok(visit(&slot.group))
            }
        }
    }

    fn start(self: &Arc<Self>, name: &Arc<str>) -> Result<Slot<S, I>, ActorError> {
        let usage = Arc::new(Usage::default());
        usage.touch(self.env.now());
        let gauges = &self.env.gauges;
        let (sessions, sessions_receiver) = Port::new(self.setup(
            name,
            Kind::Session,
            &self.sessions,
            &gauges.sessions,
            &usage,
        ));
        let (interactions, interactions_receiver) = Port::new(self.setup(
            name,
            Kind::Interaction,
            &self.interactions,
            &gauges.interactions,
            &usage,
        ));
        let (challenges, challenges_receiver) = Port::new(self.setup(
            name,
            Kind::Challenge,
            &self.challenges,
            &gauges.challenges,
            &usage,
        ));
        let group = Arc::new(Group {
            name: Arc::clone(name),
            sessions,
            interactions,
            challenges,
            usage,
            notices: Arc::new(Semaphore::new(self.env.config.mailbox.max(1))),
            overrun: Arc::default(),
        });
        let receivers = Receivers {
            sessions: sessions_receiver,
            interactions: interactions_receiver,
            challenges: challenges_receiver,
        };
        let arbiter = self
            .arbiters
            .pick(self.hasher.hash_one(name))
            .ok_or(ActorError::Stopped)?;
        let supervisor = GroupSupervisor::new(
            Arc::clone(&group),
            Arc::downgrade(self),
            Arc::clone(&self.env),
            receivers,
        );
        let supervisor = GroupSupervisor::start_in_arbiter(arbiter, move |_| supervisor);
        Ok(Slot { group, supervisor })
    }

    fn setup<T>(
        &self,
        name: &Arc<str>,
        kind: Kind,
        journal: &Arc<dyn Journal<T>>,
        total: &Arc<AtomicUsize>,
        usage: &Arc<Usage>,
    ) -> Setup<T> {
        let config = &self.env.config;
        let cache = Cache::new(
            config.cached_per_group,
            Arc::clone(total),
            config.cached_in_total,
        );
        Setup {
            env: Arc::clone(&self.env),
            group: Arc::clone(name),
            kind,
            journal: Arc::clone(journal),
            cache: Arc::new(cache),
            usage: Arc::clone(usage),
        }
    }

    /// Forgets the group unless somebody uses it. Jobs are handed over under the same lock.
    pub(crate) fn forget_if_idle(&self, group: &Arc<Group<S, I>>) -> bool {
        let idle_after =
            Millis::try_from(self.env.config.idle_after.as_millis()).unwrap_or(Millis::MAX);
        let now = self.env.now();
        let forgotten = self.groups.remove_if(&group.name, |_, slot| {
            Arc::ptr_eq(&slot.group, group)
                && now >= group.usage.last().saturating_add(idle_after)
                && group.is_idle()
        });
        forgotten.is_some()
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.groups.retain(|_, slot| {
            slot.supervisor.do_send(Stop);
            false
        });
    }

    fn awake(&self) -> Vec<Arc<Group<S, I>>> {
        let slots = self.groups.iter();
        slots.map(|slot| Arc::clone(&slot.group)).collect()
    }

    fn find(&self, name: &str) -> Option<Arc<Group<S, I>>> {
        let slot = self.groups.get(name)?;
        Some(Arc::clone(&slot.group))
    }
}

impl<S, I> Drop for Inner<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    fn drop(&mut self) {
        self.ear.abort();
        self.stop();
    }
}

/// Brings what other nodes tell to the groups that are awake.
async fn listen<S, I>(registry: Weak<Inner<S, I>>, env: Arc<Env>)
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    let recheck_every = env.config.recheck_every;
    let mut health = env.bus.health();
    loop {
        let mut notices = match env.bus.subscribe(Filter::all()).await {
            Ok(notices) => {
                env.set_listening(true);
                notices
            }
            Err(error) => {
                tracing::warn!(%error, "not connected to the bus; retrying");
                futures_util::stream::empty().boxed()
            }
        };
        // Whatever was said before this moment was not heard.
        each(&registry, |group| {
            group.distrust();
            group.recheck();
        });
        loop {
            let healthy = *health.borrow_and_update();
            let tick = async {
                if healthy {
                    std::future::pending::<()>().await;
                } else {
                    let at = env.clock.after(recheck_every);
                    env.clock.sleep_until(at).await;
                }
            };
            tokio::select! {
                delivery = notices.next() => match delivery {
                    Some(Delivery::Notice(notice)) if notice.origin == env.node => {}
                    Some(Delivery::Notice(notice)) => {
                        let group = registry
                            .upgrade()
                            .and_then(|registry| registry.find(&notice.group));
                        if let Some(group) = group {
                            group.heard(&notice);
                        }
                    }
                    Some(Delivery::Gap) => each(&registry, |group| {
                        group.distrust();
                        group.recheck();
                    }),
                    None => break,
                },
                // Going down, copies get old unnoticed; coming up, they have been.
                Ok(()) = health.changed() => each(&registry, |group| {
                    group.distrust();
                    group.recheck();
                }),
                () = tick => each(&registry, Group::recheck),
            }
        }
        if registry.strong_count() == 0 {
            return;
        }
        // Until there is a new subscription, behave as if the bus were down.
        env.set_listening(false);
        each(&registry, Group::distrust);
        let at = env.clock.after(recheck_every);
        env.clock.sleep_until(at).await;
    }
}

fn each<S, I>(registry: &Weak<Inner<S, I>>, mut visit: impl FnMut(&Group<S, I>))
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    if let Some(registry) = registry.upgrade() {
        for group in registry.awake() {
            visit(&group);
        }
    }
}

/// A door for each kind, since sessions and interactions may be of the same type.
struct SessionsDoor<S, I>(Arc<Inner<S, I>>)
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static;
struct InteractionsDoor<S, I>(Arc<Inner<S, I>>)
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static;
struct ChallengesDoor<S, I>(Arc<Inner<S, I>>)
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static;

macro_rules! door {
    ($door:ident, $core:ty, $value:ty, $port:ident) => {
        impl<S, I> Door<$core> for $door<S, I>
        where
            S: Clone + Send + Sync + 'static,
            I: Clone + Send + Sync + 'static,
        {
            fn env(&self) -> &Env {
                &self.0.env
            }

            fn submit(&self, group: &Arc<str>, job: Job<$core>) -> Result<(), ActorError> {
                self.0.with(group, |group| group.$port.submit(job))?
            }

            fn post(&self, group: &str, job: Job<$core>) {
                if let Some(slot) = self.0.groups.get(group) {
                    slot.group.$port.post(job);
                }
            }

            fn peek(&self, group: &str, id: &str) -> Option<Arc<Record<$value>>> {
                let slot = self.0.groups.get(group)?;
                slot.group.usage.touch(self.0.env.now());
                slot.group.$port.cache().get(id)
            }
        }
    };
}

door!(SessionsDoor, ItemCore<S>, S, sessions);
door!(InteractionsDoor, ItemCore<I>, I, interactions);
door!(ChallengesDoor, ChallengeCore, Challenge, challenges);
