//! The stored message.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::deliveries::{Delivery, Outbound};
use crate::http::odata::{FieldType, Fields};
use crate::store::{Collection, Date, Document, Expiry, Index, Object};

pub static NOTIFICATIONS: Collection = Collection {
    name: "notifications",
    indexes: &[
        Index::plain(&["authGroupId", "processed"]),
        Index::plain(&["authGroupId", "recipientUserId"]),
        Index::plain(&["delivery.nextAt"]),
    ],
    expiry: &[Expiry::after("createdAt", 2_592_000)],
};

/// What list options may name. What may hold a token is neither compared nor sorted by.
pub static FIELDS: Fields = Fields::new(&[
    ("createdAt", FieldType::Date),
    ("createdBy", FieldType::Text),
    ("iss", FieldType::Text),
    ("type", FieldType::Text),
    ("formats", FieldType::List(&FieldType::Text)),
    ("recipientUserId", FieldType::Text),
    ("recipientEmail", FieldType::Text),
    ("recipientSms", FieldType::Text),
    ("authGroupId", FieldType::Text),
    ("subject", FieldType::Text),
    ("destinationUri", FieldType::Text),
    ("processed", FieldType::Bool),
    ("organization", FieldType::Text),
    ("branding", FieldType::Open),
    ("delivery.state", FieldType::Text),
    ("delivery.attempts", FieldType::Number),
    ("delivery.nextAt", FieldType::Date),
])
.select_only(&["screenUrl", "message", "meta"]);

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub created_at: Date,
    /// Account or client id, `proxy_<account>`, `proxy-<account>`, an address, or `SYSTEM`.
    pub created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `email` and `sms`.
    #[serde(default)]
    pub formats: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_user_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_sms: Option<String>,
    pub auth_group_id: String,
    /// What a press on the message's button opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub destination_uri: String,
    /// The service has accepted it.
    #[serde(default)]
    pub processed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branding: Option<Object>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Object>,
    /// Where the message stands on its way out; absent once it has been accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Notification {
    const COLLECTION: &'static Collection = &NOTIFICATIONS;
    fn id(&self) -> &str {
        &self.id
    }
}

impl Outbound for Notification {
    const NAME: &'static str = "notification";
    const GIVEN_UP: &'static str =
        "a message was given up; have it sent by the API once the cause is gone";

    fn delivery(&mut self) -> &mut Option<Delivery> {
        &mut self.delivery
    }
}

/// How the service is to present a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    #[default]
    General,
    ForgotPassword,
    Passwordless,
    Verify,
}

impl Kind {
    pub const NAMES: &'static [&'static str] =
        &["general", "forgotPassword", "passwordless", "verify"];

    pub fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::ForgotPassword => "forgotPassword",
            Self::Passwordless => "passwordless",
            Self::Verify => "verify",
        }
    }
}

/// A message to be sent. What is not said here follows from the group and the settings.
#[derive(Debug, Clone, Default)]
pub struct New {
    pub kind: Kind,
    pub created_by: String,
    /// The issuer the message speaks for; by default the group's on the service's host.
    pub iss: Option<String>,
    /// `email`, `sms`; if empty, those for which a recipient is known.
    pub formats: Vec<String>,
    pub recipient_user_id: Option<String>,
    pub recipient_email: Option<String>,
    pub recipient_sms: Option<String>,
    pub screen_url: Option<String>,
    pub subject: Option<String>,
    pub message: Option<String>,
    pub organization: Option<String>,
    /// A way to do by API what the link does.
    pub meta: Option<Json>,
    /// Seconds for which the message is of any use.
    pub good_for: Option<i64>,
}
