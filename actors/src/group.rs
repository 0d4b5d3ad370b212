//! A group and the actor that looks after its keepers.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WeakAddr,
    WrapFuture, dev::channel::AddressReceiver,
};
use tokio::sync::Semaphore;

use crate::{
    Change, Kind, Millis, Notice,
    challenges::ChallengeCore,
    env::{Counted, Env, Usage},
    items::ItemCore,
    keeper::{Core, Keeper, OnGone, Port},
    registry::Inner,
};

/// A keeper that failed again within this time is restarted with a growing delay.
const CALM: Millis = 60_000;
/// The first such delay.
const FIRST_DELAY: Millis = 100;
/// The longest such delay.
const LONGEST_DELAY: Millis = 30_000;

/// What the rest of the registry sees of a group.
pub(crate) struct Group<S: Clone + Send + Sync + 'static, I: Clone + Send + Sync + 'static> {
    pub(crate) name: Arc<str>,
    pub(crate) sessions: Port<ItemCore<S>>,
    pub(crate) interactions: Port<ItemCore<I>>,
    pub(crate) challenges: Port<ChallengeCore>,
    pub(crate) usage: Arc<Usage>,
    /// Places for notices on their way to the keeper of challenges.
    pub(crate) notices: Arc<Semaphore>,
    /// Whether one found no place.
    pub(crate) overrun: Arc<AtomicBool>,
}

impl<S, I> Group<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    /// Whether nobody would miss it. Only conclusive while nobody can submit a job.
    pub(crate) fn is_idle(&self) -> bool {
        !self.usage.is_held()
            && self.sessions.is_quiet()
            && self.interactions.is_quiet()
            && self.challenges.is_quiet()
    }

    /// Another node changed something, as told on the bus. The copy goes first, without a hop.
    pub(crate) fn heard(&self, notice: &Notice) {
        let resync = notice.change == Change::Resync;
        match notice.kind {
            Kind::Session if resync => self.sessions.cache().clear(),
            Kind::Session => self.sessions.cache().invalidate(&notice.id),
            Kind::Interaction if resync => self.interactions.cache().clear(),
            Kind::Interaction => self.interactions.cache().invalidate(&notice.id),
            Kind::Challenge if resync => {
                self.challenges.cache().clear();
                self.recheck();
            }
            Kind::Challenge => {
                self.challenges.cache().invalidate(&notice.id);
                self.tell(Some((Arc::clone(&notice.id), notice.change)));
            }
        }
    }

    /// Brings a notice to the keeper of challenges. When there are too many already, one of
    /// them will read everything again instead.
    fn tell(&self, notice: Option<(Arc<str>, Change)>) {
        if !self.usage.is_held() {
            return;
        }
        let place = || Arc::clone(&self.notices).try_acquire_owned().ok();
        let place = place().or_else(|| {
            self.overrun.store(true, Ordering::SeqCst);
            // Asked again, because the last of them may just have looked for the mark.
            place()
        });
        let Some(place) = place else { return };
        let overrun = Arc::clone(&self.overrun);
        self.challenges.post(Box::new(move |core, _| {
            Box::pin(async move {
                if let Some((id, change)) = notice {
                    core.heard(&id, change);
                }
                drop(place);
                if overrun.swap(false, Ordering::SeqCst) {
                    core.recheck().await;
                }
            })
        }));
    }

    /// Drops every copy, since any of them may be stale.
    pub(crate) fn distrust(&self) {
        self.sessions.cache().clear();
        self.interactions.cache().clear();
        self.challenges.cache().clear();
    }

    /// Reads again what somebody waits for.
    pub(crate) fn recheck(&self) {
        self.overrun.store(true, Ordering::SeqCst);
        self.tell(None);
    }
}

/// The mailboxes of the first keepers of a group.
pub(crate) struct Receivers<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    pub(crate) sessions: AddressReceiver<Keeper<ItemCore<S>>>,
    pub(crate) interactions: AddressReceiver<Keeper<ItemCore<I>>>,
    pub(crate) challenges: AddressReceiver<Keeper<ChallengeCore>>,
}

/// A keeper is gone, because it failed or because it was told to go.
#[derive(Message)]
#[rtype(result = "()")]
struct Gone(Kind);

/// The registry has forgotten the group.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

/// How often a keeper failed lately.
#[derive(Default, Clone, Copy)]
struct Record {
    failures: u32,
    last: Millis,
}

