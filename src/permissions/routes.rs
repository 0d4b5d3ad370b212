//! The endpoints of permissions, and the checks of what refers to what.

use std::slice;

use serde_json::json;

use crate::access::members::texts;
use crate::gate::{Ctx, Route, Strategy};
use crate::http::error::ApiResult;
use crate::http::reply::public_document;
use crate::http::validate::check_texts;
use crate::http::{ApiError, Reply, reply};
use crate::permissions::{Permission, rules};
use crate::products::Product;
use crate::roles;
use crate::route;

const TYPE: &str = "Permissions";
const BEARER: &[Strategy] = &[Strategy::Bearer];

pub static ROUTES: &[Route] = &[
    route!(GET "/api/{group}/products/{product}/permissions", [Group, Auth(BEARER), Rights, May(&["permissions"]), Product], list),
    route!(POST "/api/{group}/products/{product}/permission", [Group, Auth(BEARER), Body(rules::check_new), Rights, May(&["permissions"]), Product], create),
    route!(POST "/api/{group}/products/{product}/permissions", [Group, Auth(BEARER), Body(rules::check_many), Rights, May(&["permissions"]), Product], create_many),
    route!(DELETE "/api/{group}/products/{product}/permissions", [Group, Auth(BEARER), Body(check_texts), Rights, May(&["permissions"]), Product], delete_many),
    route!(GET "/api/{group}/products/{product}/permissions/{id}", [Group, Auth(BEARER), Rights, May(&["permissions"]), Product], read),
    route!(DELETE "/api/{group}/products/{product}/permissions/{id}", [Group, Auth(BEARER), Rights, May(&["permissions"]), Product], delete),
    route!(GET "/api/{group}/products/{product}/permission/targets", [Group, Auth(BEARER), Rights, May(&["permissions"]), Product], targets),
    route!(GET "/api/{group}/products/{product}/permission/actions", [Group, Auth(BEARER), Rights, May(&["permissions"]), Product], actions),
    route!(GET "/api/{group}/products/{product}/permission/tags", [Group, Auth(BEARER), Rights, May(&["permissions"]), Product], tags),
    route!(GET "/api/{group}/products/{product}/roles/{role}/permissions", [Group, Auth(BEARER), Rights, May(&["permissions"]), Product], of_role),
    route!(GET "/api/{group}/products/{product}/permissions/{id}/reference-check/role", [Group, Auth(BEARER), Rights, May(&["roles"]), Product], roles_with),
    route!(GET "/api/{group}/products/{product}/reference-check/permissions", [Group, Auth(BEARER), Rights, May(&["permissions"]), Product], references),
    route!(GET "/api/{group}/organization/{org}/products/{product}/permissions", [Group, Auth(BEARER), Rights, May(&["permissions"]), Organization, Product], list_in_organization),
    route!(GET "/api/{group}/organization/{org}/products/{product}/permissions/{id}", [Group, Auth(BEARER), Rights, May(&["permissions"]), Organization, Product], read_in_organization),
    route!(GET "/api/{group}/organization/{org}/products/{product}/roles/{role}/permissions", [Group, Auth(BEARER), Rights, May(&["permissions"]), Organization, Product], of_role_in_organization),
];

/// 403 where a product has to be named that exists.
fn product(ctx: &Ctx) -> ApiResult<&Product> {
    ctx.product
        .as_ref()
        .ok_or_else(|| ApiError::forbidden("Roles must be associated to one product"))
}

/// 428 where the contract says so.
fn needed_product(ctx: &Ctx) -> ApiResult<&Product> {
    ctx.product
        .as_ref()
        .ok_or_else(|| ApiError::precondition_required("Must provide a product"))
}

async fn named(ctx: &Ctx, product: &Product) -> ApiResult<Permission> {
    let id = ctx.req.param("id")?;
    rules::find(&ctx.app, product, id)
        .await?
        .ok_or_else(|| ApiError::missing(id))
}

/// The product of the path, once it is clear that the caller may change its permissions.
fn changeable(ctx: &Ctx) -> ApiResult<&Product> {
    ctx.not_own()?;
    let product = product(ctx)?;
    if product.core {
        ctx.root_only()?;
    }
    Ok(product)
}

/// `GET …/products/{product}/permissions`
async fn list(ctx: Ctx) -> ApiResult<Reply> {
    let product = product(&ctx)?;
    ctx.own_product(&product.id)?;
    reply::ok(TYPE, rules::list(&ctx.app, product, &ctx.req.query).await?)
}

/// `POST …/products/{product}/permission`
async fn create(ctx: Ctx) -> ApiResult<Reply> {
    let (product, body) = (changeable(&ctx)?, ctx.req.json());
    let by = ctx.caller.author();
    let made = rules::create(&ctx.app, product, slice::from_ref(&body), false, &by).await?;
    reply::created(TYPE, made.first().map(public_document))
}

/// `POST …/products/{product}/permissions`: all or none.
async fn create_many(ctx: Ctx) -> ApiResult<Reply> {
    let (product, body) = (changeable(&ctx)?, ctx.req.json());
    let bodies = body.as_array().map(Vec::as_slice).unwrap_or_default();
    let by = ctx.caller.author();
    let made = rules::create(&ctx.app, product, bodies, product.core, &by).await?;
    reply::ok(TYPE, made.iter().map(public_document).collect::<Vec<_>>())
}

