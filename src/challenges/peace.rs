//! Leaving people in peace who have said no: what anybody can ask of a device is not asked for a
//! while after it was denied there, and for longer each time it is denied again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use ueauth_actors::{Challenge, State};

use crate::app::App;
use crate::challenges::sending::{Purpose, SUPERSEDED};
use crate::deliveries::growing;
use crate::oidc::replay;
use crate::store::{Collection, Date, Document, Expiry, Object, StoreError};

pub static PAUSES: Collection = Collection {
    name: "challenge_pauses",
    indexes: &[],
    expiry: &[Expiry::at("expiresAt")],
};

/// How long after a pause another denial follows upon the ones before.
const MEMORY: Duration = Duration::from_hours(24);
/// Who denies in the name of an account that is locked.
pub const LOCK: &str = "lock";

/// What an account has denied lately. It is kept by itself, since challenges are forgotten sooner.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    #[serde(rename = "_id")]
    pub id: String,
    pub auth_group: String,
    pub account_id: String,
    /// One after the other, without an approval.
    pub denials: i64,
    /// Nobody asks before.
    pub until: Date,
    pub expires_at: Date,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Pause {
    const COLLECTION: &'static Collection = &PAUSES;
    fn id(&self) -> &str {
        &self.id
    }
}

fn id(group: &str, account: &str) -> String {
    replay::mark(&format!("{group}\n{account}"))
}

/// Is the account left in peace now?
pub async fn is_kept(app: &App, group: &str, account: &str) -> Result<bool, StoreError> {
    let found = app.store.of::<Pause>().get(&id(group, account)).await?;
    Ok(found.is_some_and(|pause| pause.until > app.date()))
}

/// Takes note of an answer that somebody gave on a device.
pub async fn heard(app: &App, group: &str, challenge: &Challenge) -> Result<(), StoreError> {
    let by_itself = matches!(challenge.decided_by.as_deref(), Some(SUPERSEDED | LOCK));
    let first = app.settings.limits.denied_pause_seconds;
    if by_itself || first == 0 || !Purpose::is_for_anybody(&challenge.purpose) {
        return Ok(());
    }
    let account = &challenge.id.account;
    let id = id(group, account);
    let pauses = app.store.of::<Pause>();
    if challenge.state == State::Approved {
        pauses.delete(&id).await?;
        return Ok(());
    }
    let now = app.date();
    let new = Pause {
        id: id.clone(),
        auth_group: group.to_owned(),
        account_id: account.clone(),
        denials: 0,
        until: now,
        expires_at: Date::from_millis(app.ms_after(MEMORY)),
        version: 0,
        extra: Object::default(),
    };
    pauses.insert_or_get(new).await?;
    let longest = app.settings.limits.denied_pause_longest_seconds;
    pauses
        .update(&id, |p: &mut Pause| {
            p.denials = p.denials.saturating_add(1);
            let pause = length(first, longest, p.denials);
            p.until = Date::from_millis(app.ms_after(pause)).max(p.until);
            p.expires_at = Date::from_millis(app.ms_after(pause.saturating_add(MEMORY)));
            Ok::<_, StoreError>(())
        })
        .await?;
    tracing::info!(
        group,
        account,
        "a device denied; its owner is left in peace for a while"
    );
    Ok(())
}

/// Twice as long after each denial.
fn length(first: u64, longest: u64, denials: i64) -> Duration {
    let (first, longest) = (Duration::from_secs(first), Duration::from_secs(longest));
    growing(first, 2, denials, longest)
}

/// Forgets what an account has denied.
pub async fn forget(app: &App, group: &str, account: &str) -> Result<(), StoreError> {
    app.store.of::<Pause>().delete(&id(group, account)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let seconds: Vec<u64> = (1..=6).map(|n| length(300, 3600, n).as_secs()).collect();
        assert_eq!(seconds, [300, 600, 1200, 2400, 3600, 3600]);
        assert_eq!(length(300, 3600, i64::MAX).as_secs(), 3600);
        assert_eq!(
            length(7200, 3600, 2).as_secs(),
            7200,
            "who wants longer gets it"
        );
    }
}
