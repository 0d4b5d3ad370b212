//! The emergency lock, the way back from it, and new passwords. All call the API from the page.

use askama::Template;

use super::{Shell, filters};

/// Locks an account for somebody who was warned by mail.
#[derive(Clone, Debug, Template)]
#[template(path = "lock_account.html")]
pub struct LockAccount<'a> {
    pub shell: Shell<'a>,
    /// `/api/{ag}/account/panic`
    pub panic_url: &'a str,
    /// Bearer token for that call.
    pub token: &'a str,
    /// `/{ag}/recoveraccount`
    pub recover_url: &'a str,
    /// `/{ag}/forgotpassword`
    pub forgot_url: &'a str,
    /// `/{ag}/recover-mfa`
    pub device_setup_url: Option<&'a str>,
}

/// Unlocks an account with recovery codes.
#[derive(Clone, Debug, Template)]
#[template(path = "recover_account.html")]
pub struct RecoverAccount<'a> {
    pub shell: Shell<'a>,
    /// `/api/{ag}/account/start-recovery`
    pub start_url: &'a str,
    /// `/api/{ag}/account/recover`
    pub recover_url: &'a str,
}

/// Asks for the address that a link to set a new password goes to.
#[derive(Clone, Debug, Template)]
#[template(path = "forgot_password.html")]
pub struct ForgotPassword<'a> {
    pub shell: Shell<'a>,
    /// `/api/{ag}/operations/reset-user-password`
    pub reset_url: &'a str,
    pub home_url: &'a str,
}

/// Sets a new password for whoever was mailed the token.
#[derive(Clone, Debug, Template)]
#[template(path = "new_password.html")]
pub struct NewPassword<'a> {
    pub shell: Shell<'a>,
    /// `/api/{ag}/setpass`
    pub password_url: &'a str,
    /// Bearer token for that call, as it came in the link.
    pub token: &'a str,
    /// `/api/{ag}/operations/reset-user-password`, if the token has expired.
    pub reset_url: &'a str,
    /// Where the person goes afterwards.
    pub home_url: &'a str,
}

/// A group and where to sign in to it.
#[derive(Clone, Debug)]
pub struct OwnedGroup {
    pub name: String,
    pub id: String,
    pub login_url: String,
}

/// The groups that an address owns.
#[derive(Clone, Debug, Template)]
#[template(path = "owned_groups.html")]
pub struct OwnedGroups<'a> {
    pub shell: Shell<'a>,
    /// The address or phone number.
    pub lookup: &'a str,
    pub groups: Vec<OwnedGroup>,
}
