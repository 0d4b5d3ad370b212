//! The endpoints of people's own profiles.

use serde_json::Value as Json;

use crate::challenges::follow_ups;
use crate::gate::chain::Strategy::Bearer;
use crate::gate::{Caller, Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, failures, reply};
use crate::profiles::asking::{self, Asker};
use crate::profiles::{patching, rules};
use crate::route;

const TYPE: &str = "Secured Profile";

// Who acts is the token's subject, and each rule asks for records that name it: that is the
// permission.
pub static ROUTES: &[Route] = &[
    route!(POST "/api/{group}/profile", [Group, Auth(&[Bearer]), Body(check_body), Rights], create),
    route!(GET "/api/{group}/profile", [Group, Auth(&[Bearer]), Rights], own),
    route!(PATCH "/api/{group}/profile", [Group, Auth(&[Bearer]), Body(failures::is_patch), Rights], patch),
    route!(DELETE "/api/{group}/profile", [Group, Auth(&[Bearer]), Rights], delete),
    route!(GET "/api/{group}/profiles", [Group, Auth(&[Bearer]), Rights], list),
    route!(GET "/api/{group}/profiles/{id}", [Group, Auth(&[Bearer]), Rights], read),
    route!(POST "/api/{group}/profile/request/{account_id}", [Group, Auth(&[Bearer]), Body(asking::check_body), Rights], ask),
    route!(GET "/api/{group}/profile/requests/{sor}", [Group, Auth(&[Bearer]), Rights], requests),
    route!(GET "/api/{group}/profile/request/{id}", [Group, Auth(&[Bearer]), Rights], request),
    route!(PATCH "/api/{group}/profile/request/{id}", [Group, Auth(&[Bearer]), Body(asking::check_answer), Rights], answer),
    route!(DELETE "/api/{group}/profile/request/{id}", [Group, Auth(&[Bearer]), Rights], delete_request),
    route!(GET "/api/{group}/profile/accesses/{gor}", [Group, Auth(&[Bearer]), Rights], accesses),
    route!(GET "/api/{group}/profile/access/{id}", [Group, Auth(&[Bearer]), Rights], access),
    route!(DELETE "/api/{group}/profile/access/{id}", [Group, Auth(&[Bearer]), Rights], end_access),
    route!(GET "/api/{group}/profile/snapshot/{id}", [Group, Auth(&[Bearer]), Rights], snapshot),
    route!(DELETE "/api/{group}/profile/snapshot/{id}", [Group, Auth(&[Bearer]), Rights], delete_snapshot),
];

fn check_body(body: &Json) -> ApiResult<()> {
    patching::OWN.check(body).map(drop)
}

async fn create(ctx: Ctx) -> ApiResult<Reply> {
    let made = rules::create(&ctx.app, ctx.group_id()?, ctx.sub()?, &ctx.req.json()).await?;
    reply::created(TYPE, patching::public(&made))
}

async fn own(ctx: Ctx) -> ApiResult<Reply> {
    let found = rules::find(&ctx.app, ctx.group_id()?, ctx.sub()?).await?;
    reply::ok(TYPE, patching::public(&found))
}

async fn patch(ctx: Ctx) -> ApiResult<Reply> {
    let changed = rules::patch(&ctx.app, ctx.group_id()?, ctx.sub()?, &ctx.req.json()).await?;
    reply::ok(TYPE, patching::public(&changed))
}

async fn delete(ctx: Ctx) -> ApiResult<Reply> {
    let gone = rules::delete(&ctx.app, ctx.group_id()?, ctx.sub()?).await?;
    reply::ok(TYPE, patching::public(&gone))
}

async fn list(ctx: Ctx) -> ApiResult<Reply> {
    ctx.root_only()?;
    let found = rules::list(&ctx.app, ctx.group_id()?, &ctx.req.query).await?;
    reply::ok(TYPE, found)
}

async fn read(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let found = asking::view(&ctx.app, ctx.group_id()?, id, ctx.sub()?).await?;
    reply::ok(TYPE, patching::public(&found))
}

async fn ask(ctx: Ctx) -> ApiResult<Reply> {
    let (name, client) = match &ctx.caller {
        Caller::Client(c) => (Some(c.client.payload.client_name.as_str()), true),
        caller => (caller.email(), false),
    };
    let asker = Asker {
        id: ctx.sub()?,
        name,
        client,
        organizations: &ctx.rights.organizations,
        everywhere: ctx.holds_fully_here("orguserprofile", "update"),
    };
    let target = ctx.req.param("account_id")?;
    let made = asking::ask(&ctx.app, ctx.group_id()?, asker, target, &ctx.req.json()).await?;
    follow_ups::ask_for_profile(&ctx.app, ctx.tenant()?, &made).await;
    reply::created(TYPE, reply::public_document(&made))
}

/// Which of two lists the path names.
fn side(ctx: &Ctx, param: &str, first: &str, second: &str) -> ApiResult<bool> {
    let named = ctx.req.param(param)?;
    if named.eq_ignore_ascii_case(first) {
        Ok(true)
    } else if named.eq_ignore_ascii_case(second) {
        Ok(false)
    } else {
        Err(ApiError::bad_request("unknown request"))
    }
}

async fn requests(ctx: Ctx) -> ApiResult<Reply> {
    let sent = side(&ctx, "sor", "sent", "received")?;
    let group = ctx.group_id()?;
    let found = asking::list(&ctx.app, group, ctx.sub()?, sent, &ctx.req.query).await?;
    reply::ok(TYPE, found)
}

async fn request(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let found = asking::find(&ctx.app, ctx.group_id()?, id, ctx.sub()?).await?;
    reply::ok(TYPE, reply::public_document(&found))
}

async fn answer(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let body = ctx.req.json();
    let action = body.get("action").and_then(Json::as_str);
    let decided = asking::answer(&ctx.app, ctx.group_id()?, id, ctx.sub()?, action).await?;
    reply::ok(TYPE, reply::public_document(&decided))
}

async fn delete_request(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let gone = asking::delete(&ctx.app, ctx.group_id()?, id, ctx.sub()?).await?;
    reply::ok(TYPE, reply::public_document(&gone))
}

async fn accesses(ctx: Ctx) -> ApiResult<Reply> {
    let given = side(&ctx, "gor", "given", "received")?;
    let group = ctx.group_id()?;
    let found = rules::accesses(&ctx.app, group, ctx.sub()?, given, &ctx.req.query).await?;
    reply::ok(TYPE, found)
}

async fn access(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let found = rules::find_access(&ctx.app, ctx.group_id()?, id, ctx.sub()?).await?;
    reply::ok(TYPE, reply::public_document(&found))
}

async fn end_access(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let gone = rules::end_access(&ctx.app, ctx.group_id()?, id, ctx.sub()?).await?;
    reply::ok(TYPE, reply::public_document(&gone))
}

async fn snapshot(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let found = asking::find_copy(&ctx.app, ctx.group_id()?, id, ctx.sub()?).await?;
    reply::ok(TYPE, reply::public_document(&found))
}

async fn delete_snapshot(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let gone = asking::delete_copy(&ctx.app, ctx.group_id()?, id, ctx.sub()?).await?;
    reply::ok(TYPE, reply::public_document(&gone))
}
