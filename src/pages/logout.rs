//! Pages of RP-initiated logout.

use askama::Template;

use super::{Shell, filters};

/// How the person keeps their session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutCancel<'a> {
    /// Go to an address that has been checked.
    Link(&'a str),
    /// Post the form without `logout`.
    Submit,
}

/// Question whether to sign out. The form id is part of the contract.
#[derive(Clone, Debug, Template)]
#[template(path = "logout.html")]
pub struct Logout<'a> {
    pub shell: Shell<'a>,
    /// `{issuer}/session/end/confirm`
    pub action: &'a str,
    pub xsrf: &'a str,
    /// Client, configured name, or group.
    pub name: &'a str,
    pub cancel: LogoutCancel<'a>,
}

/// Sign-out is done.
#[derive(Clone, Debug, Template)]
#[template(path = "logout_success.html")]
pub struct LogoutSuccess<'a> {
    pub shell: Shell<'a>,
    /// Set when the person stayed signed in at the platform and left only this client.
    pub client_name: Option<&'a str>,
    pub return_url: Option<&'a str>,
    /// The client's `initiate_login_uri`.
    pub login_url: Option<&'a str>,
}
