//! Recovery codes, the emergency lock, and the way back into a locked account.

use secrecy::SecretString;
use ueauth_actors::{Answer, Outcome};

use crate::accounts::{Account, attempts, passwords, rules};
use crate::app::{App, LimitClass};
use crate::challenges::{self, peace, providers};
use crate::devices::rules as devices;
use crate::gate::caller::IatCaller;
use crate::gate::tokens::{self, NewIat};
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::logs::{self, Code};
use crate::oidc::records::{InitialAccessToken, Purpose, Record};
use crate::passkeys::enrol;
use crate::secrets;
use crate::store::{StoreError, Value, and, eq};
use crate::totp::rules as totp;

/// Codes that are handed out, and typed in, at a time.
pub const CODES: usize = 10;
/// Codes that must be right; people misread a few.
const ENOUGH: usize = 7;
/// Characters of a code, 6 bits each.
const CODE_LENGTH: usize = 10;
/// Seconds between the codes and the new password.
const LIFE: i64 = 600;

/// Codes as their owner sees them, once, and the hashes that are kept.
struct Codes {
    plain: Vec<String>,
    hashes: Vec<String>,
}

async fn make(app: &App) -> ApiResult<Codes> {
    let mut out = Codes {
        plain: Vec::with_capacity(CODES),
        hashes: Vec::with_capacity(CODES),
    };
    for _ in 0..CODES {
        let code: String = app.random.token43().chars().take(CODE_LENGTH).collect();
        let secret = SecretString::from(code.clone());
        out.hashes.push(app.hasher.hash(secret).await?);
        out.plain.push(code);
    }
    Ok(out)
}

/// Replaces the account's codes and answers the new ones. 404 for a locked account: its codes
/// are what it is recovered with.
pub async fn replace_codes(app: &App, group: &str, id: &str) -> ApiResult<Vec<String>> {
    let gone = || ApiError::not_found(id);
    rules::find(app, group, id)
        .await?
        .filter(|a| !a.user_locked)
        .ok_or_else(gone)?;
    let codes = make(app).await?;
    app.store
        .of::<Account>()
        .update(id, |a: &mut Account| {
            if a.user_locked {
                return Err(gone());
            }
            a.recover_codes.clone_from(&codes.hashes);
            Ok(())
        })
        .await?
        .ok_or_else(gone)?;
    Ok(codes.plain)
}

/// What became of an emergency lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    Completely,
    /// The account is locked, but some of its sessions or challenges may still be open or its devices known.
    Incompletely,
}

/// Locks the account, then ends its sessions, proofs and open challenges and takes its devices
/// away, so that a failure leaves it locked. The token that is being used stays for another try.
pub async fn lock(
    app: &App,
    tenant: &Tenant,
    id: &str,
    email: &str,
    used: Option<&str>,
) -> ApiResult<Locked> {
    let group = tenant.id();
    let account = rules::find(app, group, id)
        .await?
        .ok_or_else(|| ApiError::not_found(id))?;
    if !account.email.eq_ignore_ascii_case(email.trim()) {
        return Err(ApiError::forbidden(""));
    }
    let now = app.date();
    app.store
        .of::<Account>()
        .update(id, |a: &mut Account| {
            a.user_locked = true;
            a.mfa.enabled = Some(false);
            a.modified_at = now;
            Ok::<_, ApiError>(())
        })
        .await?
        .ok_or_else(|| ApiError::not_found(id))?;
    let mut outcome = Locked::Completely;
    if let Err(e) = rules::end_sessions(app, group, id, None).await {
        tracing::error!(account = id, cause = %e.message, "locked, but sessions remain");
        outcome = Locked::Incompletely;
    }
    if let Err(cause) = tokens::end_proofs(app, group, id, used).await {
        tracing::error!(account = id, %cause, "locked, but proofs of the account remain");
        outcome = Locked::Incompletely;
    }
    if let Err(e) = deny_all(app, group, id).await {
        tracing::error!(account = id, cause = %e.message, "locked, but challenges stay open");
        outcome = Locked::Incompletely;
    }
    // whoever has the device could come back once the account is recovered
    if !forget_devices(app, tenant, &account).await {
        let text = "a locked account's devices stay known to their provider";
        tracing::error!(account = id, "{text}");
        let details = [("account".to_owned(), Value::from(id))];
        logs::note(app, Code::Notify, text, details.into_iter().collect());
        outcome = Locked::Incompletely;
    }
    Ok(outcome)
}

