//! Reading access: of the bearer of a token, and of an account.

use serde_json::{Map, Value as Json, json};

use crate::access::{AccessFilter, ClientGrants, UserGrants};
use crate::accounts::Account;
use crate::gate::caller::{Caller, ClientCaller};
use crate::gate::{Ctx, Route, Strategy};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, reply};
use crate::route;

/// Routes that show access.
pub static ROUTES: &[Route] = &[
    route!(GET "/api/{group}/access/validate", [Group, Auth(&[Strategy::BearerAnyAudience])], validate),
    route!(GET "/api/{group}/access/account/{id}",
        [Group, Auth(&[Strategy::Bearer]), Rights, May(&["userAccess"])],
        of_account),
];

/// What the token's bearer may do; any client's token of the group will do.
pub async fn validate(ctx: Ctx) -> ApiResult<Reply> {
    match &ctx.caller {
        Caller::User(user) => show(&ctx, &user.account.id).await,
        Caller::Client(client) => of_client(&ctx, client).await,
        _ => Err(ApiError::unauthorized("")),
    }
}

/// What an account may do; `me` is the caller.
pub async fn of_account(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.id_or_me()?;
    ctx.own_record(&id)?;
    show(&ctx, &id).await
}

async fn show(ctx: &Ctx, id: &str) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?;
    let account = ctx
        .app
        .store
        .of::<Account>()
        .get(id)
        .await?
        .filter(|a| a.auth_group == tenant.id())
        .ok_or_else(|| ApiError::not_found(format!("user not found: {id}")))?;
    let owned = |name: &str| ctx.req.query(name).map(ToOwned::to_owned);
    let flag = |name: &str| ctx.req.query(name) == Some("true");
    let filter = AccessFilter {
        organization: owned("org"),
        domain: owned("domain"),
        product: owned("product"),
        exclude_permissions: flag("excludePermissions"),
        include_misc_roles: flag("includeMiscRoles"),
    };
    let grants = UserGrants::load(&ctx.app.store, &tenant.group, &account, &filter).await?;
    let data = if flag("minimized") {
        Json::Object(grants.minimized())
    } else {
        grants.full()
    };
    reply::ok("Access", data)
}

async fn of_client(ctx: &Ctx, caller: &ClientCaller) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?;
    // a client of the root group has no access here
    if caller.tenant.id() != tenant.id() {
        return Err(ApiError::unauthorized(""));
    }
    let mut out = Map::new();
    let mut add = |name: &str, value: Json| out.insert(name.to_owned(), value);
    add("sub", json!(caller.client.id));
    add("type", json!("client"));
    add("authGroup", json!(tenant.id()));
    add("member", json!(true));
    let claim = |name: &str| caller.claims.get(name).and_then(Json::as_str);
    if claim("scope").is_some_and(|scope| scope.contains("access")) {
        let grants = ClientGrants::load(&ctx.app.store, tenant.id(), &caller.client).await?;
        if !grants.is_empty() {
            add("products", json!(grants.product));
            add("productRoles", json!(grants.roles_claim()));
            let permissions = grants.permissions_claim();
            if !permissions.is_empty() {
                add("permissions", json!(permissions));
            }
        }
    }
    if let Some(context) = claim("x-organization-context") {
        add("orgContext", json!(context));
    }
    reply::ok("Clients", Json::Object(out))
}
