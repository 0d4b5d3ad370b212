//! The endpoints of people's access in organizations.

use serde_json::{Map, Value as Json, json};

use crate::access::members::{self, Bulk, Wanted};
use crate::accounts::rules as accounts;
use crate::gate::{Ctx, Route, Strategy, enforce};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, reply};
use crate::notifications::messages::access_given;
use crate::organizations::Organization;
use crate::organizations::rules::{joined, own_in_path};
use crate::products::Product;
use crate::route;
use crate::store::{Order, Query, and, any_of, eq, ne};

const TYPE: &str = "Access";
const BEARER: &[Strategy] = &[Strategy::Bearer];

pub static ROUTES: &[Route] = &[
    route!(PUT "/api/{group}/access/organization/{org}/account/{id}", [Group, Auth(BEARER), Body(members::check_wanted), Rights, May(&["organizations"])], define),
    // people may read what they themselves were given, so the handler asks for the permission
    route!(GET "/api/{group}/access/organization/{org}/account/{id}", [Group, Auth(BEARER), Rights], defined),
    route!(DELETE "/api/{group}/access/organization/{org}/account/{id}", [Group, Auth(BEARER), Rights, May(&["accounts", "organization"])], remove),
    route!(PUT "/api/{group}/access/organization/{org}/accounts", [Group, Auth(BEARER), Body(members::check_bulk), Rights, May(&["organizations"])], grant),
    route!(DELETE "/api/{group}/access/organization/{org}/accounts", [Group, Auth(BEARER), Body(members::check_bulk), Rights, May(&["accounts", "organization"])], revoke),
    route!(GET "/api/{group}/access/organizations", [Group, Auth(BEARER), Rights, May(&["accounts"])], memberships),
    route!(GET "/api/{group}/access/my/organizations", [Group, Auth(BEARER), Rights, May(&["accounts"])], my_organizations),
    route!(GET "/api/{group}/access/my/organizations/{org}/products", [Group, Auth(BEARER), Rights, May(&["accounts"])], my_products),
    route!(PUT "/api/{group}/access/organizations/{org}/terms", [Group, Auth(BEARER), Body(members::check_terms), Rights, May(&["accounts"])], terms),
];

async fn define(ctx: Ctx) -> ApiResult<Reply> {
    let organization = own_in_path(&ctx).await?;
    let wanted = Wanted::from_body(&ctx.req.json());
    let id = ctx.req.param("id")?;
    let author = ctx.caller.author();
    let before = accounts::find(&ctx.app, ctx.group_id()?, id).await?;
    let out = members::define(&ctx.app, &organization, id, &wanted, &author).await?;
    if let Some(account) = before.filter(|_| ctx.req.query("notify") != Some("false")) {
        let fresh = members::held(&account, &organization.id).is_none();
        let tenant = ctx.tenant()?;
        access_given(&ctx.app, tenant, &account, &organization, fresh, author).await;
    }
    reply::ok(TYPE, out)
}

async fn defined(mut ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?.to_owned();
    let organization = if ctx.caller.sub() == Some(id.as_str()) {
        joined(&ctx, true, |org| members::no_record(org, &id)).await?
    } else {
        enforce::may(&mut ctx, &["organizations"])?;
        own_in_path(&ctx).await?
    };
    reply::ok(TYPE, members::defined(&ctx.app, &organization, &id).await?)
}

async fn remove(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let stranger = |org: &str| match ctx.own_record(id) {
        Ok(()) => members::no_record(org, id),
        Err(refusal) => refusal,
    };
    let organization = joined(&ctx, ctx.rights.own, stranger).await?;
    if ctx.holds_here("accounts-organization", "delete") {
        // whoever manages members does so in the own organization, whatever else is held
        if !ctx.rights.organizations.contains(&organization.id) {
            return Err(ApiError::forbidden(""));
        }
    } else {
        ctx.own_record(id)?;
    }
    reply::ok(TYPE, members::remove(&ctx.app, &organization, id).await?)
}

async fn grant(ctx: Ctx) -> ApiResult<Reply> {
    bulk(ctx, Bulk::Grant).await
}

async fn revoke(ctx: Ctx) -> ApiResult<Reply> {
    bulk(ctx, Bulk::Revoke).await
}

