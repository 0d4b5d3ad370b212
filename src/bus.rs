//! Notices between nodes over NATS.
//!
//! Plain subjects, no stream: the store decides everything, so a notice that was lost only has to
//! be known as lost. It is: a connection that broke, a reader that was too slow and a node that
//! could not send all make every node look again at what it waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, Message, ServerAddr};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc, watch};
use ueauth_actors::{Bus, BusError, Delivery, Filter, Notice};

/// Deliveries a slow subscriber may lag behind before it is told of a gap.
const BACKLOG: usize = 4096;
/// How soon a server that vanished without a word is noticed: after two of these.
const PING: Duration = Duration::from_millis(700);
/// Longest pause between attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum BusStartError {
    #[error("bus.url is not an address like nats://host:4222: {0}")]
    Address(std::io::Error),
    #[error("the bus cannot be used: {0}")]
    Connect(#[from] async_nats::ConnectError),
    #[error("the bus cannot be listened to: {0}")]
    Subscribe(#[from] async_nats::SubscribeError),
}

/// A document that other nodes may have copies of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Changed {
    Group(String),
    Client(String),
    /// Notices may have been lost: any of them.
    Anything,
}

/// Tells other nodes of changes, if there may be any.
#[derive(Debug, Clone, Default)]
pub struct Announcer(pub Option<Arc<NatsBus>>);

impl Announcer {
    pub fn tell(&self, change: impl FnOnce() -> Changed) {
        if let Some(bus) = &self.0 {
            bus.changed(&change());
        }
    }
}

/// The connection of this node.
#[derive(Debug)]
pub struct NatsBus {
    client: Client,
    /// What all subjects begin with.
    prefix: String,
    /// Of this node alone, so that it knows its own echo.
    node: String,
    deliveries: broadcast::Sender<Delivery>,
    changes: broadcast::Sender<Changed>,
    health: watch::Sender<bool>,
    /// Something could not be told to the others.
    lost: AtomicBool,
}

