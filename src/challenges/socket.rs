//! The answer to a challenge, pushed to whoever waits for it.

use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use ueauth_actors::{ActorError, ChallengeId, Challenges, Status};

use crate::app::App;
use crate::challenges::status;
use crate::gate::Ctx;
use crate::gate::origin;
use crate::http::Reply;
use crate::http::error::ApiResult;
use crate::http::sockets::{self, CloseCode, End, Line};

type Results = BoxStream<'static, Result<Status, ActorError>>;

/// `GET /api/{group}/mfa/{key}/account/{account}/interaction/{uid}/socket`: `pending`, then the
/// result, then the end.
pub async fn open(ctx: Ctx) -> ApiResult<Reply> {
    origin::check(&ctx)?;
    let id = ChallengeId::new(
        ctx.req.param("key")?,
        ctx.req.param("account")?,
        ctx.req.param("uid")?,
    );
    let app = App::clone(&ctx.app);
    let group = ctx.group_id()?.to_owned();
    let place = app.sockets.enter(ctx.req.hosts.peer, &group)?;
    let challenges = app.actors.challenges(&group);
    // entered before the handshake, so that being busy can be said in HTTP
    let results = challenges
        .subscribe(&id)
        .await
        .map_err(status::unavailable)?;
    let (all, clock) = (&ctx.app.sockets, app.clock.clone());
    sockets::accept(&ctx.req, all, clock, place, |line| {
        serve(app, challenges, id, results, line)
    })
}

fn text(status: Status) -> Option<&'static str> {
    match status {
        Status::Pending => Some(r#"{"state":"pending"}"#),
        Status::Approved => Some(r#"{"state":"approved"}"#),
        Status::Denied => Some(r#"{"state":"denied"}"#),
        Status::Expired => Some(r#"{"state":"expired"}"#),
        Status::Unknown => None,
    }
}

async fn serve(
    app: App,
    challenges: Challenges,
    id: ChallengeId,
    mut results: Results,
    mut line: Line,
) {
    let mut known = results.next().now_or_never().flatten();
    if known.is_none()
        && !line
            .say(text(Status::Pending).unwrap_or_default().to_owned())
            .await
    {
        return;
    }
    loop {
        let result = match known.take() {
            Some(result) => result,
            None => {
                tokio::select! {
                    result = results.next() => result.unwrap_or(Err(ActorError::Restarted)),
                    end = line.listen() => {
                        if let End::Close(code, reason) = end {
                            line.close(code, reason).await;
                        }
                        return;
                    }
                    () = app.stopped() => {
                        line.close(CloseCode::Away, "the server stops; ask another one").await;
                        return;
                    }
                }
            }
        };
        match result {
            Ok(status) => {
                match text(status) {
                    Some(text) => {
                        line.say(text.to_owned()).await;
                        line.close(CloseCode::Normal, "").await;
                    }
                    None => {
                        line.close(sockets::UNKNOWN, "there is no such challenge")
                            .await;
                    }
                }
                return;
            }
            // the keeper had to be restarted: it is asked again
            Err(ActorError::Restarted) => {
                app.clock.sleep_until(app.ms_after(status::BREATH)).await;
                match challenges.subscribe(&id).await {
                    Ok(again) => results = again,
                    Err(e) => known = Some(Err(e)),
                }
            }
            Err(cause) => {
                tracing::warn!(%cause, "a challenge could not be waited for");
                line.close(CloseCode::Again, "try again later").await;
                return;
            }
        }
    }
}
