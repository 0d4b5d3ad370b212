//! The ways to authenticate and how they are tried one after the other.

use actix_web::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use ueauth_actors::ChallengeId;

use crate::accounts::{Account, attempts};
use crate::challenges;
use crate::gate::bearer::{self, Audience};
use crate::gate::caller::{AccountCaller, Caller, IatCaller};
use crate::gate::chain::{Ctx, Strategy};
use crate::gate::tokens;
use crate::groups::tenant::TenantError;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::oidc::records::{InitialAccessToken, Purpose};
use crate::passkeys::sign_in;
use crate::secrets;
use crate::store::{StoreError, eq};

const BASIC_CHALLENGE: &str = "Basic realm=\"Users\"";

/// Why one way did not work.
#[derive(Debug)]
pub enum Failure {
    /// The credential is broken: 400.
    Malformed,
    /// Missing or not accepted: 401 with this challenge.
    Denied(&'static str),
    /// Missing or not accepted, in a way that no header asks for.
    Absent,
    /// Ends the whole attempt with this answer.
    Fatal(Box<ApiError>),
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        Self::Fatal(Box::new(e.into()))
    }
}
impl From<TenantError> for Failure {
    fn from(e: TenantError) -> Self {
        Self::Fatal(Box::new(e.into()))
    }
}
impl From<ApiError> for Failure {
    fn from(e: ApiError) -> Self {
        Self::Fatal(Box::new(e))
    }
}

const DENIED: Failure = Failure::Denied(bearer::CHALLENGE_INVALID);

/// The first way that works wins. If none does: 400 if a credential was broken, else 401.
pub async fn authenticate(ctx: &mut Ctx, list: &[Strategy]) -> ApiResult<()> {
    let mut challenges = Vec::new();
    let mut malformed = false;
    for strategy in list {
        match one(ctx, *strategy).await {
            Ok(caller) => {
                ctx.caller = caller;
                return Ok(());
            }
            Err(Failure::Malformed) => malformed = true,
            Err(Failure::Denied(challenge)) => challenges.push(challenge),
            Err(Failure::Absent) => {}
            Err(Failure::Fatal(e)) => return Err(*e),
        }
    }
    let status = if malformed {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::UNAUTHORIZED
    };
    Err(ApiError::challenge(status, &challenges))
}

async fn one(ctx: &mut Ctx, strategy: Strategy) -> Result<Caller, Failure> {
    match strategy {
        Strategy::Bearer => bearer::authenticate(ctx, Audience::Own).await,
        Strategy::BearerAnyAudience => bearer::authenticate(ctx, Audience::Any).await,
        Strategy::Basic => Box::pin(basic(ctx)).await,
        Strategy::Iat => {
            let (token, payload) = presented(ctx, purposes_of(ctx)).await?;
            Ok(Caller::InitialAccess(Box::new(IatCaller {
                token,
                payload,
            })))
        }
        Strategy::IatState => iat_state(ctx).await,
        Strategy::IatPassword => Box::pin(iat_password(ctx)).await,
        Strategy::Device => Box::pin(device(ctx)).await,
        Strategy::Passkey => Box::pin(passkey(ctx)).await,
        Strategy::AllowedHost => allowed_host(ctx).map(|()| Caller::Nobody),
        Strategy::BearerOrAllowedHost => {
            if bearer::offered(&ctx.req) {
                bearer::authenticate(ctx, Audience::Own).await
            } else {
                allowed_host(ctx).map(|()| Caller::Nobody)
            }
        }
        Strategy::CreateAccount => Box::pin(create_account(ctx)).await,
        Strategy::BearerUnlessOpenRegistration => {
            if ctx.app.settings.groups.open_registration {
                Ok(Caller::Nobody)
            } else {
                bearer::authenticate(ctx, Audience::Own).await
            }
        }
    }
}

/// Which purpose the route's bare token strategy stands for.
fn purposes_of(ctx: &Ctx) -> Purpose {
    match ctx.route.path {
        "/api/{group}/account/recover" => Purpose::AccountRecovery,
        "/api/{group}/account/panic" => Purpose::AccountLock,
        _ => Purpose::StepUp,
    }
}

