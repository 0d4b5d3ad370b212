//! The secret that an account's authenticator app has too, and what was tried against it.

use serde::{Deserialize, Serialize};

use crate::store::{Collection, Date, Document, Index, Object};

pub static TOTP_SECRETS: Collection = Collection {
    name: "totp_secrets",
    indexes: &[Index::unique(&["authGroup", "accountId"])],
    expiry: &[],
};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TotpSecret {
    #[serde(rename = "_id")]
    pub id: String,
    pub created_at: Date,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Date>,
    pub auth_group: String,
    pub account_id: String,
    /// Sealed for this document.
    pub secret: String,
    /// A right code has shown that the app has it.
    #[serde(default)]
    pub proven: bool,
    /// The time step of the last code; it and earlier ones are used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_step: Option<i64>,
    /// Wrong codes since `wrong_since`.
    #[serde(default)]
    pub wrong: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong_since: Option<Date>,
    /// No code counts before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_until: Option<Date>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for TotpSecret {
    const COLLECTION: &'static Collection = &TOTP_SECRETS;
    fn id(&self) -> &str {
        &self.id
    }
}
