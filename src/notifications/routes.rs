//! The endpoints of messages.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::gate::chain::Strategy::Bearer;
use crate::gate::{Ctx, Route};
use crate::groups::Tenant;
use crate::http::error::ApiResult;
use crate::http::validate::{Kind as Member, Shape, Violation};
use crate::http::{ApiError, Reply, lists, reply};
use crate::notifications::model::{FIELDS, Kind, New, Notification};
use crate::notifications::{redaction, rules};
use crate::route;
use crate::store::{Filter, Query, and, eq};

const TYPE: &str = "NOTIFICATION";
/// The organization context of a request that names an unknown organization.
const MEMBER: &str = "member";
const FORMATS: &[&str] = &["email", "sms"];

pub static ROUTES: &[Route] = &[
    route!(POST "/api/{group}/notification/process", [Group, Auth(&[Bearer]), NotificationsOn, Rights, May(&["notification"])], process_all),
    route!(PUT "/api/{group}/notification/{id}/process", [Group, Auth(&[Bearer]), NotificationsOn, Rights, May(&["notification"])], process),
    route!(POST "/api/{group}/notification", [Body(check_body), Group, Auth(&[Bearer]), NotificationsOn, Rights, May(&["notification"])], create),
    route!(GET "/api/{group}/notifications", [Group, Auth(&[Bearer]), NotificationsOn, Rights, May(&["notification"])], list),
    route!(GET "/api/{group}/notification/{id}", [Group, Auth(&[Bearer]), NotificationsOn, Rights, May(&["notification"])], read),
    route!(DELETE "/api/{group}/notification/{id}", [Group, Auth(&[Bearer]), NotificationsOn, Rights, May(&["notification"])], delete),
    route!(POST "/api/{group}/organization/{org}/notification", [Body(check_body), Group, Auth(&[Bearer]), NotificationsOn, Rights, May(&["notification"]), Organization], create),
    route!(GET "/api/{group}/organization/{org}/notifications", [Group, Auth(&[Bearer]), NotificationsOn, Rights, May(&["notification"]), Organization], list),
    route!(GET "/api/{group}/organization/{org}/notification/{id}", [Group, Auth(&[Bearer]), NotificationsOn, Rights, May(&["notification"]), Organization], read),
    route!(DELETE "/api/{group}/organization/{org}/notification/{id}", [Group, Auth(&[Bearer]), NotificationsOn, Rights, May(&["notification"]), Organization], delete),
    route!(GET "/api/{group}/access/my/notifications", [Group, Auth(&[Bearer]), Rights, May(&["accounts"])], mine),
    route!(GET "/api/{group}/access/my/notification/{id}", [Group, Auth(&[Bearer]), Rights, May(&["accounts"])], one_of_mine),
];

static NEW: Shape = Shape {
    required: &["type"],
    members: &[
        ("type", Member::OneOf(Kind::NAMES)),
        ("formats", Member::TextArray),
        ("recipientUserId", Member::Text),
        ("recipientEmail", Member::Text),
        ("recipientSms", Member::Text),
        ("screenUrl", Member::Text),
        ("subject", Member::Text),
        ("message", Member::Text),
        ("meta", Member::Object),
    ],
    open: false,
};

fn check_body(body: &Json) -> ApiResult<()> {
    NEW.check(body)?;
    let formats = body.get("formats").and_then(Json::as_array);
    let wrong: Vec<Violation> = formats
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, f)| !f.as_str().is_some_and(|f| FORMATS.contains(&f)))
        .map(|(i, _)| {
            let message = "must be equal to one of the allowed values";
            Violation::new(format!("/formats/{i}"), "enum", message)
        })
        .collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(&wrong))
    }
}

/// The organization that a new message is for.
fn organization(ctx: &Ctx) -> Option<String> {
    ctx.organization
        .as_ref()
        .map(|o| o.id.clone())
        .or_else(|| ctx.context.clone().filter(|c| c != MEMBER))
}

/// The messages that the request is about: all of the group's, unless the path names an
/// organization or the caller's rights come from one that is not the primary one.
fn scope(ctx: &Ctx) -> ApiResult<Filter> {
    let mut parts = vec![eq("authGroupId", ctx.group_id()?)];
    let primary = ctx.rights.core.as_ref().map(|c| c.organization.id.as_str());
    let bound = ctx.context.as_deref().filter(|c| Some(*c) != primary);
    if let Some(named) = &ctx.organization {
        parts.push(eq("organization", named.id.as_str()));
    } else if let Some(bound) = bound {
        parts.push(eq("organization", bound));
    }
    if ctx.rights.own {
        parts.push(eq("createdBy", ctx.sub()?));
    }
    Ok(and(parts))
}

