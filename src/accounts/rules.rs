//! Finding accounts, keeping their names apart, and deleting them with everything of theirs.

use serde_json::{Value as Json, json};

use crate::accounts::model::{PasswordHistory, hide};
use crate::accounts::{Account, attempts};
use crate::app::App;
use crate::challenges::model::StoredChallenge;
use crate::challenges::peace;
use crate::devices::rules as devices;
use crate::groups::Tenant;
use crate::http::error::ApiResult;
use crate::http::failures::list_options;
use crate::http::odata::{FieldType, Fields};
use crate::http::request::Pairs;
use crate::http::{ApiError, reply};
use crate::notifications::Notification;
use crate::notifications::delivery::is_on;
use crate::oidc::records::{
    AccessToken, AuthorizationCode, Grant, InitialAccessToken, Record, RefreshToken,
};
use crate::oidc::sessions;
use crate::passkeys::enrol;
use crate::plugins::Plugins;
use crate::profiles::rules as profiles;
use crate::store::{Filter, Query, StoreError, and, any_of, eq, ne, text};
use crate::totp::rules as totp;

/// What list options may name. Hidden members that administrators look people up by are among
/// them; secrets are not.
pub const FIELDS: Fields = Fields::new(&[
    ("createdAt", FieldType::Date),
    ("modifiedAt", FieldType::Date),
    ("modifiedBy", FieldType::Text),
    ("username", FieldType::Text),
    ("email", FieldType::Text),
    ("blocked", FieldType::Bool),
    ("authGroup", FieldType::Text),
    ("phone.txt", FieldType::Text),
    ("verified", FieldType::Bool),
    ("active", FieldType::Bool),
    ("mfa.enabled", FieldType::Bool),
    ("acceptingProfileRequests", FieldType::Bool),
    ("myNotifications.profileRequests", FieldType::Bool),
    ("access.organization.id", FieldType::Text),
    ("access.organization.domains", FieldType::Text),
    ("access.organization.roles", FieldType::Text),
    ("metadata", FieldType::Open),
    ("userLocked", FieldType::Bool),
    ("identities.id", FieldType::Text),
    ("identities.provider", FieldType::Text),
])
.hidden(&["password", "recoverCodes"]);

/// Longest name (characters) of a thing of somebody's.
const LONGEST_NAME: usize = 64;

/// The account with that id in the group.
pub async fn find(app: &App, group: &str, id: &str) -> Result<Option<Account>, StoreError> {
    Ok(app
        .store
        .of::<Account>()
        .get(id)
        .await?
        .filter(|a| a.auth_group == group))
}

/// What belongs to the account, in collections that name it.
pub fn of_account(group: &str, account: &str) -> Filter {
    and([eq("authGroup", group), eq("accountId", account)])
}

/// What people call a thing of theirs, fit to be shown.
pub fn called(given: Option<&str>, otherwise: &str) -> String {
    let given = given.map(str::trim).filter(|n| !n.is_empty());
    given
        .unwrap_or(otherwise)
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_NAME)
        .collect()
}

