//! The ways of signing in that a group offers at the moment.

use crate::challenges::providers;
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
        // a code that can be guessed is no sign-in of its own
        let device = mfa
            && chosen.no_pass_login
            && providers::of(app, ctx.tenant()?)
                .await
                .is_ok_and(|provider| !provider.asks_for_code());
        Ok(Self {
            link: group.config.password_less_support && delivery::is_on(app, &plugins, group),
            device,
            passkey: passkeys::is_on(&plugins, group),
            mfa,
        })
    }

    /// Is there a way without a password?
    pub fn passwordless(self) -> bool {
        self.link || self.device || self.passkey
    }
}
