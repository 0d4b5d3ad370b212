//! What reaches people's devices: services that the operator has chosen.

mod device;
mod http_proxy;
mod privakey;
mod totp;

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json};

use crate::accounts::Account;
use crate::app::App;
use crate::challenges::decoys;
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::outgoing::CallError;
use crate::plugins::providers::ChallengeKind;
use crate::plugins::rules::current;
use crate::secrets::Random;
use crate::store::StoreError;
use crate::totp::rules::TotpError;

pub use device::Device;
pub use http_proxy::HttpProxy;
pub use privakey::Privakey;
pub use totp::Totp;

/// How long a provider waits for an answer unless it is told otherwise.
pub const DURATION: &str = "5m";

/// Why a provider did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("the group's provider of challenges is not set up; ask the service's administrator")]
    Missing,
    #[error("the provider has no address to {0}; the service's administrator can set it")]
    Unsupported(&'static str),
    #[error("the provider did not do it: {0}")]
    Call(#[from] CallError),
    #[error("the provider's answer lacks {0}")]
    Answer(&'static str),
    #[error("the provider's client is gone; set the provider up again")]
    NoClient,
    #[error("the group has no credentials at the provider; set privakeyClient and privakeySecret")]
    NoCredentials,
    #[error("no token for the provider could be made: {0}")]
    Token(ApiError),
    #[error("the account has nothing set up to answer with")]
    NoDevice,
    #[error("too many wrong codes; the next one counts in {0} s")]
    TooMany(u64),
    #[error("{0}")]
    Broken(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<TotpError> for ProviderError {
    fn from(e: TotpError) -> Self {
        match e {
            TotpError::Store(e) => Self::Store(e),
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<ProviderError> for ApiError {
    fn from(e: ProviderError) -> Self {
        match e {
            ProviderError::Store(e) => e.into(),
            ProviderError::TooMany(wait) => Self::too_many(wait),
            ProviderError::Broken(cause) => Self::internal(cause),
            other => Self::failed_dependency(other.to_string()),
        }
    }
}

pub type Outcome<T> = Result<T, ProviderError>;

/// A question on its way to a device.
#[derive(Debug, Clone)]
pub struct Push<'a> {
    pub account: &'a str,
    /// What the answer is for.
    pub uid: &'a str,
    pub title: &'a str,
    pub header: &'a str,
    pub body: &'a str,
    pub event: Option<&'a str>,
    /// Where a custom challenge reports to.
    pub callback: Option<&'a str>,
    /// How long there is to answer, such as `10m`.
    pub duration: Option<&'a str>,
    /// What the device must enter, for groups that let numbers be matched.
    pub number: Option<&'a str>,
}

/// A question that the provider has taken on.
#[derive(Debug)]
pub struct Sent {
    /// The provider's id of it.
    pub key: String,
    /// What the provider answered.
    pub response: Json,
    /// What is stored with the challenge, beside what the asker gave. Nobody outside sees it.
    pub kept: Map<String, Json>,
}

impl Sent {
    pub fn new(key: String, response: Json) -> Self {
        Self {
            key,
            response,
            kept: Map::new(),
        }
    }
}

/// What somebody says was answered. Nothing of it is true until [`Provider::confirms`].
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    pub key: String,
    pub account: String,
    pub uid: String,
    /// Which button, as text.
    pub choice: String,
    /// All that came with the question, where the provider repeats it as one text.
    pub transaction: Option<String>,
}

impl Told {
    /// The first button is the one that approves.
    pub fn approves(&self) -> bool {
        self.choice == "0"
    }
}

/// How somebody sets a device up.
pub type Instructions = Map<String, Json>;

/// What can reach people's devices.
#[async_trait]
pub trait Provider: Send + Sync {
    /// How answers call it.
    fn name(&self) -> &'static str;
    async fn send(&self, app: &App, push: &Push<'_>) -> Outcome<Sent>;
    /// Called once the challenge is stored and can be answered.
    fn announce(&self, _: &App, _: &str) {}
    /// The body of a call back; none if it lacks something.
    fn read(&self, body: &Json) -> Option<Told>;
    /// Does the provider say so too?
    async fn confirms(&self, app: &App, told: &Told) -> Outcome<bool>;
    /// Gets ready for another device of the account.
    async fn bind(&self, app: &App, account: &Account) -> Outcome<Instructions>;
    /// Ids of the account's devices.
    async fn devices(&self, app: &App, account: &str) -> Outcome<Vec<String>>;
    async fn revoke(&self, app: &App, device: &str) -> Outcome<()>;
    /// Is the answer a code that is typed at the page which waits, rather than given on a device?
    fn asks_for_code(&self) -> bool {
        false
    }
    /// Does the code answer what the account was asked? A right one is used up.
    async fn takes_code(&self, _: &App, _: &Account, _: &str) -> Outcome<bool> {
        Ok(false)
    }
    /// An id for a question that is put to nobody, by those that it gave in the group lately. Whoever
    /// sees many of a provider elsewhere may tell one by what is not imitated: those that are counted,
    /// say, do not go on in order.
    fn decoy_key(&self, random: &Random, seen: &[String]) -> String {
        decoys::like(random, seen)
    }
    /// What it would have answered to such a question.
    async fn decoy(&self, _: &App, _: &Push<'_>, _: &str) -> Outcome<Json> {
        Ok(Json::Null)
    }
    /// Can its devices be told a number to enter?
    fn matches_numbers(&self) -> bool {
        false
    }
    /// What an answer proves beside the account (RFC 8176).
    fn amr(&self) -> &'static [&'static str] {
        if self.asks_for_code() { &["otp"] } else { &[] }
    }
    /// Does an account have a device only once that has shown that it works? Then the provider
    /// itself sets `mfa.enabled`, and binding does not.
    fn proves_devices(&self) -> bool {
        false
    }
}

/// Are device challenges switched on, for the whole server and for the group?
pub async fn is_on(app: &App, tenant: &Tenant) -> ApiResult<bool> {
    let plugins = current(app).await?;
    Ok(plugins.mfa_challenge.enabled && tenant.group.config.mfa_challenge.enable)
}

/// The group's provider.
pub async fn of(app: &App, tenant: &Tenant) -> ApiResult<Box<dyn Provider>> {
    let plugins = current(app).await?;
    let chosen = &tenant.group.config.mfa_challenge;
    if !plugins.mfa_challenge.enabled || !chosen.enable {
        return Err(ApiError::failed_dependency(
            "Device challenges are switched off for this group",
        ));
    }
    let kind = chosen.kind.as_deref().and_then(ChallengeKind::parse);
    let kind = kind.ok_or(ProviderError::Missing)?;
    let settings = plugins
        .mfa_challenge
        .providers
        .iter()
        .find(|p| p.get_str("type").and_then(ChallengeKind::parse) == Some(kind))
        .ok_or(ProviderError::Missing)?;
    Ok(match kind {
        ChallengeKind::HttpProxy => Box::new(HttpProxy::new(app, tenant, &settings.to_json())?),
        ChallengeKind::Privakey | ChallengeKind::PrivakeySuper => {
            Box::new(Privakey::new(app, tenant)?)
        }
        ChallengeKind::Totp => Box::new(Totp::new(tenant)),
        ChallengeKind::Device => Box::new(Device::new(app, tenant)),
    })
}

/// Takes away all devices that the group's provider knows of the account, as far as it can;
/// false if some may remain.
pub async fn revoke_all(app: &App, tenant: &Tenant, account: &str) -> bool {
    match is_on(app, tenant).await {
        Ok(false) => return true,
        Ok(true) => {}
        Err(cause) => {
            tracing::warn!(account, cause = %cause.message, "the provider of challenges is not known");
            return false;
        }
    }
    let provider = match of(app, tenant).await {
        Ok(provider) => provider,
        Err(cause) => {
            tracing::warn!(account, cause = %cause.message, "devices could not be listed");
            return false;
        }
    };
    take_away(app, account, &*provider).await.is_empty()
}

/// Takes away all devices that the provider knows of the account. What kept it from that is
/// answered, with the device if it was about one; it stops nothing.
pub async fn take_away(
    app: &App,
    account: &str,
    provider: &dyn Provider,
) -> Vec<(Option<String>, ProviderError)> {
    let devices = match provider.devices(app, account).await {
        Ok(devices) => devices,
        // the provider does not know the account
        Err(ProviderError::Call(CallError::Status(404))) => return Vec::new(),
        Err(cause) => {
            tracing::warn!(account, %cause, "devices could not be listed");
            return vec![(None, cause)];
        }
    };
    let mut faults = Vec::new();
    for device in devices {
        if let Err(cause) = provider.revoke(app, &device).await {
            tracing::warn!(account, device, %cause, "a device could not be revoked");
            faults.push((Some(device), cause));
        }
    }
    faults
}

/// A text that is there and not empty.
fn text(body: &Json, name: &str) -> Option<String> {
    crate::plugins::providers::text(body, name).map(ToOwned::to_owned)
}

/// Ids are texts, but some services number things.
fn id(body: &Json, name: &str) -> Option<String> {
    match body.get(name) {
        Some(Json::Number(n)) => Some(n.to_string()),
        _ => text(body, name),
    }
}

/// A button as text. Forms deliver numbers as texts.
fn choice(body: &Json, name: &str) -> Option<String> {
    let value = body.get(name)?;
    let number = match value {
        Json::Number(n) => n.as_f64(),
        Json::String(s) => s.trim().parse().ok(),
        _ => None,
    };
    Some(number.map_or_else(|| value.to_string(), |n: f64| (n + 0.0).to_string()))
}

/// All but the unreserved characters (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

fn parse(bytes: &[u8]) -> Outcome<Json> {
    serde_json::from_slice(bytes).map_err(|_| ProviderError::Answer("a body of JSON"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_number_nought_approves() {
        let said = |value: Json| choice(&json!({ "b": value }), "b");
        for zero in [json!(0), json!(0.0), json!(-0.0), json!("0"), json!(" 0 ")] {
            assert_eq!(said(zero.clone()).as_deref(), Some("0"), "{zero}");
        }
        for other in [
            json!(1),
            json!("1"),
            json!(null),
            json!(false),
            json!(""),
            json!([]),
            json!("NaN"),
            json!({}),
        ] {
            assert_ne!(said(other.clone()).as_deref(), Some("0"), "{other}");
        }
        assert_eq!(choice(&json!({}), "b"), None);
    }
}
