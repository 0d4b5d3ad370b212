//! The sections and the types of their values. Reasons are in `config/default.toml`.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use lettre::message::Mailbox;
use regex::Regex;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::readers::{
    bus_url, colour, frame_ancestors, header_name, host, is_host_byte, listen, mailbox, networks,
    optional_email, optional_path, optional_secret, optional_url, path, scopes, smtp_url,
    store_url, url_text, without_port,
};
use super::smtp::SmtpUrl;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub environment: String,
    pub development: bool,
    #[serde(deserialize_with = "listen")]
    pub listen: Listen,
    #[serde(deserialize_with = "host")]
    pub public_host: String,
    pub protocol: Protocol,
    #[serde(deserialize_with = "header_name")]
    pub proxy_host_header: String,
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    pub workers: usize,
    pub shutdown_seconds: u64,
}

impl Server {
    /// The public host without its port.
    pub fn host_name(&self) -> &str {
        without_port(&self.public_host)
    }

    /// Whether forwarding headers from this peer are believed. An IPv4 peer of a dual-stack
    /// socket counts as IPv4.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }

    /// Whether every peer of some address family is trusted.
    pub fn trusts_everyone(&self) -> bool {
        self.trusted_proxies.iter().any(|net| net.prefix_len() == 0)
    }
}

