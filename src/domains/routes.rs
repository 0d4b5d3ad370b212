//! The endpoints of an organization's domains.

use crate::domains::{Domain, rules};
use crate::gate::chain::Strategy::Bearer;
use crate::gate::{Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, failures, reply};
use crate::organizations::Organization;
use crate::organizations::rules::own_in_path;
use crate::route;

const TYPE: &str = "Domain";

pub static ROUTES: &[Route] = &[
    route!(GET "/api/{group}/organizations/{org}/domains", [Group, Auth(&[Bearer]), Rights, May(&["domains", "limited"])], list),
    route!(POST "/api/{group}/organizations/{org}/domains", [Group, Auth(&[Bearer]), Body(rules::check_body), Rights, May(&["domains"])], create),
    route!(GET "/api/{group}/organizations/{org}/domains/{id}", [Group, Auth(&[Bearer]), Rights, May(&["domains", "limited"])], read),
    route!(PATCH "/api/{group}/organizations/{org}/domains/{id}", [Group, Auth(&[Bearer]), Body(failures::is_patch), Rights, May(&["domains", "limited"])], patch),
    route!(DELETE "/api/{group}/organizations/{org}/domains/{id}", [Group, Auth(&[Bearer]), Rights, May(&["domains", "limited"])], delete),
];

/// May the caller act only on domains of its own, rather than on all of the organization?
fn limited(ctx: &Ctx, action: &str) -> bool {
    ctx.rights.own && !ctx.holds_here("domains", action)
}

/// Limited callers may touch only the domains that they are in.
fn own_domain(ctx: &Ctx, organization: &Organization, id: &str, action: &str) -> ApiResult<()> {
    if !limited(ctx, action) {
        return Ok(());
    }
    let held = ctx.caller.account().is_some_and(|account| {
        account.access.iter().any(|entry| {
            let held = &entry.organization;
            held.id == organization.id && held.domains.iter().any(|d| d == id)
        })
    });
    if held {
        Ok(())
    } else {
        Err(ApiError::forbidden(""))
    }
}

/// What the platform is known by may have changed.
fn tell(ctx: &Ctx, domain: &Domain) -> ApiResult<()> {
    if domain.core {
        ctx.app.tenants.changed(ctx.group_id()?);
    }
    Ok(())
}

async fn list(ctx: Ctx) -> ApiResult<Reply> {
    let organization = own_in_path(&ctx).await?;
    if limited(&ctx, "read") {
        return Err(ApiError::forbidden(""));
    }
    let found = rules::list(&ctx.app, &organization, &ctx.req.query).await?;
    reply::ok(TYPE, found)
}

async fn create(ctx: Ctx) -> ApiResult<Reply> {
    let organization = own_in_path(&ctx).await?;
    if !organization.active {
        return Err(ApiError::forbidden(
            "You can not add domains to an inactive organization",
        ));
    }
    let made = rules::create(
        &ctx.app,
        &organization,
        &ctx.caller.author(),
        &ctx.req.json(),
    )
    .await?;
    reply::created(TYPE, reply::public_document(&made))
}

async fn read(ctx: Ctx) -> ApiResult<Reply> {
    let organization = own_in_path(&ctx).await?;
    let id = ctx.req.param("id")?;
    own_domain(&ctx, &organization, id, "read")?;
    let found = rules::find(&ctx.app, &organization, id).await?;
    reply::ok(TYPE, reply::public_document(&found))
}

async fn patch(ctx: Ctx) -> ApiResult<Reply> {
    let organization = own_in_path(&ctx).await?;
    let id = ctx.req.param("id")?;
    own_domain(&ctx, &organization, id, "update")?;
    let changed = rules::patch(
        &ctx.app,
        &organization,
        id,
        &ctx.req.json(),
        &ctx.caller.author(),
    )
    .await?;
    reply::ok(TYPE, reply::public_document(&changed))
}

async fn delete(ctx: Ctx) -> ApiResult<Reply> {
    let organization = own_in_path(&ctx).await?;
    let id = ctx.req.param("id")?;
    own_domain(&ctx, &organization, id, "delete")?;
    if rules::find(&ctx.app, &organization, id).await?.core {
        ctx.root_only()?;
    }
    let gone = rules::delete(&ctx.app, &organization, id).await?;
    tell(&ctx, &gone)?;
    reply::ok(TYPE, reply::public_document(&gone))
}
