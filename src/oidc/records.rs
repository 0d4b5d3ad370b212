//! What the provider stores: one collection per kind, each `{_id, payload, expiresAt?}`.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{Collection, Date, Document, Expiry, Index, Object, Value};

const EXPIRES: &[Expiry] = &[Expiry {
    field: "expiresAt",
    after_seconds: 0,
}];

macro_rules! collections {
    ($($const:ident $name:literal [$($index:expr),*];)*) => {
        $(pub static $const: Collection = Collection { name: $name, indexes: &[$($index),*], expiry: EXPIRES };)*
    };
}

collections! {
    ACCESS_TOKENS "access_token" [Index::plain(&["payload.grantId"]), Index::plain(&["payload.accountId"])];
    AUTHORIZATION_CODES "authorization_code" [Index::plain(&["payload.grantId"])];
    REFRESH_TOKENS "refresh_token" [Index::plain(&["payload.grantId"]), Index::plain(&["payload.accountId"])];
    CLIENT_CREDENTIALS "client_credentials" [Index::plain(&["payload.clientId"])];
    DEVICE_CODES "device_code" [Index::plain(&["payload.grantId"]), Index::unique(&["payload.userCode"])];
    INITIAL_ACCESS_TOKENS "initial_access_token" [Index::plain(&["payload.auth_group"])];
    REGISTRATION_ACCESS_TOKENS "registration_access_token" [Index::plain(&["payload.clientId"])];
    INTERACTIONS "interaction" [];
    SESSIONS "session" [Index::unique(&["payload.uid"]), Index::plain(&["payload.accountId"])];
    GRANTS "grant" [Index::plain(&["payload.accountId"])];
    REPLAY_DETECTION "replay_detection" [];
    PUSHED_AUTHORIZATION_REQUESTS "pushed_authorization_request" [];
}

/// A stored artefact of the provider. `id` is the token value itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "P: DeserializeOwned"))]
pub struct Record<P> {
    #[serde(rename = "_id")]
    pub id: String,
    pub payload: P,
    #[serde(default, rename = "expiresAt", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Date>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

/// A payload that has a collection of its own.
pub trait Payload: Serialize + DeserializeOwned + Send + Sync + 'static {
    const COLLECTION: &'static Collection;
}

impl<P: Payload> Document for Record<P> {
    const COLLECTION: &'static Collection = P::COLLECTION;
    fn id(&self) -> &str {
        &self.id
    }
}