impl NatsBus {
    /// Connects, now or as soon as that is possible, and listens.
    pub async fn start(
        url: &str,
        prefix: &str,
        node: String,
    ) -> Result<(Arc<Self>, tokio::task::JoinHandle<()>), BusStartError> {
        let servers = url
            .split(',')
            .map(|one| one.trim().parse::<ServerAddr>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(BusStartError::Address)?;
        let (told, events) = mpsc::unbounded_channel();
        let client = ConnectOptions::new()
            .name("ueauth")
            .retry_on_initial_connect()
            .ping_interval(PING)
            .connection_timeout(Duration::from_secs(2))
            .reconnect_delay_callback(|attempt| {
                let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
                PAUSE.min(Duration::from_millis(50).saturating_mul(attempt))
            })
            .event_callback(move |event| {
                // nobody listens any more: the server stops
                let _ = told.send(event);
                std::future::ready(())
            })
            .connect(servers)
            .await?;
        let messages = client.subscribe(format!("{prefix}.>")).await?;
        let bus = Arc::new(Self {
            client,
            prefix: prefix.to_owned(),
            node,
            deliveries: broadcast::Sender::new(BACKLOG),
            changes: broadcast::Sender::new(BACKLOG),
            health: watch::Sender::new(false),
            lost: AtomicBool::new(false),
        });
        let task = tokio::spawn(Arc::clone(&bus).run(messages, events));
        Ok((bus, task))
    }

    /// Whether notices get through.
    pub fn is_up(&self) -> bool {
        *self.health.borrow()
    }

    async fn run(
        self: Arc<Self>,
        mut messages: async_nats::Subscriber,
        mut events: mpsc::UnboundedReceiver<Event>,
    ) {
        // connections are told apart by number, so that an echo of a former one counts for nothing
        let mut connection = 0_u64;
        let mut again = tokio::time::interval(PAUSE);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.hear(&message, connection),
                    None => break,
                },
                event = events.recv() => match event {
                    Some(Event::Connected) => {
                        connection += 1;
                        self.call(connection);
                    }
                    Some(Event::Disconnected | Event::LameDuckMode) => self.set_up(false),
                    Some(Event::SlowConsumer(_)) => self.gap(),
                    Some(Event::Closed) | None => break,
                    Some(other) => tracing::warn!(event = %other, "the bus has something to say"),
                },
                // an echo may get lost like anything else
                _ = again.tick() => if !self.is_up() && connection > 0 {
                    self.call(connection);
                },
            }
        }
        self.set_up(false);
    }

    fn set_up(&self, up: bool) {
        let changed = self
            .health
            .send_if_modified(|was| std::mem::replace(was, up) != up);
        if changed && up {
            tracing::info!("the bus is connected");
        } else if changed {
            tracing::warn!("the bus is lost; whoever waits reads the store meanwhile");
        }
    }

    /// Once it comes back, so does everything that others send.
    fn call(&self, connection: u64) {
        self.send("echo", format!("{} {connection}", self.node).into_bytes());
    }

    fn gap(&self) {
        let _ = self.deliveries.send(Delivery::Gap);
        let _ = self.changes.send(Changed::Anything);
    }

    fn hear(&self, message: &Message, connection: u64) {
        let subject = message.subject.as_str();
        match subject.rsplit('.').next().unwrap_or_default() {
            "notice" => match serde_json::from_slice::<Notice>(&message.payload) {
                Ok(notice) => {
                    let _ = self.deliveries.send(Delivery::Notice(notice));
                }
                Err(cause) => self.not_understood(subject, &cause),
            },
            "change" => match serde_json::from_slice::<Changed>(&message.payload) {
                Ok(change) => {
                    let _ = self.changes.send(change);
                }
                Err(cause) => self.not_understood(subject, &cause),
            },
            "gap" => self.gap(),
            "echo" => {
                let own = format!("{} {connection}", self.node);
                if !self.is_up() && message.payload == own.as_bytes() {
                    self.set_up(true);
                    // whatever was said before this moment was not heard
                    self.gap();
                    if self.lost.swap(false, Ordering::AcqRel) {
                        self.send("gap", Vec::new());
                    }
                }
            }
            _ => {}
        }
    }

    /// A node of another version: what it meant may concern anything.
    fn not_understood(&self, subject: &str, cause: &serde_json::Error) {
        tracing::warn!(subject, %cause, "a notice was not understood");
        self.gap();
    }

    /// Hands over without waiting. What cannot be sent now is remembered as lost.
    fn send(&self, what: &str, payload: Vec<u8>) {
        let subject = format!("{}.{what}", self.prefix);
        let sent = self.client.publish(subject, payload.into()).now_or_never();
        if !matches!(sent, Some(Ok(()))) {
            self.lost.store(true, Ordering::Release);
        }
    }

    fn tell(&self, what: &str, payload: &impl Serialize) -> Result<(), BusError> {
        if !self.is_up() {
            // the others are told of a gap as soon as there is a connection
            self.lost.store(true, Ordering::Release);
            return Ok(());
        }
        let bytes = serde_json::to_vec(payload).map_err(|e| BusError(e.to_string()))?;
        self.send(what, bytes);
        Ok(())
    }

    /// Tells the other nodes to forget a document.
    pub fn changed(&self, change: &Changed) {
        if let Err(cause) = self.tell("change", change) {
            tracing::warn!(%cause, "a change was not announced");
        }
    }

    /// What other nodes changed, and this one as well.
    pub fn changes(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, notice: Notice) -> Result<(), BusError> {
        self.tell("notice", &notice)
    }

    async fn subscribe(&self, filter: Filter) -> Result<BoxStream<'static, Delivery>, BusError> {
        Ok(ueauth_actors::deliveries(
            self.deliveries.subscribe(),
            filter,
        ))
    }

    fn health(&self) -> watch::Receiver<bool> {
        self.health.subscribe()
    }
}
