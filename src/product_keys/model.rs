//! The stored record of a product key.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::http::reply;
use crate::store::{Collection, Date, Document, Index, Object};

pub static PRODUCT_KEYS: Collection = Collection {
    name: "product_keys",
    indexes: &[
        Index::unique(&["authGroup", "productId", "name", "clientId"]),
        Index::unique(&["authGroup", "productId", "clientId", "key"]),
    ],
    expiry: &[],
};

const fn month() -> i64 {
    2_592_000
}

/// Names a token among the client credentials and outlives it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductKey {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub created_at: Date,
    #[serde(default)]
    pub modified_at: Date,
    #[serde(default)]
    pub created_by: String,
    #[serde(default)]
    pub modified_by: String,
    /// The life of its token in seconds.
    #[serde(default = "month", deserialize_with = "crate::store::integer")]
    pub expires: i64,
    pub auth_group: String,
    pub product_id: String,
    /// The service.
    pub client_id: String,
    pub name: String,
    /// The token. Shown when it is made and never again.
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl std::fmt::Debug for ProductKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProductKey")
            .field("id", &self.id)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl Document for ProductKey {
    const COLLECTION: &'static Collection = &PRODUCT_KEYS;
    fn id(&self) -> &str {
        &self.id
    }
}

impl ProductKey {
    /// The record without its token.
    pub fn public(&self) -> Json {
        let mut out = reply::public_document(self);
        hide(&mut out);
        out
    }
}

/// Takes the token out.
pub fn hide(out: &mut Json) {
    if let Some(map) = out.as_object_mut() {
        map.remove("key");
    }
}
