//! The stored device, and the code that lets one become an account's.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::store::{Collection, Date, Document, Expiry, Index, Object};

pub static DEVICES: Collection = Collection {
    name: "approval_devices",
    indexes: &[
        Index::unique(&["authGroup", "thumbprint"]),
        Index::plain(&["authGroup", "accountId"]),
    ],
    expiry: &[],
};

pub static ENROLMENTS: Collection = Collection {
    name: "device_enrolments",
    indexes: &[Index::plain(&["authGroup", "accountId"])],
    expiry: &[Expiry::at("expiresAt")],
};

/// A device of an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredDevice {
    #[serde(rename = "_id")]
    pub id: String,
    pub created_at: Date,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Date>,
    pub auth_group: String,
    pub account_id: String,
    pub name: String,
    /// RFC 7638, so that a key belongs to one device only.
    pub thumbprint: String,
    /// Public key, as JSON (RFC 7517).
    pub key: String,
    /// Where pushes to it go, sealed for this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for StoredDevice {
    const COLLECTION: &'static Collection = &DEVICES;
    fn id(&self) -> &str {
        &self.id
    }
}

impl StoredDevice {
    /// What its owner sees of it.
    pub fn public(&self) -> Json {
        let mut out = json!({
            "id": self.id,
            "name": self.name,
            "createdAt": self.created_at,
            "push": self.subscription.is_some(),
        });
        if let (Some(at), Some(map)) = (self.last_used_at, out.as_object_mut()) {
            map.insert("lastUsedAt".to_owned(), json!(at));
        }
        out
    }
}

/// A code that waits for a device.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enrolment {
    /// Hash of the code.
    #[serde(rename = "_id")]
    pub id: String,
    pub expires_at: Date,
    pub auth_group: String,
    pub account_id: String,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Enrolment {
    const COLLECTION: &'static Collection = &ENROLMENTS;
    fn id(&self) -> &str {
        &self.id
    }
}
