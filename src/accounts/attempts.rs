//! Password checks with lock-outs: the same rules for the login form and for HTTP Basic.

use secrecy::SecretString;

use crate::accounts::Account;
use crate::accounts::model::{LoginAttempt, LoginTimeout};
use crate::accounts::rules::of_account;
use crate::app::App;
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::metrics::Login;
use crate::secrets::{HashError, Verdict};
use crate::store::{Date, StoreError, and, eq};

/// What a password check found.
#[derive(Debug)]
pub enum Outcome {
    Accepted(Box<Account>),
    /// Wrong, unknown, blocked, locked or not verified: a caller learns no more than that.
    Refused,
    /// This very failure locked the account, for so many hours.
    LockedOut {
        threshold: i64,
        hours: f64,
    },
}

impl From<HashError> for ApiError {
    fn from(e: HashError) -> Self {
        match e {
            HashError::Busy { retry_after } => ApiError::busy(retry_after.as_secs().max(1)),
            other => ApiError::internal(other),
        }
    }
}

/// The account a person may sign in to under that name, whatever its state. An address names
/// its owner before it can be somebody's user name; records of older systems may hold capitals.
pub async fn find(app: &App, group: &str, name: &str) -> Result<Option<Account>, StoreError> {
    let typed = name.trim();
    if typed.is_empty() || typed.len() > 512 {
        return Ok(None);
    }
    let lower = typed.to_lowercase();
    let accounts = app.store.of::<Account>();
    // one look-up at a time: each is a single read of a unique index
    for (field, value) in [
        ("email", lower.as_str()),
        ("username", &lower),
        ("username", typed),
        ("email", typed),
    ] {
        if let Some(found) = accounts
            .find_one(and([eq(field, value), eq("authGroup", group)]))
            .await?
        {
            return Ok(Some(found));
        }
        if typed == lower && field == "username" {
            break;
        }
    }
    Ok(None)
}

pub async fn check_password(
    app: &App,
    tenant: &Tenant,
    name: &str,
    password: &str,
) -> ApiResult<Outcome> {
    let secret = || SecretString::from(password.to_owned());
    let account = find(app, tenant.id(), name).await?;
    let config = &tenant.group.config;
    let known = account.is_some();
    let Some(account) =
        account.filter(|a| a.is_usable() && (a.verified || !config.require_verified))
    else {
        app.metrics.login(if known {
            Login::UnusableAccount
        } else {
            Login::UnknownAccount
        });
        // as slow as a real check, so that the answer's time tells nothing
        app.hasher.verify_dummy(secret()).await?;
        return Ok(Outcome::Refused);
    };
    let thresholds = &config.failed_login_thresholds;
    if thresholds.enabled && locked_out(app, tenant.id(), &account.id).await? {
        app.metrics.login(Login::LockedOut);
        app.hasher.verify_dummy(secret()).await?;
        return Ok(Outcome::Refused);
    }
    let verdict = app.hasher.verify(secret(), &account.password).await?;
    let Verdict::Match { rehash } = verdict else {
        let outcome = if thresholds.enabled {
            failed(app, tenant, &account).await?
        } else {
            Outcome::Refused
        };
        app.metrics.login(match outcome {
            Outcome::LockedOut { .. } => Login::LockedOut,
            _ => Login::WrongPassword,
        });
        return Ok(outcome);
    };
    // guesses that ran side by side may have locked it meanwhile
    if thresholds.enabled && locked_out(app, tenant.id(), &account.id).await? {
        app.metrics.login(Login::LockedOut);
        return Ok(Outcome::Refused);
    }
    if rehash {
        rehash_password(app, &account, secret()).await?;
    }
    if thresholds.enabled {
        app.store
            .of::<LoginAttempt>()
            .delete_many(of_account(tenant.id(), &account.id))
            .await?;
    }
    app.metrics.login(Login::Ok);
    Ok(Outcome::Accepted(Box::new(account)))
}

/// Whether somebody who proved the account otherwise than by its password may sign in to it.
pub async fn may_sign_in(
    app: &App,
    tenant: &Tenant,
    account: &Account,
) -> Result<bool, StoreError> {
    let config = &tenant.group.config;
    if !account.is_usable() || (config.require_verified && !account.verified) {
        app.metrics.login(Login::UnusableAccount);
        return Ok(false);
    }
    let thresholds = &config.failed_login_thresholds;
    if thresholds.enabled && locked_out(app, tenant.id(), &account.id).await? {
        app.metrics.login(Login::LockedOut);
        return Ok(false);
    }
    Ok(true)
}

async fn locked_out(app: &App, group: &str, account: &str) -> Result<bool, StoreError> {
    let found = app
        .store
        .of::<LoginTimeout>()
        .find_one(of_account(group, account))
        .await?;
    Ok(found.is_some_and(|t| t.expires_at > app.date()))
}

async fn rehash_password(app: &App, account: &Account, password: SecretString) -> ApiResult<()> {
    let hash = app.hasher.hash(password).await?;
    let old = account.password.clone();
    app.store
        .of::<Account>()
        .update(&account.id, |a: &mut Account| {
            // somebody may have set another password meanwhile
            if a.password == old {
                a.password.clone_from(&hash);
            }
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(())
}

async fn failed(app: &App, tenant: &Tenant, account: &Account) -> ApiResult<Outcome> {
    let group = tenant.id();
    let now = app.date();
    let attempts = app.store.of::<LoginAttempt>();
    attempts
        .insert(&LoginAttempt {
            id: app.random.uuid(),
            created_at: now,
            auth_group: group.to_owned(),
            account_id: account.id.clone(),
            version: 0,
        })
        .await?;
    let thresholds = &tenant.group.config.failed_login_thresholds;
    let threshold = thresholds
        .threshold
        .as_i64()
        .filter(|n| *n > 0)
        .unwrap_or(5);
    let count = attempts.count(of_account(group, &account.id)).await?;
    if i64::try_from(count).unwrap_or(i64::MAX) < threshold {
        return Ok(Outcome::Refused);
    }
    let hours = Some(thresholds.duration.as_f64())
        .filter(|h| h.is_finite() && *h > 0.0)
        .unwrap_or(2.0);
    #[allow(clippy::cast_possible_truncation)]
    let life = (hours * 3_600_000.0).min(1.0e14) as i64;
    let timeout = LoginTimeout {
        id: app.random.uuid(),
        created_at: now,
        expires_at: Date::from_millis(now.as_millis().saturating_add(life)),
        auth_group: group.to_owned(),
        account_id: account.id.clone(),
        version: 0,
    };
    match app.store.of::<LoginTimeout>().insert(&timeout).await {
        Ok(()) => {}
        // another failure at the same moment was first
        Err(e) if e.is_duplicate() => {}
        Err(e) => return Err(e.into()),
    }
    Ok(Outcome::LockedOut { threshold, hours })
}

/// Lifts a lock-out and forgets failed attempts.
pub async fn clear(app: &App, group: &str, account: &str) -> Result<(), StoreError> {
    app.store
        .of::<LoginTimeout>()
        .delete_many(of_account(group, account))
        .await?;
    app.store
        .of::<LoginAttempt>()
        .delete_many(of_account(group, account))
        .await?;
    Ok(())
}
