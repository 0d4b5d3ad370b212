//! The stored domain.

use serde::{Deserialize, Serialize};

use crate::groups::model::system_admin;
use crate::store::{Collection, Date, Document, Index, Object};

pub static DOMAINS: Collection = Collection {
    name: "domains",
    indexes: &[
        Index::unique(&["name", "organization", "authGroup"]),
        Index::unique(&["meta.admin", "organization", "authGroup"]),
        Index::plain(&["authGroup", "organization"]),
    ],
    expiry: &[],
};

const fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Domain {
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
    pub organization: String,
    pub name: String,
    #[serde(default = "yes")]
    pub active: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default)]
    pub associated_org_products: Vec<String>,
    #[serde(default)]
    pub core: bool,
    #[serde(default)]
    pub meta: DomainMeta,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

/// `admin` is the organization's id on its administrative domain and a
/// placeholder elsewhere, so that the unique index admits one of the former.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DomainMeta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<String>,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Domain {
    const COLLECTION: &'static Collection = &DOMAINS;
    fn id(&self) -> &str {
        &self.id
    }
}
