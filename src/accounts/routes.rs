//! The endpoints of accounts.

use std::sync::Arc;

use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};

use crate::accounts::create::{Created, NewAccount};
use crate::accounts::{Account, change, create as creation, import as importing, rules};
use crate::app::LimitClass;
use crate::gate::chain::Strategy::{Bearer, CreateAccount, IatPassword};
use crate::gate::{Caller, Ctx, Route, context, enforce};
use crate::groups::Tenant;
use crate::groups::bootstrap::{self, NewOwner, NewPassword};
use crate::http::error::ApiResult;
use crate::http::request::IMPORT_BODY;
use crate::http::{ApiError, Reply, failures, reply};
use crate::notifications::IfRefused;
use crate::notifications::messages::{Action, Sender, account_action};
use crate::route;

const ACCOUNT: &str = "Account";

pub static ROUTES: &[Route] = &[
    route!(POST "/api/{group}/account", [GroupEvenInactive, Body(creation::check_body), Auth(&[CreateAccount])], create),
    route!(POST "/api/{group}/accounts", [Group, Body(importing::check_body), Auth(&[Bearer]), Rights, May(&["accounts"])], import, body IMPORT_BODY),
    route!(GET "/api/{group}/accounts", [Group, Auth(&[Bearer]), Rights, May(&["accounts"])], list),
    route!(GET "/api/{group}/accounts/search", [Group, Auth(&[Bearer]), Rights, May(&["accounts-organization"]), Limit(LimitClass::Lookups)], search),
    route!(GET "/api/{group}/account/{id}", [Group, Auth(&[Bearer]), Rights, May(&["accounts"])], read),
    route!(PATCH "/api/{group}/account/{id}", [Group, Auth(&[Bearer, IatPassword]), Body(failures::is_patch), Rights, May(&["accounts"])], patch),
    route!(DELETE "/api/{group}/account/{id}", [Group, Auth(&[Bearer]), Rights, May(&["accounts"])], delete),
    route!(POST "/api/{group}/setpass", [NoCache, Group, Auth(&[Bearer, IatPassword])], setpass),
];

async fn create(mut ctx: Ctx) -> ApiResult<Reply> {
    let tenant = Arc::clone(ctx.tenant()?);
    let body = ctx.req.json();
    if matches!(ctx.caller, Caller::Activation { .. }) {
        // no organization yet whose permissions could count
        return Box::pin(activate(&ctx, &tenant, &body)).await;
    }
    context::organization_context(&mut ctx, &tenant).await?;
    enforce::compute(&mut ctx).await?;
    enforce::may(&mut ctx, &["accounts"])?;
    if matches!(ctx.caller, Caller::OpenRegistration) {
        ctx.app
            .limits
            .check(LimitClass::Registration, &ctx.peer())?;
    }
    let new = NewAccount::from_body(&body)?;
    let created = creation::create(&ctx.app, &tenant, &ctx.caller, new).await?;
    answer_created(&ctx, &tenant, created).await
}

/// The owner's first account switches the group on, which uses the registration token up.
async fn activate(ctx: &Ctx, tenant: &Tenant, body: &Json) -> ApiResult<Reply> {
    let new = NewAccount::from_body(body)?;
    let password = match new.password {
        _ if new.generate_password => NewPassword::Generated,
        Some(given) => NewPassword::Given(given),
        None => return Err(ApiError::precondition_required("password is required")),
    };
    let owner = NewOwner {
        email: new.email,
        username: Some(new.username),
        password,
        phone: new.phone,
        metadata: new.metadata,
    };
    let ready = Box::pin(bootstrap::activate(&ctx.app, tenant, owner)).await?;
    reply::created(ACCOUNT, ready.public(&ctx.app))
}

