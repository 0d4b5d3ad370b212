//! The pages of the emergency lock and of recovery.

use actix_web::http::StatusCode;

use crate::app::LimitClass;
use crate::challenges::providers;
use crate::gate::tokens::{self, NewIat};
use crate::gate::{Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply};
use crate::interactions::look::Look;
use crate::oidc::records::Purpose;
use crate::pages::{LockAccount, Page, RecoverAccount};
use crate::route;
use crate::secrets;

/// Seconds in which the page can lock the account.
const LIFE: i64 = 600;

pub static ROUTES: &[Route] = &[
    route!(GET "/{group}/interaction/{uid}/lockaccount", [NoCache, Group, Limit(LimitClass::Recovery)], lock, public "the mailed code is the credential"),
    route!(GET "/{group}/recoveraccount", [NoCache, Group], recover, public "shows forms only"),
];

/// `GET /{group}/interaction/{uid}/lockaccount?code`. The mailed code can do nothing but open the
/// page; what the page may do lasts for minutes.
async fn lock(ctx: Ctx) -> ApiResult<Reply> {
    let nobody = || ApiError::unauthorized("");
    let group = ctx.group_id()?;
    let code = ctx.req.query("code").ok_or_else(nobody)?;
    let notice = tokens::find(&ctx.app, group, code, Purpose::LockNotice)
        .await?
        .filter(|t| t.sub.is_some())
        .ok_or_else(nobody)?;
    let of_link = |uid: &str| {
        ctx.req
            .try_param("uid")
            .is_some_and(|p| secrets::ct_eq(p, uid))
    };
    if notice.email.is_none() || !notice.uid.as_deref().is_some_and(of_link) {
        return Err(ApiError::forbidden(""));
    }
    let account = tokens::account_of(&ctx.app, &notice)
        .await?
        .ok_or_else(nobody)?;
    let new = NewIat {
        group: group.to_owned(),
        life: LIFE,
        sub: Some(account.id),
        email: Some(account.email),
        ..NewIat::default()
    };
    let token = tokens::mint(&ctx.app, Purpose::AccountLock, new).await?;
    let look = Look::of(&ctx)?;
    let set_up = format!("{}/recover-mfa", look.base());
    let devices = providers::is_on(&ctx.app, ctx.tenant()?).await?;
    let page = LockAccount {
        shell: look.shell("Lock Account"),
        panic_url: &format!("/api/{group}/account/panic"),
        token: &token.id,
        recover_url: &format!("{}/recoveraccount", look.base()),
        forgot_url: &format!("{}/forgotpassword", look.base()),
        device_setup_url: devices.then_some(set_up.as_str()),
    };
    Ok(look.page(StatusCode::OK, page.html()))
}

/// `GET /{group}/recoveraccount`
async fn recover(ctx: Ctx) -> ApiResult<Reply> {
    let group = ctx.group_id()?;
    let look = Look::of(&ctx)?;
    let page = RecoverAccount {
        shell: look.shell("Don't Panic"),
        start_url: &format!("/api/{group}/account/start-recovery"),
        recover_url: &format!("/api/{group}/account/recover"),
    };
    Ok(look.page(StatusCode::OK, page.html()))
}
