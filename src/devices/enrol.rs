//! Making a phone or browser a device of an account.

use serde::Deserialize;
use serde_json::Value as Json;

use crate::accounts::rules::{called, of_account};
use crate::accounts::{Account, rules as accounts};
use crate::app::App;
use crate::devices::rules;
use crate::devices::signed;
use crate::devices::{Enrolment, StoredDevice};
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::oidc::replay::mark;
use crate::store::{Date, Object, StoreError, and, eq};

/// Life (ms) of a code.
const LIFE: i64 = 600_000;
/// Most devices of one account.
const MOST: usize = 10;

/// A new code. Earlier ones of the account are good for nothing any more.
pub async fn begin(app: &App, group: &str, account: &str) -> Result<String, StoreError> {
    let code = app.random.token43();
    let enrolments = app.store.of::<Enrolment>();
    enrolments.delete_many(of_account(group, account)).await?;
    let new = Enrolment {
        id: mark(&code),
        expires_at: Date::from_millis(app.now_ms().saturating_add(LIFE)),
        auth_group: group.to_owned(),
        account_id: account.to_owned(),
        version: 0,
        extra: Object::default(),
    };
    enrolments.insert(&new).await?;
    Ok(code)
}

/// The page that a new device opens. What follows the `#` is not sent to the server.
pub fn address(origin: &str, group: &str, code: &str) -> String {
    format!("{origin}/{group}/device-app#enrol={code}")
}

/// What a device sends of itself.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    pub code: &'a str,
    /// Public key (RFC 7517).
    pub key: &'a Json,
    pub name: Option<&'a str>,
    /// Shows that the device has the private key.
    pub signed: &'a str,
}

#[derive(Debug, Deserialize)]
struct Claims {
    aud: String,
    code: String,
}

fn wrong() -> ApiError {
    ApiError::unauthorized("The code is not good (any more); begin again")
}

/// Takes the code, and keeps the device. The signature shows that it works, so from now on the
/// account has a second factor.
pub async fn finish(
    app: &App,
    tenant: &Tenant,
    given: Given<'_>,
) -> ApiResult<(StoredDevice, Account)> {
    let group = tenant.id();
    let key = signed::public_key(given.key)
        .ok_or_else(|| ApiError::bad_request("key must be a public key on P-256"))?;
    let claims: Claims = signed::verify(given.signed, key.clone(), signed::ENROLMENT)
        .filter(|claims: &Claims| claims.aud == group && claims.code == given.code)
        .ok_or_else(signed::refused)?;
    let this = and([eq("_id", mark(&claims.code)), eq("authGroup", group)]);
    let taken = app.store.of::<Enrolment>().take(this).await?;
    let enrolment = taken
        .filter(|e| e.expires_at > app.date())
        .ok_or_else(wrong)?;
    let account = accounts::find(app, group, &enrolment.account_id).await?;
    let account = account.filter(Account::is_usable).ok_or_else(wrong)?;
    if rules::list(app, group, &account.id).await?.len() >= MOST {
        return Err(ApiError::conflict(format!(
            "An account has at most {MOST} devices; remove one first"
        )));
    }
    let device = StoredDevice {
        id: app.random.uuid(),
        created_at: app.date(),
        last_used_at: None,
        auth_group: group.to_owned(),
        account_id: account.id.clone(),
        name: called(given.name, rules::NAME),
        thumbprint: key.thumbprint().map_err(|_| signed::refused())?,
        key: serde_json::to_string(&key).map_err(ApiError::internal)?,
        subscription: None,
        version: 0,
        extra: Object::default(),
    };
    match app.store.of::<StoredDevice>().insert(&device).await {
        Ok(()) => {}
        Err(e) if e.is_duplicate() => {
            return Err(ApiError::conflict(
                "This key is known already; make another",
            ));
        }
        Err(e) => return Err(e.into()),
    }
    // a lock in between may have taken the devices away before this one was there
    let still = accounts::find(app, group, &account.id).await?;
    if !still.is_some_and(|a| a.is_usable()) {
        rules::revoke(app, group, &device.id).await?;
        return Err(wrong());
    }
    accounts::has_proved_a_device(app, &account.id).await?;
    tracing::info!(
        group,
        account = account.id,
        device = device.id,
        "device enrolled"
    );
    Ok((device, account))
}
