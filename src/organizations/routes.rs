//! The endpoints of organizations.

use serde_json::{Value as Json, json};

use crate::clients::model::SecretView;
use crate::gate::chain::Strategy::Bearer;
use crate::gate::{Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, failures, reply};
use crate::organizations::{Organization, change, rules, sso};
use crate::route;

const TYPE: &str = "Organization";

pub static ROUTES: &[Route] = &[
    route!(GET "/api/{group}/organizations", [Group, Auth(&[Bearer]), Rights, May(&["organizations"])], list),
    route!(POST "/api/{group}/organizations", [Group, Auth(&[Bearer]), Body(rules::check_body), Rights, May(&["organizations"])], create),
    route!(GET "/api/{group}/organizations/{id}", [Group, Auth(&[Bearer]), Rights, May(&["organizations"])], read),
    route!(PATCH "/api/{group}/organizations/{id}", [Group, Auth(&[Bearer]), Body(failures::is_patch), Rights, May(&["organizations", "limited"])], patch),
    route!(DELETE "/api/{group}/organizations/{id}", [Group, Auth(&[Bearer]), Rights, May(&["organizations"])], delete),
];

/// The secret of an upstream connection is for those who may set any organization's.
fn secrets(ctx: &Ctx) -> SecretView {
    let sets = ["organizations", "organizations-limited"]
        .iter()
        .any(|target| ctx.holds_fully_here(target, "update"));
    if sets {
        SecretView::Shown
    } else {
        SecretView::Hidden
    }
}

fn shown(ctx: &Ctx, organization: &Organization) -> ApiResult<Json> {
    let mut out = organization.public(secrets(ctx));
    sso::add_return_addresses(&ctx.app, &ctx.tenant()?.group, organization, &mut out);
    Ok(out)
}

/// The organization in the path. *Own* callers name theirs by its id.
fn addressed(ctx: &Ctx) -> ApiResult<&Organization> {
    let key = ctx.req.param("id")?;
    ctx.own_organization(key)?;
    ctx.organization
        .as_ref()
        .ok_or_else(|| ApiError::missing(key))
}

/// A write to the group's own organization is one to what the group is known by.
fn tell(ctx: &Ctx, organization: &Organization) -> ApiResult<()> {
    if organization.core {
        ctx.app.tenants.changed(ctx.group_id()?);
    }
    Ok(())
}

async fn list(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let found = rules::list(&ctx.app, ctx.group_id()?, &ctx.req.query, secrets(&ctx)).await?;
    reply::ok(TYPE, found)
}

async fn create(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let (organization, domain) = rules::create(
        &ctx.app,
        ctx.tenant()?,
        &ctx.caller.author(),
        &ctx.req.json(),
    )
    .await?;
    let out = json!({
        "organization": shown(&ctx, &organization)?,
        "domain": reply::public_document(&domain),
    });
    reply::created(TYPE, out)
}

async fn read(ctx: Ctx) -> ApiResult<Reply> {
    let id = addressed(&ctx)?.id.clone();
    let organization = rules::in_path(&ctx)
        .await?
        .ok_or_else(|| ApiError::missing(&id))?;
    reply::ok(TYPE, shown(&ctx, &organization)?)
}

async fn patch(ctx: Ctx) -> ApiResult<Reply> {
    let id = addressed(&ctx)?.id.clone();
    let organization = change::patch(
        &ctx.app,
        ctx.group_id()?,
        &id,
        &ctx.req.json(),
        ctx.rights.own,
        &ctx.caller.author(),
    )
    .await;
    // also after a failure: it may have come after the write
    tell(&ctx, addressed(&ctx)?)?;
    reply::ok(TYPE, shown(&ctx, &organization?)?)
}

async fn delete(ctx: Ctx) -> ApiResult<Reply> {
    let organization = addressed(&ctx)?;
    if organization.core {
        ctx.root_only()?;
    }
    let gone = rules::delete(&ctx.app, ctx.tenant()?, &organization.id).await?;
    tell(&ctx, &gone)?;
    reply::ok(TYPE, gone.public(secrets(&ctx)))
}