async fn presented(ctx: &Ctx, purpose: Purpose) -> Result<(String, InitialAccessToken), Failure> {
    let token = bearer::token(ctx)?;
    let tenant = ctx
        .tenant
        .as_ref()
        .ok_or_else(|| ApiError::precondition_failed("authGroup is required"))?;
    if !tenant.group.active {
        return Err(DENIED);
    }
    let payload = tokens::find(&ctx.app, tenant.id(), &token, purpose)
        .await?
        .ok_or(DENIED)?;
    Ok((token, payload))
}

async fn iat_state(ctx: &Ctx) -> Result<Caller, Failure> {
    let (token, payload) = presented(ctx, Purpose::StepUp).await?;
    let state = ctx.req.field("state").ok_or(DENIED)?;
    if !payload
        .state
        .as_deref()
        .is_some_and(|s| secrets::ct_eq(s, state))
    {
        return Err(DENIED);
    }
    let account = tokens::account_of(&ctx.app, &payload)
        .await?
        .filter(Account::is_usable)
        .ok_or(DENIED)?;
    Ok(Caller::Account(Box::new(AccountCaller {
        account,
        iat: Some(IatCaller { token, payload }),
        by_device: false,
    })))
}

/// The token is used up by the handler, once the change it is for has been made.
async fn iat_password(ctx: &Ctx) -> Result<Caller, Failure> {
    let (token, payload) = presented(ctx, Purpose::AccountAction).await?;
    let account = tokens::account_of(&ctx.app, &payload)
        .await?
        .ok_or(DENIED)?;
    Ok(Caller::Account(Box::new(AccountCaller {
        account,
        iat: Some(IatCaller { token, payload }),
        by_device: false,
    })))
}

/// The challenge is used up.
async fn device(ctx: &Ctx) -> Result<Caller, Failure> {
    const NO: Failure = Failure::Denied(BASIC_CHALLENGE);
    let field = |name| ctx.req.field(name).filter(|text| !text.is_empty());
    let (Some(key), Some(id), Some(state)) =
        (field("providerKey"), field("accountId"), field("state"))
    else {
        return Err(NO);
    };
    let tenant = ctx.tenant.as_ref().filter(|t| t.group.active).ok_or(NO)?;
    let account = crate::accounts::rules::find(&ctx.app, tenant.id(), id)
        .await?
        .ok_or(NO)?;
    if !attempts::may_sign_in(&ctx.app, tenant, &account).await? {
        return Err(NO);
    }
    let challenge = ChallengeId::new(key, id, state);
    if !challenges::redeem(
        &ctx.app,
        tenant.id(),
        &challenge,
        challenges::Purpose::SignIn,
    )
    .await?
    {
        return Err(NO);
    }
    Ok(Caller::Account(Box::new(AccountCaller {
        account,
        iat: None,
        by_device: true,
    })))
}

/// Whatever is wrong with a passkey, another way may still do.
async fn passkey(ctx: &Ctx) -> Result<Caller, Failure> {
    let body = ctx.req.json();
    let given = body.get("passkey").filter(|p| p.is_object());
    let given = given.ok_or(Failure::Absent)?;
    let credential = given.get("credential").filter(|c| !c.is_null());
    let credential = credential.ok_or(Failure::Absent)?;
    let named = given.get("accountId").and_then(Json::as_str);
    let limits = &ctx.app.limits;
    limits.check(crate::app::LimitClass::Passkeys, &ctx.peer())?;
    match sign_in::finish(ctx, credential, named, None).await {
        Ok(proof) => Ok(Caller::Account(Box::new(AccountCaller {
            account: proof.account,
            iat: None,
            by_device: false,
        }))),
        Err(e) if e.status.is_server_error() => Err(e.into()),
        Err(_) => Err(Failure::Absent),
    }
}

/// The account whose password is sent along as well, where something else is the credential. A
/// wrong one is refused.
pub async fn also_by_password(ctx: &Ctx) -> ApiResult<Option<Account>> {
    if ctx.req.authorization().is_none() {
        return Ok(None);
    }
    match basic(ctx).await {
        Ok(caller) => Ok(caller.account().cloned()),
        Err(Failure::Fatal(e)) => Err(*e),
        Err(_) => Err(ApiError::unauthorized("")),
    }
}

