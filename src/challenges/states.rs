//! States of device and passkey pages: whoever has one may ask for challenges to its account.

use crate::app::App;
use crate::challenges::model::ChallengeState;
use crate::store::{Date, Filter, Object, StoreError, and, eq, gt};

/// Longest value that callers may choose.
pub const LONGEST: usize = 1024;
/// Life (ms) of a state.
const LIFE: i64 = 600_000;

/// Keeps a state, of an account or of nobody yet. Fails as a duplicate if there is one of that
/// value for it.
pub async fn save(
    app: &App,
    group: &str,
    value: &str,
    account: Option<&str>,
) -> Result<(), StoreError> {
    let state = ChallengeState {
        id: app.random.uuid(),
        created_at: app.date(),
        state_value: value.to_owned(),
        auth_group: group.to_owned(),
        account: account.map(ToOwned::to_owned),
        version: 0,
        extra: Object::default(),
    };
    app.store.of::<ChallengeState>().insert(&state).await
}

/// Live states of exactly that value.
fn live(app: &App, group: &str, value: &str) -> Filter {
    let oldest = Date::from_millis(app.now_ms().saturating_sub(LIFE));
    and([
        eq("authGroup", group),
        eq("stateValue", value),
        gt("createdAt", oldest),
    ])
}

/// Is there a live state of exactly that value, tied to the account?
pub async fn is_of(app: &App, group: &str, value: &str, account: &str) -> Result<bool, StoreError> {
    let tied = live(app, group, value).and(eq("account", account));
    Ok(app.store.of::<ChallengeState>().count(tied).await? > 0)
}

/// Is there a live state of exactly that value, whoever it is tied to?
pub async fn is_known(app: &App, group: &str, value: &str) -> Result<bool, StoreError> {
    let all = live(app, group, value);
    Ok(app.store.of::<ChallengeState>().count(all).await? > 0)
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
