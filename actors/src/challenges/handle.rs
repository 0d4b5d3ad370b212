//! What callers hold.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::oneshot;

use super::{
    Answer, Challenge, ChallengeId, NewChallenge, Outcome, Status,
    core::{ChallengeCore, Registration},
};
use crate::{
    ActorError, ConsumeError, Millis,
    keeper::{Door, call},
};

static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// The challenges of one group. Cheap to clone, usable from any thread and runtime.
#[derive(Clone)]
pub struct Challenges {
    group: Arc<str>,
    door: Arc<dyn Door<ChallengeCore>>,
}

impl Challenges {
    pub(crate) fn new(group: Arc<str>, door: Arc<dyn Door<ChallengeCore>>) -> Self {
        Self { group, door }
    }

    /// Writes a pending challenge. If one with the same identity exists, that one is returned
    /// as it is.
    pub async fn issue(&self, new: NewChallenge) -> Result<Arc<Challenge>, ActorError> {
        call(
            &*self.door,
            &self.group,
            async move |core: Rc<ChallengeCore>| core.issue(new).await,
        )
        .await
    }

    /// Decides a pending challenge; `by` is kept with it. Of all callers on all nodes exactly
    /// one gets [`Outcome::Applied`].
    pub async fn answer(
        &self,
        id: &ChallengeId,
        answer: Answer,
        by: &str,
    ) -> Result<Outcome, ActorError> {
        let (id, by) = (id.to_record_id(), by.to_owned());
        call(
            &*self.door,
            &self.group,
            async move |core: Rc<ChallengeCore>| core.answer(id, answer, by).await,
        )
        .await
    }

    /// How far the challenge is. Changes nothing.
    pub async fn status(&self, id: &ChallengeId) -> Result<Status, ActorError> {
        let id = id.to_record_id();
        let env = self.door.env();
        if env.trusted()
            && let Some(record) = self.door.peek(&self.group, &id)
            && record.live(env.now())
        {
            return Ok(record.value.status(env.now()));
        }
        call(
            &*self.door,
            &self.group,
            async move |core: Rc<ChallengeCore>| core.status(id).await,
        )
        .await
    }

    /// The challenge as it is stored now, in whatever state.
    pub async fn find(&self, id: &ChallengeId) -> Result<Option<Arc<Challenge>>, ActorError> {
        let id = id.to_record_id();
        call(
            &*self.door,
            &self.group,
            async move |core: Rc<ChallengeCore>| core.find(id).await,
        )
        .await
    }

    /// Waits for the result, at most until `until`, and then returns [`Status::Pending`].
    /// Returns at once if there is nothing to wait for (see [`Status::is_final`]).
    pub async fn wait(&self, id: &ChallengeId, until: Millis) -> Result<Status, ActorError> {
        let gauge = Arc::clone(&self.door.env().gauges.waiters);
        let ticket = self.register(id, Some(until), gauge).await?;
        ticket.result().await
    }

    /// The result, as soon as it is known: exactly one item, then the end. An error item means
    /// that the result will not come this way: subscribe again.
    pub async fn subscribe(
        &self,
        id: &ChallengeId,
    ) -> Result<BoxStream<'static, Result<Status, ActorError>>, ActorError> {
        let gauge = Arc::clone(&self.door.env().gauges.subscriptions);
        let ticket = self.register(id, None, gauge).await?;
        Ok(stream::once(ticket.result()).boxed())
    }

    /// Takes an approved challenge out of the world. Exactly one caller on all nodes gets it.
    pub async fn consume(&self, id: &ChallengeId) -> Result<Arc<Challenge>, ConsumeError> {
        let id = id.to_record_id();
        call(
            &*self.door,
            &self.group,
            async move |core: Rc<ChallengeCore>| Ok(core.consume(id).await),
        )
        .await?
    }

    /// The challenges this account has not answered yet, for one purpose.
    pub async fn pending_for(
        &self,
        account: &str,
        purpose: &str,
    ) -> Result<Vec<Arc<Challenge>>, ActorError> {
        let (account, purpose) = (account.to_owned(), purpose.to_owned());
        call(
            &*self.door,
            &self.group,
            async move |core: Rc<ChallengeCore>| core.pending_for(&account, Some(&purpose)).await,
        )
        .await
    }

    /// The challenges this account has not answered yet, whatever they are for.
    pub async fn all_pending_for(&self, account: &str) -> Result<Vec<Arc<Challenge>>, ActorError> {
        let account = account.to_owned();
        call(
            &*self.door,
            &self.group,
            async move |core: Rc<ChallengeCore>| core.pending_for(&account, None).await,
        )
        .await
    }

    async fn register(
        &self,
        id: &ChallengeId,
        until: Option<Millis>,
        gauge: Arc<AtomicUsize>,
    ) -> Result<Ticket, ActorError> {
        let (answer, answered) = oneshot::channel();
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let id = id.to_record_id();
        let ticket = Ticket {
            answered,
            forget: Forget {
                door: Arc::clone(&self.door),
                group: Arc::clone(&self.group),
                id: id.clone(),
                number,
                armed: true,
            },
        };
        let registration = Registration {
            number,
            answer,
            until,
            gauge,
        };
        call(
            &*self.door,
            &self.group,
            async move |core: Rc<ChallengeCore>| core.register(id, registration).await,
        )
        .await?;
        Ok(ticket)
    }
}

/// A place in the keeper's list. Dropped in this order: once the keeper hears that the caller
/// left, an entry made later finds the channel closed.
struct Ticket {
    answered: oneshot::Receiver<Status>,
    forget: Forget,
}

impl Ticket {
    async fn result(mut self) -> Result<Status, ActorError> {
        let result = (&mut self.answered).await;
        self.forget.armed = false;
        result.map_err(|_| ActorError::Restarted)
    }
}

struct Forget {
    door: Arc<dyn Door<ChallengeCore>>,
    group: Arc<str>,
    id: String,
    number: u64,
    armed: bool,
}

impl Drop for Forget {
    fn drop(&mut self) {
        if self.armed {
            let (id, number) = (std::mem::take(&mut self.id), self.number);
            // Past the gate: there are no more of these than waiters, which are limited.
            self.door.post(
                &self.group,
                Box::new(move |core, _| Box::pin(async move { core.forget(&id, number) })),
            );
        }
    }
}
