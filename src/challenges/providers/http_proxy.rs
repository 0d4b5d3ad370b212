//! A service of the operator's own, described by addresses and paths.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Map, Value as Json, json};

use super::{
    DURATION, Instructions, Outcome, Provider, ProviderError, Push, Sent, Told, choice, encode, id,
    parse, text,
};
use crate::accounts::Account;
use crate::app::App;
use crate::groups::{Tenant, tenant};
use crate::oidc::issue;
use crate::outgoing::Call;

/// What the service's token allows.
const SCOPE: &str = "api:write";

/// Path that a provider may lack, by what it is for.
type Path = Option<String>;

#[derive(Debug)]
pub struct HttpProxy {
    domain: String,
    challenge: String,
    validate: String,
    bind: Path,
    devices: Path,
    revoke: Path,
    /// Client of the root group in whose name it is called.
    client: String,
    screen: Option<String>,
    instructions: Option<String>,
    button: Option<String>,
    /// Where it reports answers to.
    callback: String,
}

impl HttpProxy {
    pub fn new(app: &App, tenant: &Tenant, settings: &Json) -> Outcome<Self> {
        let api = settings.get("api").unwrap_or(&Json::Null);
        let path = |name| text(api, name);
        let alias = tenant.group.alias_dns_oidc.as_deref();
        let origin = tenant::origin(app, alias.filter(|host| !host.is_empty()));
        Ok(Self {
            domain: path("domain").ok_or(ProviderError::Missing)?,
            challenge: path("challenge").ok_or(ProviderError::Missing)?,
            validate: path("validate").ok_or(ProviderError::Missing)?,
            bind: path("bind"),
            devices: path("devices"),
            revoke: path("revoke"),
            client: text(settings, "proxyClientId").ok_or(ProviderError::NoClient)?,
            screen: text(settings, "proxyEnableScreen"),
            instructions: text(settings, "proxyEnableInstructions"),
            button: text(settings, "proxyEnableScreenButtonText"),
            callback: format!("{origin}/api/{}/mfa/callback", tenant.id()),
        })
    }

    async fn token(&self, app: &App) -> Outcome<Arc<str>> {
        let root = app.tenants.active(app, "root").await;
        let root = root
            .map_err(|e| ProviderError::Token(e.into()))?
            .ok_or(ProviderError::NoClient)?;
        let client = crate::clients::rules::find(app, &root, &self.client)
            .await?
            .ok_or(ProviderError::NoClient)?;
        issue::service_token(app, &root, &client, SCOPE, &self.domain).map_err(ProviderError::Token)
    }

    async fn call(
        &self,
        app: &App,
        method: Method,
        path: &str,
        body: Option<Json>,
    ) -> Outcome<Vec<u8>> {
        let mut call = Call::new(method, format!("{}{path}", self.domain))
            .authorized(&format!("Bearer {}", self.token(app).await?))?;
        call = match body {
            Some(body) => call.json(&body),
            None => call.content("application/json", Vec::new()),
        };
        Ok(app.outgoing.exchange(call).await?)
    }
}

/// The query of the set-up page: all that the service said about the new device.
fn query(bound: &Json) -> String {
    let pair = |name: &str, value: &Json| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned);
        format!("{}={}", encode(name), encode(&value))
    };
    match bound {
        Json::Object(members) => members.iter().fold(String::new(), |text, (name, value)| {
            text + &pair(name, value) + "&"
        }),
        other => pair("params", other),
    }
}

/// What the service is to repeat.
fn details(push: &Push<'_>) -> Map<String, Json> {
    let mut details = Map::new();
    details.insert("uid".to_owned(), push.uid.into());
    details.insert("accountId".to_owned(), push.account.into());
    if let Some(event) = push.event {
        details.insert("event".to_owned(), event.into());
    }
    details
}

