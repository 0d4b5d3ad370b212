//! Which scopes exist, which a client may have, and which a resource gets.

use std::borrow::Cow;

use crate::app::App;
use crate::clients::Client;
use crate::groups::Tenant;
use crate::settings::ScopePattern;

pub const BASE: &[&str] = &[
    "openid",
    "offline_access",
    "federated_token",
    "access",
    "access:group",
    "access:organizations",
    "access:domains",
    "access:products",
    "access:roles",
    "access:permissions",
];

/// Scopes that stand for claims of the account.
pub const CLAIM_SCOPES: &[&str] = &["email", "username", "profile"];

/// Marks a scope that is a regular expression.
const DYNAMIC: &str = "{d}";

/// The group's scopes in the order they are published; expressions keep their mark.
pub fn supported<'a>(app: &'a App, tenant: &'a Tenant) -> Vec<Cow<'a, str>> {
    let mut out: Vec<Cow<'a, str>> = BASE.iter().map(|s| Cow::Borrowed(*s)).collect();
    let core = &app.settings.scopes.core;
    out.extend(core.iter().map(ScopePattern::published));
    let own = &tenant.group.config.scopes;
    out.extend(own.iter().map(|s| Cow::Borrowed(s.as_str())));
    for claim in CLAIM_SCOPES {
        if !out.iter().any(|s| s == claim) {
            out.push(Cow::Borrowed(claim));
        }
    }
    out
}

/// Is the scope one by name, not by expression?
pub fn is_static(app: &App, tenant: &Tenant, scope: &str) -> bool {
    BASE.contains(&scope)
        || CLAIM_SCOPES.contains(&scope)
        || app
            .settings
            .scopes
            .core
            .iter()
            .any(|p| p.exact() == Some(scope))
        || tenant
            .group
            .config
            .scopes
            .iter()
            .any(|s| s == scope && !s.contains(DYNAMIC))
}

/// Does an expression of the group or the server accept it?
pub fn is_dynamic(app: &App, tenant: &Tenant, scope: &str) -> bool {
    let by_core = app
        .settings
        .scopes
        .core
        .iter()
        .any(|p| p.exact().is_none() && p.matches(scope));
    by_core
        || tenant
            .group
            .config
            .scopes
            .iter()
            .filter_map(|s| s.split_once(DYNAMIC))
            .any(|(_, expression)| matches(expression, scope))
}

/// Expressions come from administrators; compiled ones are kept.
pub fn matches(expression: &str, scope: &str) -> bool {
    use std::sync::LazyLock;
    static COMPILED: LazyLock<moka::sync::Cache<String, Option<regex::Regex>>> =
        LazyLock::new(|| moka::sync::Cache::new(256));
    COMPILED
        .get_with_by_ref(expression, || {
            regex::RegexBuilder::new(expression)
                .size_limit(1 << 20)
                .build()
                .ok()
        })
        .is_some_and(|r| r.is_match(scope))
}

/// The scopes of a space-separated list, each once, in order.
pub fn list(text: &str) -> Vec<&str> {
    let mut seen = std::collections::HashSet::new();
    text.split_whitespace()
        .filter(|w| seen.insert(*w))
        .collect()
}

pub fn has(text: &str, scope: &str) -> bool {
    text.split_whitespace().any(|s| s == scope)
}

/// Requested scopes that are known by name, in the order asked.
pub fn requested_static<'a>(app: &App, tenant: &Tenant, requested: &'a str) -> Vec<&'a str> {
    list(requested)
        .into_iter()
        .filter(|s| is_static(app, tenant, s))
        .collect()
}

/// A requested scope that the client's registration does not allow.
pub fn not_allowed<'a>(
    app: &App,
    tenant: &Tenant,
    client: &Client,
    requested: &'a str,
) -> Option<&'a str> {
    let own = client.payload.scope.as_deref()?;
    list(requested)
        .into_iter()
        .find(|s| is_static(app, tenant, s) && !has(own, s))
}

/// Requested scopes that a token for a resource may carry.
pub fn for_resource<'a>(
    app: &App,
    tenant: &Tenant,
    client: &Client,
    requested: &'a str,
) -> Vec<&'a str> {
    let own = client.payload.scope.as_deref();
    let dynamic = client.payload.dynamic_scope.as_deref();
    list(requested)
        .into_iter()
        .filter(|s| {
            if own.is_some() || dynamic.is_some() {
                return (*s != "openid" && own.is_some_and(|o| has(o, s)))
                    || dynamic.is_some_and(|d| has(d, s));
            }
            let claim_only = CLAIM_SCOPES.contains(s)
                && !tenant.group.config.scopes.iter().any(|g| g == s)
                && !app
                    .settings
                    .scopes
                    .core
                    .iter()
                    .any(|p| p.exact() == Some(*s));
            (is_static(app, tenant, s) && !claim_only) || is_dynamic(app, tenant, s)
        })
        .collect()
}

/// Does the scope ask for anything of the access object?
pub fn wants_access(scope: &str) -> bool {
    scope
        .split_whitespace()
        .any(|s| s == "access" || s.starts_with("access:"))
}
