//! Endpoints of groups, of the first start, and of the service itself.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};

use actix_web::http::StatusCode;

use crate::app::LimitClass;
use crate::gate::{Ctx, Route, Strategy, enforce};
use crate::groups::model::KeyView;
use crate::groups::patching::Editor;
use crate::groups::{
    AuthGroup, aliases, bootstrap, core_update, keys, new_group, patching, rules, shape,
};
use crate::http::error::ApiResult;
use crate::http::validate::{Kind, Shape, is_email};
use crate::http::{ApiError, Reply, reply};
use crate::route;
use crate::secrets;

const TYPE: &str = "Auth Group";
const BEARER: &[Strategy] = &[Strategy::Bearer];

pub static ROUTES: &[Route] = &[
    route!(POST "/api/init", [Limit(LimitClass::Recovery)], init, public "the set-up code is the credential"),
    route!(GET "/api/version", [], version, public "tells nothing but the version"),
    route!(GET "/api/health", [], health, public "asked by load balancers"),
    route!(GET "/api/groupcheck/{prettyName}", [Limit(LimitClass::Lookups), Auth(&[Strategy::AllowedHost])], check_name),
    route!(GET "/api/group-info/{group}", [Limit(LimitClass::Lookups), GroupIfBearer, Auth(&[Strategy::BearerOrAllowedHost]), Rights], info),
    route!(POST "/api/group", [Body(shape::check), Limit(LimitClass::Registration), Auth(&[Strategy::BearerUnlessOpenRegistration]), Rights], create),
    route!(GET "/api/groups", [Auth(BEARER), Rights, May(&["group"])], list),
    route!(GET "/api/group/{id}", [Group, Auth(BEARER), Rights, May(&["group"])], read),
    route!(PATCH "/api/group/{id}", [Group, Auth(BEARER), Rights, May(&["group"])], change),
    route!(POST "/api/group/{id}/alias-dns", [Body(aliases::check_body), Group, Auth(BEARER), Rights, Role("groupAliasDns")], set_aliases),
    route!(DELETE "/api/group/{id}/alias-dns/{target}", [Group, Auth(BEARER), Rights, Role("groupAliasDns")], remove_alias),
    route!(POST "/api/{group}/operations", [Group, Auth(BEARER), Body(check_operation), Rights, May(&["operations"])], operate),
    route!(GET "/api/{group}/usage-stats", [Group, Auth(BEARER), Rights, May(&["group"])], usage),
    route!(GET "/api/{group}/checkforupdates", [Group, Auth(BEARER)], check_for_updates),
    route!(PUT "/api/{group}/updatecore", [Group, Auth(BEARER), Rights, May(&["products"])], update_core),
];

static OPERATION: Shape = Shape {
    required: &["operation"],
    members: &[(
        "operation",
        Kind::OneOf(&[
            "rotate_secret",
            "rotate_keys",
            "rotate_cookie_keys",
            "rotate_registration_access_token",
        ]),
    )],
    open: true,
};

/// The operations of groups and of clients.
pub fn check_operation(body: &Json) -> ApiResult<()> {
    OPERATION.check(body).map(|_| ())
}

/// `POST /api/init`: the root group, once.
async fn init(ctx: Ctx) -> ApiResult<Reply> {
    let start = &ctx.app.settings.bootstrap;
    let configured = start
        .setup_code
        .as_ref()
        .filter(|_| start.allow_root_creation);
    let printed = ctx.app.setup_code.as_ref();
    let sent = ctx.req.field("setupCode").filter(|c| !c.is_empty());
    let (Some(sent), true) = (sent, configured.is_some() || printed.is_some()) else {
        return Err(ApiError::not_found(""));
    };
    let is = |code: Option<&SecretString>| {
        code.map(ExposeSecret::expose_secret)
            .is_some_and(|code| !code.is_empty() && secrets::ct_eq(code, sent))
    };
    let by_printed = is(printed);
    if !is(configured) && !by_printed {
        return Err(ApiError::unauthorized(""));
    }
    let given = ctx.req.field("email").filter(|e| by_printed && is_email(e));
    let email = start.root_email.as_deref().or(given).ok_or_else(|| {
        ApiError::unprocessable("Need to provide the e-mail address of the initial account")
    })?;
    let password = ctx
        .req
        .field("password")
        .filter(|p| !p.is_empty())
        .ok_or_else(|| ApiError::unprocessable("Need to provide a password for initial account"))?;
    let created = bootstrap::create_root(&ctx.app, email, password).await?;
    reply::created(TYPE, created.public(&ctx.app)).map(reply::no_store)
}

/// `GET /api/version`
async fn version(ctx: Ctx) -> ApiResult<Reply> {
    let today = ctx.app.date().to_iso();
    let year = today.get(..4).unwrap_or_default();
    reply::json_with(
        StatusCode::OK,
        &json!({ "data": {
            "api": "ue-auth",
            "version": env!("CARGO_PKG_VERSION"),
            "copyright": format!("Copyright (c) {year} the ueauth contributors"),
        } }),
    )
}

/// `GET /api/health`
async fn health(ctx: Ctx) -> ApiResult<Reply> {
    let db = match ctx.app.store.ping().await {
        Ok(()) => "connected",
        Err(_) => "disconnected",
    };
    reply::json_with(StatusCode::OK, &json!({ "server": "running", "db": db }))
}

/// `GET /api/groupcheck/{prettyName}`
async fn check_name(ctx: Ctx) -> ApiResult<Reply> {
    let available = rules::is_available(&ctx.app, ctx.req.param("prettyName")?).await?;
    reply::envelope(
        StatusCode::ACCEPTED,
        TYPE,
        json!({ "available": available }),
    )
}

