//! The stored passkey, and the stored half of a ceremony that a browser has yet to end.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use webauthn_rs::prelude::Passkey;

use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::store::{Collection, Date, Document, Expiry, Index, Object};

pub static PASSKEYS: Collection = Collection {
    name: "passkeys",
    indexes: &[
        Index::unique(&["authGroup", "credentialId"]),
        Index::plain(&["authGroup", "accountId"]),
    ],
    expiry: &[],
};

pub static CEREMONIES: Collection = Collection {
    name: "passkey_ceremonies",
    indexes: &[],
    expiry: &[Expiry::at("expiresAt")],
};

/// A passkey of an account, good on one domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredPasskey {
    #[serde(rename = "_id")]
    pub id: String,
    pub created_at: Date,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Date>,
    pub auth_group: String,
    pub account_id: String,
    /// The relying party id it was made for.
    pub domain: String,
    /// Base64url, without padding.
    pub credential_id: String,
    pub name: String,
    /// Public key, counter and flags, as JSON.
    pub credential: String,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for StoredPasskey {
    const COLLECTION: &'static Collection = &PASSKEYS;
    fn id(&self) -> &str {
        &self.id
    }
}

impl StoredPasskey {
    pub fn key(&self) -> ApiResult<Passkey> {
        serde_json::from_str(&self.credential).map_err(ApiError::internal)
    }

    /// What its owner sees of it.
    pub fn public(&self) -> Json {
        let mut out = json!({
            "id": self.id,
            "name": self.name,
            "domain": self.domain,
            "createdAt": self.created_at,
        });
        if let (Some(at), Some(map)) = (self.last_used_at, out.as_object_mut()) {
            map.insert("lastUsedAt".to_owned(), json!(at));
        }
        out
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Enrol,
    SignIn,
}

impl Kind {
    pub fn stored(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::SignIn => "sign-in",
        }
    }
}

/// A ceremony under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ceremony {
    /// Its challenge, base64url: browsers send it back inside the client data.
    #[serde(rename = "_id")]
    pub id: String,
    pub expires_at: Date,
    pub auth_group: String,
    pub kind: Kind,
    /// The relying party id it was begun for.
    pub domain: String,
    /// Whose passkey it must be. Without, whoever the passkey belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// The interaction that it was begun in and must end in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interaction: Option<String>,
    /// What the library has to remember, as JSON.
    pub state: String,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Ceremony {
    const COLLECTION: &'static Collection = &CEREMONIES;
    fn id(&self) -> &str {
        &self.id
    }
}
