//! How far a challenge is, at once or as soon as it is known.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value as Json};
use ueauth_actors::{ActorError, ChallengeId, Challenges, Status};

use crate::app::App;
use crate::gate::Ctx;
use crate::http::error::ApiResult;
use crate::http::sockets::Place;
use crate::http::{ApiError, Reply, reply};

pub(crate) const APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Pause after a restart of the keeper, so that a broken store is not asked without end.
pub(super) const BREATH: Duration = Duration::from_millis(200);

/// How long (s) the client is ready to wait, and whether it says so by a header (RFC 7240 §4.3).
pub(crate) fn patience(ctx: &Ctx) -> Option<(u64, bool)> {
    let most = ctx.app.settings.limits.wait_seconds;
    let number = |text: &str| text.trim().trim_matches('"').parse::<u64>().ok();
    let preferred = ctx
        .req
        .http
        .headers()
        .get_all("prefer")
        .filter_map(|v| v.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|preference| preference.split(';').next()?.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, value)| number(value));
    let asked = ctx.req.query("wait").and_then(number);
    let wait = preferred.or(asked)?;
    Some((wait.min(most), preferred.is_some()))
}

/// The right to wait, until it is dropped: 429 once the address has as many requests waiting as it
/// may have.
pub(crate) fn enter(ctx: &Ctx) -> ApiResult<Place> {
    ctx.app.polls.enter(ctx.req.hosts.peer, ctx.group_id()?)
}

/// `GET /api/{group}/mfa/{key}/account/{account}/interaction/{uid}/status`: 204 once approved, 206
/// in every other case. Clients that wait are told which.
pub async fn status(ctx: Ctx) -> ApiResult<Reply> {
    let id = ChallengeId::new(
        ctx.req.param("key")?,
        ctx.req.param("account")?,
        ctx.req.param("uid")?,
    );
    let challenges = ctx.app.actors.challenges(ctx.group_id()?);
    let Some((seconds, by_header)) = patience(&ctx) else {
        let status = challenges.status(&id).await.map_err(unavailable)?;
        return answer(status, false);
    };
    let _place = enter(&ctx)?;
    let until = ctx.app.ms_after(Duration::from_secs(seconds));
    let status = wait_for(&ctx.app, &challenges, &id, until).await?;
    let mut reply = answer(status, true)?;
    if by_header && let Ok(value) = HeaderValue::try_from(format!("wait={seconds}")) {
        reply.headers_mut().insert(APPLIED, value);
    }
    Ok(reply::no_store(reply))
}

/// The keeper tells; when it had to be restarted, it is asked again.
async fn wait_for(
    app: &App,
    challenges: &Challenges,
    id: &ChallengeId,
    until: i64,
) -> ApiResult<Status> {
    loop {
        let waited = tokio::select! {
            waited = challenges.wait(id, until) => waited,
            // the client asks another server
            () = app.stopped() => Ok(Status::Pending),
        };
        match waited {
            Ok(status) => return Ok(status),
            Err(ActorError::Restarted) if app.now_ms() < until => {
                app.clock.sleep_until(app.ms_after(BREATH)).await;
            }
            Err(e) => return Err(unavailable(e)),
        }
    }
}

/// Whatever keeps the answer away may pass.
pub(super) fn unavailable(e: ActorError) -> ApiError {
    match e {
        ActorError::Journal(cause) => {
            tracing::error!(%cause, "the state of a challenge could not be read");
            ApiError::busy(1)
        }
        other => other.into(),
    }
}

fn answer(status: Status, waited: bool) -> ApiResult<Reply> {
    if status == Status::Approved {
        return Ok(reply::no_content());
    }
    let mut body = Map::new();
    body.insert("type".to_owned(), "object".into());
    body.insert("data".to_owned(), "Partial Content".into());
    if waited {
        let state = serde_json::to_value(status).map_err(ApiError::internal)?;
        body.insert("state".to_owned(), state);
    }
    reply::json_with(StatusCode::PARTIAL_CONTENT, &Json::Object(body))
}