/// Where the server accepts connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A host name or address, and a port.
    Tcp { host: String, port: u16 },
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str =
            "must be a port from 0 to 65535, `address:port`, or an absolute socket path";
        if text.starts_with('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let port = text.parse().map_err(|_| WRONG)?;
            return Ok(Self::Tcp {
                host: "0.0.0.0".to_owned(),
                port,
            });
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::Tcp {
                host: address.ip().to_string(),
                port: address.port(),
            });
        }
        let (host, port) = text.rsplit_once(':').ok_or(WRONG)?;
        if host.is_empty() || !host.bytes().all(is_host_byte) {
            return Err(WRONG);
        }
        Ok(Self::Tcp {
            host: host.to_owned(),
            port: port.parse().map_err(|_| WRONG)?,
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The scheme that clients use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Http,
    Https,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    #[serde(deserialize_with = "optional_path")]
    pub certificate: Option<PathBuf>,
    #[serde(deserialize_with = "optional_path")]
    pub key: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// May carry a password, so it is a secret.
    #[serde(deserialize_with = "store_url")]
    pub url: SecretString,
    pub pool_minimum: u32,
    pub pool_maximum: NonZeroU32,
    pub readers: NonZeroUsize,
    pub cache_mib: u16,
    pub connect_timeout_seconds: NonZeroU64,
    pub patience_seconds: u32,
    pub purge_interval_seconds: NonZeroU64,
}

impl Store {
    /// Whether other nodes, and other programs, may use the same store.
    pub fn is_shared(&self) -> bool {
        self.url.expose_secret().starts_with("mongodb")
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bus {
    /// May carry a password, so it is a secret. Absent: one node only.
    #[serde(deserialize_with = "bus_url")]
    pub url: Option<SecretString>,
    pub subject: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ui {
    #[serde(deserialize_with = "host")]
    pub host: String,
    #[serde(deserialize_with = "path")]
    pub login_path: String,
    #[serde(deserialize_with = "path")]
    pub logout_path: String,
    #[serde(deserialize_with = "path")]
    pub refresh_path: String,
    #[serde(deserialize_with = "optional_url")]
    pub registration_url: Option<Url>,
    pub allowed_hosts: Vec<String>,
    #[serde(deserialize_with = "optional_url")]
    pub audience_origin: Option<Url>,
    pub pkce_required: bool,
    #[serde(deserialize_with = "optional_url")]
    pub assets_url: Option<Url>,
    #[serde(deserialize_with = "optional_url")]
    pub custom_fonts_url: Option<Url>,
    #[serde(deserialize_with = "colour")]
    pub gradient_low: String,
    #[serde(deserialize_with = "colour")]
    pub gradient_high: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    pub allow_root_creation: bool,
    #[serde(deserialize_with = "optional_secret")]
    pub setup_code: Option<SecretString>,
    #[serde(deserialize_with = "optional_email")]
    pub root_email: Option<String>,
    pub company_name: String,
    pub platform_name: String,
    /// Kept as typed: the texts are stored in the root group without a trailing slash added.
    #[serde(deserialize_with = "url_text")]
    pub primary_domain: String,
    #[serde(deserialize_with = "url_text")]
    pub terms_url: String,
    #[serde(deserialize_with = "url_text")]
    pub privacy_url: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    pub open_registration: bool,
    pub activation_seconds: NonZeroU64,
    pub external_streaming: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    pub root_full_control: bool,
    pub single_use_iat: bool,
    pub cookie_keys: Vec<SecretString>,
    pub sealing_keys: Vec<SecretString>,
    #[serde(deserialize_with = "frame_ancestors")]
    pub frame_ancestors: Vec<String>,
    pub query_tokens: bool,
    pub hide_internal: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    pub require_pkce_for_public_clients: bool,
    pub refresh_grace_seconds: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scopes {
    #[serde(deserialize_with = "scopes")]
    pub core: Vec<ScopePattern>,
    #[serde(deserialize_with = "scopes")]
    pub restricted: Vec<ScopePattern>,
}

/// A scope by name, or by the regular expression that follows `{d}`.
#[derive(Debug, Clone)]
pub enum ScopePattern {
    Exact(String),
    Dynamic(Regex),
}

impl ScopePattern {
    /// An expression matches anywhere in the scope unless it has anchors.
    pub fn matches(&self, scope: &str) -> bool {
        match self {
            Self::Exact(name) => name == scope,
            Self::Dynamic(expression) => expression.is_match(scope),
        }
    }

    /// As it is published; expressions keep their mark.
    pub fn published(&self) -> Cow<'_, str> {
        match self {
            Self::Exact(name) => Cow::Borrowed(name),
            Self::Dynamic(expression) => Cow::Owned(format!("{{d}}{}", expression.as_str())),
        }
    }

    /// The scope's name, unless it is an expression.
    pub fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(name) => Some(name),
            Self::Dynamic(_) => None,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    pub disabled: bool,
    pub clean_sensitive: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logging {
    pub level: String,
    pub format: LogFormat,
    pub persist_http_errors: bool,
    pub persist: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Auto,
    Json,
    Text,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    pub enabled: bool,
    #[serde(deserialize_with = "networks")]
    pub allowed_networks: Vec<IpNet>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hash {
    pub memory_kib: NonZeroU32,
    pub iterations: NonZeroU32,
    pub parallelism: NonZeroU32,
    pub permits: usize,
    pub queue: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub api_json_bytes: NonZeroUsize,
    pub api_form_bytes: NonZeroUsize,
    pub oidc_json_bytes: NonZeroUsize,
    pub oidc_form_bytes: NonZeroUsize,
    pub bulk_accounts: NonZeroUsize,
    pub list_maximum: u64,
    pub access_object_bytes: usize,
    pub wait_seconds: u64,
    pub polls_per_address: NonZeroUsize,
    pub sockets_per_address: NonZeroUsize,
    pub sockets_per_group: NonZeroUsize,
    pub body_seconds: NonZeroU64,
    pub socket_ping_seconds: NonZeroU64,
    pub denied_pause_seconds: u64,
    pub denied_pause_longest_seconds: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actors {
    pub arbiters: usize,
    pub mailbox: NonZeroUsize,
    pub idle_seconds: NonZeroU64,
    pub cache_entries: NonZeroUsize,
    pub waiters: NonZeroUsize,
    pub challenge_seconds: NonZeroU64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    pub groups: u64,
    pub idle_seconds: NonZeroU64,
    pub seconds: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outgoing {
    pub allow_loopback: bool,
    pub timeout_seconds: NonZeroU64,
    pub response_bytes: NonZeroUsize,
    pub at_once: NonZeroUsize,
    pub at_once_per_group: NonZeroUsize,
    pub waiting_per_group: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notifications {
    /// May carry a password, which the type keeps secret.
    #[serde(deserialize_with = "smtp_url")]
    pub smtp_url: Option<SmtpUrl>,
    #[serde(deserialize_with = "mailbox")]
    pub from: Option<Mailbox>,
    pub retry_seconds: NonZeroU32,
    pub attempts: NonZeroU32,
    pub poll_seconds: NonZeroU64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    pub enabled: bool,
    pub login: RateLimit,
    pub token: RateLimit,
    pub registration: RateLimit,
    pub recovery: RateLimit,
    pub codes: RateLimit,
    pub passkeys: RateLimit,
    pub challenges: RateLimit,
    pub lookups: RateLimit,
}

/// A refill rate and the most requests that may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    pub enabled: bool,
    pub per_minute: NonZeroU32,
    pub burst: NonZeroU32,
}
