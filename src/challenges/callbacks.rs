//! Telling the asker of a custom challenge what was answered.

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
use crate::outgoing::{Call, CallError};
use crate::slots::Place;
use crate::store::Date;

const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");
/// Attempts, and the pause before the second; each later one is four times as long.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// Who asked, as it was stored with the question.
fn member<'a>(challenge: &'a Challenge, name: &str) -> Option<&'a str> {
    challenge.data.get(name).and_then(Json::as_str)
}

/// Reports beside the request.
pub fn later(app: &App, group: &str, challenge: &Arc<Challenge>) {
    if member(challenge, "cb").is_none() {
        return;
    }
    let what = challenge.id.to_record_id();
    let Some(place) = app.slots.callbacks.enter(group, &what) else {
        tracing::error!(
            group,
            "an answer was not reported: too many reports are under way"
        );
        return;
    };
    let (app, group, challenge) = (Arc::clone(app), group.to_owned(), Arc::clone(challenge));
    tokio::spawn(async move {
        report(&app, &place, &group, &challenge).await;
    });
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

/// Tries until the asker accepts it, refuses it for good, or has been tried often enough.
pub async fn report(app: &App, place: &Place, group: &str, challenge: &Challenge) {
    let Some(url) = member(challenge, "cb") else {
        return;
    };
    let text = body(group, challenge).to_string();
    let secret = secret(app, challenge).await;
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=ATTEMPTS {
        let mut call =
            Call::new(Method::POST, url).content("application/json", text.clone().into_bytes());
        if let Some(value) = secret
            .as_deref()
            .and_then(|s| signature(app.now(), s, &text))
        {
            call.headers.push((SIGNATURE, value));
        }
        let Err(cause) = place.turn(app.outgoing.exchange(call)).await else {
            return;
        };
        let key = &challenge.id.key;
        if is_final(&cause) || attempt == ATTEMPTS {
            tracing::error!(key, attempt, %cause, "an answer was not reported; given up");
            return;
        }
        tracing::warn!(key, attempt, %cause, "an answer was not reported; trying again");
        app.clock.sleep_until(app.ms_after(pause)).await;
        pause = pause.saturating_mul(4);
    }
}

/// Would another attempt end the same way?
fn is_final(cause: &CallError) -> bool {
    match cause {
        // the second was accepted, if with many words
        CallError::NotPublic | CallError::TooLarge => true,
        CallError::Status(status) => {
            (300..500).contains(status) && !matches!(status, 408 | 409 | 425 | 429)
        }
        _ => false,
    }
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
            assert!(is_final(&CallError::Status(last)), "{last}");
        }
        for trouble in [408, 429, 500, 502, 503] {
            assert!(!is_final(&CallError::Status(trouble)), "{trouble}");
        }
        assert!(is_final(&CallError::NotPublic));
    }
}
