//! States of device and passkey pages: whoever has one may ask for challenges to its account.

use crate::app::App;
use crate::challenges::model::ChallengeState;
use crate::store::{Date, Object, StoreError, and, eq, gt};

/// Longest value that callers may choose.
pub const LONGEST: usize = 1024;
/// Life (ms) of a state.
const LIFE: i64 = 600_000;

/// Keeps a state of an account. Fails as a duplicate if the account has one of that value.
pub async fn save(app: &App, group: &str, value: &str, account: &str) -> Result<(), StoreError> {
    let state = ChallengeState {
        id: app.random.uuid(),
        created_at: app.date(),
        state_value: value.to_owned(),
        auth_group: group.to_owned(),
        account: Some(account.to_owned()),
        version: 0,
        extra: Object::default(),
    };
    app.store.of::<ChallengeState>().insert(&state).await
}

/// Is there a live state of exactly that value, tied to the account?
pub async fn is_of(app: &App, group: &str, value: &str, account: &str) -> Result<bool, StoreError> {
    let oldest = Date::from_millis(app.now_ms().saturating_sub(LIFE));
    let count = app
        .store
        .of::<ChallengeState>()
        .count(and([
            eq("authGroup", group),
            eq("stateValue", value),
            eq("account", account),
            gt("createdAt", oldest),
        ]))
        .await?;
    Ok(count > 0)
}

/// Is there a live state of exactly that value, whoever it is tied to?
pub async fn is_known(app: &App, group: &str, value: &str) -> Result<bool, StoreError> {
    let oldest = Date::from_millis(app.now_ms().saturating_sub(LIFE));
    let count = app
        .store
        .of::<ChallengeState>()
        .count(and([
            eq("authGroup", group),
            eq("stateValue", value),
            gt("createdAt", oldest),
        ]))
        .await?;
    Ok(count > 0)
}

/// Takes back what [`save`] kept.
pub async fn forget(app: &App, group: &str, value: &str, account: &str) -> Result<(), StoreError> {
    app.store
        .of::<ChallengeState>()
        .take(and([
            eq("authGroup", group),
            eq("stateValue", value),
            eq("account", account),
        ]))
        .await?;
    Ok(())
}
