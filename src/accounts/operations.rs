//! Operations on somebody's account: verify, reset, generate a password, lift a lock-out.

use actix_web::http::StatusCode;
use secrecy::ExposeSecret;
use serde_json::Value as Json;

use crate::accounts::notices::{named, tell_if};
use crate::accounts::{Account, attempts, change, rules};
use crate::app::LimitClass;
use crate::challenges::follow_ups;
use crate::gate::chain::Strategy::{AllowedHost, Bearer};
use crate::gate::{Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::validate::{Kind, Shape, Violation};
use crate::http::{ApiError, Reply, reply};
use crate::notifications::are_on;
use crate::notifications::messages::{
    Action, Proof, Sender, account_action, lock_notice, password_reset, proof_link,
};
use crate::organizations::{self, members};
use crate::route;

const ACCOUNT: &str = "Account";

pub static ROUTES: &[Route] = &[
    route!(POST "/api/{group}/operations/user/{id}", [Group, Auth(&[Bearer]), Body(check_operation), Rights, May(&["operations", "user"])], operate),
    route!(POST "/api/{group}/operations/organization/{org}/user/{id}", [Group, Auth(&[Bearer]), Body(check_operation), Rights, May(&["operations", "user", "organization"])], operate_in_organization),
    route!(POST "/api/{group}/operations/reset-user-password", [Body(check_reset), Group, Auth(&[AllowedHost]), Limit(LimitClass::Recovery), NotificationsOn], reset_password),
    route!(POST "/api/{group}/operations/resend-verify-email", [Body(check_resend), Group, Auth(&[AllowedHost]), Limit(LimitClass::Recovery), NotificationsOn], resend_verification),
];

static OPERATION: Shape = Shape {
    required: &["operation"],
    members: &[(
        "operation",
        Kind::OneOf(&[
            "verify_account",
            "password_reset",
            "generate_password",
            "clear_timeouts",
        ]),
    )],
    open: true,
};

static RESET: Shape = Shape {
    required: &["email"],
    members: &[("email", Kind::Text), ("formats", Kind::TextArray)],
    open: false,
};

static RESEND: Shape = Shape {
    required: &["email"],
    members: &[("email", Kind::Text)],
    open: false,
};

fn check_operation(body: &Json) -> ApiResult<()> {
    OPERATION.check(body).map(|_| ())
}

fn check_resend(body: &Json) -> ApiResult<()> {
    RESEND.check(body).map(|_| ())
}

fn check_reset(body: &Json) -> ApiResult<()> {
    let formats = RESET.check(body)?.get("formats").and_then(Json::as_array);
    let violations: Vec<Violation> = formats
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, f)| !matches!(f.as_str(), Some("email" | "sms")))
        .map(|(i, _)| {
            let message = "must be equal to one of the allowed values";
            Violation::new(format!("/formats/{i}"), "enum", message)
        })
        .collect();
    if violations.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(&violations))
    }
}

/// `POST /api/{group}/operations/user/{id}`
async fn operate(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    ctx.own_record(id)?;
    let account = rules::find(&ctx.app, ctx.group_id()?, id)
        .await?
        .ok_or_else(|| ApiError::missing(id))?;
    if ctx.req.field("operation") == Some("generate_password") {
        let (account, password) =
            change::generate_password(&ctx.app, ctx.tenant()?, &ctx.caller, id).await?;
        let mut out = account.public();
        if let Some(map) = out.as_object_mut() {
            map.insert("password".to_owned(), password.expose_secret().into());
        }
        return reply::ok(ACCOUNT, out).map(reply::no_store);
    }
    run(&ctx, &account).await
}

/// `POST /api/{group}/operations/organization/{org}/user/{id}`
async fn operate_in_organization(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let organization = if ctx.caller.sub() == Some(id) {
        organizations::rules::joined(&ctx, true, |_| ApiError::missing(id)).await?
    } else {
        may_operate_on_others(&ctx)?;
        organizations::rules::own_in_path(&ctx).await?
    };
    let account = members::find(&ctx.app, &organization, id).await?;
    run(&ctx, &account).await
}

/// What every member may do about the own account is no leave to do it to other members.
fn may_operate_on_others(ctx: &Ctx) -> ApiResult<()> {
    let allowed = ctx.holds_fully_here("operations", "create")
        || ctx.holds_fully_here("operations-user", "create")
        || ctx.holds_here("operations-user-organization", "create")
        || ctx.rights.root_user;
    if allowed {
        Ok(())
    } else {
        Err(ApiError::forbidden(""))
    }
}

