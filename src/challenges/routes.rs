//! Routes of device challenges.

use actix_web::http::StatusCode;
use serde_json::{Map, Value as Json};
use ueauth_actors::{ChallengeId, Status};

use crate::accounts::{Account, attempts, rules};
use crate::app::LimitClass;
use crate::challenges::providers;
use crate::challenges::sending::{self, Purpose, Question};
use crate::challenges::states::LONGEST;
use crate::challenges::{answers, codes, recovery, socket, states, status};
use crate::gate::{Ctx, Route, Strategy};
use crate::http::error::ApiResult;
use crate::http::validate::{Kind, Shape};
use crate::http::{ApiError, Reply, reply};
use crate::route;

const CHALLENGE: &str = "CHALLENGE";
/// Hexadecimal characters of a state that the server makes up.
const STATE: usize = 128;
/// Longest text that is looked at as a code.
const LONGEST_CODE: usize = 64;

pub static ROUTES: &[Route] = &[
    route!(POST "/api/{group}/mfa/callback", [Group], answers::told, public "the provider is asked whether it is true"),
    route!(POST "/api/{group}/{function}/callback", [Group], answers::unknown, public "says that there is no such thing"),
    route!(GET "/api/{group}/mfa/{key}/account/{account}/interaction/{uid}/status", [Group], status::status, public "whoever knows all parts may know the answer"),
    route!(GET "/api/{group}/mfa/{key}/account/{account}/interaction/{uid}/socket", [Group], socket::open, public "whoever knows all parts may know the answer"),
    route!(POST "/api/{group}/mfa/{key}/account/{account}/interaction/{uid}/code", [Body(check_code), Group, Limit(LimitClass::Codes)], typed, public "the code is the credential"),
    route!(POST "/api/{group}/mfa/proof", [Body(check_code), Group, Limit(LimitClass::Codes), Auth(&[Strategy::IatState, Strategy::Basic, Strategy::Bearer])], prove),
    route!(POST "/api/{group}/mfa/instructions", [Group, Auth(&[Strategy::Passkey, Strategy::IatState, Strategy::Basic, Strategy::Bearer]), Body(check_texts)], recovery::instructions),
    route!(POST "/api/{group}/mfa/safe-recovery", [Group, Auth(&[Strategy::Iat]), Body(check_texts)], recovery::safe_recovery),
    route!(PUT "/api/{group}/device/challenge", [Body(check), Group, Auth(&[Strategy::Bearer]), Rights, May(&["notification"])], custom),
    route!(POST "/api/{group}/device/challenge", [Body(check_texts), Group, Limit(LimitClass::Passkeys)], sign_in, public "the state is the credential"),
];

static BODY: Shape = Shape {
    required: &["title", "header", "message", "lookup"],
    members: &[
        ("title", Kind::Text),
        ("header", Kind::Text),
        ("message", Kind::Text),
        ("lookup", Kind::Text),
        ("state", Kind::TextUpTo(LONGEST)),
        ("duration", Kind::Text),
        ("callback", Kind::Text),
    ],
    open: true,
};

fn check(body: &Json) -> ApiResult<()> {
    BODY.check(body).map(|_| ())
}

static CODE: Shape = Shape {
    required: &["code"],
    members: &[
        ("code", Kind::TextUpTo(LONGEST_CODE)),
        ("state", Kind::Text),
    ],
    open: true,
};

/// What the other requests may say; what they have to is for their handlers to tell.
static TEXTS: Shape = Shape {
    required: &[],
    members: &[
        ("code", Kind::TextUpTo(LONGEST_CODE)),
        ("lookup", Kind::Text),
        ("method", Kind::OneOf(&["device", "email", "recovery"])),
        ("providerKey", Kind::Text),
        ("selection", Kind::Text),
        ("state", Kind::Text),
    ],
    open: true,
};

fn check_texts(body: &Json) -> ApiResult<()> {
    TEXTS.check(body).map(|_| ())
}

fn check_code(body: &Json) -> ApiResult<()> {
    CODE.check(body).map(|_| ())
}

/// May the account be challenged at all?
fn reachable(account: &Account) -> bool {
    account.is_usable() && account.verified
}

/// The account with that id, or whose name it is.
async fn looked_up(ctx: &Ctx, lookup: &str) -> ApiResult<Option<Account>> {
    let (app, group) = (&ctx.app, ctx.group_id()?);
    let mut found = rules::find(app, group, lookup).await?;
    if found.is_none() {
        found = attempts::find(app, group, lookup).await?;
    }
    Ok(found.filter(reachable))
}

