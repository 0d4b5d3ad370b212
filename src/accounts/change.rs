//! Changes of an account: by patch, and of the password alone.

use secrecy::SecretString;
use serde_json::Value as Json;

use crate::accounts::create::{NAME, is_name, lower};
use crate::accounts::recovery::forget_factors;
use crate::accounts::{Account, attempts, passwords, rules};
use crate::app::App;
use crate::challenges::providers;
use crate::gate::{Caller, tokens};
use crate::groups::Tenant;
use crate::groups::model::PasswordPolicy;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::patch::{self, PatchRules};
use crate::http::validate::decode;
use crate::notifications::delivery::is_on;
use crate::oidc::records::{AccessToken, Record};
use crate::store::{and, eq};

/// Set by name, never read back through `copy`, `move` or `test`.
const SECRETS: &[&str] = &["password", "recoverCodes"];
/// What people may not change about themselves, on top of what nobody may.
const NOT_BY_SELF: &[&str] = &["blocked", "userLocked", "identities", "modifiedBy"];
const BOOLEANS: &[&str] = &[
    "blocked",
    "verified",
    "active",
    "acceptingProfileRequests",
    "userLocked",
    "mfa.enabled",
    "myNotifications.profileRequests",
];
const TEXTS: &[&str] = &["username", "email", "password", "modifiedBy", "phone.txt"];

/// What a patch of an account has to respect.
#[derive(Debug, Clone, Copy)]
pub struct ChangeRules<'a> {
    pub policy: &'a PasswordPolicy,
    /// The id of the group's owner.
    pub owner: &'a str,
    /// The caller may act on its own account only.
    pub own: bool,
    /// The caller came with a mailed token, which proves the address.
    pub by_token: bool,
}

impl ChangeRules<'_> {
    /// The account after the patch. A password in it that differs is the new one in clear.
    pub fn apply(&self, account: &Account, body: &Json) -> ApiResult<Account> {
        let before = serde_json::to_value(account).map_err(ApiError::internal)?;
        let mut rules = PatchRules {
            write_only: SECRETS,
            allow_ids: true,
            ..PatchRules::default()
        };
        let mut after = patch::apply(&before, body, &rules)?;
        convert(&mut after)?;
        let changed = |field: &str| before.get(field) != after.get(field);
        if changed("password") {
            let new = after.get("password").and_then(Json::as_str);
            passwords::check(self.policy, new.unwrap_or_default())?;
        }
        if account.id == self.owner && after.get("active") == Some(&Json::Bool(false)) {
            return Err(ApiError::bad_request(
                "You can not deactivate the owner of the auth group",
            ));
        }
        if changed("access") {
            return Err(ApiError::forbidden(
                "You can not set access through this API",
            ));
        }
        if changed("recoverCodes") {
            return Err(ApiError::forbidden(
                "You can not set recovery codes through this API",
            ));
        }
        if self.own
            && let Some(field) = NOT_BY_SELF.iter().find(|f| changed(f))
        {
            return Err(ApiError::forbidden(format!(
                "You can not set {field} of your own account"
            )));
        }
        let on = |a: &Json| a.pointer("/mfa/enabled") == Some(&Json::Bool(true));
        if self.own && on(&before) && !on(&after) {
            return Err(ApiError::forbidden(
                "You can not switch off the second factor of your own account; an administrator can",
            ));
        }
        rules.allow_ids = false;
        rules.required = &["modifiedAt", "modifiedBy"];
        rules.protected = if self.own && !self.by_token {
            &["createdAt", "authGroup", "verified"]
        } else {
            &["createdAt", "authGroup"]
        };
        patch::apply(&before, body, &rules)?;
        let outcome: Account = decode(after.clone())
            .map_err(|e| ApiError::validation(format!("accounts validation failed: {e}")))?;
        self.finish(account, outcome, &changed)
    }

    /// Keeps what JSON can not carry or the patch may not add, and normalises names.
    fn finish(
        &self,
        old: &Account,
        mut new: Account,
        changed: &dyn Fn(&str) -> bool,
    ) -> ApiResult<Account> {
        // open members lose their stored types on the way through JSON
        if !changed("metadata") {
            new.metadata.clone_from(&old.metadata);
        }
        if !changed("identities") {
            new.identities.clone_from(&old.identities);
        }
        new.access.clone_from(&old.access);
        new.recover_codes.clone_from(&old.recover_codes);
        // stored fields that no rule knows stay, new ones do not get in
        new.extra.clone_from(&old.extra);
        new.mfa.extra.clone_from(&old.mfa.extra);
        new.my_notifications
            .extra
            .clone_from(&old.my_notifications.extra);
        if let Some(phone) = &mut new.phone {
            phone.extra = old
                .phone
                .as_ref()
                .map(|p| p.extra.clone())
                .unwrap_or_default();
        }
        new.version = old.version;
        new.created_at = old.created_at;
        if changed("email") {
            new.email = name("email", &new.email)?;
            if self.own && new.email != old.email {
                new.verified = false;
            }
        }
        if changed("username") {
            new.username = name("username", &new.username)?;
        }
        Ok(new)
    }
}

