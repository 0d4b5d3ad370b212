//! The stored settings: append-only, the highest version counts.

use serde::{Deserialize, Serialize};

use crate::number::Number;
use crate::store::{Collection, Date, Document, Index, Object};

pub static PLUGINS: Collection = Collection {
    name: "plugins",
    indexes: &[Index::plain(&["-version"])],
    expiry: &[],
};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plugins {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub created_at: Date,
    pub created_by: String,
    pub version: Number,
    #[serde(default)]
    pub notifications: Notifications,
    #[serde(default)]
    pub event_stream: EventStream,
    #[serde(default, rename = "webAuthN")]
    pub web_authn: Providers,
    #[serde(default)]
    pub mfa_challenge: Providers,
    #[serde(default)]
    pub resource_creation_limiter: Limiter,
    #[serde(default, rename = "__v")]
    pub revision: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Plugins {
    const COLLECTION: &'static Collection = &PLUGINS;
    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Notifications {
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_service_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_client_id: Option<String>,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventStream {
    pub provider: StreamProvider,
    pub enabled: bool,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamProvider {
    pub master_stream: Limiter,
    pub oauth_required: bool,
    pub rest_auth: bool,
    pub stream_auth: bool,
    pub master_auth: bool,
    pub lock_streaming_once_active: bool,
    pub enable_validation: bool,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Providers {
    pub enabled: bool,
    pub providers: Vec<Object>,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limiter {
    pub enabled: bool,
    #[serde(flatten)]
    pub extra: Object,
}