/// From now on the account has a second factor, unless its owner has locked it meanwhile.
pub async fn has_proved_a_device(app: &App, id: &str) -> Result<(), StoreError> {
    let now = app.date();
    app.store
        .of::<Account>()
        .update(id, |a: &mut Account| {
            if !a.user_locked && !a.mfa_enabled() {
                a.mfa.enabled = Some(true);
                a.modified_at = now;
                a.modified_by.clone_from(&a.id);
            }
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(())
}

/// Is a message that asks to verify the address due to somebody who has just registered?
pub fn verify_message_due(app: &App, tenant: &Tenant, plugins: &Plugins) -> bool {
    is_on(app, plugins, &tenant.group) && tenant.group.config.auto_verify
}

/// Accounts as list options ask for them; a selection is answered as stored, without defaults.
pub async fn list(app: &App, group: &str, pairs: &Pairs) -> ApiResult<Vec<Json>> {
    let query = list_options(pairs, &FIELDS, app.settings.limits.list_maximum)?
        .into_query(eq("authGroup", group));
    let accounts = app.store.of::<Account>();
    if query.select.is_none() {
        let found = accounts.find(query).await?;
        return Ok(found.iter().map(Account::public).collect());
    }
    let found = accounts.find_objects(query).await?;
    Ok(found
        .iter()
        .map(|object| {
            let mut out = object.to_json();
            reply::rename_id(&mut out);
            hide(&mut out);
            out
        })
        .collect())
}

/// `{exact, like}`: the usable account of that name, and accounts whose names contain its words.
/// `domains` narrows both to e-mail addresses that contain one of the texts.
pub async fn search(app: &App, group: &str, q: &str, domains: Option<&str>) -> ApiResult<Json> {
    let accounts = app.store.of::<Account>();
    let maximum = app.settings.limits.list_maximum;
    let mut like = Query::new(and([eq("authGroup", group), text(q)]));
    like.limit = (maximum > 0).then_some(maximum);
    let exact = attempts::find(app, group, q)
        .await?
        .filter(|a| a.active && !a.blocked);
    let like = accounts.find(like).await?;
    let Some(domains) = domains else {
        return Ok(json!({
            "exact": exact.as_ref().map(names),
            "like": like.iter().map(names).collect::<Vec<_>>(),
        }));
    };
    let domains: Vec<String> = domains
        .split(',')
        .map(|d| d.trim().to_lowercase())
        .filter(|d| !d.is_empty())
        .take(100)
        .collect();
    let contains = |a: &Account, d: &String| a.email.to_lowercase().contains(d.as_str());
    let exact = match exact {
        Some(a) if !domains.iter().any(|d| contains(&a, d)) => json!({}),
        found => json!(found.as_ref().map(names)),
    };
    let like: Vec<Json> = like
        .iter()
        .flat_map(|a| domains.iter().filter(|d| contains(a, d)).map(move |_| a))
        .map(|a| json!({ "id": a.id, "email": a.email }))
        .collect();
    Ok(json!({ "exact": exact, "like": like }))
}

fn names(account: &Account) -> Json {
    json!({ "id": account.id, "email": account.email, "username": account.username })
}

/// 409 if another account of the group has one of the names as its e-mail or as its user name.
///
/// Both fields are one name space, since people sign in with either.
pub async fn refuse_taken(
    app: &App,
    group: &str,
    email: &str,
    username: &str,
    except: &str,
) -> ApiResult<()> {
    let accounts = app.store.of::<Account>();
    let mut other = None;
    // two reads of unique indexes instead of one scan
    for field in ["email", "username"] {
        let filter = and([
            any_of(field, [email, username]),
            eq("authGroup", group),
            ne("_id", except),
        ]);
        other = accounts.find_one(filter).await?;
        if other.is_some() {
            break;
        }
    }
    match other {
        None => Ok(()),
        Some(other) if other.email == email || other.username == email => Err(taken("email")),
        Some(_) => Err(taken("username")),
    }
}

/// The same answer as if the store's own index had refused.
pub fn taken(field: &'static str) -> ApiError {
    StoreError::Duplicate {
        collection: "accounts",
        index: format!("{field}_1_authGroup_1"),
        keys: vec![field.to_owned(), "authGroup".to_owned()],
    }
    .into()
}

/// Ends the account's sessions but the one to keep. Failing to is an error: a thief's session
/// must not outlive the password it was opened with.
pub async fn end_sessions(
    app: &App,
    group: &str,
    account: &str,
    keep: Option<&str>,
) -> ApiResult<()> {
    let Some(keep) = keep else {
        sessions::end_all(app, group, account).await?;
        return Ok(());
    };
    let held = app.actors.sessions(group);
    for session in held.find_by_key(&format!("account:{account}")).await? {
        if session.value.uid != keep {
            held.remove(&session.id).await?;
        }
    }
    Ok(())
}

/// Deletes an account and what only makes sense with it. Not for the group's owner: 400.
pub async fn delete(app: &App, tenant: &Tenant, id: &str) -> ApiResult<Account> {
    if tenant.group.owner == id {
        return Err(ApiError::bad_request(
            "You can not delete the owner of the auth group",
        ));
    }
    if find(app, tenant.id(), id).await?.is_none() {
        return Err(ApiError::missing(id));
    }
    // sessions first: should the rest fail, the call can be repeated and nobody stays signed in
    sessions::end_all(app, tenant.id(), id).await?;
    let gone = app
        .store
        .of::<Account>()
        .take(and([eq("_id", id), eq("authGroup", tenant.id())]))
        .await?
        .ok_or_else(|| ApiError::missing(id))?;
    delete_leftovers(app, tenant.id(), id).await?;
    Ok(gone)
}

async fn delete_leftovers(app: &App, group: &str, id: &str) -> Result<(), StoreError> {
    let store = &app.store;
    let issued = || eq("payload.accountId", id);
    store
        .of::<Record<RefreshToken>>()
        .delete_many(issued())
        .await?;
    store
        .of::<Record<AccessToken>>()
        .delete_many(issued())
        .await?;
    store
        .of::<Record<AuthorizationCode>>()
        .delete_many(issued())
        .await?;
    store.of::<Record<Grant>>().delete_many(issued()).await?;
    store
        .of::<Record<InitialAccessToken>>()
        .delete_many(and([
            eq("payload.auth_group", group),
            eq("payload.sub", id),
        ]))
        .await?;
    enrol::remove_all(app, group, id).await?;
    totp::remove_all(app, group, id).await?;
    devices::remove_all(app, group, id).await?;
    attempts::clear(app, group, id).await?;
    peace::forget(app, group, id).await?;
    // or the server would go on trying to send them
    store
        .of::<Notification>()
        .delete_many(and([eq("authGroupId", group), eq("recipientUserId", id)]))
        .await?;
    store
        .of::<StoredChallenge>()
        .delete_many(of_account(group, id))
        .await?;
    let remembered = of_account(group, id);
    store
        .of::<PasswordHistory>()
        .delete_many(remembered)
        .await?;
    profiles::forget(app, group, id).await
}
