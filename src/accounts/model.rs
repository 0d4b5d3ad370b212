//! The stored account and its companions: failed logins, lock-outs, old password hashes.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::groups::model::system_admin;
use crate::store::{Collection, Date, Document, Expiry, Index, Object};

pub static ACCOUNTS: Collection = Collection {
    name: "accounts",
    indexes: &[
        Index::unique(&["email", "authGroup"]),
        Index::unique(&["username", "authGroup"]),
        Index::text(&["email", "username"]),
        Index::plain(&["authGroup", "access.organization.id"]),
        Index::plain(&["authGroup", "access.organization.roles"]),
        Index::plain(&["authGroup", "identities.provider", "identities.id"]),
        Index::plain(&["authGroup", "active"]),
        Index::plain(&["authGroup", "createdAt"]),
    ],
    expiry: &[],
};

pub static LOGIN_ATTEMPTS: Collection = Collection {
    name: "login-attempts",
    indexes: &[Index::plain(&["authGroup", "accountId"])],
    expiry: &[Expiry {
        field: "createdAt",
        after_seconds: 3600,
    }],
};

pub static LOGIN_TIMEOUTS: Collection = Collection {
    name: "login-timouts",
    indexes: &[Index::unique(&["accountId", "authGroup"])],
    expiry: &[Expiry {
        field: "expiresAt",
        after_seconds: 0,
    }],
};

pub static PASSWORD_HISTORY: Collection = Collection {
    name: "p-histories",
    indexes: &[Index::plain(&["authGroup", "accountId", "-createdAt"])],
    expiry: &[Expiry {
        field: "createdAt",
        after_seconds: 31_536_000,
    }],
};

/// Members that never leave the server.
pub const HIDDEN: &[&str] = &["password", "access", "phone", "identities", "recoverCodes"];

const fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub created_at: Date,
    #[serde(default)]
    pub modified_at: Date,
    #[serde(default = "system_admin")]
    pub modified_by: String,
    pub username: String,
    pub email: String,
    #[serde(default)]
    pub blocked: bool,
    pub auth_group: String,
    /// A password hash; anything else never matches.
    pub password: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    #[serde(default)]
    pub verified: bool,
    #[serde(default = "yes")]
    pub active: bool,
    #[serde(default, skip_serializing_if = "Mfa::is_unset")]
    pub mfa: Mfa,
    #[serde(default = "yes")]
    pub accepting_profile_requests: bool,
    #[serde(default)]
    pub my_notifications: MyNotifications,
    #[serde(default)]
    pub access: Vec<AccessEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    #[serde(default)]
    pub user_locked: bool,
    #[serde(default)]
    pub identities: Vec<Identity>,
    #[serde(default)]
    pub recover_codes: Vec<String>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Account {
    const COLLECTION: &'static Collection = &ACCOUNTS;
    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Phone {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txt: Option<String>,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mfa {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(flatten)]
    pub extra: Object,
}

impl Mfa {
    fn is_unset(&self) -> bool {
        self.enabled.is_none() && self.extra.is_empty()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MyNotifications {
    pub profile_requests: bool,
    #[serde(flatten)]
    pub extra: Object,
}

impl Default for MyNotifications {
    fn default() -> Self {
        Self {
            profile_requests: true,
            extra: Object::default(),
        }
    }
}

/// One organization the account belongs to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AccessEntry {
    #[serde(default)]
    pub organization: OrganizationAccess,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrganizationAccess {
    pub id: String,
    pub domains: Vec<String>,
    pub roles: Vec<String>,
    pub terms: Terms,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terms {
    pub required: bool,
    pub accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_delivered_on: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_of_access: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_accepted_on: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_version: Option<String>,
    #[serde(flatten)]
    pub extra: Object,
}

/// An account of the same person at an upstream provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    pub id: String,
    pub provider: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Object>,
    #[serde(flatten)]
    pub extra: Object,
}

impl Account {
    /// The account as clients see it, without [`HIDDEN`] members.
    pub fn public(&self) -> Json {
        let mut out = crate::http::reply::public_document(self);
        hide(&mut out);
        out
    }

    /// May this person sign in and use tokens at all?
    pub fn is_usable(&self) -> bool {
        self.active && !self.blocked && !self.user_locked
    }

    pub fn mfa_enabled(&self) -> bool {
        self.mfa.enabled == Some(true)
    }
}

/// Drops [`HIDDEN`] members of an account in JSON.
pub fn hide(out: &mut Json) {
    if let Some(map) = out.as_object_mut() {
        for name in HIDDEN {
            map.remove(*name);
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginAttempt {
    #[serde(rename = "_id")]
    pub id: String,
    pub created_at: Date,
    pub auth_group: String,
    pub account_id: String,
    #[serde(default, rename = "__v")]
    pub version: i32,
}

impl Document for LoginAttempt {
    const COLLECTION: &'static Collection = &LOGIN_ATTEMPTS;
    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginTimeout {
    #[serde(rename = "_id")]
    pub id: String,
    pub created_at: Date,
    pub expires_at: Date,
    pub auth_group: String,
    pub account_id: String,
    #[serde(default, rename = "__v")]
    pub version: i32,
}

impl Document for LoginTimeout {
    const COLLECTION: &'static Collection = &LOGIN_TIMEOUTS;
    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordHistory {
    #[serde(rename = "_id")]
    pub id: String,
    pub created_at: Date,
    pub auth_group: String,
    pub account_id: String,
    pub value: String,
    #[serde(default, rename = "__v")]
    pub version: i32,
}

impl Document for PasswordHistory {
    const COLLECTION: &'static Collection = &PASSWORD_HISTORY;
    fn id(&self) -> &str {
        &self.id
    }
}
