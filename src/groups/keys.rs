//! Signing and cookie keys of a group: made, and replaced without breaking what was signed before.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::app::App;
use crate::groups::AuthGroup;
use crate::groups::model::RetiredKeys;
use crate::groups::rules::change;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::jose::{self, Jwk};
use crate::secrets::Random;
use crate::store::Date;

const COOKIE_KEYS: usize = 5;
/// 256 bits. Groups of other systems have 10 characters, which can be guessed from one cookie.
const COOKIE_KEY_HEX: usize = 64;
/// Shorter keys (characters) do not stand alone for what a cookie says.
const STRONG: usize = 32;

/// Five new private keys, computed off the asynchronous threads. 417 if that fails.
pub async fn signing() -> ApiResult<Vec<Jwk>> {
    let made = tokio::task::spawn_blocking(jose::generate_group_keys).await;
    match made {
        Ok(Ok(keys)) => Ok(keys),
        failed => {
            tracing::error!(?failed, "keys could not be generated");
            Err(ApiError::expectation_failed(
                "The keys could not be generated, try again",
            ))
        }
    }
}

/// Five new keys that sign cookies.
pub fn cookies(random: &Random) -> Vec<String> {
    (0..COOKIE_KEYS)
        .map(|_| random.hex(COOKIE_KEY_HEX))
        .collect()
}

/// Keys that sign cookies, the best first, and how many of them are strong. If none is, one is made
/// from a private key of the group, the same one on every node.
pub fn for_cookies(group: &str, stored: &[String], private: &[Jwk]) -> (Vec<String>, usize) {
    let (mut keys, weak): (Vec<String>, Vec<String>) =
        stored.iter().cloned().partition(|key| key.len() >= STRONG);
    if keys.is_empty()
        && let Some(secret) = private.iter().find_map(|key| key.d.as_ref())
    {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let tag = hmac::sign(&key, format!("cookies of {group}").as_bytes());
        keys.push(URL_SAFE_NO_PAD.encode(tag));
    }
    let strong = keys.len();
    keys.extend(weak);
    (keys, strong)
}

/// Replaces the signing keys. The public halves of the old ones stay published until the
/// last token they signed has run out.
pub async fn rotate_signing(app: &App, id: &str, by: &str) -> ApiResult<AuthGroup> {
    let fresh = signing().await?;
    let now = app.date();
    change(app, id, by, move |group| {
        let retired = retire(group, now);
        group.config.retired_keys = retired;
        group.config.keys.clone_from(&fresh);
        Ok(())
    })
    .await
}

/// Replaces the cookie keys; sessions that the old ones signed end.
pub async fn rotate_cookies(app: &App, id: &str, by: &str) -> ApiResult<AuthGroup> {
    let fresh = cookies(&app.random);
    change(app, id, by, move |group| {
        group.config.cookie_keys.clone_from(&fresh);
        Ok(())
    })
    .await
}

/// What must still verify after the current keys are gone.
fn retire(group: &AuthGroup, now: Date) -> Vec<RetiredKeys> {
    let life = group.config.ttl.effective().longest_signed();
    let until = now.as_millis().saturating_add(life.saturating_mul(1000));
    let mut kept: Vec<RetiredKeys> = group
        .config
        .retired_keys
        .iter()
        .filter(|r| r.until > now)
        .cloned()
        .collect();
    if !group.config.keys.is_empty() {
        kept.push(RetiredKeys {
            keys: group.config.keys.iter().map(Jwk::public).collect(),
            until: Date::from_millis(until),
        });
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hole_cookie_keys_of_40_bits_could_be_guessed() {
        let keys = cookies(&Random::default());
        assert_eq!(keys.len(), 5);
        assert!(keys.iter().all(|k| k.len() == 64));
        assert_ne!(keys[0], keys[1]);
        assert_eq!(for_cookies("g", &keys, &[]), (keys, 5));
    }

    #[test]
    fn hole_groups_of_other_systems_do_not_rely_on_their_short_cookie_keys() {
        let short = ["0123456789".to_owned(), "abcdef0123".to_owned()];
        let private = jose::generate_group_keys().unwrap();
        let (keys, strong) = for_cookies("g", &short, &private);
        assert_eq!(strong, 1);
        assert_eq!(keys[1..], short);
        assert_eq!(keys[0].len(), 43);
        assert_eq!(for_cookies("g", &short, &private).0, keys);
        assert_ne!(for_cookies("h", &short, &private).0[0], keys[0]);
        assert_eq!(for_cookies("g", &short, &[]), (short.to_vec(), 0));
    }

    #[test]
    fn old_keys_stay_without_their_private_half_and_only_while_needed() {
        let mut group: AuthGroup = serde_json::from_value(serde_json::json!({
            "_id": "g", "owner": "o", "name": "n",
            "config": { "ttl": { "idToken": 7200 } },
        }))
        .unwrap();
        group.config.keys = jose::generate_group_keys().unwrap();
        group.config.retired_keys = vec![
            RetiredKeys {
                keys: Vec::new(),
                until: Date::from_millis(1),
            },
            RetiredKeys {
                keys: Vec::new(),
                until: Date::from_millis(5000),
            },
        ];
        let kept = retire(&group, Date::from_millis(1000));
        assert_eq!(
            kept.iter().map(|r| r.until.as_millis()).collect::<Vec<_>>(),
            [5000, 7_201_000]
        );
        assert!(kept.iter().flat_map(|r| &r.keys).all(|k| !k.is_private()));
        assert_eq!(kept[1].keys.len(), 5);
    }
}