/// `GET …/products/{product}/permissions/{id}`
async fn read(ctx: Ctx) -> ApiResult<Reply> {
    let product = product(&ctx)?;
    ctx.own_product(&product.id)?;
    reply::ok(TYPE, public_document(&named(&ctx, product).await?))
}

/// `DELETE …/products/{product}/permissions/{id}`
async fn delete(ctx: Ctx) -> ApiResult<Reply> {
    let product = changeable(&ctx)?;
    let permission = named(&ctx, product).await?;
    if permission.core {
        ctx.root_only()?;
    }
    let (roles, deleted) = rules::delete(&ctx.app, product, slice::from_ref(&permission)).await?;
    if deleted == 0 {
        return Err(ApiError::missing(&permission.id));
    }
    let gone = public_document(&permission);
    reply::ok(TYPE, json!({ "permission": gone, "rolesImpacted": roles }))
}

/// `DELETE …/products/{product}/permissions`: those of a list of ids that are not core.
async fn delete_many(ctx: Ctx) -> ApiResult<Reply> {
    let product = changeable(&ctx)?;
    let ids = texts(Some(&ctx.req.json()))
        .ok_or_else(|| ApiError::precondition_required("Must provide id array"))?;
    let which = rules::ordinary(&ctx.app, product, &ids).await?;
    let (roles, deleted) = rules::delete(&ctx.app, product, &which).await?;
    let data = json!({
        "rolesImpacted": format!("WARNING - removed from {roles} roles as well"),
        "permission": { "acknowledged": true, "deletedCount": deleted },
    });
    reply::ok(TYPE, data)
}

async fn distinct(
    ctx: &Ctx,
    id: &str,
    empty: &str,
    values: fn(&Permission) -> &[String],
) -> ApiResult<Reply> {
    ctx.not_own()?;
    let found = rules::distinct(&ctx.app, product(ctx)?, id, empty, values).await?;
    reply::ok(TYPE, found)
}

/// `GET …/products/{product}/permission/targets`
async fn targets(ctx: Ctx) -> ApiResult<Reply> {
    distinct(&ctx, "targets", "target", |p| slice::from_ref(&p.target)).await
}

/// `GET …/products/{product}/permission/actions`
async fn actions(ctx: Ctx) -> ApiResult<Reply> {
    distinct(&ctx, "actions", "action", |p| slice::from_ref(&p.action)).await
}

/// `GET …/products/{product}/permission/tags`
async fn tags(ctx: Ctx) -> ApiResult<Reply> {
    distinct(&ctx, "tags", "Tags", |p| &p.tags).await
}

/// `GET …/products/{product}/roles/{role}/permissions`
async fn of_role(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let product = product(&ctx)?;
    let role = roles::rules::by_id(&ctx.app, product, ctx.req.param("role")?).await?;
    let query = &ctx.req.query;
    let found = rules::list_of_role(&ctx.app, product, role.as_ref(), query).await?;
    reply::ok("Role", found)
}

/// `GET …/permissions/{id}/reference-check/role`
async fn roles_with(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let product = product(&ctx)?;
    let permission = named(&ctx, product).await?;
    let found = rules::roles_with(&ctx.app, product, &permission).await?;
    reply::ok(TYPE, found)
}

/// `GET …/products/{product}/reference-check/permissions`
async fn references(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let found = rules::references(&ctx.app, needed_product(&ctx)?).await?;
    reply::ok("Product", found)
}

/// The product, which the organization must have; `refused` is the answer if it has not.
fn of_organization<'c>(
    ctx: &'c Ctx,
    product: &'c Product,
    refused: fn(&str) -> ApiError,
) -> ApiResult<&'c Product> {
    let organization = ctx.organization()?;
    ctx.own_organization(&organization.id)?;
    if !organization.associated_products.contains(&product.id) {
        return Err(refused(&product.id));
    }
    ctx.own_product(&product.id)?;
    Ok(product)
}

fn absent(id: &str) -> ApiError {
    ApiError::not_found(id)
}

/// `GET …/organization/{org}/products/{product}/permissions`
async fn list_in_organization(ctx: Ctx) -> ApiResult<Reply> {
    let product = of_organization(&ctx, needed_product(&ctx)?, absent)?;
    reply::ok(TYPE, rules::list(&ctx.app, product, &ctx.req.query).await?)
}

/// `GET …/organization/{org}/products/{product}/permissions/{id}`
async fn read_in_organization(ctx: Ctx) -> ApiResult<Reply> {
    let product = of_organization(&ctx, product(&ctx)?, absent)?;
    reply::ok(TYPE, public_document(&named(&ctx, product).await?))
}

/// `GET …/organization/{org}/products/{product}/roles/{role}/permissions`: of roles for everybody
/// and of the organization's own; others hold nothing here.
async fn of_role_in_organization(ctx: Ctx) -> ApiResult<Reply> {
    let refused = |_: &str| ApiError::forbidden("");
    let product = of_organization(&ctx, product(&ctx)?, refused)?;
    let organization = &ctx.organization()?.id;
    let role = roles::rules::by_id(&ctx.app, product, ctx.req.param("role")?)
        .await?
        .filter(|r| r.organization.as_ref().is_none_or(|o| o == organization));
    let query = &ctx.req.query;
    let found = rules::list_of_role(&ctx.app, product, role.as_ref(), query).await?;
    reply::ok("Role", found)
}
