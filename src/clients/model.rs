//! The stored client: registration metadata under `payload`, access beside it.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::number::Number;
use crate::store::{Collection, Document, Index, Object};

pub static CLIENTS: Collection = Collection {
    name: "client",
    indexes: &[
        Index::plain(&["payload.auth_group"]),
        Index::unique(&["payload.client_name", "payload.auth_group"]),
        Index::text(&["payload.client_name", "_id"]),
        Index::plain(&["payload.associated_product", "payload.auth_group"]),
        Index::plain(&["payload.auth_group", "access.roles"]),
    ],
    expiry: &[],
};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Client {
    #[serde(rename = "_id")]
    pub id: String,
    pub payload: Metadata,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<ClientAccess>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Client {
    const COLLECTION: &'static Collection = &CLIENTS;
    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientAccess {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    pub roles: Vec<String>,
    #[serde(flatten)]
    pub extra: Object,
}

/// Client metadata (RFC 7591 §2, OpenID Connect Registration §2, and members of this server).
/// Members that are not set are absent, not null.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    pub auth_group: String,
    pub client_id: String,
    pub client_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_expires_at: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id_issued_at: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_type: Option<String>,
    pub grant_types: Vec<String>,
    pub response_types: Vec<String>,
    pub redirect_uris: Vec<String>,
    pub post_logout_redirect_uris: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint_auth_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint_auth_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_signed_response_alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_auth_time: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub associated_product: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initialized_org_context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_skip_consent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_only_passwordless: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_optional_skip_logout_prompt: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_allow_org_federation: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_allow_org_self_identify: Option<bool>,
    /// Everything else that was registered, such as `jwks`, `logo_uri`, `backchannel_logout_uri`.
    #[serde(flatten)]
    pub extra: Object,
}

impl Metadata {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.extra.get(name).and_then(crate::store::Value::as_str)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.extra.get(name).and_then(crate::store::Value::as_bool) == Some(true)
    }

    pub fn token_auth(&self) -> &str {
        self.token_endpoint_auth_method
            .as_deref()
            .unwrap_or("client_secret_basic")
    }

    pub fn introspection_auth(&self) -> &str {
        self.introspection_endpoint_auth_method
            .as_deref()
            .unwrap_or_else(|| self.token_auth())
    }

    pub fn revocation_auth(&self) -> &str {
        self.revocation_endpoint_auth_method
            .as_deref()
            .unwrap_or_else(|| self.token_auth())
    }

    pub fn has_grant(&self, grant: &str) -> bool {
        self.grant_types.iter().any(|g| g == grant)
    }

    pub fn is_native(&self) -> bool {
        self.application_type.as_deref() == Some("native")
    }

    /// Seconds since the epoch; 0 and absent mean never. Older records hold milliseconds.
    pub fn secret_expired(&self, now: i64) -> bool {
        match self.client_secret_expires_at.and_then(Number::as_i64) {
            Some(at) if at > 0 => seconds(at) <= now,
            _ => false,
        }
    }
}

/// A time that may be in milliseconds, as seconds.
pub fn seconds(value: i64) -> i64 {
    if value > 100_000_000_000 {
        value / 1000
    } else {
        value
    }
}

/// Whether the secret may be part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretView {
    Hidden,
    Shown,
}

impl Client {
    /// Registration metadata as clients see it.
    pub fn public(&self, secret: SecretView) -> Json {
        let mut out = crate::http::reply::public_document(&self.payload);
        if let Some(map) = out.as_object_mut()
            && secret == SecretView::Hidden
        {
            map.remove("client_secret");
        }
        out
    }
}
