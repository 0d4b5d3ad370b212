//! The endpoints of recovery codes, the emergency lock, and recovery.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, SET_COOKIE};
use serde_json::{Value as Json, json};

use crate::accounts::recovery::{self, CODES, Locked};
use crate::accounts::rules;
use crate::app::LimitClass;
use crate::gate::chain::Strategy::{AllowedHost, Bearer, Iat};
use crate::gate::{Ctx, Route};
use crate::http::cookies::{self, Attributes};
use crate::http::error::ApiResult;
use crate::http::validate::{Kind, Shape, Violation};
use crate::http::{ApiError, Reply, reply};
use crate::notifications::are_on;
use crate::notifications::messages::lock_notice;
use crate::route;

const ACCOUNT: &str = "Account";
/// What existing clients know a spent state cookie by.
const SPENT: &str = "j%3Anull";

pub static ROUTES: &[Route] = &[
    route!(PUT "/api/{group}/account/codes", [Group, Auth(&[Bearer]), Rights, May(&["accounts"]), Limit(LimitClass::Codes)], codes),
    route!(PUT "/api/{group}/account/panic", [Group, Auth(&[Bearer, Iat]), Body(check_email), Limit(LimitClass::Recovery)], panic_lock),
    route!(POST "/api/{group}/account/start-recovery", [Group, Limit(LimitClass::Codes), Auth(&[AllowedHost]), Body(check_start)], start),
    route!(PUT "/api/{group}/account/recover", [Group, Limit(LimitClass::Codes), Auth(&[Iat]), Body(check_recover)], recover),
];

static EMAIL: Shape = Shape {
    required: &["email"],
    members: &[("email", Kind::Text)],
    open: true,
};

static START: Shape = Shape {
    required: &["codes", "email"],
    members: &[("email", Kind::Text), ("codes", Kind::TextArray)],
    open: true,
};

static RECOVER: Shape = Shape {
    required: &["email"],
    members: &[("email", Kind::Text), ("password", Kind::Text)],
    open: true,
};

fn check_email(body: &Json) -> ApiResult<()> {
    EMAIL.check(body).map(|_| ())
}

fn check_recover(body: &Json) -> ApiResult<()> {
    RECOVER.check(body).map(|_| ())
}

fn check_start(body: &Json) -> ApiResult<()> {
    let count = START
        .check(body)?
        .get("codes")
        .and_then(Json::as_array)
        .map_or(0, Vec::len);
    let violation = match count {
        CODES => return Ok(()),
        n if n < CODES => Violation::new(
            "/codes",
            "minItems",
            format!("must NOT have fewer than {CODES} items"),
        ),
        _ => Violation::new(
            "/codes",
            "maxItems",
            format!("must NOT have more than {CODES} items"),
        ),
    };
    Err(ApiError::invalid(&[violation]))
}

/// `PUT /api/{group}/account/codes`. The owner is told first and can lock the account; without
/// that nothing changes.
async fn codes(ctx: Ctx) -> ApiResult<Reply> {
    let (id, tenant) = (ctx.sub()?, ctx.tenant()?);
    let account = rules::find(&ctx.app, tenant.id(), id).await?;
    // a locked account gets no codes, so its owner need not be warned of any
    if let Some(account) = account.filter(|a| !a.user_locked)
        && are_on(&ctx.app, tenant).await?
    {
        lock_notice(&ctx.app, tenant, &account).await?;
    }
    let codes = recovery::replace_codes(&ctx.app, ctx.group_id()?, id).await?;
    reply::ok(ACCOUNT, codes).map(reply::no_store)
}

/// `PUT /api/{group}/account/panic`
async fn panic_lock(ctx: Ctx) -> ApiResult<Reply> {
    let email = ctx.req.field("email").unwrap_or_default();
    let id = ctx.caller.sub().ok_or_else(|| ApiError::forbidden(""))?;
    let used = ctx.caller.iat().map(|iat| iat.token.as_str());
    match recovery::lock(&ctx.app, ctx.tenant()?, id, email, used).await? {
        Locked::Completely => Ok(reply::no_content()),
        Locked::Incompletely => reply::envelope(
            StatusCode::PARTIAL_CONTENT,
            ACCOUNT,
            "The account is locked, but some of its sessions could not be ended or its devices not taken away. Try again.",
        ),
    }
}

/// `POST /api/{group}/account/start-recovery`
async fn start(ctx: Ctx) -> ApiResult<Reply> {
    let group = ctx.group_id()?;
    let name = ctx.req.field("email").unwrap_or_default();
    let subject = format!("{group}:{}", name.trim().to_lowercase());
    ctx.app.limits.check(LimitClass::Codes, &subject)?;
    let body = ctx.req.json();
    let codes: Vec<&str> = body
        .get("codes")
        .and_then(Json::as_array)
        .map(|list| list.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default();
    let started = recovery::start(&ctx.app, group, name, &codes).await?;
    let answer = reply::ok(ACCOUNT, json!({ "token": started.token })).map(reply::no_store)?;
    let name = recovery::cookie_name(group, &started.account);
    with_cookie(answer, &state_cookie(&ctx, &name, &started.state, None))
}

/// `PUT /api/{group}/account/recover`
async fn recover(ctx: Ctx) -> ApiResult<Reply> {
    let iat = ctx.caller.iat().ok_or_else(|| ApiError::unauthorized(""))?;
    let email = ctx.req.field("email").unwrap_or_default();
    let password = ctx.req.field("password").filter(|p| !p.is_empty());
    let state = |name: &str| ctx.req.cookie(name);
    let tenant = ctx.tenant()?;
    let done = recovery::recover(&ctx.app, tenant, iat, email, password, state).await?;
    let mut out = done.account.public();
    if let Some(map) = out.as_object_mut() {
        map.insert("codes".to_owned(), done.codes.into());
        map.insert("password".to_owned(), done.password.into());
    }
    let name = recovery::cookie_name(tenant.id(), &done.account.id);
    let answer = reply::ok(ACCOUNT, out).map(reply::no_store)?;
    with_cookie(answer, &state_cookie(&ctx, &name, SPENT, Some(0)))
}

fn state_cookie(ctx: &Ctx, name: &str, value: &str, expires: Option<i64>) -> Cookie<'static> {
    let attributes = Attributes {
        path: "/",
        expires,
        same_site: Some(SameSite::Strict),
        secure: ctx.req.hosts.secure,
    };
    cookies::plain(name, value, &attributes)
}

fn with_cookie(mut answer: Reply, cookie: &Cookie<'_>) -> ApiResult<Reply> {
    let value = HeaderValue::from_str(&cookie.to_string()).map_err(ApiError::internal)?;
    answer.headers_mut().append(SET_COOKIE, value);
    Ok(answer)
}
