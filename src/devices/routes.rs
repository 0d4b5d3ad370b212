//! The endpoints of devices, and of their owners.

use actix_web::http::header::HeaderValue;
use serde_json::{Value as Json, json};

use crate::accounts::notices::warn_owner;
use crate::accounts::routes::in_path;
use crate::app::LimitClass;
use crate::challenges::status::{self, APPLIED, patience};
use crate::devices::push::{self, Subscription};
use crate::devices::signed::{self, Once};
use crate::devices::{StoredDevice, answering, enrol, questions, rules, socket};
use crate::gate::chain::Strategy::Bearer;
use crate::gate::{Ctx, Route};
use crate::groups::tenant;
use crate::http::error::ApiResult;
use crate::http::validate::{Kind, Shape};
use crate::http::{ApiError, Reply, reply};
use crate::route;

const TYPE: &str = "DEVICE";
/// Longest text a device signs.
const SIGNED: Kind = Kind::TextUpTo(8192);

pub static ROUTES: &[Route] = &[
    route!(POST "/api/{group}/devices/enrol", [Body(check_enrolment), Group, Limit(LimitClass::Codes)], enrol, public "the code is the credential"),
    route!(POST "/api/{group}/devices/enrolments", [Group, Limit(LimitClass::Passkeys)], another, public "signed by a device"),
    route!(PUT "/api/{group}/devices/subscription", [Body(check_signed), Group, Limit(LimitClass::Passkeys)], subscribe, public "signed by a device"),
    route!(GET "/api/{group}/devices/challenges", [Group, Limit(LimitClass::Passkeys)], open, public "signed by a device"),
    route!(GET "/api/{group}/devices/socket", [Group, Limit(LimitClass::Passkeys)], socket::open, public "signed by a device"),
    route!(POST "/api/{group}/devices/challenges/{key}", [Body(check_signed), Group, Limit(LimitClass::Passkeys)], answer, public "signed by a device"),
    route!(GET "/api/{group}/account/{id}/devices", [Group, Auth(&[Bearer]), Rights, May(&["accounts"])], list),
    route!(PATCH "/api/{group}/account/{id}/devices/{device}", [Body(check_name), Group, Auth(&[Bearer]), Rights, May(&["accounts"])], rename),
    route!(DELETE "/api/{group}/account/{id}/devices/{device}", [Group, Auth(&[Bearer]), Rights, May(&["accounts"])], remove),
];

static ENROLMENT: Shape = Shape {
    required: &["code", "key", "signed"],
    members: &[
        ("code", Kind::TextUpTo(128)),
        ("key", Kind::Object),
        ("name", Kind::Text),
        ("signed", SIGNED),
    ],
    open: true,
};

static ONLY_SIGNED: Shape = Shape {
    required: &["signed"],
    members: &[("signed", SIGNED)],
    open: true,
};

static NAME: Shape = Shape {
    required: &["name"],
    members: &[("name", Kind::TextUpTo(64))],
    open: true,
};

fn check_enrolment(body: &Json) -> ApiResult<()> {
    ENROLMENT.check(body).map(|_| ())
}

fn check_signed(body: &Json) -> ApiResult<()> {
    ONLY_SIGNED.check(body).map(|_| ())
}

fn check_name(body: &Json) -> ApiResult<()> {
    NAME.check(body).map(|_| ())
}

fn token(ctx: &Ctx) -> &str {
    ctx.req.field("signed").unwrap_or_default()
}

async fn enrol(ctx: Ctx) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let body = ctx.req.json();
    let given = enrol::Given {
        code: ctx.req.field("code").unwrap_or_default(),
        key: body.get("key").unwrap_or(&Json::Null),
        name: ctx.req.field("name"),
        signed: token(&ctx),
    };
    let (device, account) = enrol::finish(app, tenant, given).await?;
    let mut out = device.public();
    out["account"] = account.email.into();
    reply::created(TYPE, out).map(reply::no_store)
}

/// A code for another device of the same account: whoever holds one may add one.
async fn another(ctx: Ctx) -> ApiResult<Reply> {
    let signer = signed::of_request(&ctx).await?;
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let (group, account) = (tenant.id(), &signer.account);
    // the owner can lock the account in case it was somebody else
    warn_owner(app, tenant, account).await?;
    let code = enrol::begin(app, group, &account.id).await?;
    let origin = tenant::origin(app, ctx.custom_domain.as_deref());
    let uri = enrol::address(&origin, group, &code);
    reply::created(TYPE, json!({ "uri": uri })).map(reply::no_store)
}

#[derive(Debug, serde::Deserialize)]
struct Wanted {
    #[serde(flatten)]
    once: Once,
    subscription: Option<Subscription>,
}

async fn subscribe(ctx: Ctx) -> ApiResult<Reply> {
    let (app, group) = (&ctx.app, ctx.group_id()?);
    let (signer, wanted): (_, Wanted) =
        signed::by_device(app, group, token(&ctx), signed::SUBSCRIPTION).await?;
    wanted.once.check(app, &signer).await?;
    push::subscribe(app, &signer.device, wanted.subscription.as_ref()).await?;
    Ok(reply::no_content())
}

/// What there is to answer, at once or as soon as there is something else than the device knows.
async fn open(ctx: Ctx) -> ApiResult<Reply> {
    let signer = signed::of_request(&ctx).await?;
    let (app, group) = (&ctx.app, ctx.group_id()?);
    let account = &signer.account.id;
    let patience = patience(&ctx);
    let open = match patience {
        None => questions::open(app, group, account).await?,
        Some((seconds, _)) => {
            let _place = status::enter(&ctx)?;
            let until = app.ms_after(std::time::Duration::from_secs(seconds));
            let known = ctx.req.query("known").filter(|tag| !tag.is_empty());
            questions::changed(app, group, account, known, until).await?
        }
    };
    let shown: Vec<Json> = open
        .challenges
        .iter()
        .map(|c| questions::shown(c))
        .collect();
    let mut out = reply::ok(TYPE, json!({ "tag": open.tag, "challenges": shown }))?;
    if let Some((seconds, true)) = patience
        && let Ok(value) = HeaderValue::try_from(format!("wait={seconds}"))
    {
        out.headers_mut().insert(APPLIED, value);
    }
    Ok(reply::no_store(out))
}

async fn answer(ctx: Ctx) -> ApiResult<Reply> {
    answering::answer(&ctx, ctx.req.param("key")?, token(&ctx)).await?;
    Ok(reply::no_content())
}

async fn list(ctx: Ctx) -> ApiResult<Reply> {
    let id = in_path(&ctx).await?.id;
    let all = rules::list(&ctx.app, ctx.group_id()?, &id).await?;
    let shown: Vec<Json> = all.iter().map(StoredDevice::public).collect();
    reply::ok(TYPE, shown)
}

async fn rename(ctx: Ctx) -> ApiResult<Reply> {
    let id = in_path(&ctx).await?.id;
    let (group, device) = (ctx.group_id()?, ctx.req.param("device")?);
    let name = ctx.req.field("name").unwrap_or_default();
    if name.trim().is_empty() {
        return Err(ApiError::bad_request("name must not be empty"));
    }
    let named = rules::rename(&ctx.app, group, &id, device, name).await?;
    reply::ok(TYPE, named.public())
}

async fn remove(ctx: Ctx) -> ApiResult<Reply> {
    let id = in_path(&ctx).await?.id;
    let (group, device) = (ctx.group_id()?, ctx.req.param("device")?);
    let gone = rules::remove(&ctx.app, group, &id, device).await?;
    reply::ok(TYPE, gone.public())
}
