//! Telling the asker of a custom challenge what was answered. The report is due from the moment
//! the answer is stored, with which it is kept; a server that is killed loses none.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value as Json, json};
use ueauth_actors::{Challenge, State};

use crate::app::App;
use crate::challenges::answers::CUSTOM;
use crate::challenges::model::StoredChallenge;
use crate::deliveries::{self, Delivery, QUEUED, growing};
use crate::outgoing::{Call, CallError};
use crate::slots::Place;
use crate::store::{Date, Order, Query, StoreError, and, any_of, not};

const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");
/// Attempts, and the pause before the second; each later one is four times as long.
const ATTEMPTS: i64 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// Reports that are looked for at a time.
const BATCH: u64 = 2000;

/// Who asked, as it was stored with the question.
fn member<'a>(challenge: &'a Challenge, name: &str) -> Option<&'a str> {
    challenge.data.get(name).and_then(Json::as_str)
}

/// Where the report of the answer stands right after it was given, if there is to be one. Both are
/// written at once, so there is no answer whose report could be lost.
pub fn begun(challenge: &Challenge) -> Option<Delivery> {
    let answered = matches!(challenge.state, State::Approved | State::Denied);
    let custom = member(challenge, "event").is_some_and(|e| e.eq_ignore_ascii_case(CUSTOM));
    if !answered || !custom || member(challenge, "cb").is_none() {
        return None;
    }
    Some(Delivery {
        state: QUEUED.to_owned(),
        next_at: challenge.decided_at.map(Date::from_millis),
        ..Delivery::default()
    })
}

/// Reports beside the request what the challenge with this id was answered.
pub fn later(app: &App, group: &str, id: &str) {
    // without a place it is found in the store, where it is due
    let Some(place) = app.slots.callbacks.enter(group, id) else {
        return;
    };
    let (app, id) = (Arc::clone(app), id.to_owned());
    tokio::spawn(async move {
        if let Err(fault) = report(&app, &place, &id).await {
            // it stays as it was, so it becomes due all the same
            tracing::warn!(id, error = %fault, "the outcome of a report was not noted");
        }
    });
}

/// Tries until the asker accepts it, refuses it for good, or has been tried often enough, unless
/// another server has taken it on.
pub async fn report(app: &App, place: &Place, id: &str) -> Result<(), StoreError> {
    while let Some(next) = place.turn(attempt(app, id)).await? {
        app.clock.sleep_until(next.as_millis()).await;
    }
    Ok(())
}

/// One attempt, if it is due; when the next one is, if there is to be any.
async fn attempt(app: &App, id: &str) -> Result<Option<Date>, StoreError> {
    let taken = deliveries::take_on::<StoredChallenge>(app, id).await?;
    let Some(stored) = taken else {
        return Ok(None);
    };
    let sent = match stored.kept() {
        Some(challenge) => send(app, &stored.auth_group, &challenge).await,
        None => Err(ReportError::Unreadable),
    };
    match sent {
        Ok(()) => accepted(app, id).await.map(|()| None),
        Err(cause) => {
            let next = |d: &Delivery| {
                let again = !cause.is_final() && d.attempts < ATTEMPTS;
                again.then(|| {
                    let pause = growing(FIRST_PAUSE, 4, d.attempts, Duration::MAX);
                    deliveries::after(app, pause)
                })
            };
            tracing::warn!(id, %cause, "an answer was not reported");
            deliveries::failed::<StoredChallenge>(app, id, &cause.to_string(), next).await
        }
    }
}

