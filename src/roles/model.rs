//! The stored role.

use serde::{Deserialize, Serialize};

use crate::groups::model::system_admin;
use crate::store::{Collection, Date, Document, Index, Object};

pub static ROLES: Collection = Collection {
    name: "roles",
    indexes: &[
        Index::unique(&["name", "authGroup", "product"]),
        Index::unique(&["codedId", "authGroup", "product"]),
        Index::text(&["name", "description"]),
        Index::plain(&["authGroup", "product", "organization"]),
        Index::plain(&["authGroup", "organization"]),
    ],
    expiry: &[],
};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub created_at: Date,
    #[serde(default = "system_admin")]
    pub created_by: String,
    #[serde(default)]
    pub modified_at: Date,
    #[serde(default = "system_admin")]
    pub modified_by: String,
    pub auth_group: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Belongs to one organization only.
    #[serde(default)]
    pub custom: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    pub product: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_coded_id: Option<String>,
    /// Each `"<permission id> <coded>"`.
    #[serde(default)]
    pub permissions: Vec<String>,
    #[serde(default)]
    pub coded_id: String,
    #[serde(default)]
    pub core: bool,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Role {
    const COLLECTION: &'static Collection = &ROLES;
    fn id(&self) -> &str {
        &self.id
    }
}
