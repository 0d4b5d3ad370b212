//! The endpoints of passkeys.

use serde_json::{Value as Json, json};

use crate::accounts::Account;
use crate::accounts::routes::in_path;
use crate::app::LimitClass;
use crate::gate::chain::Strategy::{Bearer, IatState};
use crate::gate::{Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::validate::{Kind, Shape};
use crate::http::{ApiError, Reply, reply};
use crate::passkeys::{StoredPasskey, enrol, sign_in};
use crate::route;

const TYPE: &str = "PASSKEY";

pub static ROUTES: &[Route] = &[
    route!(POST "/api/{group}/webauthn/bind", [Group, Limit(LimitClass::Passkeys), Auth(&[IatState, Bearer]), Body(check_body)], bind),
    route!(POST "/api/{group}/webauthn/finish", [Group, Limit(LimitClass::Passkeys), Auth(&[IatState, Bearer]), Body(check_body)], finish),
    route!(POST "/api/{group}/webauthn/authenticate", [Group, Limit(LimitClass::Passkeys)], authenticate, public "begins a sign-in"),
    route!(GET "/api/{group}/account/{id}/passkeys", [Group, Auth(&[Bearer]), Rights, May(&["accounts"])], list),
    route!(DELETE "/api/{group}/account/{id}/passkeys/{passkey}", [Group, Auth(&[Bearer]), Rights, May(&["accounts"])], remove),
];

static BODY: Shape = Shape {
    required: &[],
    members: &[
        ("state", Kind::Text),
        ("credential", Kind::Object),
        ("name", Kind::Text),
    ],
    open: true,
};

/// 400 unless what the body says is of the right kind; it may say nothing.
fn check_body(body: &Json) -> ApiResult<()> {
    BODY.check(body).map(drop)
}

/// The person of this group who asks.
fn person(ctx: &Ctx) -> ApiResult<&Account> {
    let group = ctx.group_id()?;
    ctx.caller
        .account()
        .filter(|a| a.auth_group == group && !a.email.is_empty())
        .ok_or_else(|| ApiError::forbidden("Passkeys are for people of this group only"))
}

async fn bind(ctx: Ctx) -> ApiResult<Reply> {
    let out = enrol::begin(&ctx, person(&ctx)?).await?;
    reply::ok(TYPE, out).map(reply::no_store)
}

async fn finish(ctx: Ctx) -> ApiResult<Reply> {
    let account = person(&ctx)?;
    let body = ctx.req.json();
    let credential = body
        .get("credential")
        .ok_or_else(|| ApiError::bad_request("credential is required"))?;
    let name = ctx.req.field("name");
    let new = enrol::finish(&ctx, account, credential, name).await?;
    reply::ok(TYPE, json!({ "success": true, "id": new.id })).map(reply::no_store)
}

async fn authenticate(ctx: Ctx) -> ApiResult<Reply> {
    let email = ctx
        .req
        .field("email")
        .filter(|e| !e.trim().is_empty())
        .ok_or_else(|| ApiError::bad_request("email is required"))?;
    let out = sign_in::begin_for(&ctx, email).await?;
    reply::ok(TYPE, out).map(reply::no_store)
}

async fn list(ctx: Ctx) -> ApiResult<Reply> {
    let id = in_path(&ctx).await?.id;
    let all = enrol::list(&ctx.app, ctx.group_id()?, &id).await?;
    let shown: Vec<Json> = all.iter().map(StoredPasskey::public).collect();
    reply::ok(TYPE, shown)
}

async fn remove(ctx: Ctx) -> ApiResult<Reply> {
    let id = in_path(&ctx).await?.id;
    let passkey = ctx.req.param("passkey")?;
    let gone = enrol::remove(&ctx.app, ctx.group_id()?, &id, passkey).await?;
    reply::ok(TYPE, gone.public())
}
