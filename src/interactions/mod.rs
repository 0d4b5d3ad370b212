//! The pages of an authorization in progress: login, consent, abort.

pub mod consent;
pub mod login;
pub mod look;
pub mod passwordless;
pub mod second_factor;
pub mod state;
pub mod ways;

use crate::app::LimitClass;
use crate::gate::{Ctx, Route};
use crate::http::Reply;
use crate::http::error::ApiResult;
use crate::route;

pub static ROUTES: &[Route] = &[
    route!(GET "/{group}/interaction/{uid}", [NoCache, Group], show, public "authenticates by the signed interaction cookie"),
    route!(GET "/{group}/interaction/{uid}/login", [NoCache, Group], show, public "authenticates by the signed interaction cookie"),
    route!(POST "/{group}/interaction/{uid}/login", [NoCache, Group], login::submit, public "authenticates by the signed interaction cookie"),
    route!(POST "/{group}/interaction/{uid}/confirm-mfa", [NoCache, Group], login::submit, public "authenticates by the signed interaction cookie"),
    route!(POST "/{group}/interaction/{uid}/passkey", [NoCache, Group, Limit(LimitClass::Passkeys)], login::begin_passkey, public "authenticates by the signed interaction cookie"),
    route!(GET "/{group}/interaction/{uid}/passwordless", [NoCache, Group, Limit(LimitClass::Recovery)], passwordless::follow, public "authenticates by the signed interaction cookie and the mailed token"),
    route!(GET "/{group}/interaction/{uid}/abort", [NoCache, Group], abort, public "authenticates by the signed interaction cookie"),
    route!(POST "/{group}/interaction/{uid}/confirm", [NoCache, Group], consent::confirm, public "authenticates by the signed interaction cookie"),
];

/// The page for whatever the interaction asks.
async fn show(ctx: Ctx) -> ApiResult<Reply> {
    let open = state::Open::load(&ctx).await?;
    match open.interaction.prompt.name.as_str() {
        "consent" => consent::show(&ctx, open).await,
        _ => login::show(&ctx, &open).await,
    }
}

/// The person does not want to go on.
async fn abort(ctx: Ctx) -> ApiResult<Reply> {
    let open = state::Open::load(&ctx).await?;
    let mut result = crate::store::Object::default();
    result.insert("error", "access_denied");
    result.insert("error_description", "End-User aborted interaction");
    open.finish(&ctx, result, false).await
}