/// Same rules as the login form: account state, thresholds, lock-outs.
async fn basic(ctx: &Ctx) -> Result<Caller, Failure> {
    const NO: Failure = Failure::Denied(BASIC_CHALLENGE);
    let header = ctx.req.authorization().ok_or(NO)?;
    let (scheme, value) = header.split_once(' ').ok_or(Failure::Malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(NO);
    }
    let decoded = STANDARD
        .decode(value.trim())
        .ok()
        .and_then(|b| String::from_utf8(b).ok())
        .ok_or(Failure::Malformed)?;
    let (name, password) = decoded.split_once(':').ok_or(Failure::Malformed)?;
    let tenant = ctx.tenant.as_ref().filter(|t| t.group.active).ok_or(NO)?;
    if name.is_empty() || password.is_empty() {
        return Err(NO);
    }
    if name.len() > 512 {
        return Err(NO);
    }
    let peer = ctx.peer();
    let limits = &ctx.app.limits;
    limits.check(crate::app::LimitClass::Login, &peer)?;
    limits.check(
        crate::app::LimitClass::Login,
        &format!("{}:{}:{peer}", tenant.id(), name.to_lowercase()),
    )?;
    match attempts::check_password(&ctx.app, tenant, name, password).await? {
        attempts::Outcome::Accepted(account) => Ok(Caller::Account(Box::new(AccountCaller {
            account: *account,
            iat: None,
            by_device: false,
        }))),
        _ => Err(NO),
    }
}

/// The host of the request is one of the portal's. `Host` is the caller's to choose, so the
/// routes that rely on this are limited in rate as well.
fn allowed_host(ctx: &Ctx) -> Result<(), Failure> {
    if is_portal(ctx, &ctx.req.hosts.name) {
        Ok(())
    } else {
        Err(ApiError::unauthorized("").into())
    }
}

/// Is it a host of the operator's portal or of the group's own?
pub fn is_portal(ctx: &Ctx, name: &str) -> bool {
    let listed = ctx
        .app
        .settings
        .ui_hosts()
        .iter()
        .any(|h| h.eq_ignore_ascii_case(name));
    listed
        || ctx.tenant.as_ref().is_some_and(|t| {
            [&t.group.alias_dns_ui, &t.group.alias_dns_oidc]
                .into_iter()
                .flatten()
                .any(|h| h.eq_ignore_ascii_case(name))
        })
}

async fn create_account(ctx: &mut Ctx) -> Result<Caller, Failure> {
    let tenant = ctx
        .tenant
        .clone()
        .ok_or_else(|| ApiError::precondition_required("authGroup is required"))?;
    let pending = tenant.group.is_pending()
        && ctx
            .app
            .store
            .of::<Account>()
            .count(eq("authGroup", tenant.id()))
            .await?
            == 0;
    if pending {
        return activation(ctx).await;
    }
    if !tenant.group.active {
        return Err(ApiError::forbidden("You can not add members to an inactive group").into());
    }
    if tenant.group.locked {
        return bearer::authenticate(ctx, Audience::Own).await;
    }
    Ok(Caller::OpenRegistration)
}

async fn activation(ctx: &Ctx) -> Result<Caller, Failure> {
    let token = bearer::token(ctx)?;
    let tenant = ctx.tenant.as_ref().ok_or(DENIED)?;
    let email = ctx
        .req
        .field("email")
        .ok_or_else(|| ApiError::precondition_required("email is required"))?;
    let generates = ctx
        .req
        .json()
        .get("generatePassword")
        .is_some_and(|v| v.as_bool() == Some(true));
    if ctx.req.field("password").is_none() && !generates {
        return Err(ApiError::precondition_required("password is required").into());
    }
    if !email.eq_ignore_ascii_case(&tenant.group.owner) {
        return Err(ApiError::precondition_failed(
            "Activating account email must match new auth group owner email",
        )
        .into());
    }
    tokens::find(&ctx.app, tenant.id(), &token, Purpose::GroupActivation)
        .await?
        .ok_or(DENIED)?;
    Ok(Caller::Activation { token })
}
