//! The endpoints of what organizations keep about their members.

use serde_json::Value as Json;

use crate::gate::chain::Strategy::Bearer;
use crate::gate::{Caller, Ctx, Route, enforce};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, failures, reply};
use crate::notifications::messages::profile_kept;
use crate::organizations::{Organization, rules};
use crate::profiles::{OrganizationProfile, of_organization, patching};
use crate::route;

const TYPE: &str = "Organization User Profile";

pub static ROUTES: &[Route] = &[
    route!(POST "/api/{group}/organization/{org}/profiles", [Group, Auth(&[Bearer]), Body(of_organization::check_body), Rights, May(&["orgUserProfile"])], create),
    route!(GET "/api/{group}/organization/{org}/profiles", [Group, Auth(&[Bearer]), Rights, May(&["orgUserProfile"])], list),
    // asks for the permission itself: people need none for their own
    route!(GET "/api/{group}/organization/{org}/profile/{id}", [Group, Auth(&[Bearer]), Rights], read),
    route!(PATCH "/api/{group}/organization/{org}/profile/{id}", [Group, Auth(&[Bearer]), Body(failures::is_patch), Rights, May(&["orgUserProfile"])], patch),
    route!(DELETE "/api/{group}/organization/{org}/profile/{id}", [Group, Auth(&[Bearer]), Rights, May(&["orgUserProfile"])], delete),
    route!(GET "/api/{group}/organizations/profiles/account/{id}", [Group, Auth(&[Bearer]), Rights, May(&["accounts"])], kept_about),
    // asks for the permission itself: people need none for their own
    route!(POST "/api/{group}/organizations/{org}/profiles/account/{id}", [Group, Auth(&[Bearer]), Body(of_organization::check_control), Rights], control),
];

/// Is the record about the person who calls?
fn is_about_caller(ctx: &Ctx, account: &str) -> bool {
    matches!(&ctx.caller, Caller::User(user) if user.account.id == account)
}

/// Tells the person that the record is about what happened to it.
async fn tell(
    ctx: &Ctx,
    organization: &Organization,
    profile: &OrganizationProfile,
    change: &str,
) -> ApiResult<()> {
    let (tenant, account) = (ctx.tenant()?, profile.account_id.as_deref());
    let by = ctx.caller.author();
    profile_kept(&ctx.app, tenant, organization, account, change, by).await;
    Ok(())
}

async fn create(ctx: Ctx) -> ApiResult<Reply> {
    let organization = rules::own_in_path(&ctx).await?;
    let made = of_organization::create(&ctx.app, &organization, &ctx.req.json()).await?;
    tell(&ctx, &organization, &made, "created").await?;
    reply::created(TYPE, patching::public(&made))
}

async fn list(ctx: Ctx) -> ApiResult<Reply> {
    let organization = rules::own_in_path(&ctx).await?;
    let found = of_organization::list(&ctx.app, &organization, &ctx.req.query).await?;
    reply::ok(TYPE, found)
}

async fn read(mut ctx: Ctx) -> ApiResult<Reply> {
    let key = ctx.req.param("id")?.to_owned();
    let found = if is_about_caller(&ctx, &key) {
        let organization = rules::joined(&ctx, true, |_| of_organization::none_kept()).await?;
        of_organization::of_member(&ctx.app, &organization, &key).await?
    } else {
        enforce::may(&mut ctx, &["orgUserProfile"])?;
        let organization = rules::own_in_path(&ctx).await?;
        of_organization::find(&ctx.app, &organization, &key)
            .await?
            .ok_or_else(of_organization::none_kept)?
    };
    reply::ok(TYPE, patching::public(&found))
}

async fn patch(ctx: Ctx) -> ApiResult<Reply> {
    let organization = rules::own_in_path(&ctx).await?;
    let changed = of_organization::patch(
        &ctx.app,
        &organization,
        ctx.req.param("id")?,
        &ctx.req.json(),
        &ctx.caller.author(),
    )
    .await?;
    tell(&ctx, &organization, &changed, "updated").await?;
    reply::ok(TYPE, patching::public(&changed))
}

async fn delete(ctx: Ctx) -> ApiResult<Reply> {
    let organization = rules::own_in_path(&ctx).await?;
    let gone = of_organization::delete(&ctx.app, &organization, ctx.req.param("id")?).await?;
    tell(&ctx, &organization, &gone, "deleted").await?;
    reply::ok(TYPE, patching::public(&gone))
}

async fn kept_about(ctx: Ctx) -> ApiResult<Reply> {
    let account = ctx.id_or_me()?;
    ctx.own_record(&account)?;
    let found = of_organization::kept_about(&ctx.app, ctx.group_id()?, &account).await?;
    reply::ok(TYPE, found)
}

async fn control(mut ctx: Ctx) -> ApiResult<Reply> {
    let account = ctx.id_or_me()?;
    let own = is_about_caller(&ctx, &account);
    if !own {
        enforce::may(&mut ctx, &["accounts"])?;
        ctx.own_record(&account)?;
    }
    let body = ctx.req.json();
    let request = body
        .get("request")
        .and_then(Json::as_str)
        .ok_or_else(|| ApiError::unprocessable("request is required: remove or remain"))?;
    let organization = rules::joined(&ctx, own, |_| of_organization::nothing_to_control()).await?;
    let out = of_organization::control(&ctx.app, &organization, &account, request).await?;
    reply::ok(TYPE, out)
}
