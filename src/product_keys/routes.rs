//! The endpoints of product keys and their services.

use serde_json::{Map, Value as Json, json};

use crate::access::client_access::{self, check_roles};
use crate::access::evaluate::find_organization;
use crate::access::members::texts;
use crate::clients::{Client, rules as clients};
use crate::gate::chain::Strategy::Bearer;
use crate::gate::{Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, reply};
use crate::oidc::issue::{self, AccessParams, Subject};
use crate::permissions::rules::of_product;
use crate::product_keys::{ProductKey, rules, services};
use crate::products::Product;
use crate::roles::Role;
use crate::roles::routes::holds;
use crate::route;
use crate::store::{any_of, or};

const TYPE: &str = "Product Keys";

pub static ROUTES: &[Route] = &[
    route!(POST "/api/{group}/access/product/{product}/key/service", [Group, Product, Auth(&[Bearer]), Body(rules::check_service), Rights, May(&["productKey"])], create_service),
    route!(GET "/api/{group}/access/product/{product}/key/service", [Group, Product, Auth(&[Bearer]), Rights, May(&["productKey"])], list_services),
    route!(PUT "/api/{group}/access/product/{product}/key/service/{clientId}", [Group, Product, Auth(&[Bearer]), Body(client_access::check_body), Rights, May(&["productKey"])], set_roles),
    route!(DELETE "/api/{group}/access/product/{product}/key/service/{clientId}", [Group, Product, Auth(&[Bearer]), Rights, May(&["productKey"])], delete_service),
    route!(POST "/api/{group}/access/product/{product}/key", [Group, Product, Auth(&[Bearer]), Body(rules::check_key), Rights, May(&["productKey"])], create),
    route!(GET "/api/{group}/access/product/{product}/key", [Group, Product, Auth(&[Bearer]), Rights, May(&["productKey"])], list),
    route!(GET "/api/{group}/access/product/{product}/key/{id}", [Group, Product, Auth(&[Bearer]), Rights, May(&["productKey"])], read),
    route!(PUT "/api/{group}/access/product/{product}/key/{id}", [Group, Product, Auth(&[Bearer]), Rights, May(&["productKey"])], rotate),
    route!(DELETE "/api/{group}/access/product/{product}/key/{id}", [Group, Product, Auth(&[Bearer]), Rights, May(&["productKey"])], delete),
];

fn product(ctx: &Ctx) -> ApiResult<&Product> {
    ctx.product
        .as_ref()
        .ok_or_else(|| ApiError::precondition_required("Product required"))
}

/// The one organization that *own* callers may act in; they must belong to it.
fn own_organization(ctx: &Ctx) -> ApiResult<Option<&str>> {
    if !ctx.rights.own {
        return Ok(None);
    }
    let context = ctx.context.as_deref();
    match context.filter(|c| ctx.rights.organizations.iter().any(|o| o == c)) {
        Some(context) => Ok(Some(context)),
        None => Err(ApiError::forbidden(
            "Org Context required with your permission",
        )),
    }
}

async fn service(ctx: &Ctx, id: &str) -> ApiResult<Client> {
    let organization = own_organization(ctx)?;
    services::find(&ctx.app, ctx.tenant()?, product(ctx)?, id, organization)
        .await?
        .ok_or_else(|| ApiError::missing(id))
}

/// Keys of a core product act on the group: who manages those of one organization passes on no
/// rights that are not the own.
async fn within_own_rights(ctx: &Ctx, product: &Product, roles: &[String]) -> ApiResult<()> {
    if !ctx.rights.own || !product.core {
        return Ok(());
    }
    let named = or([
        any_of("_id", roles.to_vec()),
        any_of("codedId", roles.to_vec()),
    ]);
    let given = ctx
        .app
        .store
        .of::<Role>()
        .find(of_product(product).and(named))
        .await?;
    let mut permissions = given.iter().flat_map(|r| &r.permissions);
    if permissions.all(|p| holds(ctx, product, p)) {
        Ok(())
    } else {
        Err(ApiError::forbidden(
            "A key can only have permissions of this product that you have",
        ))
    }
}

fn held(service: &Client) -> &[String] {
    service.access.as_ref().map_or(&[], |a| a.roles.as_slice())
}

async fn create_service(ctx: Ctx) -> ApiResult<Reply> {
    let product = product(&ctx)?;
    let body = ctx.req.json();
    let organization = if let Some(own) = own_organization(&ctx)? {
        ctx.own_product(&product.id)?;
        Some(own.to_owned())
    } else if let Some(key) = rules::optional(&body, "organizationId") {
        let found = find_organization(&ctx.app.store, ctx.group_id()?, &key).await?;
        let unknown = || ApiError::bad_request(format!("Organization not found: {key}"));
        Some(found.ok_or_else(unknown)?.id)
    } else {
        None
    };
    let name = rules::required(&body, "name")?;
    let tenant = ctx.tenant()?;
    let new = services::build(&ctx.app, tenant, product, name, organization);
    let roles = texts(body.get("roles"));
    if let Some(roles) = &roles {
        check_roles(&ctx, &new, product, roles).await?;
        within_own_rights(&ctx, product, roles).await?;
    }
    let made = services::create(&ctx.app, tenant, product, new, roles).await?;
    reply::created(TYPE, services::made(&made))
}

