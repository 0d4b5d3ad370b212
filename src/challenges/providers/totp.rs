//! Codes of an authenticator app, for people without a second device. Nothing is sent anywhere.

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use super::{Instructions, Outcome, Provider, ProviderError, Push, Sent, Told};
use crate::accounts::Account;
use crate::app::App;
use crate::groups::Tenant;
use crate::totp::rules::{self, Verdict};

const STEPS: &[&str] = &[
    "Install an authenticator app on your phone, if you have none yet.",
    "Scan the code with the app, or type the secret into it.",
    "Enter the six digits that the app shows.",
];

#[derive(Debug)]
pub struct Totp {
    group: String,
    /// What the app calls this server.
    issuer: String,
}

impl Totp {
    pub fn new(tenant: &Tenant) -> Self {
        Self {
            group: tenant.id().to_owned(),
            issuer: tenant.group.name.clone(),
        }
    }
}

#[async_trait]
impl Provider for Totp {
    fn name(&self) -> &'static str {
        "totp"
    }

    async fn send(&self, app: &App, push: &Push<'_>) -> Outcome<Sent> {
        if rules::find(app, &self.group, push.account).await?.is_none() {
            return Err(ProviderError::NoDevice);
        }
        let response = json!({ "asksForCode": true });
        Ok(Sent::new(app.random.uuid(), response))
    }

    fn read(&self, _: &Json) -> Option<Told> {
        None
    }

    async fn confirms(&self, _: &App, _: &Told) -> Outcome<bool> {
        Ok(false)
    }

    async fn bind(&self, app: &App, account: &Account) -> Outcome<Instructions> {
        let new = rules::make(app, &self.group, &self.issuer, account).await?;
        let mut out = Instructions::new();
        out.insert("instructions".to_owned(), json!(STEPS));
        out.insert("displayName".to_owned(), account.email.clone().into());
        out.insert("qrCode".to_owned(), new.uri.into());
        out.insert("secret".to_owned(), new.base32.into());
        Ok(out)
    }

    async fn devices(&self, app: &App, account: &str) -> Outcome<Vec<String>> {
        let found = rules::find(app, &self.group, account).await?;
        Ok(found.into_iter().map(|secret| secret.id).collect())
    }

    async fn revoke(&self, app: &App, device: &str) -> Outcome<()> {
        rules::remove(app, &self.group, device).await?;
        Ok(())
    }

    fn asks_for_code(&self) -> bool {
        true
    }

    async fn takes_code(&self, app: &App, account: &Account, code: &str) -> Outcome<bool> {
        match rules::check(app, &self.group, &account.id, code).await? {
            Verdict::Right => Ok(true),
            Verdict::Wrong => Ok(false),
            Verdict::Refused(wait) => Err(ProviderError::TooMany(wait)),
        }
    }

    fn proves_devices(&self) -> bool {
        true
    }
}
