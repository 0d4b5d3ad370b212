//! What an organization keeps about one of its members.

use serde::{Deserialize, Serialize};

use crate::groups::model::system_admin;
use crate::profiles::model::Details;
use crate::store::{Collection, Date, Document, Index, Object};

pub static ORG_PROFILES: Collection = Collection {
    name: "org_profiles",
    indexes: &[
        Index::unique(&["accountId", "organization", "authGroup"]),
        Index::unique(&["externalId", "organization", "authGroup"]).when_set("externalId"),
        Index::plain(&["authGroup", "accountId"]),
        Index::plain(&["authGroup", "organization"]),
    ],
    expiry: &[],
};

/// Belongs to the organization and is independent of the person's own profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrganizationProfile {
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
    pub organization: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The person has asked the organization to delete it.
    #[serde(default)]
    pub delete_requested: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_requested_date: Option<Date>,
    #[serde(flatten)]
    pub details: Details,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for OrganizationProfile {
    const COLLECTION: &'static Collection = &ORG_PROFILES;
    fn id(&self) -> &str {
        &self.id
    }
}
