//! The sections and the types of their values. Reasons are in `config/default.toml`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use lettre::message::Mailbox;
use regex::Regex;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use url::Url;

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
    pub providers: u64,
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

fn text<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    Ok(String::deserialize(source)?.trim().to_owned())
}

fn optional_text<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    text(source).map(|text| (!text.is_empty()).then_some(text))
}

fn listen<'de, D: Deserializer<'de>>(source: D) -> Result<Listen, D::Error> {
    text(source)?.parse().map_err(D::Error::custom)
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(host, |(inside, _)| {
            host.get(..inside.len() + 2).unwrap_or(host)
        });
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

fn host<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = text(source)?;
    let name = without_port(&text);
    let port = text.get(name.len()..).unwrap_or_default();
    let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let name_fits = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(is_host_byte),
    };
    let port_fits = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|p| p.parse::<u16>().is_ok_and(|p| p > 0));
    if name_fits && port_fits {
        return Ok(text);
    }
    Err(D::Error::custom(
        "must be `host` or `host:port`, without a scheme or path",
    ))
}

fn header_name<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = text(source)?.to_ascii_lowercase();
    if !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    {
        return Ok(text);
    }
    Err(D::Error::custom(
        "must be the name of a header, such as `x-host`",
    ))
}

fn networks<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |text: String| {
        let text = text.trim();
        let address = text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or(address).map_err(|_| {
            D::Error::custom(format!(
                "`{text}` is neither an address nor a network like `10.0.0.0/8`"
            ))
        })
    };
    Vec::<String>::deserialize(source)?
        .into_iter()
        .map(parse)
        .collect()
}

fn optional_path<'de, D: Deserializer<'de>>(source: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(optional_text(source)?.map(PathBuf::from))
}

fn optional_secret<'de, D: Deserializer<'de>>(source: D) -> Result<Option<SecretString>, D::Error> {
    Ok(optional_text(source)?.map(SecretString::from))
}

fn store_url<'de, D: Deserializer<'de>>(source: D) -> Result<SecretString, D::Error> {
    let text = text(source)?;
    let embedded = text
        .strip_prefix("sqlite:")
        .is_some_and(|path| !path.is_empty());
    if embedded || text.starts_with("mongodb://") || text.starts_with("mongodb+srv://") {
        return Ok(SecretString::from(text));
    }
    // The value stays out of the message: it may hold a password.
    Err(D::Error::custom(
        "must start with `sqlite:`, `mongodb://` or `mongodb+srv://`",
    ))
}

fn bus_url<'de, D: Deserializer<'de>>(source: D) -> Result<Option<SecretString>, D::Error> {
    let Some(text) = optional_text(source)? else {
        return Ok(None);
    };
    let fits = |part: &str| part.starts_with("nats://") || part.starts_with("tls://");
    if text.split(',').map(str::trim).all(fits) {
        return Ok(Some(SecretString::from(text)));
    }
    Err(D::Error::custom(
        "must be empty or start with `nats://` or `tls://`",
    ))
}

fn smtp_url<'de, D: Deserializer<'de>>(source: D) -> Result<Option<SmtpUrl>, D::Error> {
    optional_text(source)?
        .map(|text| SmtpUrl::parse(&text).map_err(D::Error::custom))
        .transpose()
}

fn mailbox<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Mailbox>, D::Error> {
    let fault = |_| D::Error::custom("must be `address` or `Name <address>`");
    optional_text(source)?
        .map(|text| text.parse().map_err(fault))
        .transpose()
}

fn web_url(text: &str) -> Result<Url, &'static str> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("must be a complete http or https address, such as `https://example.com/path`"),
    }
}

fn optional_url<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Url>, D::Error> {
    optional_text(source)?
        .map(|text| web_url(&text).map_err(D::Error::custom))
        .transpose()
}

fn url_text<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = text(source)?;
    web_url(&text).map_err(D::Error::custom)?;
    Ok(text)
}

fn path<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = text(source)?;
    if text.starts_with('/') && !text.starts_with("//") && !text.contains(char::is_whitespace) {
        return Ok(text);
    }
    Err(D::Error::custom("must be a path that starts with one `/`"))
}

fn optional_email<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    let Some(text) = optional_text(source)? else {
        return Ok(None);
    };
    match text.split_once('@') {
        Some((local, domain))
            if !local.is_empty() && !domain.is_empty() && !domain.contains('@') =>
        {
            Ok(Some(text.to_lowercase()))
        }
        _ => Err(D::Error::custom("must be an e-mail address")),
    }
}

/// The texts end up in a style sheet, so only what a colour can consist of is let through.
fn colour<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = text(source)?;
    let fits = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '#' | '(' | ')' | ',' | '.' | '%' | ' ' | '/')
    };
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(text);
    }
    Err(D::Error::custom("must be a CSS colour, such as `#131525`"))
}

fn frame_ancestors<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    let sources = Vec::<String>::deserialize(source)?;
    let fits = |source: &String| {
        !source.is_empty()
            && source
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b';' && b != b',')
    };
    if sources.iter().all(fits) {
        return Ok(sources);
    }
    Err(D::Error::custom(
        "each element must be one source of the directive, such as `'self'` or `https://app.example.com`",
    ))
}

fn scopes<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<ScopePattern>, D::Error> {
    let parse = |text: String| match text.strip_prefix("{d}") {
        None => Ok(ScopePattern::Exact(text)),
        Some(expression) => Regex::new(expression)
            .map(ScopePattern::Dynamic)
            .map_err(|_| D::Error::custom(format!("`{expression}` is not a regular expression"))),
    };
    Vec::<String>::deserialize(source)?
        .into_iter()
        .map(parse)
        .collect()
}
