//! The pages on which people set up a device, the first one or one in place of another.

use actix_web::http::{Method, StatusCode};

use crate::accounts::operations::mail_proof;
use crate::app::LimitClass;
use crate::challenges::providers;
use crate::challenges::states::{self, LONGEST};
use crate::gate::{Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply};
use crate::interactions::look::Look;
use crate::interactions::ways::Ways;
use crate::notifications::delivery::is_on;
use crate::notifications::messages::Proof;
use crate::pages::{Message, Page, SetDevice};
use crate::route;

/// Hexadecimal characters of a state that the server makes up.
const STATE: usize = 64;
const SENT: &str =
    "If there is such an account, a link is on its way. Open it to go on setting up the device.";

pub static ROUTES: &[Route] = &[
    route!(GET "/{group}/recover-mfa", [NoCache, Group, Limit(LimitClass::Passkeys)], begin, public "shows forms only"),
    route!(GET "/{group}/recover-mfa/email-verify", [NoCache, Group, Limit(LimitClass::Recovery)], mail, public "mails a link to the account that is named"),
];

async fn require_on(ctx: &Ctx) -> ApiResult<()> {
    if providers::is_on(&ctx.app, ctx.tenant()?).await? {
        Ok(())
    } else {
        Err(ApiError::forbidden(
            "Devices are switched off for this group. Ask its administrator.",
        ))
    }
}

/// `GET /{group}/recover-mfa?state&token&email`: the person says who they are, and proves it,
/// unless the mailed link that leads here has done so.
async fn begin(ctx: Ctx) -> ApiResult<Reply> {
    require_on(&ctx).await?;
    let (app, group) = (&ctx.app, ctx.group_id()?);
    let asked = |name: &str| {
        ctx.req
            .query(name)
            .filter(|v| !v.is_empty() && v.len() <= LONGEST)
    };
    let token = asked("token");
    let state = asked("state").map_or_else(|| app.random.hex(STATE), ToOwned::to_owned);
    if token.is_none() {
        match states::save(app, group, &state, None).await {
            Ok(()) => {}
            // the page was loaded again
            Err(e) if e.is_duplicate() => {}
            Err(e) => return Err(e.into()),
        }
    }
    let look = Look::of(&ctx)?;
    let ways = Ways::of(&ctx).await?;
    let mail_url = format!("{}/recover-mfa/email-verify", look.base());
    let passkey_url = format!("/api/{group}/webauthn/authenticate");
    let page = SetDevice {
        shell: look.shell("Set up a device"),
        instructions_url: &format!("/api/{group}/mfa/instructions"),
        proof_url: &format!("/api/{group}/mfa/proof"),
        choice_url: &format!("/api/{group}/mfa/safe-recovery"),
        state: &state,
        token,
        email: asked("email").unwrap_or_default(),
        mail_url: ways.link.then_some(mail_url.as_str()),
        passkey_url: ways.passkey.then_some(passkey_url.as_str()),
        mails: is_on(app, &*ctx.plugins().await?, &ctx.tenant()?.group),
        restart_url: &format!("{}/recover-mfa", look.base()),
        passkey_setup_url: ways.passkey.then(|| format!("{}/set-passkey", look.base())),
    };
    Ok(look.page(StatusCode::OK, page.html()))
}

/// `GET /{group}/recover-mfa/email-verify?state&lookup`. The page says the same for whatever name.
async fn mail(ctx: Ctx) -> ApiResult<Reply> {
    require_on(&ctx).await?;
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let state = ctx.req.query("state").unwrap_or_default();
    let lookup = ctx.req.query("lookup").unwrap_or_default();
    let known = states::is_known(app, tenant.id(), state).await?;
    let look = Look::of(&ctx)?;
    let ways = Ways::of(&ctx).await?;
    let again = format!("{}/recover-mfa", look.base());
    let set_up = format!("{}/set-passkey", look.base());
    let mut page = Message::new(
        look.shell("Set up a device"),
        "Look into your mailbox",
        SENT,
    );
    page.passkey_setup_url = ways.passkey.then_some(set_up.as_str());
    if !known || lookup.trim().is_empty() || !ways.link {
        page.heading = "No link could be sent";
        page.text = "The page was open for too long, or this group sends no links. Begin again.";
        page.home = Some((&again, "Begin again"));
    } else if *ctx.req.method() != Method::HEAD {
        mail_proof(&ctx, lookup, Proof::Device { state }).await?;
    }
    Ok(look.page(StatusCode::OK, page.html()))
}
