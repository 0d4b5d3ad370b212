//! The keeper of challenges.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::{Arc, atomic::AtomicUsize},
};

use futures_util::{
    StreamExt,
    future::LocalBoxFuture,
    stream::{self, FuturesUnordered},
};
use tokio::sync::{Notify, oneshot};

use super::{Answer, Challenge, ChallengeId, NewChallenge, Outcome, State, Status};
use crate::{
    ActorError, Change, ConsumeError, JournalError, Millis, Record,
    env::{Counted, Setup},
    keeper::Core,
    shelf::{ATTEMPTS, Shelf},
    timers::Timers,
};

/// How long to leave a challenge alone whose expiry the journal would not take.
const RETRY_AFTER: Millis = 1_000;
/// How long the last look at the journal may hold up the end of a wait.
const LAST_LOOK: Millis = 1_000;
/// How long an expired challenge is kept at least, so that its expiry can be written and seen.
const AFTERLIFE: Millis = 60_000;
/// Expiries written at the same time.
const EXPIRING: usize = 64;
/// Challenges read again at the same time when notices may have been lost.
const RECHECKING: usize = 16;

/// Who is told what became of a challenge.
struct Waiter {
    number: u64,
    answer: oneshot::Sender<Status>,
    _counted: (Counted, Counted),
}

/// A request to be told.
pub(crate) struct Registration {
    pub(crate) number: u64,
    pub(crate) answer: oneshot::Sender<Status>,
    /// When to be told that there is no answer yet; `None` to wait as long as it takes.
    pub(crate) until: Option<Millis>,
    pub(crate) gauge: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Waiting {
    by_challenge: HashMap<String, Vec<Waiter>>,
    challenge_of: HashMap<u64, String>,
    ends: Timers<u64>,
}

#[derive(Default)]
struct Pending {
    counted: HashMap<String, (Counted, Counted)>,
    deadlines: Timers<String>,
}

pub(crate) struct ChallengeCore {
    shelf: Shelf<Challenge>,
    pending: RefCell<Pending>,
    waiting: RefCell<Waiting>,
    rescheduled: Notify,
    rechecking: Cell<bool>,
    recheck_again: Cell<bool>,
}

type Found = Option<Arc<Record<Challenge>>>;

impl Core for ChallengeCore {
    type Value = Challenge;

    fn build(setup: Setup<Challenge>) -> Self {
        Self {
            shelf: Shelf::new(setup),
            pending: RefCell::default(),
            waiting: RefCell::default(),
            rescheduled: Notify::new(),
            rechecking: Cell::new(false),
            recheck_again: Cell::new(false),
        }
    }

    fn drive(self: Rc<Self>) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move {
            tokio::join!(self.rehydrate(), self.serve());
        })
    }

    fn resync(self: Rc<Self>) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move { self.shelf.publish("", Change::Resync).await })
    }

    fn abandon(&self) {
        self.shelf.abandon();
        // Dropping the waiters tells their callers.
        drop(self.waiting.take());
        drop(self.pending.take());
    }
}

impl ChallengeCore {
    async fn rehydrate(&self) {
        let mut pause = RETRY_AFTER;
        let setup = &self.shelf.setup;
        loop {
            match setup.journal.list(&setup.group).await {
                Ok(records) => {
                    for record in records {
                        if record.live(self.shelf.now()) {
                            self.track(&record);
                        }
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "pending challenges could not be listed; retrying");
                    let at = self.shelf.now().saturating_add(pause);
                    setup.env.clock.sleep_until(at).await;
                    pause = pause.saturating_mul(2).min(5 * RETRY_AFTER);
                }
            }
        }
    }

