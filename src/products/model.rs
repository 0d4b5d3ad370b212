//! The stored product.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::groups::model::system_admin;
use crate::store::{Collection, Date, Document, Index, Object};

pub static PRODUCTS: Collection = Collection {
    name: "products",
    indexes: &[
        Index::unique(&["name", "authGroup"]),
        Index::unique(&["codedId", "authGroup"]),
        Index::unique(&["meta.core", "authGroup"]),
        Index::plain(&["authGroup"]),
    ],
    expiry: &[],
};

/// `meta.core` of the two products every group is given.
pub const GROUP_ADMIN: &str = "groupAdmin";
pub const ORG_ADMIN: &str = "orgAdmin";

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Product {
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
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default)]
    pub coded_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default)]
    pub b2c: bool,
    #[serde(default)]
    pub core: bool,
    #[serde(default)]
    pub meta: ProductMeta,
    #[serde(default)]
    pub associated_clients: Vec<String>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProductMeta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles_version: Option<String>,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Product {
    const COLLECTION: &'static Collection = &PRODUCTS;
    fn id(&self) -> &str {
        &self.id
    }
}

/// Takes out what no client is shown.
pub fn hide(out: &mut Json) {
    if let Some(meta) = out.get_mut("meta").and_then(Json::as_object_mut) {
        meta.remove("core");
    }
}

impl Product {
    /// The product as clients see it: `meta.core` stays inside.
    pub fn public(&self) -> Json {
        let mut out = crate::http::reply::public_document(self);
        hide(&mut out);
        out
    }

    /// What members of an organization see of its products.
    pub fn short(&self) -> Json {
        const SHOWN: &[&str] = &[
            "id",
            "codedId",
            "authGroup",
            "name",
            "description",
            "b2c",
            "url",
            "core",
        ];
        let mut out = crate::http::reply::public_document(self);
        if let Some(map) = out.as_object_mut() {
            map.retain(|name, _| SHOWN.contains(&name.as_str()));
        }
        out
    }
}
