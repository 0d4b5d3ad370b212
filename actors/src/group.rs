//! A group and the actor that looks after its keepers.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, WeakAddr,
    WrapFuture, dev::channel::AddressReceiver,
};

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
    pub(crate) async fn heard(&self, notice: &Notice) {
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
                if self.usage.is_held() {
                    let (id, change) = (Arc::clone(&notice.id), notice.change);
                    let (done, seen) = tokio::sync::oneshot::channel::<()>();
                    self.challenges.post(Box::new(move |core, _| {
                        Box::pin(async move {
                            core.heard(&id, change);
                            drop(done);
                        })
                    }));
                    // One at a time, so that a flood waits in the bus and not in the mailbox.
                    let _ = seen.await;
                }
            }
        }
    }

    /// Drops every copy, since any of them may be stale.
    pub(crate) fn distrust(&self) {
        self.sessions.cache().clear();
        self.interactions.cache().clear();
        self.challenges.cache().clear();
    }

    /// Reads again what somebody waits for.
    pub(crate) fn recheck(&self) {
        if self.usage.is_held() {
            self.challenges.post(Box::new(|core, _| {
                Box::pin(async move { core.recheck().await })
            }));
        }
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
        // A group that something holds is asked again after a full period.
        let since = if self.group.usage.is_held() {
            self.env.now()
        } else {
            self.group.usage.last()
        };
        let at = since
            .saturating_add(idle_after)
            .max(self.env.now().saturating_add(1));
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

    fn stopped(&mut self, _: &mut Self::Context) {
        self.group.sessions.retire();
        self.group.interactions.retire();
        self.group.challenges.retire();
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
