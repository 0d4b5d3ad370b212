//! People's own phones and browsers, enrolled at this server.

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use super::{Instructions, Outcome, Provider, ProviderError, Push, Sent, Told};
use crate::accounts::Account;
use crate::app::App;
use crate::devices::{enrol, push, rules};
use crate::groups::{Tenant, tenant};
use crate::secrets::Random;

const STEPS: &[&str] = &[
    "Scan the code with your phone, or open the page in the browser that shall be your device.",
    "Give the device a name and set it up.",
    "Keep the page at hand, for example on the home screen: it asks you when somebody signs in.",
];

#[derive(Debug)]
pub struct Device {
    group: String,
    /// Where the group's pages are.
    origin: String,
}

impl Device {
    pub fn new(app: &App, tenant: &Tenant) -> Self {
        let alias = tenant.group.alias_dns_oidc.as_deref();
        Self {
            group: tenant.id().to_owned(),
            origin: tenant::origin(app, alias.filter(|host| !host.is_empty())),
        }
    }
}

fn response(devices: usize) -> Json {
    json!({ "devices": devices })
}

#[async_trait]
impl Provider for Device {
    fn name(&self) -> &'static str {
        "device"
    }

    async fn send(&self, app: &App, push: &Push<'_>) -> Outcome<Sent> {
        let devices = rules::list(app, &self.group, push.account).await?;
        if devices.is_empty() {
            return Err(ProviderError::NoDevice);
        }
        let mut sent = Sent::new(app.random.uuid(), response(devices.len()));
        for (name, value) in [
            ("nonce", app.random.token43()),
            ("title", push.title.to_owned()),
            ("header", push.header.to_owned()),
            ("message", push.body.to_owned()),
        ] {
            sent.kept.insert(name.to_owned(), value.into());
        }
        if let Some(number) = push.number {
            sent.kept.insert("number".to_owned(), number.into());
        }
        Ok(sent)
    }

    fn announce(&self, app: &App, account: &str) {
        push::wake(app, &self.group, account);
    }

    fn read(&self, _: &Json) -> Option<Told> {
        None
    }

    async fn confirms(&self, _: &App, _: &Told) -> Outcome<bool> {
        Ok(false)
    }

    async fn bind(&self, app: &App, account: &Account) -> Outcome<Instructions> {
        let code = enrol::begin(app, &self.group, &account.id).await?;
        let address = enrol::address(&self.origin, &self.group, &code);
        let mut out = Instructions::new();
        out.insert("instructions".to_owned(), json!(STEPS));
        out.insert("displayName".to_owned(), account.email.clone().into());
        out.insert("setupScreen".to_owned(), address.clone().into());
        let button = "Make this browser my device";
        out.insert("setupScreenButtonText".to_owned(), button.into());
        out.insert("qrCode".to_owned(), address.into());
        Ok(out)
    }

    async fn devices(&self, app: &App, account: &str) -> Outcome<Vec<String>> {
        let all = rules::list(app, &self.group, account).await?;
        Ok(all.into_iter().map(|device| device.id).collect())
    }

    async fn revoke(&self, app: &App, device: &str) -> Outcome<()> {
        Ok(rules::revoke(app, &self.group, device).await?)
    }

    fn decoy_key(&self, random: &Random, _: &[String]) -> String {
        random.uuid()
    }

    async fn decoy(&self, app: &App, push: &Push<'_>, _: &str) -> Outcome<Json> {
        let devices = rules::list(app, &self.group, push.account).await?;
        Ok(response(devices.len().max(1)))
    }

    fn matches_numbers(&self) -> bool {
        true
    }

    /// A key that a browser keeps.
    fn amr(&self) -> &'static [&'static str] {
        &["swk"]
    }

    /// By the signature that enrols it.
    fn proves_devices(&self) -> bool {
        true
    }
}
