//! The stored auth group: its settings, its keys, and how it looks to clients.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::jose::Jwk;
use crate::number::Number;
use crate::store::{Collection, Date, Document, Expiry, Index, Object};

pub static AUTH_GROUPS: Collection = Collection {
    name: "auth_groups",
    indexes: &[
        Index::unique(&["prettyName"]),
        Index::unique(&["aliasDnsUi"]).when_set("aliasDnsUi"),
        Index::unique(&["aliasDnsOIDC"]).when_set("aliasDnsOIDC"),
    ],
    expiry: &[Expiry {
        field: "securityExpiration",
        after_seconds: 0,
    }],
};

/// A tenant as stored in `auth_groups`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthGroup {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub created_at: Date,
    #[serde(default)]
    pub modified_at: Date,
    #[serde(default = "system_admin")]
    pub modified_by: String,
    /// Removed at activation; a group that still has it vanishes at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_expiration: Option<Date>,
    #[serde(default)]
    pub active: bool,
    /// An e-mail address before activation, the id of an account afterwards.
    pub owner: String,
    #[serde(default)]
    pub pretty_name: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Object>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_domain: Option<String>,
    #[serde(
        default,
        rename = "primaryTOS",
        skip_serializing_if = "Option::is_none"
    )]
    pub primary_tos: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_privacy_policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_dns_ui: Option<String>,
    #[serde(
        default,
        rename = "aliasDnsOIDC",
        skip_serializing_if = "Option::is_none"
    )]
    pub alias_dns_oidc: Option<String>,
    #[serde(default)]
    pub config: GroupConfig,
    #[serde(default)]
    pub plugin_options: PluginOptions,
    #[serde(default)]
    pub locked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub associated_client: Option<String>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for AuthGroup {
    const COLLECTION: &'static Collection = &AUTH_GROUPS;
    fn id(&self) -> &str {
        &self.id
    }
}

pub(crate) fn system_admin() -> String {
    "SYSTEM_ADMIN".to_owned()
}

const fn yes() -> bool {
    true
}

/// `config` of a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupConfig {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Jwk>,
    /// Keys that no longer sign but still verify, each until its time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retired_keys: Vec<RetiredKeys>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cookie_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_logout_redirect: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_logout_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_skip_logout_confirm: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_skip_authorize: Option<bool>,
    pub restrict_password_repeats: bool,
    pub failed_login_thresholds: FailedLoginThresholds,
    pub password_policy: PasswordPolicy,
    pub require_verified: bool,
    pub auto_verify: bool,
    pub password_less_support: bool,
    pub central_password_reset: bool,
    pub scopes: Vec<String>,
    pub private_scopes: Vec<String>,
    pub acr_values: Vec<String>,
    pub pkce_required: bool,
    pub device_flow: bool,
    pub ui: Ui,
    pub ttl: Ttl,
    pub log_event_groups: LogEventGroups,
    pub federate: Federate,
    pub mfa_challenge: MfaChallenge,
    #[serde(flatten)]
    pub extra: Object,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            retired_keys: Vec::new(),
            cookie_keys: Vec::new(),
            default_logout_redirect: None,
            default_logout_name: None,
            global_skip_logout_confirm: None,
            global_skip_authorize: None,
            restrict_password_repeats: false,
            failed_login_thresholds: FailedLoginThresholds::default(),
            password_policy: PasswordPolicy::default(),
            require_verified: false,
            auto_verify: false,
            password_less_support: false,
            central_password_reset: true,
            scopes: Vec::new(),
            private_scopes: Vec::new(),
            acr_values: Vec::new(),
            pkce_required: false,
            device_flow: false,
            ui: Ui::default(),
            ttl: Ttl::default(),
            log_event_groups: LogEventGroups::default(),
            federate: Federate::default(),
            mfa_challenge: MfaChallenge::default(),
            extra: Object::default(),
        }
    }
}

/// Public keys of an earlier rotation and when the last token they signed runs out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetiredKeys {
    pub keys: Vec<Jwk>,
    pub until: Date,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct FailedLoginThresholds {
    pub enabled: bool,
    /// Failures within one hour that lock an account.
    pub threshold: Number,
    /// Hours.
    pub duration: Number,
    #[serde(flatten)]
    pub extra: Object,
}

