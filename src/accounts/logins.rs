//! Where and how somebody can sign in: for those who have not done so yet.

use serde_json::{Map, Value as Json, json};

use crate::accounts::notices::tell_if;
use crate::accounts::{Account, attempts};
use crate::app::{App, LimitClass};
use crate::challenges::model::ChallengeState;
use crate::challenges::providers;
use crate::gate::chain::Strategy::BearerOrAllowedHost;
use crate::gate::{Caller, Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, reply};
use crate::notifications::delivery::of_server;
use crate::notifications::messages;
use crate::route;
use crate::store::{Query, StoreError, and, eq, exists};

const ACCOUNT: &str = "Account";
/// Most accounts of one address that are looked at.
const MOST: u64 = 1000;

pub static ROUTES: &[Route] = &[
    route!(GET "/api/{group}/account/login/options", [Group, Limit(LimitClass::Lookups)], options, public "asked by login pages before anybody has signed in"),
    route!(GET "/api/account/groups", [RootGroup, Limit(LimitClass::Recovery), Auth(&[BearerOrAllowedHost]), Rights], owned_groups),
];

/// `GET /api/{group}/account/login/options`
async fn options(ctx: Ctx) -> ApiResult<Reply> {
    let lookup = ctx
        .req
        .query("lookup")
        .ok_or_else(|| ApiError::bad_request("Username, email or phone is required"))?;
    let tenant = ctx.tenant()?;
    let account = attempts::find(&ctx.app, tenant.id(), lookup)
        .await?
        .filter(|a| a.active && !a.blocked && a.verified)
        .ok_or_else(|| ApiError::not_found(lookup))?;
    let mut out = Map::new();
    out.insert("query".to_owned(), lookup.into());
    if let Some(state) = ctx.req.query("state") {
        out.insert("state".to_owned(), state.into());
        if let Err(e) = bind(&ctx.app, tenant.id(), state, &account.id).await {
            tracing::warn!(account = account.id, cause = %e, "state not bound to its account");
        }
    }
    let plugins = ctx.plugins().await?;
    let group = &tenant.group;
    let magic_link = of_server(&ctx.app, &plugins).is_some() && group.config.password_less_support;
    let device =
        plugins.mfa_challenge.enabled && group.config.mfa_challenge.enable && account.mfa_enabled();
    let passkey = plugins.web_authn.enabled && group.plugin_options.web_authn.enable;
    out.insert("magicLink".to_owned(), magic_link.into());
    out.insert("device".to_owned(), device.into());
    let by_code = device
        && providers::of(&ctx.app, tenant)
            .await
            .is_ok_and(|provider| provider.asks_for_code());
    if by_code {
        out.insert("byCode".to_owned(), true.into());
    }
    out.insert("passkey".to_owned(), passkey.into());
    reply::ok(ACCOUNT, out)
}

/// Ties a pending state of exactly that value to the account, unless it is another's already.
async fn bind(app: &App, group: &str, state: &str, account: &str) -> Result<(), StoreError> {
    let pending = and([
        eq("authGroup", group),
        eq("stateValue", state),
        exists("account", false),
    ]);
    app.store
        .of::<ChallengeState>()
        .update_where(pending, |s: &mut ChallengeState| {
            s.account = Some(account.to_owned());
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(())
}

/// `GET /api/account/groups`: the groups an address owns, told to people of the root group; to
/// others by mail.
async fn owned_groups(ctx: Ctx) -> ApiResult<Reply> {
    let lookup = ctx.req.query("lookup").ok_or_else(|| {
        ApiError::bad_request("Must specify an email or phone number via \"lookup\" query")
    })?;
    if matches!(ctx.caller, Caller::Nobody) {
        return mail_owned_groups(&ctx, lookup).await;
    }
    if !ctx.rights.root_user {
        return Err(ApiError::forbidden(""));
    }
    let logins = owned(&ctx.app, lookup).await?;
    reply::ok(
        ACCOUNT,
        json!({ "lookup": lookup, "count": logins.len(), "logins": logins }),
    )
}

/// The same answer whether or not the address owns a group.
async fn mail_owned_groups(ctx: &Ctx, lookup: &str) -> ApiResult<Reply> {
    let (app, root) = (&ctx.app, ctx.tenant()?);
    let name = lookup.trim().to_lowercase();
    app.limits.check(LimitClass::Recovery, &name)?;
    if of_server(app, &*ctx.plugins().await?).is_none() {
        return Err(ApiError::failed_dependency(
            "Notifications are off for this server, so the list can not be mailed. Ask its administrator.",
        ));
    }
    let whom = (!owned(app, lookup).await?.is_empty()).then_some(lookup);
    tell_if(app, root.id(), whom, async |lookup: &str| {
        messages::owned_groups(app, root, lookup).await
    })
    .await?;
    let message = "If groups belong to this address, a message with a link to them is on its way.";
    reply::ok(ACCOUNT, json!({ "message": message }))
}

/// The groups whose owner has that e-mail address or phone number, and where to sign in to them.
pub async fn owned(app: &App, lookup: &str) -> ApiResult<Vec<Json>> {
    let field = if lookup.contains('@') {
        "email"
    } else {
        "phone.txt"
    };
    let accounts = app
        .store
        .of::<Account>()
        .find(Query::new(eq(field, lookup)).limit(MOST))
        .await?;
    let mut out = Vec::new();
    for account in accounts {
        let Some(tenant) = app.tenants.find(app, &account.auth_group).await? else {
            continue;
        };
        if tenant.group.owner == account.id {
            out.push(json!({
                "id": tenant.id(),
                "companyName": tenant.group.name,
                "companyAlias": tenant.group.pretty_name,
                "login": tenant.portal(app),
            }));
        }
    }
    Ok(out)
}
