//! The endpoints of products: of the group, of an organization, of one of its domains.

use serde_json::json;

use crate::gate::{Ctx, Route, Strategy};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, failures, reply};
use crate::products::{Product, rules};
use crate::route;

const TYPE: &str = "Product";
const BEARER: &[Strategy] = &[Strategy::Bearer];

pub static ROUTES: &[Route] = &[
    route!(GET "/api/{group}/products", [Group, Auth(BEARER), Rights, May(&["products"])], list),
    route!(POST "/api/{group}/products", [Group, Auth(BEARER), Body(rules::check_new), Rights, May(&["products"])], create),
    route!(GET "/api/{group}/products/{id}", [Group, Auth(BEARER), Rights, May(&["products"])], read),
    route!(PATCH "/api/{group}/products/{id}", [Group, Auth(BEARER), Body(failures::is_patch), Rights, May(&["products"])], change),
    route!(DELETE "/api/{group}/products/{id}", [Group, Auth(BEARER), Rights, May(&["products"])], delete),
    route!(GET "/api/{group}/organization/{org}/products", [Group, Auth(BEARER), Rights, May(&["products"]), Organization], of_organization),
    route!(GET "/api/{group}/organization/{org}/products/{id}", [Group, Auth(BEARER), Rights, May(&["products"]), Organization], one_of_organization),
    route!(GET "/api/{group}/organization/{org}/domain/{domain}/products", [Group, Auth(BEARER), Rights, May(&["products"]), Organization, Domain], of_domain),
    route!(GET "/api/{group}/organization/{org}/domain/{domain}/products/{id}", [Group, Auth(BEARER), Rights, May(&["products"]), Organization, Domain], one_of_domain),
];

async fn named(ctx: &Ctx) -> ApiResult<Product> {
    let key = ctx.req.param("id")?;
    rules::find(&ctx.app, ctx.group_id()?, key)
        .await?
        .ok_or_else(|| ApiError::missing(key))
}

/// `GET /api/{group}/products`
async fn list(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let found = rules::list(&ctx.app, ctx.group_id()?, &ctx.req.query).await?;
    reply::ok(TYPE, found)
}

/// `POST /api/{group}/products`
async fn create(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let body = ctx.req.json();
    if body.get("core").is_some_and(|core| *core == json!(true)) {
        ctx.root_only()?;
    }
    let made = rules::create(&ctx.app, ctx.tenant()?, &body, &ctx.caller.author()).await?;
    reply::created(TYPE, made.public())
}

/// `GET /api/{group}/products/{id}`: *own* callers must use the id of a product of theirs.
async fn read(ctx: Ctx) -> ApiResult<Reply> {
    ctx.own_product(ctx.req.param("id")?)?;
    reply::ok(TYPE, named(&ctx).await?.public())
}

/// `PATCH /api/{group}/products/{id}`
async fn change(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let old = named(&ctx).await?;
    if old.core {
        ctx.root_only()?;
    }
    let (body, by) = (ctx.req.json(), ctx.caller.author());
    let new = rules::change(&ctx.app, ctx.tenant()?, &old, &body, &by).await?;
    reply::ok(TYPE, new.public())
}

/// `DELETE /api/{group}/products/{id}`
async fn delete(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    let product = named(&ctx).await?;
    if product.core {
        ctx.root_only()?;
    }
    let (permissions, gone) = rules::delete(&ctx.app, ctx.tenant()?, &product).await?;
    let data = json!({ "permissionsDeleted": permissions, "product": gone.public() });
    reply::ok(TYPE, data)
}

async fn several(ctx: &Ctx, ids: &[String]) -> ApiResult<Reply> {
    let found = rules::listed(&ctx.app, ctx.group_id()?, ids).await?;
    reply::ok(TYPE, found.iter().map(Product::short).collect::<Vec<_>>())
}

async fn one(ctx: &Ctx, ids: &[String]) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    if !ids.iter().any(|known| known == id) {
        return Err(ApiError::not_found(id));
    }
    reply::ok(TYPE, named(ctx).await?.short())
}

/// `GET /api/{group}/organization/{org}/products`
async fn of_organization(ctx: Ctx) -> ApiResult<Reply> {
    let organization = ctx.organization()?;
    ctx.own_organization(&organization.id)?;
    several(&ctx, &organization.associated_products).await
}

/// `GET /api/{group}/organization/{org}/products/{id}`
async fn one_of_organization(ctx: Ctx) -> ApiResult<Reply> {
    let organization = ctx.organization()?;
    ctx.own_organization(&organization.id)?;
    one(&ctx, &organization.associated_products).await
}

fn of_own_domain(ctx: &Ctx) -> ApiResult<&[String]> {
    ctx.own_organization(&ctx.organization()?.id)?;
    ctx.domain
        .as_ref()
        .map(|d| d.associated_org_products.as_slice())
        .ok_or_else(|| ApiError::precondition_required("Must provide a domain"))
}

/// `GET /api/{group}/organization/{org}/domain/{domain}/products`
async fn of_domain(ctx: Ctx) -> ApiResult<Reply> {
    several(&ctx, of_own_domain(&ctx)?).await
}

/// `GET /api/{group}/organization/{org}/domain/{domain}/products/{id}`
async fn one_of_domain(ctx: Ctx) -> ApiResult<Reply> {
    one(&ctx, of_own_domain(&ctx)?).await
}
