//! The service of Privakey.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value as Json, json};

use super::{
    DURATION, Instructions, Outcome, Provider, ProviderError, Push, Sent, Told, choice, encode, id,
    parse, text,
};
use crate::accounts::Account;
use crate::app::App;
use crate::groups::{Tenant, tenant};
use crate::outgoing::Call;

const SERVICE: &str = "https://cloud.privakey.com";

pub struct Privakey {
    service: String,
    /// What goes into the header (RFC 7617).
    credentials: SecretString,
    duration: Option<String>,
    /// Where it reports answers to.
    callback: String,
}

impl Privakey {
    pub fn new(app: &App, tenant: &Tenant) -> Outcome<Self> {
        Self::at(SERVICE, app, tenant)
    }

    pub(crate) fn at(service: &str, app: &App, tenant: &Tenant) -> Outcome<Self> {
        let meta = tenant.group.config.mfa_challenge.meta.as_ref();
        let member = |name| {
            meta.and_then(|m| m.get_str(name))
                .filter(|s| !s.is_empty())
                .map(ToOwned::to_owned)
        };
        let user = member("privakeyClient").ok_or(ProviderError::NoCredentials)?;
        let secret = member("privakeySecret").ok_or(ProviderError::NoCredentials)?;
        let pair = STANDARD.encode(format!("{user}:{secret}"));
        Ok(Self {
            service: service.to_owned(),
            credentials: format!("Basic {pair}").into(),
            duration: member("duration"),
            callback: format!(
                "{}/api/{}/mfa/callback",
                tenant::origin(app, None),
                tenant.id()
            ),
        })
    }

    fn request(&self, method: Method, path: &str) -> Outcome<Call> {
        let call = Call::new(method, format!("{}{path}", self.service));
        Ok(call.authorized(self.credentials.expose_secret())?)
    }
}

/// Whom and what a transaction is about.
fn about(transaction: &str) -> Option<(String, String)> {
    let parsed: Json = serde_json::from_str(transaction).ok()?;
    Some((text(&parsed, "uid")?, text(&parsed, "accountId")?))
}

/// What the service is to repeat, as one text.
fn transaction(push: &Push<'_>) -> String {
    let mut transaction = Map::new();
    transaction.insert("uid".to_owned(), push.uid.into());
    transaction.insert("accountId".to_owned(), push.account.into());
    for (name, value) in [("event", push.event), ("cb", push.callback)] {
        if let Some(value) = value {
            transaction.insert(name.to_owned(), value.into());
        }
    }
    Json::Object(transaction).to_string()
}

#[async_trait]
impl Provider for Privakey {
    fn name(&self) -> &'static str {
        "privakey"
    }

    async fn send(&self, app: &App, push: &Push<'_>) -> Outcome<Sent> {
        let transaction = transaction(push);
        let duration = push.duration.or(self.duration.as_deref());
        let form = [
            ("accountId", push.account),
            ("duration", duration.unwrap_or(DURATION)),
            ("additionalInfo[template]", "true"),
            ("transactionId", &transaction),
            ("notificationTitle", push.title),
            ("notificationBody", push.title),
            ("callback", &self.callback),
            ("showCode", "true"),
            ("showNotification", "true"),
            ("content[title]", push.title),
            ("content[keys][0][key]", push.header),
            ("content[keys][0][value]", push.body),
            ("buttons[0][title]", "Approve"),
            ("buttons[0][strongAuth]", "true"),
            ("buttons[0][style]", r##"{"color":"#16C656"}"##),
            ("buttons[1][title]", "Decline"),
            ("buttons[1][strongAuth]", "false"),
            ("buttons[1][style]", r##"{"color":"#FF6600"}"##),
        ];
        let call = self.request(Method::POST, "/api/request/add")?.form(&form);
        let response = parse(&app.outgoing.exchange(call).await?)?;
        let repeated = text(&response, "transactionId");
        let repeated = repeated.ok_or(ProviderError::Answer("transactionId"))?;
        if about(&repeated) != Some((push.uid.to_owned(), push.account.to_owned())) {
            return Err(ProviderError::Answer("the transaction that it was sent"));
        }
        let key = id(&response, "guid").ok_or(ProviderError::Answer("guid"))?;
        Ok(Sent::new(key, response))
    }

    /// As far as it is known: the service may tell more.
    async fn decoy(&self, _: &App, push: &Push<'_>, key: &str) -> Outcome<Json> {
        Ok(json!({ "guid": key, "transactionId": transaction(push) }))
    }

    fn read(&self, body: &Json) -> Option<Told> {
        let transaction = text(body, "transactionId")?;
        let (uid, account) = about(&transaction)?;
        Some(Told {
            key: id(body, "guid")?,
            account,
            uid,
            choice: choice(body, "buttonSelected")?,
            transaction: Some(transaction),
        })
    }

    async fn confirms(&self, app: &App, told: &Told) -> Outcome<bool> {
        let path = format!("/api/request/getRequest?requestGuid={}", encode(&told.key));
        let call = self.request(Method::GET, &path)?;
        let answer = parse(&app.outgoing.exchange(call).await?)?;
        Ok(self.read(&answer).as_ref() == Some(told))
    }

    async fn bind(&self, app: &App, account: &Account) -> Outcome<Instructions> {
        let call = self
            .request(Method::PUT, "/api/account/bind")?
            .json(&json!({ "accountId": account.id }));
        let bound = parse(&app.outgoing.exchange(call).await?)?;
        let member = |name: &'static str| id(&bound, name).ok_or(ProviderError::Answer(name));
        let code = format!(
            "authwallet://st={}&appSpaceGuid={}&appSpaceName={}&privakeyId={}&displayName={}",
            member("sessionToken")?,
            member("appSpaceGuid")?,
            member("appSpaceName")?,
            member("privakeyId")?,
            account.email,
        );
        let steps = [
            "Get the app Privakey AuthWallet from the app store of your phone.",
            "Open the app and let it send you notifications.",
            "Choose to add an account, and point the phone's camera at the code on this page.",
            "Follow the app until it shows your account; then sign in again.",
        ];
        let mut out = Map::new();
        out.insert("instructions".to_owned(), json!(steps));
        out.insert("qrCode".to_owned(), code.into());
        Ok(out)
    }

    async fn devices(&self, app: &App, account: &str) -> Outcome<Vec<String>> {
        let path = format!("/api/device/getAll?accountId={}", encode(account));
        let call = self.request(Method::GET, &path)?;
        let answer = parse(&app.outgoing.exchange(call).await?)?;
        let list = answer
            .as_array()
            .ok_or(ProviderError::Answer("a list of devices"))?;
        Ok(list
            .iter()
            .filter_map(|device| id(device, "guid"))
            .collect())
    }

    async fn revoke(&self, app: &App, device: &str) -> Outcome<()> {
        let call = self
            .request(Method::PATCH, "/api/device/revoke")?
            .json(&json!({ "deviceGuid": device }));
        app.outgoing.exchange(call).await?;
        Ok(())
    }
}
