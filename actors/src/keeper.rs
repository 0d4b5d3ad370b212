//! The actor around a keeper's state, and the way callers reach it.

use std::{
    panic::AssertUnwindSafe,
    rc::Rc,
    sync::{Arc, PoisonError, RwLock, atomic::Ordering},
};

use actix::{
    Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, WeakAddr,
    dev::channel::{AddressReceiver, channel},
};
use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::AbortHandle,
};

use crate::{
    ActorError, Kind, Record,
    cache::Cache,
    env::{Counted, Env, Setup},
};

/// The state of a keeper and what it does by itself.
pub(crate) trait Core: Sized + 'static {
    /// What its items hold.
    type Value: Send + Sync + 'static;

    fn build(setup: Setup<Self::Value>) -> Self;

    /// Restores what a restart lost, then serves the deadlines. Runs until it is dropped.
    fn drive(self: Rc<Self>) -> LocalBoxFuture<'static, ()>;

    /// Tells the other nodes that notices may have been lost in a restart.
    fn resync(self: Rc<Self>) -> LocalBoxFuture<'static, ()>;

    /// Lets go of everybody who waits.
    fn abandon(&self);
}

/// Work for a keeper. The permit is given back when the work is done, before the answer.
pub(crate) type Job<C> =
    Box<dyn FnOnce(Rc<C>, Option<OwnedSemaphorePermit>) -> LocalBoxFuture<'static, ()> + Send>;

#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Run<C> {
    pub(crate) job: Job<C>,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// A job panicked: what the keeper holds in memory may be wrong.
#[derive(Message)]
#[rtype(result = "()")]
struct Crashed;

/// The group goes to sleep.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Retire;

/// Says what to do once a keeper is gone.
pub(crate) type OnGone = Box<dyn Fn(Kind)>;

/// One actor per group and kind. Its jobs run on its arbiter, interleaved at their awaits.
pub(crate) struct Keeper<C: Core> {
    core: Rc<C>,
    kind: Kind,
    drive: Option<AbortHandle>,
    on_gone: OnGone,
    _counted: Counted,
}

impl<C: Core> Keeper<C> {
    pub(crate) fn start(setup: Setup<C::Value>, receiver: AddressReceiver<Self>, on_gone: OnGone) {
        let keeper = Self {
            kind: setup.kind,
            drive: None,
            on_gone,
            _counted: Counted::new(&setup.env.gauges.keepers),
            core: Rc::new(C::build(setup)),
        };
        Context::with_receiver(receiver).run(keeper);
    }

    fn spawn(keeper: WeakAddr<Self>, work: LocalBoxFuture<'static, ()>) -> AbortHandle {
        let guarded = async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err()
                && let Some(keeper) = keeper.upgrade()
            {
                keeper.do_send(Crashed);
            }
        };
        actix_rt::spawn(guarded).abort_handle()
    }
}

impl<C: Core> Actor for Keeper<C> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let drive = Rc::clone(&self.core).drive();
        self.drive = Some(Self::spawn(ctx.address().downgrade(), drive));
    }
}

impl<C: Core> Handler<Run<C>> for Keeper<C> {
    type Result = ();

    fn handle(&mut self, run: Run<C>, ctx: &mut Self::Context) {
        let work = (run.job)(Rc::clone(&self.core), run.permit);
        Self::spawn(ctx.address().downgrade(), work);
    }
}

impl<C: Core> Handler<Crashed> for Keeper<C> {
    type Result = ();

    fn handle(&mut self, _: Crashed, ctx: &mut Self::Context) {
        tracing::error!(kind = ?self.kind, "a keeper failed and will be restarted");
        ctx.stop();
    }
}

impl<C: Core> Handler<Retire> for Keeper<C> {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl<C: Core> Drop for Keeper<C> {
    fn drop(&mut self) {
        if let Some(drive) = &self.drive {
            drive.abort();
        }
        self.core.abandon();
        (self.on_gone)(self.kind);
    }
}

/// The outside of a keeper: stays the same while keepers come and go behind it.
pub(crate) struct Port<C: Core> {
    pub(crate) setup: Setup<C::Value>,
    addr: RwLock<Addr<Keeper<C>>>,
    gate: Arc<Semaphore>,
}

impl<C: Core> Port<C> {
    pub(crate) fn new(setup: Setup<C::Value>) -> (Self, AddressReceiver<Keeper<C>>) {
        let mailbox = setup.env.config.mailbox.max(1);
        let (sender, receiver) = channel(mailbox);
        let port = Self {
            setup,
            addr: RwLock::new(Addr::new(sender)),
            gate: Arc::new(Semaphore::new(mailbox)),
        };
        (port, receiver)
    }

    fn env(&self) -> &Env {
        &self.setup.env
    }

    pub(crate) fn cache(&self) -> &Cache<C::Value> {
        &self.setup.cache
    }

    /// A new mailbox for the keeper that replaces a failed one.
    pub(crate) fn reconnect(&self) -> AddressReceiver<Keeper<C>> {
        let (sender, receiver) = channel(self.env().config.mailbox.max(1));
        *self.addr.write().unwrap_or_else(PoisonError::into_inner) = Addr::new(sender);
        receiver
    }

    /// Hands a job over, if the group accepts any more.
    pub(crate) fn submit(&self, job: Job<C>) -> Result<(), ActorError> {
        self.setup.usage.touch(self.env().now());
        let Ok(permit) = Arc::clone(&self.gate).try_acquire_owned() else {
            self.env().gauges.refused.fetch_add(1, Ordering::Relaxed);
            return Err(ActorError::Busy {
                retry_after_secs: self.env().config.retry_after_secs,
            });
        };
        self.send(Run {
            job,
            permit: Some(permit),
        });
        Ok(())
    }

    /// Hands a job over past the gate; for jobs whose number something else limits.
    pub(crate) fn post(&self, job: Job<C>) {
        self.send(Run { job, permit: None });
    }

    fn send(&self, run: Run<C>) {
        // To a keeper that just failed this drops the job, and with it the caller's answer.
        self.addr
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .do_send(run);
    }

    pub(crate) fn retire(&self) {
        self.addr
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .do_send(Retire);
    }

    /// Whether no job is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.gate.available_permits() == self.env().config.mailbox.max(1)
    }
}

/// The registry as a handle sees it.
pub(crate) trait Door<C: Core>: Send + Sync {
    fn env(&self) -> &Env;
    /// Hands a job to the keeper of a group, which is started if need be.
    fn submit(&self, group: &Arc<str>, job: Job<C>) -> Result<(), ActorError>;
    /// Hands a job to the keeper of a group if it runs.
    fn post(&self, group: &str, job: Job<C>);
    /// The cached copy of an item.
    fn peek(&self, group: &str, id: &str) -> Option<Arc<Record<C::Value>>>;
}

/// Runs `ask` on the keeper and brings its answer back.
pub(crate) async fn call<C, R, F>(
    door: &dyn Door<C>,
    group: &Arc<str>,
    ask: F,
) -> Result<R, ActorError>
where
    C: Core,
    R: Send + 'static,
    F: AsyncFnOnce(Rc<C>) -> Result<R, ActorError> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let job: Job<C> = Box::new(move |core, permit| {
        Box::pin(async move {
            let result = ask(core).await;
            drop(permit);
            // A caller that left does not want to know.
            let _ = answer.send(result);
        })
    });
    door.submit(group, job)?;
    answered.await.unwrap_or(Err(ActorError::Restarted))
}