/// `PUT /api/{group}/device/challenge`
async fn custom(ctx: Ctx) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let field = |name| ctx.req.field(name).filter(|text| !text.is_empty());
    let lookup = field("lookup").ok_or_else(|| ApiError::bad_request("lookup is required"))?;
    let account = looked_up(&ctx, lookup)
        .await?
        .ok_or_else(|| ApiError::bad_request(format!("Could not identify account {lookup}")))?;
    if !account.mfa_enabled() {
        return Err(ApiError::bad_request(format!(
            "Account {lookup} does not have an auth device enabled."
        )));
    }
    let (duration, callback) = (field("duration"), field("callback"));
    if duration.is_some_and(|text| sending::duration(text).is_none()) {
        return Err(ApiError::bad_request(
            "duration must be a number of seconds, minutes or hours, such as 90s, 5m or 1h",
        ));
    }
    if let Some(url) = callback
        && app.outgoing.check(url).is_err()
    {
        return Err(ApiError::bad_request(
            "callback must be a public address that begins with https:// or http://",
        ));
    }
    // before anything is kept
    providers::of(app, tenant).await?;
    let state = field("state").map_or_else(|| app.random.hex(STATE), ToOwned::to_owned);
    states::save(app, tenant.id(), &state, Some(&account.id)).await?;
    let question = Question {
        purpose: Purpose::Custom,
        uid: &state,
        title: field("title").unwrap_or("Validation Requested"),
        header: field("header").unwrap_or_default().to_owned(),
        body: field("message").unwrap_or_default(),
        event: Some(answers::CUSTOM),
        duration,
        callback,
        client: asking_client(&ctx),
    };
    let asked = match sending::ask(app, tenant, &account, &question).await {
        Ok(asked) => asked,
        Err(e) => {
            // so that the same state may be tried again
            states::forget(app, tenant.id(), &state, &account.id).await?;
            return Err(e);
        }
    };
    let mut data = Map::new();
    data.insert("key".to_owned(), asked.key.into());
    data.insert("accountId".to_owned(), account.id.into());
    data.insert("state".to_owned(), state.clone().into());
    if let Some(number) = asked.number {
        data.insert("number".to_owned(), number.into());
    }
    for (name, value) in [("callback", callback), ("duration", duration)] {
        if let Some(value) = value {
            data.insert(name.to_owned(), value.into());
        }
    }
    reply::ok(CHALLENGE, data)
}

/// The group and the id of the client whose token this is.
fn asking_client(ctx: &Ctx) -> Option<(String, String)> {
    let client = ctx.caller.claims()?.get("client_id")?.as_str()?;
    Some((ctx.caller.tenant()?.id().to_owned(), client.to_owned()))
}

/// `POST /api/{group}/device/challenge`
async fn sign_in(ctx: Ctx) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let field = |name| ctx.req.field(name).filter(|text| !text.is_empty());
    let lookup = field("lookup").ok_or_else(|| ApiError::bad_request(""))?;
    let state = field("state").ok_or_else(|| ApiError::forbidden(""))?;
    let account = attempts::find(app, tenant.id(), lookup).await?;
    let account = account
        .filter(reachable)
        .ok_or_else(|| ApiError::bad_request(""))?;
    if !states::is_of(app, tenant.id(), state, &account.id).await? {
        return Err(ApiError::forbidden(""));
    }
    if !account.mfa_enabled() {
        return Err(ApiError::bad_request(
            "The account does not have an auth device enabled",
        ));
    }
    // a code that can be guessed proves nobody without a password
    if providers::of(app, tenant).await?.asks_for_code() {
        return Err(ApiError::bad_request(
            "The group's devices show codes, which go with the password",
        ));
    }
    let question = Question::sign_in(tenant, Purpose::SignIn, state);
    let asked = sending::ask(app, tenant, &account, &question).await?;
    let mut data = Map::new();
    data.insert("id".to_owned(), asked.key.into());
    data.insert("provider".to_owned(), asked.provider.into());
    data.insert("response".to_owned(), asked.response);
    data.insert("accountId".to_owned(), account.id.into());
    asked_at_page(&mut data, asked.number, asked.by_code);
    reply::ok(CHALLENGE, data)
}

/// `POST /api/{group}/mfa/{key}/account/{account}/interaction/{uid}/code`
async fn typed(ctx: Ctx) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let (key, account) = (ctx.req.param("key")?, ctx.req.param("account")?);
    let id = ChallengeId::new(key, account, ctx.req.param("uid")?);
    let challenges = app.actors.challenges(tenant.id());
    let unknown = || ApiError::missing(key);
    if challenges.status(&id).await? == Status::Unknown {
        return Err(unknown());
    }
    let account = rules::find(app, tenant.id(), account).await?;
    let account = account.filter(reachable).ok_or_else(unknown)?;
    let code = ctx.req.field("code").unwrap_or_default();
    match codes::answer(app, tenant, &account, &id, code).await? {
        codes::Verdict::Right => Ok(reply::no_content()),
        codes::Verdict::Wrong => Err(ApiError::unauthorized("The code is wrong")),
        codes::Verdict::Over if challenges.status(&id).await? == Status::Pending => Err(
            ApiError::bad_request("The challenge is answered on a device, and not by a code"),
        ),
        codes::Verdict::Over => Err(ApiError::new(
            StatusCode::GONE,
            "The challenge has ended; begin again",
        )),
    }
}

/// `POST /api/{group}/mfa/proof`
async fn prove(ctx: Ctx) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    let account = ctx
        .caller
        .account()
        .filter(|a| a.auth_group == tenant.id() && a.is_usable())
        .ok_or_else(|| ApiError::forbidden("request must be from a person of the group"))?;
    let code = ctx.req.field("code").unwrap_or_default();
    if codes::prove(app, tenant, account, code).await? {
        Ok(reply::no_content())
    } else {
        Err(ApiError::unauthorized("The code is wrong"))
    }
}

/// What the page has to show or to ask for, if anything.
pub fn asked_at_page(data: &mut Map<String, Json>, number: Option<String>, by_code: bool) {
    if let Some(number) = number {
        data.insert("number".to_owned(), number.into());
    }
    if by_code {
        data.insert("byCode".to_owned(), true.into());
    }
}
