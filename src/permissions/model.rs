//! The stored permission.

use serde::{Deserialize, Serialize};

use crate::groups::model::system_admin;
use crate::store::{Collection, Date, Document, Index, Object};

pub static PERMISSIONS: Collection = Collection {
    name: "permissions",
    indexes: &[
        Index::unique(&["coded", "authGroup", "product"]),
        Index::text(&["target", "action", "description", "tags"]),
        Index::plain(&["authGroup", "product"]),
    ],
    expiry: &[],
};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub created_at: Date,
    #[serde(default = "system_admin")]
    pub created_by: String,
    pub auth_group: String,
    pub product: String,
    pub target: String,
    pub action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default)]
    pub ownership_required: bool,
    /// Derived: `<target>::<action>[:own]`, lower case.
    #[serde(default)]
    pub coded: String,
    #[serde(default)]
    pub core: bool,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Permission {
    const COLLECTION: &'static Collection = &PERMISSIONS;
    fn id(&self) -> &str {
        &self.id
    }
}
