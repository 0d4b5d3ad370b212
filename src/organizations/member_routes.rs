//! The endpoints of accounts in an organization.

use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};

use crate::access::members::texts;
use crate::accounts::Account;
use crate::accounts::routes::search;
use crate::app::LimitClass;
use crate::gate::chain::Strategy::Bearer;
use crate::gate::{Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::validate::check_texts;
use crate::http::{ApiError, Reply, reply};
use crate::notifications::messages::{Action, Sender, access_given, account_action};
use crate::organizations::members::{self, Invitation};
use crate::organizations::rules;
use crate::route;

const TYPE: &str = "Account";
const WARNING: &str = "The account was created, but no message can be sent to its address. Its password is returned here to be handed over another way, which is less secure: enable notifications.";

pub static ROUTES: &[Route] = &[
    route!(GET "/api/{group}/organization/{org}/accounts", [Group, Auth(&[Bearer]), Rights, May(&["accounts", "organization"])], list),
    route!(GET "/api/{group}/organization/{org}/accounts/search", [Group, Auth(&[Bearer]), Rights, May(&["accounts-organization"]), Limit(LimitClass::Lookups)], search_in),
    route!(GET "/api/{group}/organization/{org}/account/{id}", [Group, Auth(&[Bearer]), Rights, May(&["accounts", "organization"])], read),
    route!(PUT "/api/{group}/organization/{org}/account", [Group, Auth(&[Bearer]), Body(Invitation::check), Rights, May(&["accounts", "organization"])], invite),
    route!(PUT "/api/{group}/organization/{org}/accounts", [Group, Auth(&[Bearer]), Body(check_texts), Rights, May(&["accounts", "organization"])], add),
    route!(DELETE "/api/{group}/organization/{org}/accounts", [Group, Auth(&[Bearer]), Body(check_texts), Rights, May(&["accounts", "organization"])], remove),
];

async fn list(ctx: Ctx) -> ApiResult<Reply> {
    let organization = rules::own_in_path(&ctx).await?;
    let found = members::list(&ctx.app, &organization, &ctx.req.query, ctx.rights.own).await?;
    reply::ok(TYPE, found)
}

/// Looks through the whole group, so that administrators find whom to add.
async fn search_in(ctx: Ctx) -> ApiResult<Reply> {
    rules::known_in_path(&ctx).await?;
    search(ctx).await
}

async fn read(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let organization = if ctx.caller.sub() == Some(id) {
        rules::joined(&ctx, true, |_| ApiError::missing(id)).await?
    } else {
        rules::own_in_path(&ctx).await?
    };
    let account = members::find(&ctx.app, &organization, id).await?;
    reply::ok(TYPE, account.public())
}

async fn invite(ctx: Ctx) -> ApiResult<Reply> {
    let organization = rules::own_in_path(&ctx).await?;
    let invitation = Invitation::from_body(&ctx.req.json())?;
    let tenant = ctx.tenant()?;
    let added = members::invite(&ctx.app, tenant, &organization, &ctx.caller, invitation).await?;
    if let Some(account) = &added.joined {
        let by = ctx.caller.author();
        access_given(&ctx.app, tenant, account, &organization, true, by.clone()).await;
        if added.verify_due {
            let sender = Sender {
                by,
                custom_domain: ctx.custom_domain.clone(),
                ..Sender::default()
            };
            ask_to_verify(&ctx, account, sender).await?;
        }
    }
    let mut out = json!({
        "id": added.id,
        "access": [{ "organization": { "id": organization.id } }],
    });
    if let (Some(password), Some(map)) = (added.password, out.as_object_mut()) {
        map.insert("WARNING".to_owned(), WARNING.into());
        map.insert(
            "generatedPassword".to_owned(),
            password.expose_secret().into(),
        );
    }
    reply::created(TYPE, out).map(reply::no_store)
}

/// The account exists even if the message can not be sent.
async fn ask_to_verify(ctx: &Ctx, account: &Account, sender: Sender) -> ApiResult<()> {
    let sent = account_action(&ctx.app, ctx.tenant()?, account, Action::Verify, sender).await;
    sent.map_err(|cause| {
        tracing::warn!(account = account.id, error = %cause.message, "no message to verify the address");
        let error = "The message that asks to verify the address could not be sent";
        ApiError::failed_dependency(error)
            .data(json!({ "account": account.public(), "error": error }))
    })
}

/// 428 unless the body is a list.
fn listed(body: &Json) -> ApiResult<Vec<String>> {
    texts(Some(body)).ok_or_else(|| ApiError::precondition_required("Send a list of account ids"))
}

async fn add(ctx: Ctx) -> ApiResult<Reply> {
    let organization = rules::own_in_path(&ctx).await?;
    let ids = listed(&ctx.req.json())?;
    reply::ok(TYPE, members::add(&ctx.app, &organization, ids).await?)
}

async fn remove(ctx: Ctx) -> ApiResult<Reply> {
    let organization = rules::own_in_path(&ctx).await?;
    let ids = listed(&ctx.req.json())?;
    reply::ok(TYPE, members::remove(&ctx.app, &organization, ids).await?)
}
