//! The secured profile of an account, and who else may view it.

use serde::{Deserialize, Serialize};

use crate::groups::model::system_admin;
use crate::store::{Collection, Date, Document, Expiry, Index, Object};

pub static PROFILES: Collection = Collection {
    name: "profiles",
    indexes: &[Index::unique(&["accountId", "authGroup"])],
    expiry: &[],
};

pub static PROFILE_ACCESSES: Collection = Collection {
    name: "profile_accesses",
    indexes: &[
        Index::plain(&["authGroup", "targetAccountId", "viewingAccountId"]),
        Index::plain(&["authGroup", "viewingAccountId"]),
    ],
    expiry: &[Expiry::at("expiresAt")],
};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
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
    pub account_id: String,
    #[serde(flatten)]
    pub details: Details,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Profile {
    const COLLECTION: &'static Collection = &PROFILES;
    fn id(&self) -> &str {
        &self.id
    }
}

/// What the person may fill in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub employer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personal_header: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    pub additional_emails: Vec<Email>,
    pub contact_numbers: Vec<ContactNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Object>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Address {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub street1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub street2: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Email {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactNumber {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

/// Lets one account or client view the profile of another account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileAccess {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub created_at: Date,
    #[serde(default = "system_admin")]
    pub created_by: String,
    /// Without one it does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Date>,
    pub auth_group: String,
    pub viewing_account_id: String,
    pub target_account_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewing_email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_details: Option<String>,
    #[serde(default)]
    pub client: bool,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for ProfileAccess {
    const COLLECTION: &'static Collection = &PROFILE_ACCESSES;
    fn id(&self) -> &str {
        &self.id
    }
}
