//! Signing and cookie keys of a group: made, and replaced without breaking what was signed before.

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
const COOKIE_KEY_HEX: usize = 10;

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
    fn cookie_keys_are_five_times_ten_hex_characters() {
        let keys = cookies(&Random::default());
        assert_eq!(keys.len(), 5);
        assert!(keys.iter().all(|k| k.len() == 10));
        assert_ne!(keys[0], keys[1]);
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
