//! What a provider says was answered, and what follows from it.

use std::sync::Arc;

use ueauth_actors::{Answer, Challenge, ChallengeId, Outcome};

use crate::app::App;
use crate::challenges::{callbacks, follow_ups, peace, providers};
use crate::gate::Ctx;
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, reply};

/// Asks for a report of the answer by a request to the asker.
pub const CUSTOM: &str = "ue.challenge.callback";

/// `POST /api/{group}/mfa/callback`: 204, also for what is not known here.
pub async fn told(ctx: Ctx) -> ApiResult<Reply> {
    let (app, tenant) = (&ctx.app, ctx.tenant()?);
    if !providers::is_on(app, tenant).await? {
        return Err(ApiError::bad_request(
            "Device challenges are switched off for this group",
        ));
    }
    let provider = providers::of(app, tenant).await?;
    let told = provider.read(&ctx.req.json()).ok_or_else(|| {
        ApiError::bad_request("The body lacks something that the group's provider sends")
    })?;
    if !provider.confirms(app, &told).await? {
        return Err(ApiError::bad_request("The provider does not confirm it"));
    }
    let answer = if told.approves() {
        Answer::Approve
    } else {
        Answer::Deny
    };
    let id = ChallengeId::new(told.key, told.account, told.uid);
    let challenges = app.actors.challenges(tenant.id());
    // only the first answer counts, and only that one has consequences
    if let Outcome::Applied(challenge) = challenges.answer(&id, answer, provider.name()).await? {
        conclude(app, tenant.id(), &challenge).await;
    }
    Ok(reply::no_content())
}

/// `POST /api/{group}/{function}/callback`
pub async fn unknown(_: Ctx) -> ApiResult<Reply> {
    Err(ApiError::bad_request(
        "Only mfa is called back about; use /api/{group}/mfa/callback",
    ))
}

/// Does what the answer is to bring about, beside the request as far as others are called. What that
/// is was stored when the question was asked; nobody can add to it later.
pub async fn conclude(app: &App, group: &str, challenge: &Arc<Challenge>) {
    if let Err(cause) = peace::heard(app, group, challenge).await {
        let account = &challenge.id.account;
        tracing::warn!(group, account, %cause, "an answer does not count for those that follow");
    }
    let event = challenge.data.get("event").and_then(|e| e.as_str());
    match event {
        Some(event) if event.eq_ignore_ascii_case(CUSTOM) => {
            callbacks::later(app, group, &challenge.id.to_record_id());
        }
        Some(event) => follow_ups::later(app, group, challenge, event),
        None => {}
    }
}