/// Answers what the account is asked, as its owner would.
async fn deny_all(app: &App, group: &str, id: &str) -> ApiResult<()> {
    let challenges = app.actors.challenges(group);
    for open in challenges.all_pending_for(id).await? {
        let answered = challenges
            .answer(&open.id, Answer::Deny, peace::LOCK)
            .await?;
        if let Outcome::Applied(denied) = answered {
            challenges::conclude(app, group, &denied).await;
        }
    }
    Ok(())
}

/// Takes away whatever proves the account besides its password; false if something remains.
async fn forget_devices(app: &App, tenant: &Tenant, account: &Account) -> bool {
    let (group, id) = (tenant.id(), account.id.as_str());
    let passkeys = none_left(id, enrol::remove_all(app, group, id).await);
    let factors = forget_factors(app, group, id).await;
    // and those of a provider elsewhere, which without a second factor hardly knows the account
    let known = providers::revoke_all(app, tenant, id).await || !account.mfa_enabled();
    passkeys && factors && known
}

/// Takes away what answers challenges for the account here; false if something remains.
pub async fn forget_factors(app: &App, group: &str, id: &str) -> bool {
    let apps = none_left(id, totp::remove_all(app, group, id).await);
    none_left(id, devices::remove_all(app, group, id).await) && apps
}

fn none_left(id: &str, removed: Result<(), StoreError>) -> bool {
    if let Err(cause) = &removed {
        tracing::error!(account = id, %cause, "something that proves the account remains");
    }
    removed.is_ok()
}

/// A recovery under way: the token for the answer's body, the state for its cookie.
#[derive(Debug)]
pub struct Started {
    pub account: String,
    pub token: String,
    pub state: String,
}

/// Exchanges enough right codes of a locked account for a token.
pub async fn start(app: &App, group: &str, name: &str, codes: &[&str]) -> ApiResult<Started> {
    let mut different = codes.to_vec();
    different.sort_unstable();
    different.dedup();
    if different.len() != CODES {
        return Err(ApiError::precondition_required("All 10 codes are required"));
    }
    let account = attempts::find(app, group, name)
        .await?
        .filter(|a| a.active && !a.blocked)
        .ok_or_else(|| ApiError::not_found(""))?;
    if !account.user_locked || !enough_match(app, codes, &account.recover_codes).await? {
        return Err(ApiError::forbidden(""));
    }
    let state = app.random.hex(64);
    let new = NewIat {
        group: group.to_owned(),
        life: LIFE,
        sub: Some(account.id.clone()),
        email: Some(name.trim().to_owned()),
        uid: Some(state.clone()),
        ..NewIat::default()
    };
    let token = tokens::mint(app, Purpose::AccountRecovery, new).await?.id;
    Ok(Started {
        account: account.id,
        token,
        state,
    })
}

