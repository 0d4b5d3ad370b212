//! A challenge and the states it passes through.

use serde::{Deserialize, Serialize};

use crate::Millis;

/// What identifies a challenge within its group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChallengeId {
    /// The id its provider gave it.
    pub key: String,
    /// The account that is asked.
    pub account: String,
    /// What it is asked for: an interaction uid, a recovery state, a request id.
    pub uid: String,
}

impl ChallengeId {
    /// The three parts together.
    pub fn new(key: impl Into<String>, account: impl Into<String>, uid: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            account: account.into(),
            uid: uid.into(),
        }
    }

    /// The id of its [`crate::Record`]: a JSON array of the three parts, so that no two
    /// challenges share one whatever their parts contain.
    pub fn to_record_id(&self) -> String {
        serde_json::json!([self.key, self.account, self.uid]).to_string()
    }

    /// The inverse of [`ChallengeId::to_record_id`], for a journal that stores the parts.
    pub fn from_record_id(id: &str) -> Option<Self> {
        let (key, account, uid) = serde_json::from_str(id).ok()?;
        Some(Self { key, account, uid })
    }

    /// The secondary key under which all challenges of an account are found.
    pub fn account_key(account: &str) -> String {
        format!("account:{account}")
    }
}

/// What is stored about the progress of a challenge. A consumed one is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has answered yet.
    Pending,
    /// Answered with yes, and not consumed yet.
    Approved,
    /// Answered with no.
    Denied,
    /// Not answered in time.
    Expired,
}

/// What an observer learns about a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody has answered yet.
    Pending,
    /// Answered with yes, and not consumed yet.
    Approved,
    /// Answered with no.
    Denied,
    /// Not answered in time.
    Expired,
    /// Never issued, forgotten, or consumed already.
    Unknown,
}

impl Status {
    /// Whether waiting any longer is pointless.
    pub fn is_final(self) -> bool {
        self != Self::Pending
    }
}

impl From<State> for Status {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Approved => Self::Approved,
            State::Denied => Self::Denied,
            State::Expired => Self::Expired,
        }
    }
}

/// What the person answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Yes.
    Approve,
    /// No.
    Deny,
}

impl From<Answer> for State {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Approve => Self::Approved,
            Answer::Deny => Self::Denied,
        }
    }
}

/// A challenge about to be issued.
#[derive(Debug, Clone)]
pub struct NewChallenge {
    /// Its identity.
    pub id: ChallengeId,
    /// What it is for; free text that [`crate::Challenges::pending_for`] compares.
    pub purpose: String,
    /// From this moment on it can no longer be answered.
    pub deadline: Millis,
    /// From this moment on, answered or not, it is forgotten. Not before `deadline`.
    pub keep_until: Millis,
    /// Whatever the issuer wants to find in it again.
    pub data: serde_json::Value,
}

/// A challenge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Challenge {
    /// Its identity.
    pub id: ChallengeId,
    /// What it is for.
    pub purpose: String,
    /// How far it is.
    pub state: State,
    /// When it was issued.
    pub created_at: Millis,
    /// From this moment on it can no longer be answered.
    pub deadline: Millis,
    /// From this moment on it is forgotten.
    pub keep_until: Millis,
    /// When it left [`State::Pending`].
    pub decided_at: Option<Millis>,
    /// Who answered, as given to [`crate::Challenges::answer`].
    pub decided_by: Option<String>,
    /// Whatever the issuer put in.
    pub data: serde_json::Value,
}

impl Challenge {
    /// What an observer sees at `now`: a pending challenge past its deadline has expired, even
    /// if nobody has written that down yet.
    pub fn status(&self, now: Millis) -> Status {
        if self.state == State::Pending && now >= self.deadline {
            Status::Expired
        } else {
            self.state.into()
        }
    }
}

/// What became of an answer.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It decided the challenge. Exactly one caller on all nodes gets this: run side effects.
    Applied(std::sync::Arc<Challenge>),
    /// The challenge had been decided, or had expired, before.
    AlreadyDecided(Status),
    /// There is no such challenge (any more).
    Unknown,
}