/// `GET /api/group-info/{group}`
async fn info(ctx: Ctx) -> ApiResult<Reply> {
    if ctx.caller.claims().is_none() {
        let name = ctx.req.param("group")?;
        let group = rules::find_public(&ctx.app, name).await?;
        return reply::ok(TYPE, rules::facts(&group, name));
    }
    let tenant = ctx.tenant()?;
    let mut out = rules::facts(&tenant.group, tenant.id());
    out.insert("details".to_owned(), rules::details(&tenant.group));
    if let Some(core) = rules::core_facts(tenant, &ctx.rights) {
        out.insert("core".to_owned(), core);
    }
    reply::ok(TYPE, out)
}

/// `POST /api/group`
async fn create(mut ctx: Ctx) -> ApiResult<Reply> {
    let body = ctx.req.json();
    new_group::check_requested_names(&ctx.app, &body)?;
    if !ctx.app.settings.groups.open_registration {
        enforce::may(&mut ctx, &["group"])?;
        ctx.root_only()?;
    }
    let registered = new_group::create(&ctx.app, &body).await?;
    let mut out = rules::view(&ctx.app, &registered.group, KeyView::Hidden);
    if let Some(map) = out.as_object_mut() {
        map.insert("initialAccessToken".to_owned(), registered.token.into());
        if let Some(warning) = registered.warning {
            map.insert("warning".to_owned(), warning);
        }
    }
    reply::created(TYPE, out).map(reply::no_store)
}

/// `GET /api/groups`
async fn list(ctx: Ctx) -> ApiResult<Reply> {
    ctx.root_only()?;
    ctx.not_own()?;
    reply::ok(TYPE, rules::list(&ctx.app, &ctx.req.query).await?)
}

/// `GET /api/group/{id}`
async fn read(ctx: Ctx) -> ApiResult<Reply> {
    let keys = if ctx.rights.root_user || ctx.rights.holds("group-keys", "read") {
        KeyView::Public
    } else {
        KeyView::Hidden
    };
    reply::ok(TYPE, rules::view(&ctx.app, &ctx.tenant()?.group, keys))
}

/// `PATCH /api/group/{id}`
async fn change(ctx: Ctx) -> ApiResult<Reply> {
    let editor = Editor {
        sub: ctx.caller.author(),
        root: ctx.rights.is_root(),
    };
    let id = ctx.group_id()?;
    let group = patching::patch(&ctx.app, id, &ctx.req.json(), &editor).await?;
    reply::ok(TYPE, rules::view(&ctx.app, &group, KeyView::Hidden))
}

/// Aliases are set on ids only, so that nobody sets them on a group by mistake.
fn addressed_by_id(ctx: &Ctx) -> ApiResult<&str> {
    let id = ctx.group_id()?;
    if ctx.req.param("id")? == id {
        Ok(id)
    } else {
        Err(ApiError::missing(ctx.req.param("id")?))
    }
}

fn without_settings(group: &AuthGroup) -> Json {
    let mut out = group.public(KeyView::Hidden);
    if let Some(map) = out.as_object_mut() {
        map.remove("config");
        map.remove("pluginOptions");
    }
    out
}

/// `POST /api/group/{id}/alias-dns`
async fn set_aliases(ctx: Ctx) -> ApiResult<Reply> {
    ctx.root_only()?;
    let id = addressed_by_id(&ctx)?;
    let hosts = aliases::requested(&ctx.app, &ctx.req.json())?;
    let group = aliases::set(&ctx.app, id, &hosts, &ctx.caller.author()).await?;
    reply::ok(TYPE, without_settings(&group))
}

/// `DELETE /api/group/{id}/alias-dns/{target}`
async fn remove_alias(ctx: Ctx) -> ApiResult<Reply> {
    ctx.root_only()?;
    let id = addressed_by_id(&ctx)?;
    let target = aliases::Target::parse(ctx.req.param("target")?)?;
    let group = aliases::remove(&ctx.app, id, target, &ctx.caller.author()).await?;
    reply::ok(TYPE, without_settings(&group))
}

/// `POST /api/{group}/operations`
async fn operate(ctx: Ctx) -> ApiResult<Reply> {
    let (id, by) = (ctx.group_id()?, ctx.caller.author());
    let group = match ctx.req.field("operation") {
        Some("rotate_keys") => keys::rotate_signing(&ctx.app, id, &by).await?,
        Some("rotate_cookie_keys") => keys::rotate_cookies(&ctx.app, id, &by).await?,
        _ => return Err(ApiError::unprocessable("Unknown operation")),
    };
    reply::ok(TYPE, rules::view(&ctx.app, &group, KeyView::Hidden))
}

/// `GET /api/{group}/usage-stats`
async fn usage(ctx: Ctx) -> ApiResult<Reply> {
    reply::ok(TYPE, rules::usage(&ctx.app, ctx.group_id()?).await?)
}

/// `GET /api/{group}/checkforupdates`: for any caller with a token.
async fn check_for_updates(ctx: Ctx) -> ApiResult<Reply> {
    reply::ok(
        "Product",
        core_update::status(&ctx.app, ctx.tenant()?).await?,
    )
}

/// `PUT /api/{group}/updatecore`
async fn update_core(ctx: Ctx) -> ApiResult<Reply> {
    ctx.not_own()?;
    reply::ok(
        "Product",
        core_update::update(&ctx.app, ctx.tenant()?).await?,
    )
}