/// The operations that both paths know.
async fn run(ctx: &Ctx, account: &Account) -> ApiResult<Reply> {
    let action = match ctx.req.field("operation") {
        Some("verify_account") => Action::Verify,
        Some("password_reset") => Action::ResetPassword,
        Some("clear_timeouts") => {
            ctx.not_own()?;
            attempts::clear(&ctx.app, ctx.group_id()?, &account.id).await?;
            return Ok(reply::no_content());
        }
        _ => {
            return Err(ApiError::bad_request(
                "This operation is not supported inside an organization",
            ));
        }
    };
    let tenant = ctx.tenant()?;
    if !are_on(&ctx.app, tenant).await? {
        return Err(ApiError::bad_request(
            "Notifications are not enabled, so no message can be sent to the account",
        ));
    }
    let sender = sender(ctx, ctx.caller.author());
    account_action(&ctx.app, tenant, account, action, sender).await?;
    Ok(reply::no_content())
}

fn sender(ctx: &Ctx, by: String) -> Sender {
    Sender {
        by,
        custom_domain: ctx.custom_domain.clone(),
        ..Sender::default()
    }
}

fn check_central_reset(ctx: &Ctx) -> ApiResult<()> {
    if ctx.tenant()?.group.config.central_password_reset {
        return Ok(());
    }
    Err(ApiError::switched_off(
        "This group does not reset passwords centrally",
    ))
}

/// At most so many messages for one name, whoever asks.
pub fn limit_messages(ctx: &Ctx, name: &str) -> ApiResult<()> {
    let subject = format!("{}:{}", ctx.group_id()?, name.trim().to_lowercase());
    ctx.app.limits.check(LimitClass::Recovery, &subject)
}

/// Mails a link that proves the account to whoever is called that. The answer is the same for all
/// names; what keeps a link from being sent shows in the log alone.
pub async fn mail_proof(ctx: &Ctx, lookup: &str, proof: Proof<'_>) -> ApiResult<()> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    limit_messages(ctx, lookup)?;
    let account = attempts::find(app, tenant.id(), lookup).await?;
    let account = account.filter(|a| a.is_usable() && a.verified);
    let alias = ctx.custom_domain.as_deref();
    let sent = tell_if(app, tenant.id(), account, async |account: Account| {
        proof_link(app, tenant, &account, proof, alias).await
    });
    if let Err(cause) = sent.await {
        tracing::warn!(error = %cause.message, "no link that proves an account was mailed");
    }
    Ok(())
}

fn limit_name(ctx: &Ctx) -> ApiResult<()> {
    limit_messages(ctx, ctx.req.field("email").unwrap_or_default())
}

/// `POST /api/{group}/operations/reset-user-password`. The same answer whether or not there is
/// such an account. Its owner can lock it before anything else happens.
async fn reset_password(ctx: Ctx) -> ApiResult<Reply> {
    check_central_reset(&ctx)?;
    limit_name(&ctx)?;
    let tenant = ctx.tenant()?;
    let formats = ctx
        .req
        .json()
        .get("formats")
        .and_then(Json::as_array)
        .cloned();
    let formats = formats.unwrap_or_default();
    let formats = formats.iter().filter_map(Json::as_str);
    let formats: Vec<String> = formats.map(ToOwned::to_owned).collect();
    let whom = named(&ctx).await?;
    tell_if(&ctx.app, tenant.id(), whom, async |account: Account| {
        // whoever reads the mail of a person with a device must have the device as well
        if follow_ups::wants_device(&ctx.app, tenant, &account).await? {
            lock_notice(&ctx.app, tenant, &account).await?;
            // the answer must not tell who has a device, or had too many questions
            return match follow_ups::ask_for_reset(&ctx.app, tenant, &account).await {
                Err(e)
                    if matches!(
                        e.status,
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::FAILED_DEPENDENCY
                    ) =>
                {
                    tracing::warn!(account = account.id, cause = %e.message, "no device was asked about a password");
                    Ok(())
                }
                other => other,
            };
        }
        let by = format!("proxy_{}", account.id);
        let sender = Sender {
            formats,
            ..sender(&ctx, by)
        };
        password_reset(&ctx.app, tenant, &account, sender).await
    })
    .await?;
    Ok(reply::no_content())
}

/// `POST /api/{group}/operations/resend-verify-email`. The same answer whether or not there is
/// such an account.
async fn resend_verification(ctx: Ctx) -> ApiResult<Reply> {
    check_central_reset(&ctx)?;
    limit_name(&ctx)?;
    let tenant = ctx.tenant()?;
    let whom = named(&ctx).await?;
    tell_if(&ctx.app, tenant.id(), whom, async |account: Account| {
        let sender = sender(&ctx, account.id.clone());
        account_action(&ctx.app, tenant, &account, Action::Verify, sender).await
    })
    .await?;
    Ok(reply::no_content())
}