/// Uses up one of the account's codes; true for exactly one caller. Guesses are limited (429).
pub async fn use_code(app: &App, account: &Account, code: &str) -> ApiResult<bool> {
    app.limits.check(LimitClass::Recovery, &account.id)?;
    let mut used = None;
    for hash in account.recover_codes.iter().take(CODES) {
        let secret = SecretString::from(code.to_owned());
        if app.hasher.verify(secret, hash).await?.is_match() {
            used = Some(hash);
            break;
        }
    }
    let Some(used) = used else {
        return Ok(false);
    };
    let mut found = false;
    app.store
        .of::<Account>()
        .update(&account.id, |a: &mut Account| {
            let before = a.recover_codes.len();
            a.recover_codes.retain(|hash| hash != used);
            found = a.recover_codes.len() < before;
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(found)
}

/// Each stored code counts once. Gives up as soon as the outcome is certain: at most four typed
/// codes are compared with all that is stored.
async fn enough_match(app: &App, typed: &[&str], stored: &[String]) -> ApiResult<bool> {
    let mut left: Vec<&String> = stored.iter().take(CODES).collect();
    if left.len() < ENOUGH {
        return Ok(false);
    }
    let (mut right, mut wrong) = (0, 0);
    for code in typed {
        let mut found = None;
        for (at, hash) in left.iter().enumerate() {
            let secret = SecretString::from((*code).to_owned());
            if app.hasher.verify(secret, hash).await?.is_match() {
                found = Some(at);
                break;
            }
        }
        if let Some(at) = found {
            left.remove(at);
            right += 1;
        } else {
            wrong += 1;
        }
        if right >= ENOUGH || wrong > CODES - ENOUGH {
            break;
        }
    }
    Ok(right >= ENOUGH)
}

/// A way back that was taken.
#[derive(Debug)]
pub struct Recovered {
    pub account: Account,
    pub codes: Vec<String>,
    /// The new password, sent or generated.
    pub password: String,
}

/// The name of the cookie that ties a recovery to the browser that started it.
pub fn cookie_name(group: &str, account: &str) -> String {
    format!("{group}.{account}.recover-state")
}

/// Unlocks the account of the token with a new password and new codes. The token is used up once
/// everything else has been checked; other recoveries of the account end with it.
pub async fn recover(
    app: &App,
    tenant: &Tenant,
    iat: &IatCaller,
    email: &str,
    password: Option<&str>,
    state: impl Fn(&str) -> Option<String>,
) -> ApiResult<Recovered> {
    let group = tenant.id();
    let token = &iat.payload;
    let typed = email.trim();
    let id = token
        .sub
        .as_deref()
        .ok_or_else(|| ApiError::forbidden(""))?;
    if !same(token.email.as_deref(), typed) {
        return Err(ApiError::forbidden(""));
    }
    let cookie = state(&cookie_name(group, id));
    if !matches!((&token.uid, &cookie), (Some(uid), Some(sent)) if secrets::ct_eq(uid, sent)) {
        return Err(ApiError::not_found("State mismatch"));
    }
    let account = rules::find(app, group, id)
        .await?
        .filter(|a| a.active && !a.blocked && same(Some(&a.email), typed))
        .ok_or_else(|| ApiError::not_found(""))?;
    if !account.user_locked {
        return Err(ApiError::forbidden(""));
    }
    let policy = &tenant.group.config.password_policy;
    let password = if let Some(given) = password {
        passwords::check(policy, given)?;
        given.to_owned()
    } else {
        passwords::generate(policy, &app.random)
    };
    let hash = app
        .hasher
        .hash(SecretString::from(password.clone()))
        .await?;
    let codes = make(app).await?;
    // a session that the lock could not end must not come back to life
    rules::end_sessions(app, group, id, None).await?;
    if !tokens::consume(app, &iat.token).await? {
        return Err(ApiError::unauthorized(""));
    }
    let now = app.date();
    let account = app
        .store
        .of::<Account>()
        .update(id, |a: &mut Account| {
            // another recovery may have been faster
            if !a.user_locked {
                return Err(ApiError::forbidden(""));
            }
            a.user_locked = false;
            a.password.clone_from(&hash);
            a.recover_codes.clone_from(&codes.hashes);
            a.modified_at = now;
            Ok(())
        })
        .await?
        .ok_or_else(|| ApiError::not_found(""))?;
    end_other_recoveries(app, group, id).await?;
    Ok(Recovered {
        account,
        codes: codes.plain,
        password,
    })
}

fn same(known: Option<&str>, typed: &str) -> bool {
    known.is_some_and(|k| k.trim().eq_ignore_ascii_case(typed))
}

/// Tokens that the old codes were exchanged for would otherwise open the account's next lock.
async fn end_other_recoveries(app: &App, group: &str, id: &str) -> ApiResult<()> {
    let tokens = app.store.of::<Record<InitialAccessToken>>();
    let of_account = and([
        eq("payload.auth_group", group),
        eq("payload.sub", id),
        eq("payload.purpose", "account-recovery"),
    ]);
    tokens.delete_many(of_account).await?;
    Ok(())
}
