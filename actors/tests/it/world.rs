//! A world for actors: time that only passes when nothing else can happen, a journal and a bus
//! that can be made to fail.

// Clippy only sees that functions marked as tests are tests.
#![allow(clippy::expect_used)]

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::{broadcast, watch};
use ueauth_actors::{
    Bus, BusError, Challenge, ChallengeId, Challenges, Clock, Config, Delivery, Filter, Journal,
    JournalError, MemoryBus, MemoryJournal, Millis, NewChallenge, Notice, Parts, Record, Registry,
    State, Threads, TokioClock, Version,
};

pub const START: Millis = 1_700_000_000_000;
pub const SECOND: Millis = 1_000;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Session {
    pub account: Option<String>,
    pub visits: u32,
}

pub type Node = Registry<Session, u32>;

/// Runs a test on one thread; its clock jumps forward whenever everything rests.
pub fn run<F: Future>(test: F) -> F::Output {
    actix_rt::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    })
    .block_on(test)
}

/// A journal that can be held up, fail or panic, and that always yields in the middle.
pub struct Rig<T> {
    pub memory: MemoryJournal<T>,
    pub loads: AtomicUsize,
    pub down: AtomicBool,
    pub panics: AtomicUsize,
    open: watch::Sender<bool>,
}

impl<T> Rig<T> {
    fn new(memory: MemoryJournal<T>) -> Arc<Self> {
        Arc::new(Self {
            memory,
            loads: AtomicUsize::new(0),
            down: AtomicBool::new(false),
            panics: AtomicUsize::new(0),
            open: watch::Sender::new(true),
        })
    }

    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    pub fn release(&self) {
        self.open.send_replace(true);
    }

