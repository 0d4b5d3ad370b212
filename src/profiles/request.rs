//! What others ask of a person's profile, and the copies they are given.

use serde::{Deserialize, Serialize};

use crate::groups::model::system_admin;
use crate::store::{Collection, Date, Document, Expiry, Index, Object};

pub static PROFILE_REQUESTS: Collection = Collection {
    name: "profile_requests",
    indexes: &[
        Index::plain(&["authGroup", "targetAccountId"]),
        Index::plain(&["authGroup", "requestingAccountId"]),
    ],
    expiry: &[Expiry::after("createdAt", 604_800)],
};

pub static PROFILE_SNAPSHOTS: Collection = Collection {
    name: "profile_snapshots",
    indexes: &[Index::unique(&["requestId"])],
    expiry: &[Expiry::after("createdAt", 86_400)],
};

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// The profile as it is when the person agrees.
    #[default]
    Copy,
    /// The profile's fields in what an organization keeps about the person.
    Sync,
    /// To look at the profile for some time.
    Access,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    #[default]
    New,
    Approved,
    Denied,
}

fn unlimited() -> String {
    "unlimited".to_owned()
}

/// One account or client asks another account for its profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileRequest {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub created_at: Date,
    #[serde(default)]
    pub modified_at: Date,
    #[serde(default = "system_admin")]
    pub created_by: String,
    #[serde(default = "system_admin")]
    pub modified_by: String,
    pub auth_group: String,
    pub requesting_account_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requesting_email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_details: Option<String>,
    #[serde(default)]
    pub client: bool,
    /// An approved copy is also sent there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_callback: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<String>,
    pub target_account_id: String,
    #[serde(default, rename = "type")]
    pub wanted: Wanted,
    /// Days that access lasts, or `unlimited`.
    #[serde(default = "unlimited")]
    pub access_expiration_time: String,
    #[serde(default)]
    pub state: State,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for ProfileRequest {
    const COLLECTION: &'static Collection = &PROFILE_REQUESTS;
    fn id(&self) -> &str {
        &self.id
    }
}

impl ProfileRequest {
    /// When access that is given now ends; `None` if it does not.
    pub fn access_until(&self, now: Date) -> Option<Date> {
        let days: i64 = self.access_expiration_time.parse().ok()?;
        let millis = days.saturating_mul(86_400_000);
        Some(Date::from_millis(now.as_millis().saturating_add(millis)))
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotStatus {
    #[default]
    Pending,
    /// Documents of an existing database say `approve`.
    #[serde(alias = "approve")]
    Approved,
    Denied,
}

/// The copy that belongs to a request, empty until the person agrees.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileSnapshot {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub created_at: Date,
    #[serde(default = "system_admin")]
    pub created_by: String,
    pub auth_group: String,
    pub request_id: String,
    /// Who asked.
    pub caller_id: String,
    /// Whose profile it is.
    pub account_id: String,
    #[serde(default)]
    pub status: SnapshotStatus,
    /// The profile as stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snap_shot: Option<Object>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for ProfileSnapshot {
    const COLLECTION: &'static Collection = &PROFILE_SNAPSHOTS;
    fn id(&self) -> &str {
        &self.id
    }
}