fn name(field: &str, value: &str) -> ApiResult<String> {
    let value = lower(value);
    if value.is_empty() || !is_name(&value) {
        return Err(ApiError::validation(format!(
            "accounts validation failed: {field}: must not be empty and have {NAME}"
        )));
    }
    Ok(value)
}

/// Values that stand for another type become that type.
fn convert(document: &mut Json) -> ApiResult<()> {
    for path in BOOLEANS {
        if let Some(value) = at(document, path) {
            let truth = match &*value {
                Json::Bool(b) => Some(*b),
                Json::Null => continue,
                Json::Number(n) if n.as_i64() == Some(1) => Some(true),
                Json::Number(n) if n.as_i64() == Some(0) => Some(false),
                Json::String(s) => match s.as_str() {
                    "true" | "1" | "yes" => Some(true),
                    "false" | "0" | "no" => Some(false),
                    _ => None,
                },
                _ => None,
            };
            *value = Json::Bool(truth.ok_or_else(|| cast_failed("Boolean", path, value))?);
        }
    }
    for path in TEXTS {
        if let Some(value) = at(document, path) {
            let text = match &*value {
                Json::String(_) | Json::Null => continue,
                Json::Bool(b) => b.to_string(),
                Json::Number(n) => n.to_string(),
                other => return Err(cast_failed("string", path, other)),
            };
            *value = Json::String(text);
        }
    }
    Ok(())
}

fn at<'v>(document: &'v mut Json, path: &str) -> Option<&'v mut Json> {
    path.split('.')
        .try_fold(document, |v, name| v.get_mut(name))
}

fn cast_failed(kind: &str, path: &str, value: &Json) -> ApiError {
    let (shown, given) = match value {
        Json::String(s) => (s.chars().take(100).collect(), "string"),
        Json::Number(n) => (n.to_string(), "number"),
        Json::Array(_) => ("[…]".to_owned(), "Array"),
        _ => ("{…}".to_owned(), "Object"),
    };
    ApiError::validation(format!(
        "accounts validation failed: {path}: Cast to {kind} failed for value \"{shown}\" (type {given}) at path \"{path}\" because of \"CastError\""
    ))
}

/// 405 unless the patch sets a new password and at most confirms the address.
pub fn only_password(body: &Json) -> ApiResult<()> {
    let refused = || ApiError::switched_off("This token can only be used to replace the password");
    let operations = body.as_array().ok_or_else(refused)?;
    let is = |operation: &Json, path: &str, good: fn(&Json) -> bool| {
        operation.get("op").and_then(Json::as_str) == Some("replace")
            && operation.get("path").and_then(Json::as_str) == Some(path)
            && operation.get("value").is_some_and(good)
    };
    let count = |path: &str, good: fn(&Json) -> bool| {
        operations.iter().filter(|o| is(o, path, good)).count()
    };
    let passwords = count("/password", Json::is_string);
    let verified = count("/verified", |v| *v == Json::Bool(true));
    if passwords == 1 && verified <= 1 && operations.len() == passwords + verified {
        Ok(())
    } else {
        Err(refused())
    }
}

