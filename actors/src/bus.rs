//! How nodes tell each other what changed.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, watch};

use crate::Status;

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A login session of a browser.
    Session,
    /// An unfinished login, consent, logout or recovery.
    Interaction,
    /// A question put to a person on another device.
    Challenge,
}

/// What happened to the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was written for the first time.
    Created,
    /// Its value, keys or deadline changed.
    Updated,
    /// It was deleted.
    Removed,
    /// It was taken by its one consumer.
    Taken,
    /// Its deadline passed.
    Expired,
    /// A challenge got an answer; always [`Status::Approved`] or [`Status::Denied`].
    Decided(Status),
    /// Notices about this group may have been lost: read again what is being waited for.
    Resync,
}

/// One message between nodes. Carries no personal data beyond the item's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The group the item belongs to.
    pub group: Arc<str>,
    /// Its kind.
    pub kind: Kind,
    /// Its id; empty for [`Change::Resync`].
    pub id: Arc<str>,
    /// What happened to it.
    pub change: Change,
    /// The node that did it, so that it can skip its own notices.
    pub origin: Arc<str>,
}

/// What a subscription yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Something changed.
    Notice(Notice),
    /// Notices may have been lost (slow reader, broken connection): trust no copy.
    Gap,
}

/// Which notices a subscriber wants; `None` means any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this group.
    pub group: Option<Arc<str>>,
    /// Only this kind.
    pub kind: Option<Kind>,
}

impl Filter {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// Whether `notice` is wanted.
    pub fn matches(&self, notice: &Notice) -> bool {
        self.group
            .as_ref()
            .is_none_or(|group| *group == notice.group)
            && self.kind.is_none_or(|kind| kind == notice.kind)
    }
}

/// Why a notice could not be sent or a subscription not opened.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the bus is unavailable: {0}")]
pub struct BusError(pub String);

/// Delivers notices to all nodes, at most once each, without order between items.
///
/// A lost notice delays, it never corrupts: the journal decides.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Hands a notice over for delivery. Must not wait for the network.
    async fn publish(&self, notice: Notice) -> Result<(), BusError>;

    /// Every matching notice published from now on, by any node.
    async fn subscribe(&self, filter: Filter) -> Result<BoxStream<'static, Delivery>, BusError>;

    /// Whether notices get through at present. While it shows `false`, nobody trusts a cached
    /// copy and whoever waits reads the journal at an interval.
    fn health(&self) -> watch::Receiver<bool>;
}

/// Notices a slow subscriber may lag behind before it gets a [`Delivery::Gap`].
const BACKLOG: usize = 4096;

/// The bus of a server that runs as one node.
#[derive(Debug, Clone)]
pub struct MemoryBus {
    sender: broadcast::Sender<Delivery>,
    health: watch::Sender<bool>,
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(BACKLOG),
            health: watch::Sender::new(true),
        }
    }
}

impl MemoryBus {
    /// For a node that shares its journals with others but does not hear of them: it believes no
    /// copy, and whoever waits reads the journal at an interval.
    pub fn deaf() -> Self {
        Self {
            health: watch::Sender::new(false),
            ..Self::default()
        }
    }
}

/// What a channel within the process carries, as a subscription: a reader that was too slow gets
/// a [`Delivery::Gap`].
pub fn deliveries(
    receiver: broadcast::Receiver<Delivery>,
    filter: Filter,
) -> BoxStream<'static, Delivery> {
    stream::unfold((receiver, filter), |(mut receiver, filter)| async move {
        loop {
            match receiver.recv().await {
                Ok(Delivery::Notice(notice)) if !filter.matches(&notice) => {}
                Ok(delivery) => return Some((delivery, (receiver, filter))),
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    return Some((Delivery::Gap, (receiver, filter)));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
    .boxed()
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, notice: Notice) -> Result<(), BusError> {
        // An error only says that nobody listens.
        let _ = self.sender.send(Delivery::Notice(notice));
        Ok(())
    }

    async fn subscribe(&self, filter: Filter) -> Result<BoxStream<'static, Delivery>, BusError> {
        Ok(deliveries(self.sender.subscribe(), filter))
    }

    fn health(&self) -> watch::Receiver<bool> {
        self.health.subscribe()
    }
}