/// Starts and restarts the keepers, and ends with them when nobody needs the group.
pub(crate) struct GroupSupervisor<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    group: Arc<Group<S, I>>,
    registry: Weak<Inner<S, I>>,
    env: Arc<Env>,
    receivers: Option<Receivers<S, I>>,
    records: [Record; 3],
    _counted: Counted,
}

impl<S, I> GroupSupervisor<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(
        group: Arc<Group<S, I>>,
        registry: Weak<Inner<S, I>>,
        env: Arc<Env>,
        receivers: Receivers<S, I>,
    ) -> Self {
        Self {
            group,
            registry,
            _counted: Counted::new(&env.gauges.supervisors),
            env,
            receivers: Some(receivers),
            records: [Record::default(); 3],
        }
    }

    fn on_gone(supervisor: WeakAddr<Self>) -> OnGone {
        Box::new(move |kind| {
            if let Some(supervisor) = supervisor.upgrade() {
                supervisor.do_send(Gone(kind));
            }
        })
    }

    fn restart<C: Core>(&self, port: &Port<C>, delay: Millis, ctx: &mut Context<Self>) {
        self.env.gauges.restarts.fetch_add(1, Ordering::Relaxed);
        // Callers queue up in the new mailbox until the keeper behind it starts.
        let receiver = port.reconnect();
        let setup = port.setup.clone();
        let on_gone = Self::on_gone(ctx.address().downgrade());
        port.post(Box::new(|core, _| core.resync()));
        if delay == 0 {
            Keeper::<C>::start(setup, receiver, on_gone);
            return;
        }
        let at = self.env.now().saturating_add(delay);
        let started = self
            .env
            .clock
            .sleep_until(at)
            .into_actor(self)
            .map(move |(), _, _| Keeper::<C>::start(setup, receiver, on_gone));
        ctx.spawn(started);
    }

    /// Sleeps until the group may have become idle, then asks the registry to forget it.
    fn watch_idleness(&self, ctx: &mut Context<Self>) {
        let idle_after = millis(self.env.config.idle_after);
        let now = self.env.now();
        let due = self.group.usage.last().saturating_add(idle_after);
        // Due and still here: something holds it. It is asked again after a full period.
        let at = if due > now {
            due
        } else {
            now.saturating_add(idle_after.max(1))
        };
        let checked = self
            .env
            .clock
            .sleep_until(at)
            .into_actor(self)
            .map(move |(), act, ctx| {
                let stopped = match act.registry.upgrade() {
                    Some(registry) => registry.forget_if_idle(&act.group),
                    None => true,
                };
                if stopped {
                    ctx.stop();
                } else {
                    act.watch_idleness(ctx);
                }
            });
        ctx.spawn(checked);
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

impl<S, I> Actor for GroupSupervisor<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(receivers) = self.receivers.take() {
            let group = &self.group;
            let on_gone = || Self::on_gone(ctx.address().downgrade());
            Keeper::start(group.sessions.setup.clone(), receivers.sessions, on_gone());
            Keeper::start(
                group.interactions.setup.clone(),
                receivers.interactions,
                on_gone(),
            );
            Keeper::start(
                group.challenges.setup.clone(),
                receivers.challenges,
                on_gone(),
            );
        }
        self.watch_idleness(ctx);
    }
}

impl<S, I> Handler<Gone> for GroupSupervisor<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    type Result = ();

    fn handle(&mut self, Gone(kind): Gone, ctx: &mut Self::Context) {
        let now = self.env.now();
        let [sessions, interactions, challenges] = &mut self.records;
        let record = match kind {
            Kind::Session => sessions,
            Kind::Interaction => interactions,
            Kind::Challenge => challenges,
        };
        if now.saturating_sub(record.last) > CALM {
            record.failures = 0;
        }
        let delay = match record.failures {
            0 => 0,
            n => FIRST_DELAY
                .saturating_mul(1 << n.min(16))
                .min(LONGEST_DELAY),
        };
        record.failures = record.failures.saturating_add(1);
        record.last = now;
        let group = Arc::clone(&self.group);
        match kind {
            Kind::Session => self.restart(&group.sessions, delay, ctx),
            Kind::Interaction => self.restart(&group.interactions, delay, ctx),
            Kind::Challenge => self.restart(&group.challenges, delay, ctx),
        }
    }
}

impl<S, I> Handler<Stop> for GroupSupervisor<S, I>
where
    S: Clone + Send + Sync + 'static,
    I: Clone + Send + Sync + 'static,
{
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