#[async_trait]
impl Provider for HttpProxy {
    fn name(&self) -> &'static str {
        "http-proxy"
    }

    async fn send(&self, app: &App, push: &Push<'_>) -> Outcome<Sent> {
        let details = details(push);
        let body = json!({
            "accountId": push.account,
            "duration": push.duration.unwrap_or(DURATION),
            "interactionDetails": details,
            "callback": self.callback,
            "content": { "title": push.title, "header": push.header, "body": push.body },
            "options": [
                { "title": "Approve", "color": "green" },
                { "title": "Decline", "color": "red" },
            ],
            "notification": { "title": push.title, "message": push.title },
        });
        let answer = self
            .call(app, Method::POST, &self.challenge, Some(body))
            .await?;
        let response = parse(&answer)?;
        let key = id(&response, "id").ok_or(ProviderError::Answer("id"))?;
        let details = response.get("interactionDetails").unwrap_or(&Json::Null);
        if text(details, "uid").is_none() || text(details, "accountId").is_none() {
            return Err(ProviderError::Answer("interactionDetails"));
        }
        Ok(Sent::new(key, response))
    }

    /// As far as it is known: services may tell more.
    async fn decoy(&self, _: &App, push: &Push<'_>, key: &str) -> Outcome<Json> {
        Ok(json!({ "id": key, "interactionDetails": details(push) }))
    }

    fn read(&self, body: &Json) -> Option<Told> {
        let details = body.get("interactionDetails").unwrap_or(&Json::Null);
        // forms say it in brackets
        let detail = |name| {
            text(details, name).or_else(|| text(body, &format!("interactionDetails[{name}]")))
        };
        Some(Told {
            key: id(body, "id")?,
            account: detail("accountId")?,
            uid: detail("uid")?,
            choice: choice(body, "action")?,
            transaction: None,
        })
    }

    async fn confirms(&self, app: &App, told: &Told) -> Outcome<bool> {
        let path = format!("{}?requestId={}", self.validate, encode(&told.key));
        let answer = self.call(app, Method::GET, &path, None).await?;
        Ok(self.read(&parse(&answer)?).as_ref() == Some(told))
    }

    async fn bind(&self, app: &App, account: &Account) -> Outcome<Instructions> {
        let path = self.bind.as_deref();
        let path = path.ok_or(ProviderError::Unsupported("bind devices"))?;
        let body = json!({ "accountId": account.id });
        let bound = parse(&self.call(app, Method::PUT, path, Some(body)).await?)?;
        if id(&bound, "id").is_none() {
            return Err(ProviderError::Answer("id"));
        }
        let steps = self.instructions.as_deref().map_or_else(Vec::new, |text| {
            let safe = text.replace('<', "&lt;").replace('>', "&gt;");
            safe.split("--").map(ToOwned::to_owned).collect()
        });
        let mut out = Map::new();
        out.insert("instructions".to_owned(), json!(steps));
        out.insert("displayName".to_owned(), account.email.clone().into());
        if let Some(screen) = &self.screen {
            let url = format!("{screen}?{}", query(&bound));
            out.insert("setupScreen".to_owned(), url.into());
        }
        if let Some(button) = &self.button {
            out.insert("setupScreenButtonText".to_owned(), button.clone().into());
        }
        let code = text(&bound, "qrCode").map_or(Json::Bool(false), Json::String);
        out.insert("qrCode".to_owned(), code);
        Ok(out)
    }

    async fn devices(&self, app: &App, account: &str) -> Outcome<Vec<String>> {
        let path = self.devices.as_deref();
        let path = path.ok_or(ProviderError::Unsupported("list devices"))?;
        let path = format!("{path}?accountId={}", encode(account));
        let answer = parse(&self.call(app, Method::GET, &path, None).await?)?;
        let list = answer
            .as_array()
            .ok_or(ProviderError::Answer("a list of devices"))?;
        Ok(list.iter().filter_map(|device| id(device, "id")).collect())
    }

    async fn revoke(&self, app: &App, device: &str) -> Outcome<()> {
        let path = self.revoke.as_deref();
        let path = path.ok_or(ProviderError::Unsupported("revoke devices"))?;
        let body = json!({ "deviceId": device });
        self.call(app, Method::POST, path, Some(body)).await?;
        Ok(())
    }
}
