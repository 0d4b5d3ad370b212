//! What is allowed but unsafe, or impossible in combination.

use std::fmt;

use secrecy::ExposeSecret;
use tracing_subscriber::EnvFilter;

use super::{Listen, Protocol, Settings, SmtpUrl};

/// Cookie keys that were published as defaults or samples.
const PUBLISHED_COOKIE_KEYS: &[&str] = &["secret1", "secret2"];
const SHORT_SECRET: usize = 16;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The server runs; the operator should know.
    Warning,
    /// The server must not start.
    Error,
}

/// One remark about the settings. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// The dotted name of the setting; empty when the name itself is the problem.
    pub setting: &'static str,
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        if self.setting.is_empty() {
            return write!(f, "{level}: {}", self.message);
        }
        write!(f, "{level}: {}: {}", self.setting, self.message)
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, when: bool, severity: Severity, setting: &'static str, message: &str) {
        if when {
            self.0.push(Finding {
                severity,
                setting,
                message: message.to_owned(),
            });
        }
    }

    fn error(&mut self, when: bool, setting: &'static str, message: &str) {
        self.add(when, Severity::Error, setting, message);
    }

    fn warn(&mut self, when: bool, setting: &'static str, message: &str) {
        self.add(when, Severity::Warning, setting, message);
    }
}

impl Settings {
    /// Everything an operator should fix (errors) or know (warnings), errors first.
    pub fn check(&self) -> Vec<Finding> {
        let mut found = Findings::default();
        for name in &self.unknown {
            found.warn(
                true,
                "",
                &format!("{name} is not a setting and has no effect; check its spelling"),
            );
        }
        self.check_impossible(&mut found);
        self.check_keys(&mut found);
        self.check_exposure(&mut found);
        found
            .0
            .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        found.0
    }

    fn check_impossible(&self, found: &mut Findings) {
        let tls = &self.tls;
        found.error(
            tls.certificate.is_some() != tls.key.is_some(),
            if tls.key.is_some() {
                "tls.certificate"
            } else {
                "tls.key"
            },
            "set both tls.certificate and tls.key, or neither",
        );
        found.warn(
            tls.certificate.is_some() && self.server.protocol == Protocol::Http,
            "server.protocol",
            "the server speaks TLS, but its links and issuers start with http; set it to https",
        );
        found.error(
            tls.certificate.is_some() && matches!(self.server.listen, Listen::Unix(_)),
            "tls.certificate",
            "a Unix socket speaks no TLS; take out tls.certificate and tls.key, or listen on an address",
        );
        found.error(
            EnvFilter::try_new(&self.logging.level).is_err(),
            "logging.level",
            "it is no level and no list of directives such as `ueauth=debug,warn`",
        );
        let least = self.hash.parallelism.get().saturating_mul(8);
        found.error(
            self.hash.memory_kib.get() < least,
            "hash.memory_kib",
            "argon2 needs at least 8 KiB for each lane of hash.parallelism; raise it",
        );
        found.error(
            self.store.pool_minimum > self.store.pool_maximum.get(),
            "store.pool_minimum",
            "it is above store.pool_maximum; lower it",
        );
        let messages = &self.notifications;
        found.error(
            messages.smtp_url.is_some() && messages.from.is_none(),
            "notifications.from",
            "mail needs an address it comes from; set one beside notifications.smtp_url",
        );
        found.warn(
            self.is_production() && messages.smtp_url.as_ref().is_some_and(SmtpUrl::is_exposed),
            "notifications.smtp_url",
            "mail, with links that act for people, may travel in clear; leave its `tls` parameter out",
        );
        found.warn(
            self.is_production() && self.server.development,
            "server.development",
            "development conveniences are on in production; switch them off",
        );
    }

    fn check_keys(&self, found: &mut Findings) {
        let keys = &self.security.cookie_keys;
        let published = keys
            .iter()
            .any(|key| PUBLISHED_COOKIE_KEYS.contains(&key.expose_secret()));
        let severity = if self.is_production() {
            Severity::Error
        } else {
            Severity::Warning
        };
        found.add(
            published,
            severity,
            "security.cookie_keys",
            "it holds a published default key, so anyone can sign cookies; use random texts",
        );
        found.warn(
            !published
                && keys
                    .iter()
                    .any(|key| key.expose_secret().len() < SHORT_SECRET),
            "security.cookie_keys",
            "a key is shorter than 16 characters; use longer random texts",
        );
        found.error(
            self.security
                .sealing_keys
                .iter()
                .any(|key| key.expose_secret().len() < SHORT_SECRET),
            "security.sealing_keys",
            "a key is shorter than 16 characters; use longer random texts",
        );
        let bootstrap = &self.bootstrap;
        if !bootstrap.allow_root_creation {
            found.warn(
                bootstrap.setup_code.is_some(),
                "bootstrap.setup_code",
                "it has no effect without bootstrap.allow_root_creation; take it out to get a code at the first start",
            );
            return;
        }
        found.warn(
            true,
            "bootstrap.allow_root_creation",
            "the root group can be created over HTTP; switch it off when that is done",
        );
        found.warn(
            bootstrap.setup_code.is_none() || bootstrap.root_email.is_none(),
            "bootstrap.allow_root_creation",
            "it has no effect without bootstrap.setup_code and bootstrap.root_email",
        );
        found.warn(
            bootstrap
                .setup_code
                .as_ref()
                .is_some_and(|code| code.expose_secret().len() < SHORT_SECRET),
            "bootstrap.setup_code",
            "it is shorter than 16 characters and can be guessed; use a longer random text",
        );
    }

    fn check_exposure(&self, found: &mut Findings) {
        found.warn(
            self.groups.open_registration,
            "groups.open_registration",
            "anyone can create groups without signing in",
        );
        found.warn(
            self.server.trusts_everyone(),
            "server.trusted_proxies",
            "forwarding headers of every peer are believed; list the networks of your proxies",
        );
        if !self.is_production() {
            return;
        }
        let local = matches!(self.service_host(), "localhost" | "127.0.0.1" | "[::1]");
        found.warn(
            self.server.protocol == Protocol::Http && !local,
            "server.protocol",
            "tokens and passwords travel in clear; use https",
        );
        found.warn(
            self.security.root_full_control,
            "security.root_full_control",
            "users of the root group may do everything in every group",
        );
        found.warn(
            !self.security.hide_internal,
            "security.hide_internal",
            "causes of internal errors reach clients",
        );
        found.warn(
            self.outgoing.allow_loopback,
            "outgoing.allow_loopback",
            "outgoing calls may reach loopback and private addresses",
        );
        found.warn(
            !self.rate_limits.enabled,
            "rate_limits.enabled",
            "nothing slows down guessing of passwords and codes",
        );
        found.warn(
            self.ui.host == "example.com" && !local,
            "ui.host",
            "redirect addresses of platform clients point to example.com; set your own host",
        );
    }
}