impl Default for FailedLoginThresholds {
    fn default() -> Self {
        Self {
            enabled: false,
            threshold: 5.into(),
            duration: 2.into(),
            extra: Object::default(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct PasswordPolicy {
    pub enabled: bool,
    pub pattern: PasswordPattern,
    #[serde(flatten)]
    pub extra: Object,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            pattern: PasswordPattern::default(),
            extra: Object::default(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct PasswordPattern {
    pub characters: Number,
    pub special: bool,
    pub number: bool,
    pub caps: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<String>,
    #[serde(flatten)]
    pub extra: Object,
}

impl Default for PasswordPattern {
    fn default() -> Self {
        Self {
            characters: 6.into(),
            special: true,
            number: false,
            caps: false,
            custom: None,
            extra: Object::default(),
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ui {
    pub full_custom: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Object>,
    pub skin: Skin,
    /// Who may frame the group's pages, as in the CSP directive; none leaves it to the setting.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frame_ancestors: Vec<String>,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Skin {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub background_image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub splash_image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub favicon: Option<String>,
    pub login_orientation: String,
    pub bg_gradient_low: String,
    pub bg_gradient_high: String,
    #[serde(flatten)]
    pub extra: Object,
}

impl Default for Skin {
    fn default() -> Self {
        Self {
            background_image: None,
            splash_image: None,
            logo: None,
            favicon: None,
            login_orientation: "middle".to_owned(),
            bg_gradient_low: "#131525".to_owned(),
            bg_gradient_high: "#1D2035".to_owned(),
            extra: Object::default(),
        }
    }
}

/// Lifetimes in seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ttl {
    pub access_token: Number,
    pub authorization_code: Number,
    pub client_credentials: Number,
    pub device_code: Number,
    pub id_token: Number,
    pub refresh_token: Number,
    pub interaction: Number,
    pub session: Number,
    pub grant: Number,
    #[serde(flatten)]
    pub extra: Object,
}

impl Default for Ttl {
    fn default() -> Self {
        Self {
            access_token: 3600.into(),
            authorization_code: 600.into(),
            client_credentials: 3600.into(),
            device_code: 3600.into(),
            id_token: 3600.into(),
            refresh_token: 86_400.into(),
            interaction: 3600.into(),
            session: 864_000.into(),
            grant: 864_000.into(),
            extra: Object::default(),
        }
    }
}

/// Lifetimes in whole seconds, ready for use.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    pub access_token: i64,
    pub authorization_code: i64,
    pub client_credentials: i64,
    pub device_code: i64,
    pub id_token: i64,
    pub refresh_token: i64,
    pub interaction: i64,
    pub session: i64,
    pub grant: i64,
}

impl Ttl {
    /// Stored values that are no positive whole number count as the default.
    pub fn effective(&self) -> Lifetimes {
        let d = Self::default();
        let pick = |value: Number, default: Number| {
            value
                .as_i64()
                .filter(|n| *n > 0)
                .or_else(|| default.as_i64())
                .unwrap_or(3600)
        };
        Lifetimes {
            access_token: pick(self.access_token, d.access_token),
            authorization_code: pick(self.authorization_code, d.authorization_code),
            client_credentials: pick(self.client_credentials, d.client_credentials),
            device_code: pick(self.device_code, d.device_code),
            id_token: pick(self.id_token, d.id_token),
            refresh_token: pick(self.refresh_token, d.refresh_token),
            interaction: pick(self.interaction, d.interaction),
            session: pick(self.session, d.session),
            grant: pick(self.grant, d.grant),
        }
    }
}

impl Lifetimes {
    /// The longest life any signed token of the group may have.
    pub fn longest_signed(&self) -> i64 {
        self.access_token
            .max(self.client_credentials)
            .max(self.id_token)
    }
}

/// Which families of events the group publishes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogEventGroups {
    pub general: bool,
    pub access_token: bool,
    pub authorization: bool,
    pub backchannel: bool,
    pub client_credentials: bool,
    pub device_code: bool,
    pub session: bool,
    pub grant: bool,
    pub iat: bool,
    pub ui_interaction: bool,
    pub replay_detection: bool,
    pub pushed_authorization: bool,
    pub refresh_token: bool,
    pub registration: bool,
    pub account: bool,
    pub group: bool,
    pub plugin_notification: bool,
    pub organization: bool,
    pub domain: bool,
    pub product: bool,
    pub access: bool,
    pub role: bool,
    pub permission: bool,
    pub org_profile: bool,
    pub secured_profile: bool,
    #[serde(flatten)]
    pub extra: Object,
}

impl Default for LogEventGroups {
    fn default() -> Self {
        Self {
            general: false,
            access_token: true,
            authorization: false,
            backchannel: false,
            client_credentials: false,
            device_code: false,
            session: true,
            grant: false,
            iat: true,
            ui_interaction: false,
            replay_detection: true,
            pushed_authorization: true,
            refresh_token: false,
            registration: true,
            account: true,
            group: true,
            plugin_notification: true,
            organization: true,
            domain: true,
            product: true,
            access: true,
            role: true,
            permission: true,
            org_profile: false,
            secured_profile: false,
            extra: Object::default(),
        }
    }
}

/// Connections to upstream identity providers; each keeps every field it was given.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Federate {
    pub oidc: Vec<Object>,
    pub oauth2: Vec<Object>,
    pub saml: Vec<Object>,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MfaChallenge {
    pub enable: bool,
    pub required: bool,
    #[serde(default = "yes")]
    pub no_pass_login: bool,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Must devices be told the number that is shown where one waits?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_matching: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Object>,
    #[serde(flatten)]
    pub extra: Object,
}

impl Default for MfaChallenge {
    fn default() -> Self {
        Self {
            enable: false,
            required: false,
            no_pass_login: true,
            kind: None,
            number_matching: None,
            meta: None,
            extra: Object::default(),
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginOptions {
    pub external_streaming: Switch,
    #[serde(rename = "webAuthN")]
    pub web_authn: WebAuthn,
    pub notification: NotificationOptions,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Switch {
    pub enabled: bool,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WebAuthn {
    pub enable: bool,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Object>,
    #[serde(flatten)]
    pub extra: Object,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NotificationOptions {
    pub enabled: bool,
    pub ack_required_on_optional: bool,
    pub custom_service: Switch,
    #[serde(flatten)]
    pub extra: Object,
}

/// How much of the signing keys a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyView {
    Hidden,
    /// Public members under the stored field name.
    Public,
}

impl AuthGroup {
    /// The group as clients see it. Private key members, cookie keys and provider
    /// secrets never leave; public keys only with [`KeyView::Public`].
    pub fn public(&self, keys: KeyView) -> Json {
        let public_keys: Vec<Json> = self
            .config
            .keys
            .iter()
            .filter_map(|k| serde_json::to_value(k.public()).ok())
            .collect();
        let mut out = crate::http::reply::public_document(self);
        if let Some(map) = out.as_object_mut() {
            map.remove(crate::groups::bootstrap::CLAIM);
        }
        if let Some(config) = out.get_mut("config").and_then(Json::as_object_mut) {
            config.remove("keys");
            config.remove("cookieKeys");
            config.remove("retiredKeys");
            if keys == KeyView::Public {
                config.insert("keys".to_owned(), Json::Array(public_keys));
            }
            if let Some(mfa) = config.get_mut("mfaChallenge").and_then(Json::as_object_mut) {
                mfa.remove("meta");
            }
        }
        if let Some(meta) = out
            .pointer_mut("/pluginOptions/webAuthN")
            .and_then(Json::as_object_mut)
        {
            meta.remove("meta");
        }
        if let Some(key) = out
            .pointer_mut("/pluginOptions/notification/customService/customApiKey")
            .and_then(Json::as_object_mut)
        {
            key.remove("key");
        }
        out
    }

    /// Whether the group still waits for its owner's first account.
    pub fn is_pending(&self) -> bool {
        !self.active && self.owner.contains('@')
    }
}
