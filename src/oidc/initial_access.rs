//! Initial access tokens: for registering clients (RFC 7591 §3), and as a person's step-up proof.

use serde_json::{Map, Value as Json, json};

use crate::accounts::Account;
use crate::challenges::codes;
use crate::gate::tokens::{self, NewIat};
use crate::gate::{Ctx, Route, Strategy, strategies};
use crate::http::error::{ApiResult, PageRule};
use crate::http::request::OIDC_BODY;
use crate::http::{ApiError, Reply, reply};
use crate::oidc::records::{InitialAccessToken, Purpose};
use crate::route;

/// Routes that issue initial access tokens.
pub static ROUTES: &[Route] = &[
    Route {
        body: OIDC_BODY,
        ..route!(POST "/{group}/token/initial-access",
            [Group, Auth(&[Strategy::Bearer]), Rights, May(&["initialAccessToken"])],
            for_registration)
    },
    Route {
        body: OIDC_BODY,
        ..route!(POST "/{group}/token/simple-iat",
            [Group, Auth(&[Strategy::Device, Strategy::Basic, Strategy::Bearer])],
            for_step_up)
    },
];

const WEEK: i64 = 604_800;
/// Longest life of a registration token: 31 days.
const LONGEST: i64 = 2_678_400;
const STEP_UP: i64 = 600;
const TEXT_LIMIT: usize = 1024;

fn refuse(message: impl Into<String>) -> ApiError {
    ApiError::bad_request(message).page(PageRule::Never)
}

/// An optional text of the body.
fn text(body: &Json, name: &str) -> ApiResult<Option<String>> {
    match body.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(s)) if s.is_empty() => Ok(None),
        Some(Json::String(s)) if s.len() <= TEXT_LIMIT => Ok(Some(s.clone())),
        Some(_) => Err(refuse(format!(
            "{name} must be a text of at most {TEXT_LIMIT} bytes"
        ))),
    }
}

/// The body, empty if it is missing.
fn members(ctx: &Ctx) -> ApiResult<Json> {
    let body = ctx.req.json();
    if body.is_object() {
        return Ok(body);
    }
    Err(refuse("The body must be a JSON object"))
}

/// Seconds the token shall live.
fn life(body: &Json) -> ApiResult<i64> {
    match body.get("expires") {
        None | Some(Json::Null) => Ok(WEEK),
        Some(value) => value
            .as_i64()
            .filter(|s| (1..=LONGEST).contains(s))
            .ok_or_else(|| {
                refuse(format!(
                    "expires must be a whole number of seconds from 1 to {LONGEST}"
                ))
            }),
    }
}

/// The token as its bearer sees it.
fn public(token: &InitialAccessToken) -> Map<String, Json> {
    let mut out = Map::new();
    out.insert("iat".to_owned(), json!(token.iat));
    out.insert("exp".to_owned(), json!(token.exp));
    out.insert("kind".to_owned(), json!(token.kind));
    out.insert("jti".to_owned(), json!(token.jti));
    for (name, value) in [
        ("sub", &token.sub),
        ("email", &token.email),
        ("state", &token.state),
    ] {
        if let Some(value) = value {
            out.insert(name.to_owned(), json!(value));
        }
    }
    out
}

/// `POST /{group}/token/initial-access`: 200, without an envelope. `sub` and `email` are notes
/// for the bearer; the token's purpose keeps it from standing for an account.
pub async fn for_registration(ctx: Ctx) -> ApiResult<Reply> {
    let body = members(&ctx)?;
    let new = NewIat {
        group: ctx.group_id()?.to_owned(),
        life: life(&body)?,
        sub: text(&body, "sub")?,
        email: text(&body, "email")?,
        ..NewIat::default()
    };
    let token = tokens::mint(&ctx.app, Purpose::ClientRegistration, new).await?;
    let body = public(&token.payload);
    Ok(reply::no_store(reply::json_with(
        actix_web::http::StatusCode::OK,
        &body,
    )?))
}

/// Has the caller proven as much as a sign-in takes? A second factor is no second one if the first
/// alone can add a passkey, which then counts for both.
async fn is_strong(ctx: &Ctx, account: &Account) -> ApiResult<bool> {
    let tenant = ctx.tenant()?;
    // whoever has an access token has signed in
    if ctx.caller.claims().is_some() {
        return Ok(true);
    }
    if ctx.caller.by_device() {
        let also = strategies::also_by_password(ctx).await?;
        let alone = tenant.group.config.mfa_challenge.no_pass_login;
        return match also {
            Some(other) if other.id == account.id => Ok(true),
            Some(_) => Err(ApiError::unauthorized("").page(PageRule::Never)),
            None => Ok(alone),
        };
    }
    match ctx.req.field("code").filter(|code| !code.is_empty()) {
        Some(code) if codes::prove(&ctx.app, tenant, account, code).await? => Ok(true),
        Some(_) => Err(ApiError::unauthorized("The code is wrong").page(PageRule::Never)),
        None => Ok(false),
    }
}

/// `POST /{group}/token/simple-iat`: 201, ten minutes, bound to the caller and to `state`.
pub async fn for_step_up(ctx: Ctx) -> ApiResult<Reply> {
    let body = members(&ctx)?;
    let Some(account) = ctx.caller.account().filter(|a| !a.email.is_empty()) else {
        return Err(ApiError::forbidden("request must be from a person").page(PageRule::Never));
    };
    // a person of the root group is no account of this one
    if account.auth_group != ctx.group_id()? {
        return Err(ApiError::forbidden("request must be from a person").page(PageRule::Never));
    }
    let state = text(&body, "state")?.unwrap_or_else(|| ctx.app.random.hex(64));
    let strong = is_strong(&ctx, account).await?;
    let new = NewIat {
        strong,
        group: account.auth_group.clone(),
        life: STEP_UP,
        sub: Some(account.id.clone()),
        email: Some(account.email.clone()),
        state: Some(state),
        ..NewIat::default()
    };
    let token = tokens::mint(&ctx.app, Purpose::StepUp, new).await?;
    Ok(reply::no_store(reply::created(
        "IAT",
        public(&token.payload),
    )?))
}
