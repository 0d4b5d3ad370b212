//! The endpoints of the server-wide options. They are about the root group, whatever the caller
//! sends.

use serde_json::Value as Json;

use crate::gate::chain::Strategy::Bearer;
use crate::gate::{Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::request::Body;
use crate::http::validate::{Kind, Shape, Violation};
use crate::http::{ApiError, Reply, reply};
use crate::plugins::change::{self, Change, is_on};
use crate::plugins::rules;
use crate::route;

const TYPE: &str = "PLUGINS";

pub static ROUTES: &[Route] = &[
    route!(GET "/api/plugins/global", [Group, Auth(&[Bearer]), Rights, May(&["plugins"])], read),
    route!(GET "/api/plugins/global/audit", [Group, Auth(&[Bearer]), Rights, May(&["plugins"])], audit),
    route!(POST "/api/plugins/global/notifications", [Body(notifications_body), Group, Auth(&[Bearer]), Rights, May(&["plugins"])], notifications),
    route!(POST "/api/plugins/global/mfa-challenge", [Body(challenges_body), Group, Auth(&[Bearer]), Rights, May(&["plugins"])], challenges),
    route!(POST "/api/plugins/global/webauthn", [Body(passkeys_body), Group, Auth(&[Bearer]), Rights, May(&["plugins"])], passkeys),
    route!(POST "/api/plugins/global/event-stream", [Body(stream_body), Group, Auth(&[Bearer]), Rights, May(&["plugins"])], event_stream),
];

static NOTIFICATIONS: Shape = Shape {
    required: &[],
    members: &[
        ("enabled", Kind::Boolean),
        ("notificationServiceUri", Kind::Text),
    ],
    open: true,
};

static PASSKEYS: Shape = Shape {
    required: &["enabled", "currentVersion"],
    members: &[
        ("enabled", Kind::Boolean),
        ("type", Kind::Text),
        ("setup", Kind::Object),
    ],
    open: true,
};

static CHALLENGES: Shape = Shape {
    required: &["enabled", "currentVersion"],
    members: &[
        ("enabled", Kind::Boolean),
        (
            "type",
            Kind::OneOf(&[
                "http-proxy",
                "privakey",
                "privakeySuper",
                "privakeysuper",
                "totp",
                "device",
            ]),
        ),
        ("privakeySuper", Kind::Nested(&ACCESS)),
        ("api", Kind::Nested(&ADDRESSES)),
        ("proxyEnableScreen", Kind::Text),
        ("proxyEnableScreenButtonText", Kind::Text),
        ("proxyEnableInstructions", Kind::Text),
    ],
    open: true,
};

static ACCESS: Shape = Shape {
    required: &[],
    members: &[("id", Kind::Text), ("key", Kind::Text)],
    open: true,
};

static ADDRESSES: Shape = Shape {
    required: &[],
    members: &[
        ("domain", Kind::Text),
        ("challenge", Kind::Text),
        ("validate", Kind::Text),
        ("bind", Kind::Text),
        ("devices", Kind::Text),
        ("revoke", Kind::Text),
    ],
    open: true,
};

static STREAM: Shape = Shape {
    required: &["enabled"],
    members: &[
        ("enabled", Kind::Boolean),
        ("oauthRequired", Kind::Boolean),
        ("authScopes", Kind::Text),
        ("provider", Kind::Nested(&PROVIDER)),
    ],
    open: true,
};

static PROVIDER: Shape = Shape {
    required: &[],
    members: &[
        ("type", Kind::OneOf(&["pulsar", "nats"])),
        ("oauthRequired", Kind::Boolean),
        ("authScopes", Kind::Text),
        ("auth", Kind::Object),
        ("adminUrl", Kind::Text),
        ("streamUrl", Kind::Text),
        ("lockStreamingOnceActive", Kind::Boolean),
        ("enableValidation", Kind::Boolean),
        ("externalEventBodySchemaUrl", Kind::Text),
        ("restAuth", Kind::Boolean),
        ("streamAuth", Kind::Boolean),
        ("masterAuth", Kind::Boolean),
        ("masterStream", Kind::Nested(&MASTER)),
        ("setupConfig", Kind::Object),
        ("clientConfig", Kind::Object),
    ],
    open: true,
};

static MASTER: Shape = Shape {
    required: &[],
    members: &[("enabled", Kind::Boolean), ("streamPath", Kind::Text)],
    open: true,
};

fn checked(shape: &Shape, body: &Json) -> ApiResult<()> {
    shape.check(body)?;
    if body.get("currentVersion").is_some_and(|v| !v.is_number()) {
        let wrong = Violation::new("/currentVersion", "type", "must be number");
        return Err(ApiError::invalid(&[wrong]));
    }
    Ok(())
}

fn notifications_body(body: &Json) -> ApiResult<()> {
    checked(&NOTIFICATIONS, body)
}

fn challenges_body(body: &Json) -> ApiResult<()> {
    checked(&CHALLENGES, body)
}

fn passkeys_body(body: &Json) -> ApiResult<()> {
    checked(&PASSKEYS, body)
}

fn stream_body(body: &Json) -> ApiResult<()> {
    checked(&STREAM, body)
}

async fn read(ctx: Ctx) -> ApiResult<Reply> {
    ctx.root_only()?;
    let newest = rules::newest(&ctx.app).await?;
    reply::ok(TYPE, reply::public_document(&*newest)).map(reply::no_store)
}

async fn audit(ctx: Ctx) -> ApiResult<Reply> {
    ctx.root_only()?;
    let all = rules::history(&ctx.app).await?;
    let shown: Vec<Json> = all.iter().map(reply::public_document).collect();
    reply::ok(TYPE, shown).map(reply::no_store)
}

/// The body of a change that names `needed` where it switches something on. These come before
/// the question who asks.
fn asked(ctx: &Ctx, needed: &str, missing: &str) -> ApiResult<Json> {
    if matches!(ctx.req.body, Body::Empty) {
        return Err(ApiError::precondition_required("A body is required"));
    }
    let body = ctx.req.json();
    let given = match body.get(needed) {
        Some(Json::String(s)) => !s.is_empty(),
        Some(Json::Object(_)) => true,
        _ => false,
    };
    if is_on(&body) && !given {
        return Err(ApiError::precondition_required(missing));
    }
    ctx.root_only()?;
    Ok(body)
}

async fn notifications(ctx: Ctx) -> ApiResult<Reply> {
    let missing = "notification service url is required";
    let body = asked(&ctx, "notificationServiceUri", missing)?;
    let by = ctx.caller.author();
    let out = change::notifications(of(&ctx, &by, &body)?).await?;
    reply::created(TYPE, out).map(reply::no_store)
}

async fn challenges(ctx: Ctx) -> ApiResult<Reply> {
    let body = asked(&ctx, "type", "Type is required")?;
    let by = ctx.caller.author();
    let new = change::challenges(of(&ctx, &by, &body)?).await?;
    reply::created(TYPE, reply::public_document(&new)).map(reply::no_store)
}

async fn passkeys(ctx: Ctx) -> ApiResult<Reply> {
    let body = asked(&ctx, "type", "Type is required")?;
    let by = ctx.caller.author();
    let new = change::passkeys(of(&ctx, &by, &body)?).await?;
    reply::created(TYPE, reply::public_document(&new)).map(reply::no_store)
}

async fn event_stream(ctx: Ctx) -> ApiResult<Reply> {
    let body = asked(&ctx, "provider", "Provider is required")?;
    let by = ctx.caller.author();
    let out = change::event_stream(of(&ctx, &by, &body)?).await?;
    reply::created(TYPE, out).map(reply::no_store)
}

fn of<'a>(ctx: &'a Ctx, by: &'a str, body: &'a Json) -> ApiResult<Change<'a>> {
    let root = ctx.tenant()?;
    Ok(Change {
        app: &ctx.app,
        root,
        by,
        body,
    })
}
