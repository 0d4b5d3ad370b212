//! What an account's devices have to answer.
//!
//! [`open`] says what there is now and [`changed`] waits until there is something else; whatever
//! brings challenges to devices needs no more than these two.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use ueauth_actors::Challenge;

use crate::app::App;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::oidc::replay;

/// The open challenges of an account, oldest first.
#[derive(Debug)]
pub struct Open {
    /// Differs when the challenges do.
    pub tag: String,
    pub challenges: Vec<Arc<Challenge>>,
}

/// What was stored with the question.
pub fn member<'a>(challenge: &'a Challenge, name: &str) -> Option<&'a str> {
    challenge.data.get(name).and_then(Json::as_str)
}

/// Until when (s) an answer counts, as devices sign it.
pub fn expiry(challenge: &Challenge) -> i64 {
    challenge.deadline.div_euclid(1000)
}

/// What a device may show. Never the number: whoever answers has it from elsewhere.
pub fn shown(challenge: &Challenge) -> Json {
    let text = |name| member(challenge, name).unwrap_or_default();
    json!({
        "key": challenge.id.key,
        "nonce": text("nonce"),
        "exp": expiry(challenge),
        "title": text("title"),
        "header": text("header"),
        "message": text("message"),
        "asksForNumber": member(challenge, "number").is_some(),
    })
}

pub async fn open(app: &App, group: &str, account: &str) -> ApiResult<Open> {
    let challenges = app.actors.challenges(group);
    let mut challenges = challenges.all_pending_for(account).await?;
    // those of other providers are answered elsewhere
    challenges.retain(|c| member(c, "nonce").is_some());
    challenges.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    let keys: Vec<&str> = challenges.iter().map(|c| c.id.key.as_str()).collect();
    Ok(Open {
        tag: replay::mark(&keys.join("\n")),
        challenges,
    })
}

/// As [`open`], as soon as it differs from what the tag stands for, or at `until`.
pub async fn changed(
    app: &App,
    group: &str,
    account: &str,
    tag: Option<&str>,
    until: i64,
) -> ApiResult<Open> {
    let place = app.bell.place(group, account);
    if app.bell.places() > app.settings.actors.waiters.get() {
        return Err(ApiError::busy(5));
    }
    loop {
        // before the look, so that nothing is missed
        let woken = place.woken();
        let now = open(app, group, account).await?;
        let same = match tag {
            Some(tag) => tag == now.tag,
            None => now.challenges.is_empty(),
        };
        if !same || app.now_ms() >= until {
            return Ok(now);
        }
        // expiry changes what there is, and may come first
        let ends = now.challenges.iter().map(|c| c.deadline).min();
        let wake = ends.map_or(until, |at| at.min(until));
        tokio::select! {
            () = woken => {}
            () = app.clock.sleep_until(wake) => {}
        }
    }
}