async fn find(ctx: &Ctx) -> ApiResult<Notification> {
    let id = ctx.req.param("id")?;
    let which = and([eq("_id", id), scope(ctx)?]);
    let found = ctx.app.store.of::<Notification>().find_one(which).await?;
    found.ok_or_else(|| ApiError::missing(id))
}

async fn create(ctx: Ctx) -> ApiResult<Reply> {
    let tenant: Arc<Tenant> = Arc::clone(ctx.tenant()?);
    let body = ctx.req.json();
    let text = |name: &str| {
        body.get(name)
            .and_then(Json::as_str)
            .filter(|s| !s.is_empty())
            .map(ToOwned::to_owned)
    };
    let kind = body.get("type").cloned().unwrap_or_default();
    let new = New {
        kind: serde_json::from_value(kind).map_err(|e| ApiError::validation(e.to_string()))?,
        created_by: ctx.sub()?.to_owned(),
        iss: Some(ctx.issuer()?),
        formats: body
            .get("formats")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter_map(|f| f.as_str().map(ToOwned::to_owned))
            .collect(),
        recipient_user_id: text("recipientUserId"),
        recipient_email: text("recipientEmail"),
        recipient_sms: text("recipientSms"),
        screen_url: text("screenUrl"),
        subject: text("subject"),
        message: text("message"),
        organization: organization(&ctx),
        meta: body.get("meta").cloned(),
        good_for: None,
    };
    let made = rules::create(&ctx.app, &tenant, new).await?;
    // nothing to hide: the caller has just said it
    reply::created(TYPE, reply::public_document(&made))
}

async fn list(ctx: Ctx) -> ApiResult<Reply> {
    let base = scope(&ctx)?;
    let found = lists::documents(
        &ctx.app,
        &ctx.req.query,
        &FIELDS,
        base,
        Notification::public,
        redaction::hide,
    )
    .await?;
    reply::ok(TYPE, found)
}

async fn read(ctx: Ctx) -> ApiResult<Reply> {
    reply::ok(TYPE, find(&ctx).await?.public())
}

async fn delete(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let which = and([eq("_id", id), scope(&ctx)?]);
    let gone = ctx.app.store.of::<Notification>().take(which).await?;
    reply::ok(TYPE, gone.ok_or_else(|| ApiError::missing(id))?.public())
}

/// 401 for callers that may only touch what is their own.
fn not_own(ctx: &Ctx) -> ApiResult<()> {
    if ctx.rights.own {
        return Err(ApiError::unauthorized(""));
    }
    Ok(())
}

async fn process(ctx: Ctx) -> ApiResult<Reply> {
    not_own(&ctx)?;
    let it = find(&ctx).await?;
    let done = rules::process(&ctx.app, ctx.tenant()?, it).await?;
    reply::ok(TYPE, done.public())
}

async fn process_all(ctx: Ctx) -> ApiResult<Reply> {
    not_own(&ctx)?;
    let out = rules::process_all(&ctx.app, ctx.tenant()?, scope(&ctx)?).await?;
    reply::ok(TYPE, out)
}

fn addressed(ctx: &Ctx) -> ApiResult<Filter> {
    Ok(and([
        eq("authGroupId", ctx.group_id()?),
        eq("recipientUserId", ctx.sub()?),
    ]))
}

async fn mine(ctx: Ctx) -> ApiResult<Reply> {
    let mut query = Query::new(addressed(&ctx)?);
    let most = ctx.app.settings.limits.list_maximum;
    query.limit = (most > 0).then_some(most);
    let found = ctx.app.store.of::<Notification>().find(query).await?;
    let shown: Vec<Json> = found.iter().map(Notification::public).collect();
    reply::ok(TYPE, shown)
}

async fn one_of_mine(ctx: Ctx) -> ApiResult<Reply> {
    let id = ctx.req.param("id")?;
    let which = and([eq("_id", id), addressed(&ctx)?]);
    let found = ctx.app.store.of::<Notification>().find_one(which).await?;
    reply::ok(TYPE, found.ok_or_else(|| ApiError::missing(id))?.public())
}