    /// Serves the deadlines of challenges and of waits.
    async fn serve(&self) {
        let mut expiring = FuturesUnordered::new();
        let mut ending = FuturesUnordered::new();
        loop {
            let now = self.shelf.now();
            while expiring.len() < EXPIRING {
                let due = self.pending.borrow_mut().deadlines.pop_due(now);
                let Some(id) = due else { break };
                expiring.push(async move { self.expire(&id).await });
            }
            loop {
                let due = self.waiting.borrow_mut().ends.pop_due(now);
                let Some(number) = due else { break };
                ending.push(self.end_wait(number));
            }
            // With all places taken the deadlines wait for one of them, not for the clock.
            let deadline = if expiring.len() < EXPIRING {
                self.pending.borrow().deadlines.next()
            } else {
                None
            };
            let next = deadline
                .into_iter()
                .chain(self.waiting.borrow().ends.next());
            let next = next.min();
            let rest = async {
                match next {
                    Some(at) => self.shelf.env().clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = rest => {}
                () = self.rescheduled.notified() => {}
                Some(()) = expiring.next() => {}
                Some(()) = ending.next() => {}
            }
        }
    }

    /// Sees to it that a pending challenge expires.
    fn track(&self, record: &Record<Challenge>) {
        if self.shelf.is_abandoned() || record.value.state != State::Pending {
            return;
        }
        let mut pending = self.pending.borrow_mut();
        if !pending.counted.contains_key(&record.id) {
            let counted = (
                Counted::new(&self.shelf.env().gauges.pending),
                Counted::new(&self.shelf.setup.usage.held),
            );
            pending.counted.insert(record.id.clone(), counted);
        }
        if pending
            .deadlines
            .set(record.id.clone(), record.value.deadline)
        {
            self.rescheduled.notify_one();
        }
    }

    fn untrack(&self, id: &String) {
        let mut pending = self.pending.borrow_mut();
        pending.counted.remove(id);
        pending.deadlines.remove(id);
    }

    /// Tells everybody who waits, once, and stops watching the challenge.
    fn settle(&self, id: &String, status: Status) {
        self.untrack(id);
        let mut waiting = self.waiting.borrow_mut();
        for waiter in waiting.by_challenge.remove(id).unwrap_or_default() {
            waiting.challenge_of.remove(&waiter.number);
            waiting.ends.remove(&waiter.number);
            // A caller that left does not want to know.
            let _ = waiter.answer.send(status);
        }
    }

    /// Draws the consequences of what was read.
    fn observe(&self, id: &String, found: &Found) -> Status {
        let now = self.shelf.now();
        let status = found
            .as_ref()
            .map_or(Status::Unknown, |record| record.value.status(now));
        if status.is_final() {
            self.settle(id, status);
        }
        if let Some(record) = found {
            // Also when it is past its deadline: then it is still to be written down.
            self.track(record);
        }
        status
    }

    async fn expire(&self, id: &String) {
        let _lock = self.shelf.lock(id).await;
        if let Err(error) = self.write_expiry(id).await {
            tracing::warn!(%error, "an expired challenge was not written down; retrying");
            let at = self.shelf.now().saturating_add(RETRY_AFTER);
            let mut pending = self.pending.borrow_mut();
            if pending.counted.contains_key(id) {
                pending.deadlines.set(id.clone(), at);
            }
        }
    }

    /// Expires the challenge if it is pending and due. The caller holds its lock.
    async fn write_expiry(&self, id: &String) -> Result<(), ActorError> {
        let mut found = self.shelf.read(id).await?;
        for _ in 0..ATTEMPTS {
            let due = found.as_ref().filter(|record| {
                record.value.state == State::Pending && self.shelf.now() >= record.value.deadline
            });
            let Some(record) = due else {
                self.observe(id, &found);
                return Ok(());
            };
            let mut challenge = Challenge::clone(&record.value);
            challenge.state = State::Expired;
            challenge.decided_at = Some(challenge.deadline);
            match self.shelf.replace(with_value(record, challenge)).await {
                Ok(_) => {
                    self.settle(id, Status::Expired);
                    self.shelf.publish(id, Change::Expired).await;
                    return Ok(());
                }
                Err(JournalError::Conflict { .. }) => found = self.shelf.fresh(id).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(ActorError::Contended)
    }

    /// The wait is over; one last look, in case a notice was lost.
    async fn end_wait(&self, number: u64) {
        let id = self.waiting.borrow().challenge_of.get(&number).cloned();
        let Some(id) = id else { return };
        let patience = self.shelf.now().saturating_add(LAST_LOOK);
        tokio::select! {
            found = self.shelf.fresh(&id) => {
                if let Ok(found) = found {
                    self.observe(&id, &found);
                }
            }
            () = self.shelf.env().clock.sleep_until(patience) => {}
        }
        if let Some(waiter) = self.take_waiter(&id, number) {
            let _ = waiter.answer.send(Status::Pending);
        }
    }

    fn take_waiter(&self, id: &str, number: u64) -> Option<Waiter> {
        let mut waiting = self.waiting.borrow_mut();
        waiting.challenge_of.remove(&number)?;
        waiting.ends.remove(&number);
        let waiters = waiting.by_challenge.get_mut(id)?;
        let at = waiters.iter().position(|waiter| waiter.number == number)?;
        let waiter = waiters.swap_remove(at);
        if waiters.is_empty() {
            waiting.by_challenge.remove(id);
        }
        Some(waiter)
    }

    /// The caller does not wait any more.
    pub(crate) fn forget(&self, id: &str, number: u64) {
        drop(self.take_waiter(id, number));
    }

    /// Promises to tell the caller. If the result is known, it is told at once.
    pub(crate) async fn register(
        &self,
        id: String,
        registration: Registration,
    ) -> Result<(), ActorError> {
        let env = self.shelf.env();
        let Registration {
            number,
            answer,
            until,
            gauge,
        } = registration;
        if self.shelf.is_abandoned() || answer.is_closed() {
            return Ok(());
        }
        // Entered before the read: a result that comes in between finds the waiter.
        {
            let mut waiting = self.waiting.borrow_mut();
            if waiting.challenge_of.len() >= env.config.waiters {
                return Err(ActorError::Busy {
                    retry_after_secs: env.config.retry_after_secs,
                });
            }
            waiting.challenge_of.insert(number, id.clone());
            let waiter = Waiter {
                number,
                answer,
                _counted: (
                    Counted::new(&gauge),
                    Counted::new(&self.shelf.setup.usage.held),
                ),
            };
            waiting
                .by_challenge
                .entry(id.clone())
                .or_default()
                .push(waiter);
            if let Some(until) = until
                && waiting.ends.set(number, until)
            {
                self.rescheduled.notify_one();
            }
        }
        match self.shelf.read(&id).await {
            Ok(found) => {
                self.observe(&id, &found);
                Ok(())
            }
            Err(error) => {
                self.forget(&id, number);
                Err(error)
            }
        }
    }

    pub(crate) async fn issue(&self, new: NewChallenge) -> Result<Arc<Challenge>, ActorError> {
        let env = self.shelf.env();
        if self.pending.borrow().counted.len() >= env.config.pending_challenges {
            return Err(ActorError::Busy {
                retry_after_secs: env.config.retry_after_secs,
            });
        }
        let id = new.id.to_record_id();
        let keep_until = new.keep_until.max(new.deadline.saturating_add(AFTERLIFE));
        let record = Record::new(
            id.clone(),
            Challenge {
                purpose: new.purpose,
                state: State::Pending,
                created_at: self.shelf.now(),
                deadline: new.deadline,
                keep_until,
                decided_at: None,
                decided_by: None,
                data: new.data,
                id: new.id.clone(),
            },
        )
        .until(keep_until)
        .key(ChallengeId::account_key(&new.id.account));
        let _lock = self.shelf.lock(&id).await;
        match self.shelf.insert(record).await {
            Ok(record) => {
                self.track(&record);
                self.shelf.publish(&id, Change::Created).await;
                Ok(Arc::clone(&record.value))
            }
            // Issued before: the first one stands, whatever became of it.
            Err(JournalError::Exists) => {
                let found = self.shelf.fresh(&id).await?;
                self.observe(&id, &found);
                found
                    .map(|record| Arc::clone(&record.value))
                    .ok_or(ActorError::Contended)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn answer(
        &self,
        id: String,
        answer: Answer,
        by: String,
    ) -> Result<Outcome, ActorError> {
        let _lock = self.shelf.lock(&id).await;
        let mut found = self.shelf.read(&id).await?;
        for _ in 0..ATTEMPTS {
            let status = self.observe(&id, &found);
            let Some(record) = found else {
                return Ok(Outcome::Unknown);
            };
            if status.is_final() {
                // Whoever decided it may have died before it could tell; nobody minds hearing twice.
                if record.value.state != State::Pending {
                    self.shelf.publish(&id, Change::Decided(status)).await;
                }
                return Ok(Outcome::AlreadyDecided(status));
            }
            let mut challenge = Challenge::clone(&record.value);
            challenge.state = answer.into();
            challenge.decided_at = Some(self.shelf.now());
            challenge.decided_by = Some(by.clone());
            match self.shelf.replace(with_value(&record, challenge)).await {
                Ok(record) => {
                    let status = Status::from(record.value.state);
                    self.settle(&id, status);
                    self.shelf.publish(&id, Change::Decided(status)).await;
                    return Ok(Outcome::Applied(Arc::clone(&record.value)));
                }
                Err(JournalError::Conflict { .. }) => found = self.shelf.fresh(&id).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(ActorError::Contended)
    }

    pub(crate) async fn status(&self, id: String) -> Result<Status, ActorError> {
        let found = self.shelf.read(&id).await?;
        Ok(self.observe(&id, &found))
    }

    pub(crate) async fn find(&self, id: String) -> Result<Option<Arc<Challenge>>, ActorError> {
        let found = self.shelf.fresh(&id).await?;
        self.observe(&id, &found);
        Ok(found.map(|record| Arc::clone(&record.value)))
    }

    pub(crate) async fn consume(&self, id: String) -> Result<Arc<Challenge>, ConsumeError> {
        let _lock = self.shelf.lock(&id).await;
        for _ in 0..ATTEMPTS {
            // Never from memory: a copy may not have heard of the approval yet.
            let found = self.shelf.fresh(&id).await?;
            let status = self.observe(&id, &found);
            let Some(record) = found.filter(|_| status == Status::Approved) else {
                return Err(ConsumeError::NotApproved(status));
            };
            match self.shelf.delete(&id, record.version).await {
                Ok(true) => {
                    self.shelf.publish(&id, Change::Taken).await;
                    return Ok(Arc::clone(&record.value));
                }
                Ok(false) => return Err(ConsumeError::NotApproved(Status::Unknown)),
                Err(JournalError::Conflict { .. }) => {}
                Err(error) => return Err(ActorError::from(error).into()),
            }
        }
        Err(ActorError::Contended.into())
    }

    pub(crate) async fn pending_for(
        &self,
        account: &str,
        purpose: &str,
    ) -> Result<Vec<Arc<Challenge>>, ActorError> {
        let setup = &self.shelf.setup;
        let key = ChallengeId::account_key(account);
        let found = setup.journal.find_by(&setup.group, &key).await?;
        let now = self.shelf.now();
        let pending = found.into_iter().filter(|record| {
            record.live(now)
                && record.value.purpose == purpose
                && record.value.status(now) == Status::Pending
        });
        Ok(pending.map(|record| record.value).collect())
    }

    /// Another node changed a challenge.
    pub(crate) fn heard(&self, id: &str, change: Change) {
        let status = match change {
            Change::Decided(status) => status,
            Change::Expired => Status::Expired,
            // Only an approved challenge can be taken.
            Change::Taken => Status::Approved,
            Change::Removed => Status::Unknown,
            Change::Created | Change::Updated | Change::Resync => return,
        };
        self.settle(&id.to_owned(), status);
    }

    /// Reads again whatever somebody waits for.
    pub(crate) async fn recheck(&self) {
        self.recheck_again.set(true);
        if self.rechecking.replace(true) {
            return;
        }
        while self.recheck_again.replace(false) {
            let ids: Vec<String> = self.waiting.borrow().by_challenge.keys().cloned().collect();
            stream::iter(ids)
                .for_each_concurrent(RECHECKING, |id| async move {
                    if let Ok(found) = self.shelf.fresh(&id).await {
                        self.observe(&id, &found);
                    }
                })
                .await;
        }
        self.rechecking.set(false);
    }
}

fn with_value(record: &Record<Challenge>, challenge: Challenge) -> Record<Challenge> {
    Record {
        value: Arc::new(challenge),
        ..record.clone()
    }
}
