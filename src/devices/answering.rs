//! A device's answer to a challenge.

use actix_web::http::StatusCode;
use serde::Deserialize;
use ueauth_actors::{Answer, Outcome};

use crate::challenges;
use crate::devices::StoredDevice;
use crate::devices::questions::{self, expiry, member};
use crate::devices::signed::{self, refused};
use crate::gate::Ctx;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::secrets::ct_eq;
use crate::store::StoreError;

/// All of what is answered, so that a signature is good for nothing else.
#[derive(Debug, Deserialize)]
struct Claims {
    key: String,
    nonce: String,
    exp: i64,
    answer: Word,
    /// What the person has entered, where it is asked for.
    #[serde(default)]
    number: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Approve,
    Deny,
}

fn over() -> ApiError {
    ApiError::new(
        StatusCode::GONE,
        "The challenge has ended, or is not for this device",
    )
}

/// Takes the answer if the device of the challenged account has signed exactly that. The first
/// one counts. A wrong number denies.
pub async fn answer(ctx: &Ctx, key: &str, token: &str) -> ApiResult<()> {
    let (app, group) = (&ctx.app, ctx.group_id()?);
    let (signer, claims): (_, Claims) =
        signed::by_device(app, group, token, signed::ANSWER).await?;
    if claims.key != key {
        return Err(refused());
    }
    let open = questions::open(app, group, &signer.account.id).await?;
    let challenge = open.challenges.iter().find(|c| c.id.key == key);
    let challenge = challenge.ok_or_else(over)?;
    let nonce = member(challenge, "nonce").ok_or_else(over)?;
    if !ct_eq(nonce, &claims.nonce) || claims.exp != expiry(challenge) {
        return Err(refused());
    }
    let number = member(challenge, "number");
    let matches = number.is_none_or(|wanted| {
        let given = claims.number.as_deref().unwrap_or_default();
        ct_eq(wanted, given.trim())
    });
    let answer = match claims.answer {
        Word::Approve if matches => Answer::Approve,
        _ => Answer::Deny,
    };
    let by = format!("device {}", signer.device.id);
    let challenges = app.actors.challenges(group);
    match challenges.answer(&challenge.id, answer, &by).await? {
        Outcome::Applied(decided) => challenges::conclude(app, group, &decided).await,
        _ => return Err(over()),
    }
    let now = app.date();
    let used = app.store.of::<StoredDevice>();
    used.update(&signer.device.id, |d: &mut StoredDevice| {
        d.last_used_at = Some(now);
        Ok::<_, StoreError>(())
    })
    .await?;
    if claims.answer == Word::Approve && !matches {
        return Err(ApiError::forbidden(
            "The number is another one; the request was denied",
        ));
    }
    Ok(())
}