/// An account that was just changed.
#[derive(Debug)]
pub struct Changed {
    pub account: Account,
    /// The person gave a new address, and a message that asks to verify it is due.
    pub verify_due: bool,
}

/// Applies a patch for the caller. A mailed token is used up once everything has been checked.
pub async fn change(
    app: &App,
    tenant: &Tenant,
    caller: &Caller,
    own: bool,
    id: &str,
    body: &Json,
) -> ApiResult<Changed> {
    let by_token = caller.iat().is_some();
    if by_token {
        only_password(body)?;
    }
    if (own || by_token) && caller.sub() != Some(id) {
        return Err(ApiError::not_found(id));
    }
    let group = tenant.id();
    let old = rules::find(app, group, id)
        .await?
        .ok_or_else(|| ApiError::not_found(id))?;
    let change_rules = ChangeRules {
        policy: &tenant.group.config.password_policy,
        owner: &tenant.group.owner,
        own,
        by_token,
    };
    let draft = change_rules.apply(&old, body)?;
    let renamed = draft.email != old.email || draft.username != old.username;
    if renamed {
        rules::refuse_taken(app, group, &draft.email, &draft.username, id).await?;
    }
    let hash = if draft.password == old.password {
        None
    } else {
        Some(new_hash(app, tenant, id, draft.password).await?)
    };
    use_up(app, caller).await?;
    let (now, author) = (app.date(), caller.author());
    let account = app
        .store
        .of::<Account>()
        .update(id, |current: &mut Account| {
            // applied afresh, so that what others changed meanwhile is kept and checked too
            let mut next = change_rules.apply(current, body)?;
            next.password = hash.clone().unwrap_or_else(|| current.password.clone());
            next.modified_at = now;
            next.modified_by.clone_from(&author);
            *current = next;
            Ok::<_, ApiError>(())
        })
        .await?
        .ok_or_else(|| ApiError::not_found(id))?;
    if renamed {
        keep_names_apart(app, &old, &account).await?;
    }
    if let Some(hash) = &hash {
        after_password(app, tenant, caller, id, hash).await?;
    }
    if old.is_usable() && !account.is_usable() {
        // what was proven before must not count once the account is let in again
        tokens::end_proofs(app, group, id, None).await?;
    }
    if old.mfa_enabled() && !account.mfa_enabled() {
        forget_second_factor(app, tenant, id).await;
    }
    let plugins = crate::plugins::rules::current(app).await?;
    Ok(Changed {
        verify_due: own && account.email != old.email && is_on(app, &plugins, &tenant.group),
        account,
    })
}

/// Devices and apps of an account that has no second factor any more are good for nothing, also if
/// it gets one again.
async fn forget_second_factor(app: &App, tenant: &Tenant, id: &str) {
    forget_factors(app, tenant.id(), id).await;
    if !providers::revoke_all(app, tenant, id).await {
        tracing::warn!(
            account = id,
            "the second factor is off, but devices stay known to their provider"
        );
    }
}

/// Takes the new names back if somebody took one of them in the other field at the same moment.
async fn keep_names_apart(app: &App, old: &Account, new: &Account) -> ApiResult<()> {
    let Err(e) =
        rules::refuse_taken(app, &new.auth_group, &new.email, &new.username, &new.id).await
    else {
        return Ok(());
    };
    app.store
        .of::<Account>()
        .update(&new.id, |a: &mut Account| {
            if a.email == new.email && a.username == new.username {
                a.email.clone_from(&old.email);
                a.username.clone_from(&old.username);
                a.verified = old.verified;
            }
            Ok::<_, ApiError>(())
        })
        .await?;
    Err(e)
}

