//! What can go wrong between a caller and an actor.

use crate::JournalError;

/// Why an actor did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ActorError {
    /// The group has more unfinished work than it accepts. Nothing was done.
    #[error("too much unfinished work: retry in {retry_after_secs} s")]
    Busy {
        /// A sensible value for `Retry-After`.
        retry_after_secs: u64,
    },
    /// The keeper failed and was restarted before it answered. Whether the change was made is
    /// unknown: read the item, then retry.
    #[error("the keeper was restarted before it answered: retry")]
    Restarted,
    /// There is no such item, or its deadline has passed.
    #[error("no such item")]
    NotFound,
    /// An item with this id exists already.
    #[error("an item with this id already exists")]
    Exists,
    /// Other nodes kept changing the item at the same time. Nothing was done.
    #[error("the item is being changed by too many at once: retry")]
    Contended,
    /// The journal failed. Whether the change was made is unknown.
    #[error(transparent)]
    Journal(JournalError),
    /// The registry has been shut down.
    #[error("the actors have been shut down")]
    Stopped,
}

impl ActorError {
    /// Whether the same call may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Restarted | Self::Contended => true,
            Self::Journal(error) => matches!(error, JournalError::Unavailable(_)),
            Self::NotFound | Self::Exists | Self::Stopped => false,
        }
    }
}

impl From<JournalError> for ActorError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Exists => Self::Exists,
            JournalError::Conflict { .. } => Self::Contended,
            other => Self::Journal(other),
        }
    }
}

/// Why an update did not happen.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError<E> {
    /// The caller's own closure refused.
    #[error("the change was refused")]
    Refused(E),
    /// The actor could not do it.
    #[error(transparent)]
    Actor(#[from] ActorError),
}

/// Why a challenge was not consumed.
#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// It is not approved, or somebody else consumed it first ([`crate::Status::Unknown`]).
    #[error("the challenge is not approved")]
    NotApproved(crate::Status),
    /// The actor could not do it.
    #[error(transparent)]
    Actor(#[from] ActorError),
}
