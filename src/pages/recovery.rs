//! The emergency lock and the way back from it. Both call the API from the page.

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
