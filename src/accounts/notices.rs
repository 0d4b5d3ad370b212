//! Messages that the owner of an account is due, and what it means if they cannot be sent.

use crate::app::App;
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;

/// 424: something must not happen unless a message goes out, and none can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undeliverable {
    #[error(
        "The notice that lets the owner lock the account could not be sent, so nothing was changed. Switch notifications off, or ask the administrator for a way to send them."
    )]
    LockNotice,
    #[error(
        "The message that asks to verify the address could not be sent. Ask the administrator for a way to send notifications."
    )]
    Verification,
    #[error(
        "The message with the link to reset the password could not be sent. Ask the administrator for a way to send notifications."
    )]
    PasswordReset,
    #[error(
        "The message that lists the groups could not be sent. Ask the administrator for a way to send notifications."
    )]
    OwnedGroups,
}

impl From<Undeliverable> for ApiError {
    fn from(e: Undeliverable) -> Self {
        Self::failed_dependency(e.to_string())
    }
}

/// Are notifications on for the server and for the group?
pub async fn are_on(app: &App, tenant: &Tenant) -> ApiResult<bool> {
    let plugins = crate::plugins::rules::current(app).await?;
    Ok(tenant.notifies(&plugins))
}
