//! Setting a device up, the first one or another.

use actix_web::http::StatusCode;
use serde_json::{Map, Value as Json, json};
use ueauth_actors::ChallengeId;

use crate::accounts::Account;
use crate::accounts::notices::warn_owner;
use crate::accounts::recovery::use_code;
use crate::app::App;
use crate::challenges::codes;
use crate::challenges::providers::{self, Instructions, Provider};
use crate::challenges::routes::asked_at_page;
use crate::challenges::sending::{self, Purpose, Question};
use crate::challenges::states::LONGEST;
use crate::gate::Ctx;
use crate::gate::tokens::{self, NewIat};
use crate::groups::{Tenant, tenant};
use crate::http::error::{ApiResult, PageRule};
use crate::http::{ApiError, Reply, reply};
use crate::notifications::{are_on, messages, require_on};
use crate::oidc::records;
use crate::pages::qr;
use crate::secrets;

/// Life (s) of the token that lets somebody choose how to prove who they are.
const TOKEN_LIFE: i64 = 360;
/// Life (s) of the token that stands for a passkey in what follows.
const PASSKEY_LIFE: i64 = 900;

fn switched_off(tenant: &Tenant) -> ApiError {
    ApiError::forbidden(format!(
        "Device recovery is not available on the {} Platform",
        tenant.group.name
    ))
}

/// `state` of the body: what ties the requests of one recovery together.
fn state(ctx: &Ctx) -> ApiResult<&str> {
    ctx.req
        .field("state")
        .filter(|s| !s.is_empty() && s.len() <= LONGEST)
        .ok_or_else(|| {
            ApiError::bad_request(format!(
                "state must be a text of at most {LONGEST} characters"
            ))
        })
}

/// The caller's account, which must be one of this group.
fn account(ctx: &Ctx) -> ApiResult<&Account> {
    let group = ctx.group_id()?;
    ctx.caller
        .account()
        .filter(|a| a.auth_group == group)
        .ok_or_else(|| ApiError::forbidden("request must be from a person of the group"))
}

/// `POST /api/{group}/mfa/instructions`
pub async fn instructions(ctx: Ctx) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    if !providers::is_on(app, tenant).await? {
        return Err(switched_off(tenant));
    }
    let (account, state) = (account(&ctx)?, state(&ctx)?);
    let provider = providers::of(app, tenant).await?;
    if !account.mfa_enabled() {
        if are_on(app, tenant).await? {
            messages::lock_notice(app, tenant, account).await?;
        }
        return bind(&ctx, account, &*provider).await;
    }
    match ctx.req.field("method").filter(|m| !m.is_empty()) {
        None => begin(&ctx, account, state).await,
        Some(method) => {
            if has_proved(&ctx, account, state, method).await? {
                // those who chose another way were warned when they began
                if method == "recovery" {
                    warn_owner(app, tenant, account).await?;
                }
                bind(&ctx, account, &*provider).await
            } else {
                Err(ApiError::unauthorized(""))
            }
        }
    }
}

/// Whoever has a device already must prove more than a password to bind another one.
async fn begin(ctx: &Ctx, account: &Account, state: &str) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    if are_on(app, tenant).await?
        && let Err(cause) = messages::lock_notice(app, tenant, account).await
    {
        if app.settings.is_production() {
            return Err(ApiError::failed_dependency(
                "The owner of the account could not be warned, try again later",
            ));
        }
        tracing::warn!(account = account.id, %cause, "no warning before a device recovery");
    }
    let new = NewIat {
        group: tenant.id().to_owned(),
        life: TOKEN_LIFE,
        sub: Some(account.id.clone()),
        email: Some(account.email.clone()),
        uid: Some(state.to_owned()),
        ..NewIat::default()
    };
    let token = tokens::mint(app, records::Purpose::StepUp, new).await?;
    let origin = tenant::origin(app, ctx.custom_domain.as_deref());
    let mut data = json!({
        "token": token.id,
        "uri": format!("{origin}/api/{}/mfa/safe-recovery", tenant.id()),
        "requestInstructions": "Send POST to the uri with this token as bearer and the same state, and email or device as selection. Then ask for instructions again, with the selection as method and what it yields: code for email, providerKey for device. Or at once with recovery as method and one of the account's recovery codes as code.",
    });
    if let Some(lasting) = lasting(ctx, account, state).await? {
        data["passkeyToken"] = lasting.into();
    }
    let reply = reply::envelope(StatusCode::ACCEPTED, "DEVICE RECOVERY", data)?;
    Ok(reply::no_store(reply))
}

/// What stands for the passkey of the request: it is used up, and the requests that follow have to
/// come from the same person.
async fn lasting(ctx: &Ctx, account: &Account, state: &str) -> ApiResult<Option<String>> {
    let passkey = ctx
        .req
        .json()
        .pointer("/passkey/credential")
        .is_some_and(|c| !c.is_null());
    if !passkey || ctx.caller.iat().is_some() || ctx.req.authorization().is_some() {
        return Ok(None);
    }
    let new = NewIat {
        group: ctx.group_id()?.to_owned(),
        life: PASSKEY_LIFE,
        strong: true,
        sub: Some(account.id.clone()),
        email: Some(account.email.clone()),
        state: Some(state.to_owned()),
        ..NewIat::default()
    };
    let proved = tokens::mint(&ctx.app, records::Purpose::StepUp, new).await?;
    Ok(Some(proved.id))
}

