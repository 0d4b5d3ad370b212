//! The pages on which people set up a passkey.

use actix_web::http::{Method, StatusCode};

use crate::accounts::operations::mail_proof;
use crate::app::LimitClass;
use crate::challenges::states;
use crate::gate::{Ctx, Route, tokens};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply};
use crate::interactions::look::Look;
use crate::interactions::ways::Ways;
use crate::notifications::messages::Proof;
use crate::oidc::records::Purpose;
use crate::pages::{DeviceProof, MakePasskey, Message, Page, SetPasskey};
use crate::passkeys::party::Party;
use crate::route;
use crate::secrets;

/// Hexadecimal characters of a state.
const STATE: usize = 64;
const SENT: &str = "If there is such an account, a link is on its way. Open it on the device that shall have the passkey.";

pub static ROUTES: &[Route] = &[
    route!(GET "/{group}/set-passkey", [NoCache, Group, Limit(LimitClass::Passkeys)], begin, public "shows forms only"),
    route!(GET "/{group}/passkey/email-verify", [NoCache, Group, Limit(LimitClass::Recovery)], mail, public "mails a link to the account that is named"),
    route!(GET "/{group}/passkey", [NoCache, Group, Limit(LimitClass::Passkeys)], make, public "the token in the address is the credential"),
];

/// `GET /{group}/set-passkey`: the person says who they are, and proves it.
async fn begin(ctx: Ctx) -> ApiResult<Reply> {
    Party::of(&ctx).await?;
    let (app, group) = (&ctx.app, ctx.group_id()?);
    let state = app.random.hex(STATE);
    states::save(app, group, &state, None).await?;
    let look = Look::of(&ctx)?;
    let ways = Ways::of(&ctx).await?;
    let mail_url = format!("{}/passkey/email-verify", look.base());
    let page = SetPasskey {
        shell: look.shell("Set up a passkey"),
        proof_url: &format!("{}/token/simple-iat", look.base()),
        state: &state,
        next_url: &format!("{}/passkey", look.base()),
        mail_url: ways.link.then_some(mail_url.as_str()),
        device: ways.mfa.then(|| DeviceProof {
            options_url: format!("/api/{group}/account/login/options"),
            challenge_url: format!("/api/{group}/device/challenge"),
            status_url: format!("/api/{group}/mfa"),
        }),
    };
    Ok(look.page(StatusCode::OK, page.html()))
}

/// `GET /{group}/passkey/email-verify?state&lookup`. The page says the same for whatever name.
async fn mail(ctx: Ctx) -> ApiResult<Reply> {
    Party::of(&ctx).await?;
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let state = ctx.req.query("state").unwrap_or_default();
    let lookup = ctx.req.query("lookup").unwrap_or_default();
    let known = states::is_known(app, tenant.id(), state).await?;
    let look = Look::of(&ctx)?;
    let again = format!("{}/set-passkey", look.base());
    let mut page = Message::new(
        look.shell("Set up a passkey"),
        "Look into your mailbox",
        SENT,
    );
    if !known || lookup.trim().is_empty() || !Ways::of(&ctx).await?.link {
        page.heading = "No link could be sent";
        page.text = "The page was open for too long, or this group sends no links. Begin again.";
        page.passkey_setup_url = Some(&again);
    } else if *ctx.req.method() != Method::HEAD {
        mail_proof(&ctx, lookup, Proof::Passkey { state }).await?;
    }
    Ok(look.page(StatusCode::OK, page.html()))
}

/// `GET /{group}/passkey?token&state`
async fn make(ctx: Ctx) -> ApiResult<Reply> {
    let group = ctx.group_id()?;
    let asked = |name: &str| ctx.req.query(name).filter(|v| !v.is_empty());
    let incomplete = || ApiError::forbidden("The link is not complete. Begin again.");
    let token = asked("token").ok_or_else(incomplete)?;
    let state = asked("state").ok_or_else(incomplete)?;
    let payload = tokens::find(&ctx.app, group, token, Purpose::StepUp)
        .await?
        .ok_or_else(|| ApiError::unauthorized("The link has expired. Begin again."))?;
    let fits = payload
        .state
        .as_deref()
        .is_some_and(|known| secrets::ct_eq(known, state));
    let account = tokens::account_of(&ctx.app, &payload).await?;
    let account = account
        .filter(|a| fits && a.is_usable())
        .ok_or_else(|| ApiError::forbidden("The link does not fit. Begin again."))?;
    Party::of(&ctx).await?;
    let look = Look::of(&ctx)?;
    let page = MakePasskey {
        shell: look.shell("Create a passkey"),
        email: &account.email,
        account: &account.id,
        group,
        bind_url: &format!("/api/{group}/webauthn/bind"),
        finish_url: &format!("/api/{group}/webauthn/finish"),
        token,
        state,
        restart_url: &format!("{}/set-passkey", look.base()),
    };
    Ok(look.page(StatusCode::OK, page.html()))
}
