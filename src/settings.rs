//! Typed settings: compiled-in defaults < file < environment < flags.
//!
//! `config/default.toml` is the list of settings: it says which exist, of which kind they are, and
//! their defaults. A setting that the file lacks does not deserialize, and one that no struct knows
//! does not either, so the two cannot drift apart.

mod check;
mod readers;
mod sections;
mod smtp;
mod sources;

use serde::Deserialize;

pub use check::{Finding, Severity};
pub use sections::{
    Actors, Bootstrap, Bus, Cache, Events, Groups, Hash, Limits, Listen, LogFormat, Logging,
    Metrics, Notifications, Oidc, Outgoing, Protocol, RateLimit, RateLimits, ScopePattern, Scopes,
    Security, Server, Store, Tls, Ui,
};
pub use smtp::{SmtpTls, SmtpUrl, SmtpUrlError};
pub use sources::{SettingsError, Sources};

/// All settings of one server process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub server: Server,
    pub tls: Tls,
    pub store: Store,
    pub bus: Bus,
    pub ui: Ui,
    pub bootstrap: Bootstrap,
    pub groups: Groups,
    pub security: Security,
    pub oidc: Oidc,
    pub scopes: Scopes,
    pub events: Events,
    pub logging: Logging,
    pub metrics: Metrics,
    pub hash: Hash,
    pub limits: Limits,
    pub actors: Actors,
    pub cache: Cache,
    pub outgoing: Outgoing,
    pub notifications: Notifications,
    pub rate_limits: RateLimits,
    /// Names in the file or the environment that look like settings and are none.
    #[serde(skip)]
    unknown: Vec<String>,
}

impl Settings {
    /// Reads all sources. Fails on the first value that can not be used, naming its setting.
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let merged = sources.merge()?;
        let mut settings = merged.deserialize()?;
        settings.unknown = merged.unknown;
        Ok(settings)
    }

    /// The compiled-in settings.
    pub fn defaults() -> Result<Self, SettingsError> {
        Self::load(&Sources::default())
    }

    /// `true` unless the environment is one for developing or testing.
    pub fn is_production(&self) -> bool {
        !matches!(
            self.server.environment.as_str(),
            "development" | "dev" | "test"
        )
    }

    /// `true` when development conveniences are on, by flag or by environment name.
    pub fn is_development(&self) -> bool {
        self.server.development || matches!(self.server.environment.as_str(), "development" | "dev")
    }

    /// The public host without its port, lower-cased.
    pub fn service_host(&self) -> &str {
        self.server.host_name()
    }

    /// Scheme, host and port that clients use, without a trailing slash.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.server.protocol, self.server.public_host)
    }

    /// Hosts that pass the host whitelist in every group.
    pub fn ui_hosts(&self) -> &[String] {
        &self.ui.allowed_hosts
    }

    /// The value of the `frame-ancestors` directive for groups without an own one.
    pub fn default_frame_ancestors(&self) -> String {
        if self.security.frame_ancestors.is_empty() {
            return "'self'".to_owned();
        }
        self.security.frame_ancestors.join(" ")
    }

    /// `true` when logs are JSON lines.
    pub fn logs_json(&self) -> bool {
        match self.logging.format {
            LogFormat::Json => true,
            LogFormat::Text => false,
            LogFormat::Auto => self.is_production(),
        }
    }
}

#[cfg(test)]
mod tests;
