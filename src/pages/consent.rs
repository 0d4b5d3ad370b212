//! Consent page.

use askama::Template;

use super::{Shell, filters};

/// Scopes asked for at one resource server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceScopes<'a> {
    pub resource: &'a str,
    pub scopes: Vec<&'a str>,
}

/// Access while the person is away (`offline_access`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfflineAccess {
    New,
    /// Granted at an earlier visit.
    Previously,
}

/// Consent page: all or nothing.
#[derive(Clone, Debug, Template)]
#[template(path = "consent.html")]
pub struct Consent<'a> {
    pub shell: Shell<'a>,
    pub client_name: &'a str,
    /// `/{ag}/interaction/{uid}/confirm`
    pub action: &'a str,
    pub csrf: &'a str,
    /// `/{ag}/interaction/{uid}/abort`
    pub cancel_url: &'a str,
    /// New OpenID scopes without `openid` and `offline_access`.
    pub scopes: Vec<&'a str>,
    /// New claims without the technical ones.
    pub claims: Vec<&'a str>,
    pub resources: Vec<ResourceScopes<'a>>,
    pub offline_access: Option<OfflineAccess>,
    /// `/{ag}/recover-mfa`
    pub device_setup_url: Option<&'a str>,
    /// Names and values for developers; never in production.
    pub debug: Option<Vec<(String, String)>>,
}

impl Consent<'_> {
    /// Everything was granted before and only needs to be confirmed.
    fn nothing_new(&self) -> bool {
        self.scopes.is_empty()
            && self.claims.is_empty()
            && self.resources.iter().all(|r| r.scopes.is_empty())
            && self.offline_access != Some(OfflineAccess::New)
    }
}

/// Plain words for the standard scopes (OpenID Connect Core 5.4); `None` for others, which are shown by name.
fn describe(scope: &str) -> Option<&'static str> {
    Some(match scope {
        "profile" => "Your profile, such as your name and picture",
        "email" => "Your email address",
        "phone" => "Your phone number",
        "address" => "Your postal address",
        "username" => "Your username",
        "access" => "Your organizations, roles and permissions",
        "group" => "The platform your account belongs to",
        _ => return None,
    })
}