/// Is there the proof that the method stands for? It is used up.
async fn has_proved(ctx: &Ctx, account: &Account, state: &str, method: &str) -> ApiResult<bool> {
    let (app, group) = (&ctx.app, ctx.group_id()?);
    match method {
        "email" => {
            let Some(code) = ctx.req.field("code") else {
                return Ok(false);
            };
            let found = tokens::find(app, group, code, records::Purpose::DeviceCode).await?;
            let fits = found.is_some_and(|t| {
                t.sub.as_deref() == Some(&account.id)
                    && t.email.as_ref() == Some(&account.email)
                    && t.uid.is_some_and(|uid| secrets::ct_eq(&uid, state))
            });
            Ok(fits && tokens::consume(app, code).await?)
        }
        "recovery" => match ctx.req.field("code").filter(|c| !c.is_empty()) {
            Some(code) => use_code(app, account, code.trim()).await,
            None => Ok(false),
        },
        "device" => {
            let Some(key) = ctx.req.field("providerKey") else {
                return Ok(false);
            };
            let id = ChallengeId::new(key, &account.id, state);
            if let Some(code) = ctx.req.field("code").filter(|c| !c.is_empty()) {
                codes::answer(app, ctx.tenant()?, account, &id, code).await?;
            }
            sending::redeem(app, group, &id, Purpose::Recovery).await
        }
        _ => Ok(false),
    }
}

/// Takes every device away and gets ready for a new one.
pub async fn prepare(
    app: &App,
    account: &Account,
    provider: &dyn Provider,
) -> ApiResult<Instructions> {
    let warnings: Vec<Json> = providers::take_away(app, &account.id, provider)
        .await
        .into_iter()
        .map(|(device, cause)| match device {
            Some(device) => json!({ "device": device, "message": cause.to_string() }),
            None => json!({ "message": cause.to_string() }),
        })
        .collect();
    let mut data = provider.bind(app, account).await?;
    data.insert("warnings".to_owned(), warnings.into());
    Ok(data)
}

/// From now on a device is asked for whenever the account signs in.
pub async fn enable(app: &App, account: &str) -> ApiResult<()> {
    let now = app.date();
    app.store
        .of::<Account>()
        .update(account, |a: &mut Account| {
            a.mfa.enabled = Some(true);
            a.modified_at = now;
            account.clone_into(&mut a.modified_by);
            Ok::<_, ApiError>(())
        })
        .await?
        .ok_or_else(|| ApiError::failed_dependency("The account is gone"))?;
    Ok(())
}

async fn bind(ctx: &Ctx, account: &Account, provider: &dyn Provider) -> ApiResult<Reply> {
    let app = &ctx.app;
    let mut data = prepare(app, account, provider).await?;
    if provider.proves_devices() {
        // switched on once the device has shown that it works
        if let Some(lasting) = lasting(ctx, account, state(ctx)?).await? {
            data.insert("passkeyToken".to_owned(), lasting.into());
        }
    } else {
        enable(app, &account.id).await?;
    }
    let drawn = ctx.req.json().get("svg").and_then(Json::as_bool) == Some(true);
    if drawn && let Some(image) = data.get("qrCode").and_then(Json::as_str).and_then(qr::svg) {
        data.insert("qrSvg".to_owned(), image.into());
    }
    Ok(reply::no_store(reply::ok("MFA RECOVERY", data)?))
}

/// `POST /api/{group}/mfa/safe-recovery`
pub async fn safe_recovery(ctx: Ctx) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let state = state(&ctx)?;
    let refused = || ApiError::unauthorized("").page(PageRule::Never);
    let token = &ctx.caller.iat().ok_or_else(refused)?.payload;
    if !token
        .uid
        .as_deref()
        .is_some_and(|uid| secrets::ct_eq(uid, state))
    {
        return Err(refused());
    }
    let account = tokens::account_of(app, token)
        .await?
        .filter(Account::is_usable)
        .ok_or_else(refused)?;
    let selection = ctx.req.field("selection").unwrap_or_default();
    match selection.to_ascii_lowercase().as_str() {
        "email" => {
            require_on(app, &tenant.group).await?;
            messages::device_code(app, tenant, &account, state).await?;
            reply::ok("object", json!({ "selection": "email", "sent": true }))
        }
        "device" => {
            let question = Question::own(
                tenant,
                Purpose::Recovery,
                state,
                "Identity Verification",
                "Approve only if it is you who is setting up another device.",
            );
            let asked = sending::ask(app, tenant, &account, &question).await?;
            let mut data = Map::new();
            data.insert("selection".to_owned(), "device".into());
            data.insert("id".to_owned(), asked.key.into());
            data.insert("provider".to_owned(), asked.provider.into());
            data.insert("response".to_owned(), asked.response);
            asked_at_page(&mut data, asked.number, asked.by_code);
            reply::ok("object", data)
        }
        _ => Err(ApiError::bad_request("selection must be email or device")),
    }
}