async fn bulk(ctx: Ctx, way: Bulk) -> ApiResult<Reply> {
    let organization = own_in_path(&ctx).await?;
    let out = members::bulk(&ctx.app, &organization, &ctx.req.json(), way).await?;
    reply::ok("Account", out)
}

async fn terms(ctx: Ctx) -> ApiResult<Reply> {
    let organization = joined(&ctx, ctx.rights.own, members::not_added).await?;
    let body = ctx.req.json();
    let out = members::terms(&ctx.app, &organization, ctx.sub()?, body.get("action")).await?;
    reply::ok(TYPE, out)
}

async fn memberships(ctx: Ctx) -> ApiResult<Reply> {
    let group = ctx.group_id()?;
    let found = match accounts::find(&ctx.app, group, ctx.sub()?).await? {
        Some(account) => members::memberships(&ctx.app, group, &account).await?,
        None => Vec::new(),
    };
    reply::ok(TYPE, found)
}

/// The organizations of the token; of a client, the one that the request is about.
async fn my_organizations(ctx: Ctx) -> ApiResult<Reply> {
    let ids: Vec<String> = if ctx.caller.is_client() {
        ctx.context.clone().into_iter().collect()
    } else {
        ctx.rights.organizations.clone()
    };
    let found = ctx
        .app
        .store
        .of::<Organization>()
        .find(and([
            eq("authGroup", ctx.group_id()?),
            any_of("_id", ids.clone()),
        ]))
        .await?;
    let organizations: Vec<Json> = ids
        .iter()
        .filter_map(|id| found.iter().find(|o| o.id == *id))
        .map(|o| {
            picked(&[
                ("id", Some(&o.id)),
                ("externalId", o.external_id.as_ref()),
                ("name", Some(&o.name)),
                ("description", o.description.as_ref()),
                ("contactEmail", o.contact_email.as_ref()),
                ("contactName", o.contact_name.as_ref()),
                ("contactAddress", o.contact_address.as_ref()),
                ("contactPhone", o.contact_phone.as_ref()),
            ])
        })
        .collect();
    reply::ok(
        "Organization",
        json!({ "sub": ctx.sub()?, "organizations": organizations }),
    )
}

/// The members that are set.
fn picked(members: &[(&str, Option<&String>)]) -> Json {
    let set = members.iter().filter_map(|(name, value)| {
        Some(((*name).to_owned(), Json::from(value.as_ref()?.as_str())))
    });
    Json::Object(set.collect::<Map<_, _>>())
}

fn product(p: &Product) -> Json {
    picked(&[
        ("id", Some(&p.id)),
        ("codedId", Some(&p.coded_id)),
        ("name", Some(&p.name)),
        ("description", p.description.as_ref()),
        ("url", p.url.as_ref()),
    ])
}

/// Products that the caller's portal can link to: those of the organization, and those for all.
async fn my_products(ctx: Ctx) -> ApiResult<Reply> {
    let (group, key) = (ctx.group_id()?, ctx.req.param("org")?);
    let ids: Vec<String> = match ctx.caller.claims() {
        Some(claims) => enforce::access_claims(&ctx, claims)
            .await?
            .get("x-access-products")
            .and_then(|by_organization| by_organization.get(key))
            .and_then(Json::as_str)
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|p| p.split(',').next())
            .map(ToOwned::to_owned)
            .collect(),
        None => Vec::new(),
    };
    let products = ctx.app.store.of::<Product>();
    let with_core = ctx.req.query("includeCore") == Some("true");
    let held = products
        .find(and([
            eq("authGroup", group),
            any_of("_id", ids.clone()),
            ne("b2c", true),
        ]))
        .await?;
    let b2b: Vec<Json> = ids
        .iter()
        .filter_map(|id| held.iter().find(|p| p.id == *id))
        .filter(|p| with_core || !p.core)
        .map(product)
        .collect();
    let for_all = Query::new(and([
        eq("authGroup", group),
        eq("b2c", true),
        ne("core", true),
    ]))
    .sort("createdAt", Order::Ascending);
    let b2c: Vec<Json> = products.find(for_all).await?.iter().map(product).collect();
    reply::ok(
        "Product",
        json!({ "sub": ctx.sub()?, "authGroup": group, "b2c": b2c, "b2b": b2b }),
    )
}