    pub fn panic_next(&self, times: usize) {
        self.panics.store(times, Ordering::SeqCst);
    }

    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    async fn pass(&self) -> Result<(), JournalError> {
        tokio::task::yield_now().await;
        let mut open = self.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
        let one_less = |left: usize| left.checked_sub(1);
        let panics = self
            .panics
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        assert!(panics.is_err(), "made to panic by a test");
        if self.down.load(Ordering::SeqCst) {
            return Err(JournalError::Unavailable("switched off by a test".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl<T: Send + Sync + 'static> Journal<T> for Rig<T> {
    async fn load(&self, group: &str, id: &str) -> Result<Option<Record<T>>, JournalError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.pass().await?;
        let loaded = self.memory.load(group, id).await;
        tokio::task::yield_now().await;
        loaded
    }

    async fn list(&self, group: &str) -> Result<Vec<Record<T>>, JournalError> {
        self.pass().await?;
        self.memory.list(group).await
    }

    async fn find_by(&self, group: &str, key: &str) -> Result<Vec<Record<T>>, JournalError> {
        self.pass().await?;
        self.memory.find_by(group, key).await
    }

    async fn insert(&self, group: &str, record: &Record<T>) -> Result<Version, JournalError> {
        self.pass().await?;
        self.memory.insert(group, record).await
    }

    async fn replace(
        &self,
        group: &str,
        record: &Record<T>,
        expected: Version,
    ) -> Result<Version, JournalError> {
        self.pass().await?;
        let replaced = self.memory.replace(group, record, expected).await;
        tokio::task::yield_now().await;
        replaced
    }

    async fn delete(
        &self,
        group: &str,
        id: &str,
        expected: Option<Version>,
    ) -> Result<bool, JournalError> {
        self.pass().await?;
        let deleted = self.memory.delete(group, id, expected).await;
        tokio::task::yield_now().await;
        deleted
    }

    async fn groups(&self) -> Result<Vec<String>, JournalError> {
        self.pass().await?;
        self.memory.groups().await
    }
}

/// A bus that can be cut.
pub struct Wire {
    memory: MemoryBus,
    healthy: watch::Sender<bool>,
    silent: AtomicBool,
    faults: broadcast::Sender<Fault>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Gap,
    End,
}

impl Wire {
    /// Tells subscribers that they may have missed something.
    pub fn gap(&self) {
        let _ = self.faults.send(Fault::Gap);
    }

    /// Ends all subscriptions.
    pub fn hang_up(&self) {
        let _ = self.faults.send(Fault::End);
    }

    pub fn cut(&self) {
        self.healthy.send_replace(false);
    }

    pub fn mend(&self) {
        self.healthy.send_replace(true);
    }

    /// Loses notices without knowing it.
    pub fn lose(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }
}

#[async_trait]
impl Bus for Wire {
    async fn publish(&self, notice: Notice) -> Result<(), BusError> {
        if !*self.healthy.borrow() {
            return Err(BusError("cut by a test".into()));
        }
        if self.silent.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.memory.publish(notice).await
    }

    async fn subscribe(&self, filter: Filter) -> Result<BoxStream<'static, Delivery>, BusError> {
        let notices = self.memory.subscribe(filter).await?.map(Some);
        let faults = stream::unfold(self.faults.subscribe(), |mut faults| async {
            let fault = faults.recv().await.ok()?;
            let delivery = (fault == Fault::Gap).then_some(Delivery::Gap);
            Some((delivery, faults))
        });
        // Ends at the first `None`.
        Ok(stream::select(notices, faults)
            .scan((), |(), delivery| std::future::ready(delivery))
            .boxed())
    }

    fn health(&self) -> watch::Receiver<bool> {
        self.healthy.subscribe()
    }
}

pub struct World {
    pub clock: Arc<TokioClock>,
    pub bus: Arc<Wire>,
    pub sessions: Arc<Rig<Session>>,
    pub interactions: Arc<Rig<u32>>,
    pub challenges: Arc<Rig<Challenge>>,
}

impl World {
    pub fn new() -> Self {
        Self {
            clock: Arc::new(TokioClock::starting_at(START)),
            bus: Arc::new(Wire {
                memory: MemoryBus::default(),
                healthy: watch::Sender::new(true),
                silent: AtomicBool::new(false),
                faults: broadcast::Sender::new(16),
            }),
            sessions: Rig::new(MemoryJournal::default()),
            interactions: Rig::new(MemoryJournal::default()),
            challenges: Rig::new(MemoryJournal::listing(|challenge: &Challenge| {
                challenge.state == State::Pending
            })),
        }
    }

    pub fn config() -> Config {
        Config {
            threads: Threads::Current,
            ..Config::default()
        }
    }

    pub async fn node(&self) -> Node {
        self.node_with(Self::config()).await
    }

    pub async fn node_with(&self, config: Config) -> Node {
        let clock: Arc<dyn Clock> = Arc::<TokioClock>::clone(&self.clock);
        let bus: Arc<dyn Bus> = Arc::<Wire>::clone(&self.bus);
        let node = Registry::start(
            config,
            Parts {
                clock,
                bus,
                sessions: Arc::<Rig<Session>>::clone(&self.sessions),
                interactions: Arc::<Rig<u32>>::clone(&self.interactions),
                challenges: Arc::<Rig<Challenge>>::clone(&self.challenges),
            },
        )
        .expect("a registry");
        self.settle().await;
        node
    }

    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    pub async fn until(&self, at: Millis) {
        self.clock.sleep_until(at).await;
    }

    /// Lets everything that can happen without time passing happen.
    pub async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// What the bus carries from now on.
    pub async fn notices(&self) -> BoxStream<'static, Notice> {
        let deliveries = self.bus.subscribe(Filter::all()).await.expect("a stream");
        deliveries
            .filter_map(|delivery| async {
                match delivery {
                    Delivery::Notice(notice) => Some(notice),
                    Delivery::Gap => None,
                }
            })
            .boxed()
    }
}

pub fn id(n: usize) -> ChallengeId {
    ChallengeId::new(format!("key-{n}"), format!("account-{n}"), "uid")
}

pub fn challenge(id: ChallengeId, deadline: Millis) -> NewChallenge {
    NewChallenge {
        id,
        purpose: "login".into(),
        deadline,
        keep_until: START + 1_200 * SECOND,
        data: serde_json::json!({ "event": "none" }),
    }
}

/// Issues a challenge that can be answered for `seconds`.
pub async fn issued(challenges: &Challenges, world: &World, seconds: Millis) -> ChallengeId {
    let id = id(0);
    challenges
        .issue(challenge(id.clone(), world.now() + seconds * SECOND))
        .await
        .expect("issued");
    id
}
