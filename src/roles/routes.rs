//! The endpoints of roles: for everybody, and of one organization.

use serde_json::{Value as Json, json};

use crate::gate::{Ctx, Route, Strategy};
use crate::http::error::ApiResult;
use crate::http::reply::public_document;
use crate::http::{ApiError, Reply, failures, reply};
use crate::organizations::Organization;
use crate::products::Product;
use crate::roles::{Role, rules};
use crate::route;

const TYPE: &str = "Role";
const BEARER: &[Strategy] = &[Strategy::Bearer];

pub static ROUTES: &[Route] = &[
    route!(GET "/api/{group}/roles", [Group, Auth(BEARER), Rights, May(&["roles"])], all),
    route!(GET "/api/{group}/organization/{org}/roles", [Group, Auth(BEARER), Rights, May(&["roles"]), Organization], of_organization),
    route!(GET "/api/{group}/products/{product}/roles", [Group, Auth(BEARER), Rights, May(&["roles"]), Product], list),
    route!(POST "/api/{group}/products/{product}/roles", [Group, Auth(BEARER), Body(rules::check_new), Rights, May(&["roles"]), Product], create),
    route!(GET "/api/{group}/products/{product}/roles/{id}", [Group, Auth(BEARER), Rights, May(&["roles"]), Product], read),
    route!(PATCH "/api/{group}/products/{product}/roles/{id}", [Group, Auth(BEARER), Body(failures::is_patch), Rights, May(&["roles"]), Product], change),
    route!(DELETE "/api/{group}/products/{product}/roles/{id}", [Group, Auth(BEARER), Rights, May(&["roles"]), Product], delete),
    route!(GET "/api/{group}/organizations/{org}/products/{product}/roles", [Group, Auth(BEARER), Rights, May(&["roles"]), Product, Organization], list_custom),
    route!(PUT "/api/{group}/organizations/{org}/products/{product}/roles", [Group, Auth(BEARER), Body(rules::check_new), Rights, May(&["roles"]), Product, Organization], create_custom),
    route!(GET "/api/{group}/organizations/{org}/products/{product}/roles/{id}", [Group, Auth(BEARER), Rights, May(&["roles"]), Product, Organization], read_custom),
    route!(PATCH "/api/{group}/organizations/{org}/products/{product}/roles/{id}", [Group, Auth(BEARER), Body(failures::is_patch), Rights, May(&["roles"]), Product, Organization], change_custom),
    route!(DELETE "/api/{group}/organizations/{org}/products/{product}/roles/{id}", [Group, Auth(BEARER), Rights, May(&["roles"]), Product, Organization], delete_custom),
];

fn product(ctx: &Ctx) -> ApiResult<&Product> {
    ctx.product
        .as_ref()
        .ok_or_else(|| ApiError::forbidden("Roles must be associated to one product"))
}

async fn named(ctx: &Ctx, product: &Product) -> ApiResult<Role> {
    let key = ctx.req.param("id")?;
    rules::find(&ctx.app, product, key)
        .await?
        .ok_or_else(|| ApiError::missing(key))
}

/// `GET /api/{group}/roles`
async fn all(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let found = rules::of_tenant(&ctx.app, ctx.group_id()?, &ctx.req.query).await?;
    reply::ok(TYPE, found)
}

/// `GET …/organization/{org}/roles`
async fn of_organization(ctx: Ctx) -> ApiResult<Reply> {
    let organization = ctx.organization()?;
    ctx.own_organization(&organization.id)?;
    let found = rules::of_organization(&ctx.app, organization, &ctx.req.query).await?;
    reply::ok(TYPE, found)
}

/// `GET …/products/{product}/roles`
async fn list(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let found = rules::global_of_product(&ctx.app, product(&ctx)?, &ctx.req.query).await?;
    reply::ok(TYPE, found)
}

/// `POST …/products/{product}/roles`
async fn create(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let product = product(&ctx)?;
    let body = ctx.req.json();
    let grants = |list: &Json| list.as_array().is_some_and(|l| !l.is_empty());
    if body.get("core") == Some(&json!(true)) || body.get("permissions").is_some_and(grants) {
        ctx.root_only()?;
    }
    let made = rules::create(&ctx.app, product, None, &body, &ctx.caller.author()).await?;
    reply::created(TYPE, public_document(&made))
}

/// `GET …/products/{product}/roles/{id}`
async fn read(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    reply::ok(TYPE, public_document(&named(&ctx, product(&ctx)?).await?))
}