/// Sets the caller's own password. With a mailed token the address counts as verified.
pub async fn set_password(
    app: &App,
    tenant: &Tenant,
    caller: &Caller,
    password: &str,
) -> ApiResult<()> {
    let id = caller.sub().ok_or_else(|| ApiError::unauthorized(""))?;
    if rules::find(app, tenant.id(), id).await?.is_none() {
        return Err(ApiError::not_found(id));
    }
    passwords::check(&tenant.group.config.password_policy, password)?;
    let hash = new_hash(app, tenant, id, password.to_owned()).await?;
    use_up(app, caller).await?;
    let (now, by_token) = (app.date(), caller.iat().is_some());
    app.store
        .of::<Account>()
        .update(id, |a: &mut Account| {
            a.password.clone_from(&hash);
            a.verified |= by_token;
            a.modified_at = now;
            id.clone_into(&mut a.modified_by);
            Ok::<_, ApiError>(())
        })
        .await?
        .ok_or_else(|| ApiError::not_found(id))?;
    after_password(app, tenant, caller, id, &hash).await
}

/// Gives an account a random password that follows the policy, and answers both.
pub async fn generate_password(
    app: &App,
    tenant: &Tenant,
    caller: &Caller,
    id: &str,
) -> ApiResult<(Account, SecretString)> {
    let policy = &tenant.group.config.password_policy;
    let password = passwords::generate(policy, &app.random);
    passwords::check(policy, &password)?;
    let hash = new_hash(app, tenant, id, password.clone()).await?;
    let (group, now, author) = (tenant.id(), app.date(), caller.author());
    let account = app
        .store
        .of::<Account>()
        .update_where(
            and([eq("_id", id), eq("authGroup", group)]),
            |a: &mut Account| {
                a.password.clone_from(&hash);
                a.modified_at = now;
                a.modified_by.clone_from(&author);
                Ok::<_, ApiError>(())
            },
        )
        .await?
        .ok_or_else(|| ApiError::missing(id))?;
    after_password(app, tenant, caller, id, &hash).await?;
    Ok((account, SecretString::from(password)))
}

/// The hash of a password that the policy has accepted and that was not used before.
async fn new_hash(app: &App, tenant: &Tenant, id: &str, password: String) -> ApiResult<String> {
    if tenant.group.config.restrict_password_repeats {
        passwords::refuse_repeat(app, tenant.id(), id, &password).await?;
    }
    Ok(app.hasher.hash(SecretString::from(password)).await?)
}

/// Of several uses of one token at the same moment, one goes through.
async fn use_up(app: &App, caller: &Caller) -> ApiResult<()> {
    match caller.iat() {
        Some(iat) if !tokens::consume(app, &iat.token).await? => Err(ApiError::unauthorized("")),
        _ => Ok(()),
    }
}

async fn after_password(
    app: &App,
    tenant: &Tenant,
    caller: &Caller,
    id: &str,
    hash: &str,
) -> ApiResult<()> {
    let config = &tenant.group.config;
    if config.restrict_password_repeats
        && let Err(e) = passwords::remember(app, tenant.id(), id, hash).await
    {
        tracing::warn!(account = id, cause = %e, "password history not written");
    }
    if config.failed_login_thresholds.enabled
        && let Err(e) = attempts::clear(app, tenant.id(), id).await
    {
        tracing::warn!(account = id, cause = %e, "lock-out not cleared");
    }
    // whoever knew the old password may have proved it just before
    let used = caller.iat().map(|iat| iat.token.as_str());
    let proofs = tokens::end_proofs(app, tenant.id(), id, used).await;
    let keep = own_session(app, caller, id).await?;
    rules::end_sessions(app, tenant.id(), id, keep.as_deref()).await?;
    Ok(proofs?)
}

/// The session that the caller's own token was issued in, as far as the token tells: signed ones
/// do not.
async fn own_session(app: &App, caller: &Caller, id: &str) -> ApiResult<Option<String>> {
    let Caller::User(user) = caller else {
        return Ok(None);
    };
    if user.account.id != id {
        return Ok(None);
    }
    let record = app
        .store
        .of::<Record<AccessToken>>()
        .get(&user.token)
        .await?;
    Ok(record.and_then(|r| r.payload.session_uid))
}

#[cfg(test)]
mod tests;
