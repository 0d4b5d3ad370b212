//! Listing, naming and taking away an account's devices.

use crate::accounts::rules::{called, of_account};
use crate::app::App;
use crate::devices::{Enrolment, StoredDevice};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::store::{Order, Query, StoreError, and, eq};

/// What a device is called that was given no name.
pub const NAME: &str = "Device";

/// The devices of an account, oldest first.
pub async fn list(app: &App, group: &str, account: &str) -> Result<Vec<StoredDevice>, StoreError> {
    let all = Query::new(of_account(group, account)).sort("createdAt", Order::Ascending);
    app.store.of::<StoredDevice>().find(all).await
}

/// Calls a device something else; 404 if the account has no such.
pub async fn rename(
    app: &App,
    group: &str,
    account: &str,
    id: &str,
    name: &str,
) -> ApiResult<StoredDevice> {
    let this = of_account(group, account).and(eq("_id", id));
    let named = app
        .store
        .of::<StoredDevice>()
        .update_where(this, |d: &mut StoredDevice| {
            d.name = called(Some(name), NAME);
            Ok::<_, StoreError>(())
        })
        .await?;
    named.ok_or_else(|| ApiError::missing(id))
}

/// Takes a device away, and the code it may have for another one; 404 if the account has no such.
pub async fn remove(app: &App, group: &str, account: &str, id: &str) -> ApiResult<StoredDevice> {
    let this = of_account(group, account).and(eq("_id", id));
    let gone = app.store.of::<StoredDevice>().take(this).await?;
    let gone = gone.ok_or_else(|| ApiError::missing(id))?;
    forget_codes(app, group, account).await?;
    tracing::info!(group, account, device = id, "device removed");
    Ok(gone)
}

/// Takes a device of whatever account away, and that account's codes for further ones.
pub async fn revoke(app: &App, group: &str, id: &str) -> Result<(), StoreError> {
    let this = and([eq("_id", id), eq("authGroup", group)]);
    match app.store.of::<StoredDevice>().take(this).await? {
        Some(gone) => forget_codes(app, group, &gone.account_id).await,
        None => Ok(()),
    }
}

/// Whoever held a device could come back with a code that it got before.
async fn forget_codes(app: &App, group: &str, account: &str) -> Result<(), StoreError> {
    let all = of_account(group, account);
    app.store.of::<Enrolment>().delete_many(all).await?;
    Ok(())
}

/// Takes all devices of an account away, and the codes for further ones.
pub async fn remove_all(app: &App, group: &str, account: &str) -> Result<(), StoreError> {
    forget_codes(app, group, account).await?;
    let all = of_account(group, account);
    app.store.of::<StoredDevice>().delete_many(all).await?;
    Ok(())
}