/// `PATCH …/products/{product}/roles/{id}`
async fn change(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let product = product(&ctx)?;
    let old = named(&ctx, product).await?;
    if old.core {
        ctx.root_only()?;
    }
    let (body, by) = (ctx.req.json(), ctx.caller.author());
    let new = rules::change(&ctx.app, product, &old, &body, &by, |_| Ok(())).await?;
    reply::ok(TYPE, public_document(&new))
}

/// `DELETE …/products/{product}/roles/{id}`
async fn delete(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let role = named(&ctx, product(&ctx)?).await?;
    if role.core {
        ctx.root_only()?;
    }
    let gone = rules::delete(&ctx.app, ctx.tenant()?, &role).await?;
    reply::ok(TYPE, public_document(&gone))
}

/// Product and organization of the path, which the organization must have and *own* callers
/// belong to.
fn licensed(ctx: &Ctx) -> ApiResult<(&Product, &Organization)> {
    let (product, organization) = (product(ctx)?, ctx.organization()?);
    if !organization.associated_products.contains(&product.id) {
        return Err(ApiError::not_found(&product.id));
    }
    ctx.own_product(&product.id)?;
    ctx.own_organization(&organization.id)?;
    Ok((product, organization))
}

/// A role that is the organization's own; others do not exist here.
async fn custom(ctx: &Ctx, product: &Product, organization: &Organization) -> ApiResult<Role> {
    let id = ctx.req.param("id")?;
    rules::by_id(&ctx.app, product, id)
        .await?
        .filter(|r| r.custom && r.organization.as_ref() == Some(&organization.id))
        .ok_or_else(|| ApiError::missing(id))
}

/// `GET …/organizations/{org}/products/{product}/roles`
async fn list_custom(ctx: Ctx) -> ApiResult<Reply> {
    let (product, organization) = licensed(&ctx)?;
    let query = &ctx.req.query;
    let found = rules::of_product_in(&ctx.app, product, organization, query).await?;
    reply::ok(TYPE, found)
}

/// `PUT …/organizations/{org}/products/{product}/roles`: makes a new one at every call.
async fn create_custom(ctx: Ctx) -> ApiResult<Reply> {
    let (product, organization) = licensed(&ctx)?;
    let (body, by) = (ctx.req.json(), ctx.caller.author());
    let made = rules::create(&ctx.app, product, Some(organization), &body, &by).await?;
    reply::created(TYPE, public_document(&made))
}

/// `GET …/organizations/{org}/products/{product}/roles/{id}`
async fn read_custom(ctx: Ctx) -> ApiResult<Reply> {
    let (product, organization) = licensed(&ctx)?;
    let role = custom(&ctx, product, organization).await?;
    reply::ok(TYPE, public_document(&role))
}

/// `PATCH …/organizations/{org}/products/{product}/roles/{id}`
async fn change_custom(ctx: Ctx) -> ApiResult<Reply> {
    let (product, organization) = licensed(&ctx)?;
    let old = custom(&ctx, product, organization).await?;
    let (body, by) = (ctx.req.json(), ctx.caller.author());
    // who runs one organization must not gain rights over the group by way of an own role
    let may_grant = |permission: &str| {
        if !ctx.rights.own || !product.core || holds(&ctx, product, permission) {
            Ok(())
        } else {
            Err(ApiError::forbidden(
                "You can only grant permissions of this product that you have",
            ))
        }
    };
    let new = rules::change(&ctx.app, product, &old, &body, &by, may_grant).await?;
    reply::ok(TYPE, public_document(&new))
}

/// Has the caller the permission (`"<id> <coded>"`) of a core product, or a wider one?
pub fn holds(ctx: &Ctx, product: &Product, permission: &str) -> bool {
    let Some((target, action)) = permission
        .split_once(' ')
        .and_then(|(_, coded)| coded.split_once("::"))
    else {
        return false;
    };
    let (action, own) = action
        .strip_suffix(":own")
        .map_or((action, false), |action| (action, true));
    ctx.rights.permissions.iter().any(|p| {
        (p.code == product.coded_id || p.code == product.id)
            && p.target == target
            && p.action == action
            && (own || !p.own)
    })
}

/// `DELETE …/organizations/{org}/products/{product}/roles/{id}`
async fn delete_custom(ctx: Ctx) -> ApiResult<Reply> {
    let (product, organization) = licensed(&ctx)?;
    let role = custom(&ctx, product, organization).await?;
    let gone = rules::delete(&ctx.app, ctx.tenant()?, &role).await?;
    reply::ok(TYPE, public_document(&gone))
}
