//! The ways of signing in that a group offers at the moment.

use crate::gate::Ctx;
use crate::http::error::ApiResult;
use crate::notifications::delivery;
use crate::passkeys;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// By a link that is mailed.
    pub link: bool,
    /// By a device alone.
    pub device: bool,
    pub passkey: bool,
    /// Devices are in use at all.
    pub mfa: bool,
}

impl Ways {
    pub async fn of(ctx: &Ctx) -> ApiResult<Self> {
        let (app, group) = (&ctx.app, &ctx.tenant()?.group);
        let plugins = ctx.plugins().await?;
        let chosen = &group.config.mfa_challenge;
        let mfa = plugins.mfa_challenge.enabled && chosen.enable;
        Ok(Self {
            link: group.config.password_less_support && delivery::is_on(app, &plugins, group),
            device: mfa && chosen.no_pass_login,
            passkey: passkeys::is_on(&plugins, group),
            mfa,
        })
    }

    /// Is there a way without a password?
    pub fn passwordless(self) -> bool {
        self.link || self.device || self.passkey
    }
}