impl<P> Record<P> {
    /// `exp` in seconds since the epoch; none never expires.
    pub fn new(id: String, payload: P, exp: Option<i64>) -> Self {
        Self {
            id,
            payload,
            expires_at: exp.map(|s| Date::from_millis(s.saturating_mul(1000))),
            version: 0,
            extra: Object::default(),
        }
    }
}

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident in $collection:ident { $($(#[$attr:meta])* $field:ident : $ty:ty = $wire:literal),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Default, Serialize, Deserialize)]
            pub struct $name {
                #[serde(default, skip_serializing_if = "is_zero")]
                pub iat: i64,
                /// Seconds since the epoch; 0 means never.
                #[serde(default, skip_serializing_if = "is_zero")]
                pub exp: i64,
                #[serde(default)]
                pub jti: String,
                #[serde(default)]
                pub kind: String,
                $($(#[$attr])* #[serde(default, rename = $wire, skip_serializing_if = "Blank::blank")] pub $field: $ty,)*
                #[serde(flatten)]
                pub more: Object,
            }
            impl Payload for $name {
                const COLLECTION: &'static Collection = &$collection;
            }
        )*
    };
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Members without a value are absent in the store.
trait Blank {
    fn blank(&self) -> bool;
}

impl<T> Blank for Option<T> {
    fn blank(&self) -> bool {
        self.is_none()
    }
}
impl Blank for bool {
    fn blank(&self) -> bool {
        !*self
    }
}
impl Blank for String {
    fn blank(&self) -> bool {
        self.is_empty()
    }
}
impl Blank for i64 {
    fn blank(&self) -> bool {
        *self == 0
    }
}
impl<T> Blank for Vec<T> {
    fn blank(&self) -> bool {
        self.is_empty()
    }
}
impl<K, V> Blank for BTreeMap<K, V> {
    fn blank(&self) -> bool {
        self.is_empty()
    }
}
impl Blank for Object {
    fn blank(&self) -> bool {
        self.is_empty()
    }
}
impl Blank for Prompt {
    fn blank(&self) -> bool {
        false
    }
}

payloads! {
    /// An opaque access token; signed ones are not stored.
    AccessToken in ACCESS_TOKENS {
        client_id: String = "clientId",
        account_id: String = "accountId",
        grant_id: String = "grantId",
        gty: String = "gty",
        scope: Option<String> = "scope",
        session_uid: Option<String> = "sessionUid",
        sid: Option<String> = "sid",
        expires_with_session: bool = "expiresWithSession",
        claims: Option<Object> = "claims",
        aud: Option<Value> = "aud",
        /// Claims computed at issue: group, email, `x-access-…`.
        extra: Object = "extra",
    }
    AuthorizationCode in AUTHORIZATION_CODES {
        client_id: String = "clientId",
        account_id: String = "accountId",
        grant_id: String = "grantId",
        auth_time: i64 = "authTime",
        acr: Option<String> = "acr",
        amr: Vec<String> = "amr",
        nonce: Option<String> = "nonce",
        resource: Option<Value> = "resource",
        scope: Option<String> = "scope",
        session_uid: Option<String> = "sessionUid",
        sid: Option<String> = "sid",
        expires_with_session: bool = "expiresWithSession",
        redirect_uri: Option<String> = "redirectUri",
        code_challenge: Option<String> = "codeChallenge",
        code_challenge_method: Option<String> = "codeChallengeMethod",
        claims: Option<Object> = "claims",
        consumed: i64 = "consumed",
    }
    RefreshToken in REFRESH_TOKENS {
        client_id: String = "clientId",
        account_id: String = "accountId",
        grant_id: String = "grantId",
        gty: String = "gty",
        auth_time: i64 = "authTime",
        acr: Option<String> = "acr",
        amr: Vec<String> = "amr",
        nonce: Option<String> = "nonce",
        resource: Option<Value> = "resource",
        scope: Option<String> = "scope",
        session_uid: Option<String> = "sessionUid",
        sid: Option<String> = "sid",
        expires_with_session: bool = "expiresWithSession",
        claims: Option<Object> = "claims",
        /// When the first token of the chain was issued.
        iiat: i64 = "iiat",
        rotations: Option<i64> = "rotations",
        consumed: i64 = "consumed",
        /// The token that replaced this one, for retries within the grace period.
        successor: Option<String> = "successor",
    }
    ClientCredentials in CLIENT_CREDENTIALS {
        client_id: String = "clientId",
        scope: Option<String> = "scope",
        aud: Option<Value> = "aud",
        extra: Object = "extra",
    }
    /// `purpose` says what the token is for; see [`Purpose`].
    InitialAccessToken in INITIAL_ACCESS_TOKENS {
        policies: Vec<String> = "policies",
        auth_group: String = "auth_group",
        sub: Option<String> = "sub",
        email: Option<String> = "email",
        uid: Option<String> = "uid",
        state: Option<String> = "state",
        /// Whoever was given it had proven all that a sign-in asks for.
        strong: bool = "strong",
        purpose: Option<Purpose> = "purpose",
    }
    RegistrationAccessToken in REGISTRATION_ACCESS_TOKENS {
        client_id: String = "clientId",
        policies: Vec<String> = "policies",
    }
    Interaction in INTERACTIONS {
        return_to: String = "returnTo",
        prompt: Prompt = "prompt",
        params: Object = "params",
        session: Option<InteractionSession> = "session",
        grant_id: Option<String> = "grantId",
        last_submission: Option<Object> = "lastSubmission",
        trusted: Vec<Value> = "trusted",
        result: Option<Object> = "result",
        device_code: Option<String> = "deviceCode",
        /// Guards the forms of the interaction's pages.
        csrf: Option<String> = "csrf",
        /// Set by the server alone once an upstream sign-in succeeded.
        federated: bool = "federated",
        /// The question to a device that has to be answered before somebody is signed in.
        waiting: Option<Waiting> = "waiting",
    }
    Session in SESSIONS {
        uid: String = "uid",
        account_id: Option<String> = "accountId",
        login_ts: Option<i64> = "loginTs",
        acr: Option<String> = "acr",
        amr: Vec<String> = "amr",
        transient: bool = "transient",
        state: Option<LogoutState> = "state",
        authorizations: BTreeMap<String, ClientAuthorization> = "authorizations",
    }
    Grant in GRANTS {
        account_id: String = "accountId",
        client_id: String = "clientId",
        openid: Option<OpenidGrant> = "openid",
        resources: BTreeMap<String, String> = "resources",
        rejected: Option<Object> = "rejected",
    }
    ReplayDetection in REPLAY_DETECTION {
        iss: String = "iss",
    }
}

/// What an initial access token may be used for. Tokens of an older database have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Registers OAuth clients (RFC 7591 §3).
    ClientRegistration,
    /// Activates a new group.
    GroupActivation,
    /// Sets a password or verifies an address by a mailed link.
    AccountAction,
    /// Opens the emergency-lock page.
    LockNotice,
    /// Locks the account.
    AccountLock,
    /// Finishes a recovery with codes.
    AccountRecovery,
    /// Step-up of passkey and device flows.
    StepUp,
    /// Mailed proof for binding another device.
    DeviceCode,
    /// Signs in by a mailed link.
    MagicLink,
    /// Stands for what was proven of a sign-in whose second factor is still to come.
    SecondFactor,
    /// Lists the groups an address owns.
    GroupOwner,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Prompt {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub reasons: Vec<String>,
    #[serde(default, skip_serializing_if = "Object::is_empty")]
    pub details: Object,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InteractionSession {
    #[serde(default)]
    pub account_id: String,
    #[serde(default)]
    pub uid: String,
    #[serde(default)]
    pub cookie: String,
    #[serde(flatten)]
    pub more: Object,
}

/// Who is to be signed in by a device, and what was proven before. Nobody but the server writes it,
/// so an approval is worth no more than what led to the question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Waiting {
    pub account_id: String,
    /// The provider's id of the question; none before one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Has the account been proven without the device?
    pub proven: bool,
    /// The token that stands for it; it ends with the password and with all other proofs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// How it was (RFC 8176).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// Is it the first device, which approves for the first time?
    pub binding: bool,
    /// What the page shows, for the device to enter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Is a code to be typed at the page?
    pub by_code: bool,
}

/// What a pending logout must remember.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogoutState {
    #[serde(default)]
    pub secret: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_logout_redirect_uri: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientAuthorization {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub persists_logout: bool,
    #[serde(flatten)]
    pub more: Object,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenidGrant {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    #[serde(flatten)]
    pub more: Object,
}