async fn accepted(app: &App, id: &str) -> Result<(), StoreError> {
    let stored = app.store.of::<StoredChallenge>();
    stored
        .update(id, |c: &mut StoredChallenge| {
            c.delivery = None;
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(())
}

/// Takes up reports that are due and that nobody is about: those of servers that were killed, and
/// those for which there was no place. Groups whose line is full are left out, so that they do not
/// hide those of others.
pub async fn round(app: &App) -> Result<(), StoreError> {
    let full = not(any_of("authGroup", app.slots.callbacks.full()));
    let query = Query::new(and([deliveries::due(app), full]))
        .sort("delivery.nextAt", Order::Ascending)
        .limit(BATCH)
        .select(["authGroup"]);
    for found in app
        .store
        .of::<StoredChallenge>()
        .find_objects(query)
        .await?
    {
        if let (Some(id), Some(group)) = (found.get_str("_id"), found.get_str("authGroup")) {
            later(app, group, id);
        }
    }
    Ok(())
}

/// The body of the report.
fn body(group: &str, challenge: &Challenge) -> Json {
    let response = match challenge.state {
        State::Approved => "approved",
        _ => "denied",
    };
    json!({
        "accountId": challenge.id.account,
        "event": CUSTOM,
        "cb": member(challenge, "cb"),
        "state": challenge.id.uid,
        "key": challenge.id.key,
        "authGroup": group,
        "response": response,
        "createdAt": Date::from_millis(challenge.created_at),
    })
}

/// Why a report was not accepted.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the challenge can not be read")]
    Unreadable,
}

impl ReportError {
    /// Would another attempt end the same way?
    fn is_final(&self) -> bool {
        match self {
            // the second was accepted, if with many words
            Self::Unreadable | Self::Call(CallError::NotPublic | CallError::TooLarge) => true,
            Self::Call(CallError::Status(status)) => {
                (300..500).contains(status) && !matches!(status, 408 | 409 | 425 | 429)
            }
            Self::Call(_) => false,
        }
    }
}

async fn send(app: &App, group: &str, challenge: &Challenge) -> Result<(), ReportError> {
    let url = member(challenge, "cb").ok_or(ReportError::Unreadable)?;
    let text = body(group, challenge).to_string();
    let secret = secret(app, challenge).await;
    let signature = secret.and_then(|secret| signature(app.now(), &secret, &text));
    let mut call = Call::new(Method::POST, url).content("application/json", text.into_bytes());
    call.headers
        .extend(signature.map(|value| (SIGNATURE, value)));
    app.outgoing.exchange(call).await?;
    Ok(())
}

/// The secret that the asking client has now.
async fn secret(app: &App, challenge: &Challenge) -> Option<String> {
    let group = member(challenge, "clientGroup")?;
    let tenant = app.tenants.active(app, group).await.ok().flatten()?;
    let client = crate::clients::rules::find(app, &tenant, member(challenge, "client")?).await;
    client.ok().flatten()?.payload.client_secret.clone()
}

/// `t=…,v1=…`: the time in seconds, and the hexadecimal HMAC-SHA-256 of time, dot and body.
fn signature(now: i64, secret: &str, body: &str) -> Option<HeaderValue> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{now}.{body}").as_bytes());
    let mut text = format!("t={now},v1=");
    for byte in tag.as_ref() {
        write!(text, "{byte:02x}").ok()?;
    }
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with OpenSSL: `printf '%s' '1800000000.{"a":1}' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn the_signature_is_what_other_tools_compute() {
        let value = signature(1_800_000_000, "secret", r#"{"a":1}"#).unwrap();
        assert_eq!(
            value.to_str().unwrap(),
            "t=1800000000,v1=440dfbb83aabca24d9e5027629cfd81cb45254690f8d410bb28f1cc17c990dbc"
        );
    }

    #[test]
    fn refusals_are_final_and_trouble_is_not() {
        for last in [301, 302, 400, 401, 404, 410] {
            assert!(
                ReportError::from(CallError::Status(last)).is_final(),
                "{last}"
            );
        }
        for trouble in [408, 429, 500, 502, 503] {
            let trouble = ReportError::from(CallError::Status(trouble));
            assert!(!trouble.is_final(), "{trouble}");
        }
        assert!(ReportError::from(CallError::NotPublic).is_final());
    }
}