/// The account exists even if the message that asks to verify its address can not be sent.
async fn answer_created(ctx: &Ctx, tenant: &Tenant, created: Created) -> ApiResult<Reply> {
    let mut account = created.account.public();
    if let (Some(password), Some(map)) = (created.generated, account.as_object_mut()) {
        map.insert("password".to_owned(), password.expose_secret().into());
    }
    if created.verify_due {
        let by = ctx.caller.sub().unwrap_or(&created.account.id).to_owned();
        let sender = Sender {
            by,
            ..Sender::default()
        };
        let sent = account_action(&ctx.app, tenant, &created.account, Action::Verify, sender).await;
        if let Err(cause) = sent {
            tracing::warn!(account = created.account.id, %cause, "no message to verify the address");
            let error = "The message that asks to verify the address could not be sent";
            let data = json!({ "account": account, "error": error });
            return Err(ApiError::failed_dependency(error).data(data));
        }
    }
    reply::created(ACCOUNT, account)
}

async fn import(ctx: Ctx) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?;
    let author = ctx.caller.author();
    let outcome = importing::import(&ctx.app, tenant, &author, &ctx.req.json()).await?;
    reply::created(ACCOUNT, outcome)
}

async fn list(ctx: Ctx) -> ApiResult<Reply> {
    if ctx.rights.own {
        return Err(ApiError::forbidden(""));
    }
    let found = rules::list(&ctx.app, ctx.group_id()?, &ctx.req.query).await?;
    reply::ok(ACCOUNT, found)
}

/// Also serves the search inside an organization, which does not narrow the result.
pub async fn search(ctx: Ctx) -> ApiResult<Reply> {
    let q = ctx
        .req
        .query("q")
        .ok_or_else(|| ApiError::bad_request("no search provided"))?;
    let domains = ctx.req.query("restrictEmail");
    let found = rules::search(&ctx.app, ctx.group_id()?, q, domains).await?;
    reply::ok(ACCOUNT, found)
}

/// The account in the path, if the caller may look at it.
pub async fn in_path(ctx: &Ctx) -> ApiResult<Account> {
    let id = ctx.id_or_me()?;
    ctx.own_record(&id)?;
    rules::find(&ctx.app, ctx.group_id()?, &id)
        .await?
        .ok_or_else(|| ApiError::missing(&id))
}

async fn read(ctx: Ctx) -> ApiResult<Reply> {
    let account = in_path(&ctx).await?;
    let mut out = account.public();
    if ctx.caller.sub() == Some(account.id.as_str())
        && let Some(map) = out.as_object_mut()
    {
        let phone = account.phone.as_ref().and_then(|p| p.txt.as_deref());
        let phone = phone.map_or_else(|| json!({}), |txt| json!({ "txt": txt }));
        map.insert("phone".to_owned(), phone);
    }
    reply::ok(ACCOUNT, out)
}

async fn patch(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.id_or_me()?;
    let body: Json = ctx.req.json();
    let own = ctx.rights.own;
    let changed = change::change(&ctx.app, ctx.tenant()?, &ctx.caller, own, &id, &body).await?;
    if changed.verify_due {
        let sender = Sender {
            by: ctx.caller.author(),
            custom_domain: ctx.custom_domain.clone(),
            if_refused: IfRefused::Keep,
            ..Sender::default()
        };
        let (tenant, account) = (ctx.tenant()?, &changed.account);
        // the change has been made, so this does not fail it
        if let Err(cause) = account_action(&ctx.app, tenant, account, Action::Verify, sender).await
        {
            tracing::warn!(account = id, error = %cause.message, "no message to verify the new address");
        }
    }
    reply::ok(ACCOUNT, changed.account.public())
}

async fn delete(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    ctx.own_record(id)?;
    let gone = rules::delete(&ctx.app, ctx.tenant()?, id).await?;
    reply::ok(ACCOUNT, gone.public())
}

async fn setpass(ctx: Ctx) -> ApiResult<Reply> {
    let password = ctx
        .req
        .field("password")
        .filter(|p| !p.is_empty())
        .ok_or_else(|| ApiError::precondition_required("password is required"))?;
    change::set_password(&ctx.app, ctx.tenant()?, &ctx.caller, password).await?;
    Ok(reply::no_content())
}
