//! The stored challenge and the stored state of a device or passkey flow.

use serde::{Deserialize, Serialize};
use ueauth_actors::{Challenge, State};

use crate::challenges::callbacks;
use crate::deliveries::{Delivery, Outbound};
use crate::store::{Collection, Date, Document, Expiry, Index, Object};

pub static CHALLENGES: Collection = Collection {
    name: "transaction_challenges",
    indexes: &[
        Index::unique(&["authGroup", "providerKey", "accountId", "uid"]),
        Index::plain(&["authGroup", "accountId"]),
        Index::plain(&["delivery.nextAt"]),
    ],
    expiry: &[Expiry::after("createdAt", 1200)],
};

pub static STATES: Collection = Collection {
    name: "challenge-state-checks",
    indexes: &[Index::unique(&["authGroup", "stateValue", "account"])],
    expiry: &[Expiry::after("createdAt", 600)],
};

/// A challenge. The members that other systems know come first; those of the keeper follow.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredChallenge {
    #[serde(rename = "_id")]
    pub id: String,
    /// When the answer was given instead, once there is one to report; so there is time for it.
    pub created_at: Date,
    pub uid: String,
    pub provider_key: String,
    pub auth_group: String,
    pub account_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_data: Option<Object>,
    /// `pending`, `approved` or `denied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The whole challenge as the keeper knows it, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Where the report of the answer stands; absent if there is none to make any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for StoredChallenge {
    const COLLECTION: &'static Collection = &CHALLENGES;
    fn id(&self) -> &str {
        &self.id
    }
}

impl StoredChallenge {
    /// A challenge as it is stored until then (ms); never changed yet.
    pub fn of(group: &str, it: &Challenge, until: Option<i64>) -> serde_json::Result<Self> {
        let report = callbacks::begun(it);
        let answered = it.decided_at.filter(|_| report.is_some());
        Ok(Self {
            id: it.id.to_record_id(),
            created_at: Date::from_millis(answered.unwrap_or(it.created_at)),
            uid: it.id.uid.clone(),
            provider_key: it.id.key.clone(),
            auth_group: group.to_owned(),
            account_id: it.id.account.clone(),
            transaction_data: Object::from_json(&it.data),
            // systems that share the store know no state for "too late"
            state: Some(
                match it.state {
                    State::Pending => "pending",
                    State::Approved => "approved",
                    State::Denied | State::Expired => "denied",
                }
                .to_owned(),
            ),
            challenge: Some(serde_json::to_string(it)?),
            expires_at: until.map(Date::from_millis),
            revision: None,
            delivery: report,
            version: 0,
            extra: Object::default(),
        })
    }

    /// The challenge as the keeper knows it; none if another system wrote it.
    pub fn kept(&self) -> Option<Challenge> {
        serde_json::from_str(self.challenge.as_deref()?).ok()
    }
}

impl Outbound for StoredChallenge {
    const NAME: &'static str = "challenge";
    const GIVEN_UP: &'static str = "the report of an answer was given up";

    fn delivery(&mut self) -> &mut Option<Delivery> {
        &mut self.delivery
    }
}

/// A state value that a device or passkey page was given.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChallengeState {
    #[serde(rename = "_id")]
    pub id: String,
    pub created_at: Date,
    pub state_value: String,
    pub auth_group: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for ChallengeState {
    const COLLECTION: &'static Collection = &STATES;
    fn id(&self) -> &str {
        &self.id
    }
}