async fn list_services(ctx: Ctx) -> ApiResult<Reply> {
    let product = product(&ctx)?;
    own_organization(&ctx)?;
    let own = ctx
        .rights
        .own
        .then_some(ctx.rights.organizations.as_slice());
    let found = services::list(&ctx.app, ctx.tenant()?, product, &ctx.req.query, own).await?;
    reply::ok(TYPE, found)
}

async fn set_roles(ctx: Ctx) -> ApiResult<Reply> {
    let product = product(&ctx)?;
    let id = ctx.req.param("clientId")?;
    let service = service(&ctx, id).await?;
    let roles = texts(ctx.req.json().get("roles"))
        .ok_or_else(|| ApiError::bad_request("roles is required"))?;
    check_roles(&ctx, &service, product, &roles).await?;
    within_own_rights(&ctx, product, &roles).await?;
    let changed = services::set_roles(&ctx.app, ctx.tenant()?, product, id, &roles)
        .await?
        .ok_or_else(|| ApiError::missing(id))?;
    reply::ok(TYPE, services::with_roles(&changed))
}

async fn delete_service(ctx: Ctx) -> ApiResult<Reply> {
    let product = product(&ctx)?;
    let gone = service(&ctx, ctx.req.param("clientId")?).await?;
    clients::remove(&ctx.app, ctx.tenant()?, &gone.id).await?;
    let out = json!({ "authGroup": ctx.group_id()?, "clientId": gone.id, "productId": product.id });
    reply::ok(TYPE, out)
}

/// The claims of a service's keys: its roles of this moment, for its organization.
async fn claims(ctx: &Ctx, service: &Client) -> ApiResult<Map<String, Json>> {
    let organization = service.payload.initialized_org_context.as_deref();
    let scope = rules::scope(ctx.group_id()?, organization);
    let access = AccessParams::default();
    let tenant = ctx.tenant()?;
    let mut out = issue::extra(
        ctx,
        tenant,
        service,
        Subject::Client,
        &scope,
        &access,
        false,
    )
    .await?;
    if let Some(organization) = organization {
        out.insert("x-organization-context".to_owned(), organization.into());
    }
    Ok(out)
}

async fn create(ctx: Ctx) -> ApiResult<Reply> {
    let product = product(&ctx)?;
    let own = own_organization(&ctx)?;
    let body = ctx.req.json();
    let id = rules::required(&body, "clientId")?;
    let service = services::find(&ctx.app, ctx.tenant()?, product, id, None)
        .await?
        .ok_or_else(|| ApiError::not_found("Service is not associated to the product specified"))?;
    if own.is_some() && service.payload.initialized_org_context.as_deref() != own {
        return Err(ApiError::forbidden(""));
    }
    within_own_rights(&ctx, product, held(&service)).await?;
    let claims = claims(&ctx, &service).await?;
    let author = ctx.caller.author();
    let out = rules::create(&ctx.app, product, &service, &claims, &author, &body).await?;
    reply::created(TYPE, out)
}

async fn list(ctx: Ctx) -> ApiResult<Reply> {
    let keys = rules::of_product(product(&ctx)?, own_organization(&ctx)?);
    reply::ok(TYPE, rules::list(&ctx.app, keys, &ctx.req.query).await?)
}

async fn find(ctx: &Ctx) -> ApiResult<ProductKey> {
    let keys = rules::of_product(product(ctx)?, own_organization(ctx)?);
    rules::find(&ctx.app, keys, ctx.req.param("id")?).await
}

async fn read(ctx: Ctx) -> ApiResult<Reply> {
    reply::ok(TYPE, find(&ctx).await?.public())
}

async fn rotate(ctx: Ctx) -> ApiResult<Reply> {
    let record = find(&ctx).await?;
    let service = service(&ctx, &record.client_id).await?;
    within_own_rights(&ctx, product(&ctx)?, held(&service)).await?;
    let claims = claims(&ctx, &service).await?;
    let author = ctx.caller.author();
    let out = rules::rotate(&ctx.app, &record, &service, &claims, &author).await?;
    reply::ok(TYPE, out)
}

async fn delete(ctx: Ctx) -> ApiResult<Reply> {
    let keys = rules::of_product(product(&ctx)?, own_organization(&ctx)?);
    let gone = rules::delete(&ctx.app, keys, ctx.req.param("id")?).await?;
    reply::ok(TYPE, gone.public())
}
