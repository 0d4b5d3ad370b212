//! The stored organization.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::clients::model::SecretView;
use crate::groups::model::system_admin;
use crate::store::{Collection, Date, Document, Index, Object, Value};

pub static ORGANIZATIONS: Collection = Collection {
    name: "organizations",
    indexes: &[
        Index::unique(&["name", "authGroup"]),
        Index::unique(&["authGroup", "externalId"]).when_set("externalId"),
        Index::unique(&["authGroup", "alias"]).when_set("alias"),
        Index::unique(&["authGroup", "ssoEmailDomain"]).when_set("ssoEmailDomain"),
        Index::unique(&["authGroup", "core"]).when_true("core"),
        Index::text(&["alias", "name", "description", "contactName"]),
        Index::plain(&["authGroup", "associatedProducts"]),
    ],
    expiry: &[],
};

const fn yes() -> bool {
    true
}

fn customer() -> String {
    "customer".to_owned()
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
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
    #[serde(default = "yes")]
    pub active: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default = "customer", rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    #[serde(default)]
    pub associated_products: Vec<String>,
    #[serde(default)]
    pub core: bool,
    #[serde(default)]
    pub email_domains: Vec<Value>,
    #[serde(default)]
    pub access: AccessTerms,
    #[serde(default)]
    pub profile_notifications: bool,
    #[serde(default)]
    pub restrict_email_domains: bool,
    #[serde(default)]
    pub sso_limit: bool,
    #[serde(default)]
    pub sso_add_account_to_org: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sso: Option<Object>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sso_email_domain: Option<String>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Organization {
    const COLLECTION: &'static Collection = &ORGANIZATIONS;
    fn id(&self) -> &str {
        &self.id
    }
}

/// Terms a member must accept before access counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessTerms {
    pub required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_version: Option<String>,
    pub disable_access_on_change: bool,
    #[serde(flatten)]
    pub extra: Object,
}

impl Organization {
    /// Does the part of the address after `@` belong to the organization?
    /// True when no domain is listed.
    pub fn allows_email(&self, email: &str) -> bool {
        let mut listed = self
            .email_domains
            .iter()
            .filter_map(Value::as_str)
            .peekable();
        if listed.peek().is_none() {
            return true;
        }
        let Some((_, domain)) = email.rsplit_once('@') else {
            return false;
        };
        listed.any(|d| d.trim_start_matches('@').eq_ignore_ascii_case(domain))
    }
}

impl Organization {
    /// The organization as clients see it, with secrets of its connection as `secrets` says.
    pub fn public(&self, secrets: SecretView) -> Json {
        let mut out = crate::http::reply::public_document(self);
        crate::organizations::sso::hide(&mut out, secrets);
        out
    }
}
