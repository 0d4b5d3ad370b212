//! From nothing to a working group: the first start and the activation of a new group.
//!
//! Everything that belongs to the group is stored first and the group is switched on last, in
//! one compare-and-set. Whatever fails before that is undone, so a half-made group never shows.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};

use crate::accounts::model::Phone;
use crate::accounts::{Account, passwords};
use crate::app::App;
use crate::clients::Client;
use crate::clients::model::SecretView;
use crate::groups::core_objects::{CoreObjects, Creator, remove_all};
use crate::groups::model::{KeyView, PasswordPolicy, system_admin};
use crate::groups::{AuthGroup, Tenant, new_group, platform_client, rules};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::reply::public_document;
use crate::oidc::records::{InitialAccessToken, Record};
use crate::plugins::Plugins;
use crate::store::{Object, Value, and, eq, or};

/// The root group's name and alias.
pub const ROOT: &str = "root";
/// Marks a group that somebody is activating: since when, in milliseconds.
pub(super) const CLAIM: &str = "activationStarted";
/// A claim older than this (ms) was left behind by a process that died.
const CLAIM_LIFE: i64 = 120_000;

/// The first account of a group.
#[derive(Debug)]
pub struct NewOwner {
    pub email: String,
    /// The address if absent.
    pub username: Option<String>,
    pub password: NewPassword,
    pub phone: Option<Phone>,
    pub metadata: Option<Object>,
}

#[derive(Debug)]
pub enum NewPassword {
    Given(SecretString),
    /// Made here and returned once.
    Generated,
}

/// A group that has just become active.
pub struct Activated {
    pub account: Account,
    /// Only if it was generated.
    pub password: Option<SecretString>,
    pub group: AuthGroup,
    pub client: Client,
    pub core: CoreObjects,
}

/// The root group and what came with it.
#[derive(Debug)]
pub struct Created {
    pub ready: Activated,
    pub plugins: Option<Plugins>,
}

impl fmt::Debug for Activated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activated")
            .field("group", &self.group.id)
            .field("account", &self.account.id)
            .finish_non_exhaustive()
    }
}

impl Activated {
    /// The answer to the activating request: `{account, authGroup, client, access}`.
    pub fn public(&self, app: &App) -> Json {
        let mut account = self.account.public();
        if let (Some(password), Some(map)) = (&self.password, account.as_object_mut()) {
            map.insert("password".to_owned(), password.expose_secret().into());
        }
        json!({
            "account": account,
            "authGroup": rules::view(app, &self.group, KeyView::Hidden),
            "client": self.client.public(SecretView::Shown),
            "access": self.core.public(&self.account.id),
        })
    }
}

impl Created {
    /// The answer to the first start: as for activation, with `plugins` and `WARNING`.
    pub fn public(&self, app: &App) -> Json {
        let mut out = self.ready.public(app);
        if let Some(map) = out.as_object_mut() {
            map.insert(
                "WARNING".to_owned(),
                "The root group is ready. Switch root creation off and empty the set-up code before this service goes live."
                    .into(),
            );
            if let Some(plugins) = &self.plugins {
                map.insert("plugins".to_owned(), public_document(plugins));
            }
        }
        out
    }
}

/// Makes the root group with its first account. 417 for a weak password, 403 if there is a root
/// group, 409 if it was deactivated or is being made by somebody else.
pub async fn create_root(app: &App, email: &str, password: &str) -> ApiResult<Created> {
    // documents are large, and futures hold what lives across a wait
    Box::pin(make_root(app, email, password)).await
}

async fn make_root(app: &App, email: &str, password: &str) -> ApiResult<Created> {
    passwords::check(&PasswordPolicy::default(), password)?;
    let hash = app.hasher.hash(password.to_owned().into()).await?;
    let email = email.to_lowercase();
    let (group, fresh) = root_record(app, &email).await?;
    let owner = FirstAccount {
        username: email.clone(),
        email: email.clone(),
        hash,
        phone: None,
        metadata: None,
    };
    let ready = match Box::pin(initialise(app, &group, owner)).await {
        Ok(ready) => ready,
        Err(e) => {
            if fresh {
                // not there before, so it must not be there afterwards
                let gone = app
                    .store
                    .of::<AuthGroup>()
                    .delete_many(and([eq("_id", group.id.as_str()), eq("active", false)]))
                    .await;
                if let Err(cause) = gone {
                    tracing::warn!(%cause, "the unfinished root group stays; the next attempt uses it");
                }
                app.tenants.changed(&group.id);
            }
            return Err(e);
        }
    };
    Ok(Created {
        ready,
        plugins: first_plugins(app, &email).await,
    })
}

/// A claimed record of the root group, and whether it was made just now.
async fn root_record(app: &App, email: &str) -> ApiResult<(AuthGroup, bool)> {
    let groups = app.store.of::<AuthGroup>();
    let found = groups
        .find_one(or([eq("_id", ROOT), eq("prettyName", ROOT)]))
        .await?;
    match found {
        Some(group) if group.active => Err(ApiError::forbidden(
            "root is established, this action is forbidden",
        )),
        Some(group) => Ok((claim(app, &group.id).await?, false)),
        None => {
            let mut group = new_group::root(app, email).await?;
            group.extra.insert(CLAIM, app.now_ms());
            match groups.insert(&group).await {
                Ok(()) => Ok((group, true)),
                Err(e) if e.is_duplicate() => Err(being_activated()),
                Err(e) => Err(e.into()),
            }
        }
    }
}

/// The server-wide options of a new service. It works without them, so failing is only logged.
async fn first_plugins(app: &App, by: &str) -> Option<Plugins> {
    match crate::plugins::rules::current(app).await {
        Ok(current) if current.version.as_f64() > 0.0 => return Some((*current).clone()),
        Ok(_) => {}
        Err(cause) => {
            tracing::warn!(%cause, "the server-wide options could not be read");
            return None;
        }
    }
    crate::plugins::rules::first(app, by)
        .await
        .inspect_err(|cause| tracing::warn!(%cause, "the server-wide options could not be stored"))
        .ok()
}

/// Gives a waiting group its first account and switches it on. The registration token must have
/// been checked; all tokens of the group are used up. 412 for another address than the owner's,
/// 417 for a weak password, 403 if the group waits no longer, 409 while somebody else is at it.
pub async fn activate(app: &App, tenant: &Tenant, body: NewOwner) -> ApiResult<Activated> {
    if !body.email.eq_ignore_ascii_case(&tenant.group.owner) {
        return Err(ApiError::precondition_failed(
            "Activating account email must match new auth group owner email",
        ));
    }
    let (password, generated) = match body.password {
        NewPassword::Given(password) => {
            passwords::check(
                &tenant.group.config.password_policy,
                password.expose_secret(),
            )?;
            (password, None)
        }
        NewPassword::Generated => {
            let password = SecretString::from(app.random.password16());
            (password.clone(), Some(password))
        }
    };
    let hash = app.hasher.hash(password).await?;
    let group = claim(app, tenant.id()).await?;
    let email = body.email.to_lowercase();
    let owner = FirstAccount {
        username: body
            .username
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| email.clone()),
        email,
        hash,
        phone: body.phone,
        metadata: body.metadata,
    };
    let mut ready = Box::pin(initialise(app, &group, owner)).await?;
    ready.password = generated;
    let spent = app
        .store
        .of::<Record<InitialAccessToken>>()
        .delete_many(eq("payload.auth_group", group.id.as_str()))
        .await;
    if let Err(cause) = spent {
        // harmless: an active group accepts no registration token
        tracing::warn!(%cause, "the registration token stays until it expires");
    }
    Ok(ready)
}

fn being_activated() -> ApiError {
    ApiError::conflict("The group is being activated by another request")
}

/// Takes the sole right to activate a waiting group.
async fn claim(app: &App, id: &str) -> ApiResult<AuthGroup> {
    let now = app.now_ms();
    app.store
        .of::<AuthGroup>()
        .update(id, |group: &mut AuthGroup| {
            if group.active {
                return Err(ApiError::forbidden("The group is active already"));
            }
            if !group.is_pending() {
                return Err(ApiError::conflict("The group was deactivated"));
            }
            let taken = group.extra.get(CLAIM).and_then(Value::as_i64);
            if taken.is_some_and(|at| now.saturating_sub(at) < CLAIM_LIFE) {
                return Err(being_activated());
            }
            group.extra.insert(CLAIM, now);
            Ok(())
        })
        .await?
        .ok_or_else(|| ApiError::missing(id))
}

async fn release(app: &App, id: &str) {
    let released = app
        .store
        .of::<AuthGroup>()
        .update(id, |group: &mut AuthGroup| {
            group.extra.remove(CLAIM);
            Ok::<_, crate::store::StoreError>(())
        })
        .await;
    if let Err(cause) = released {
        tracing::warn!(%cause, "the activation of the group can be tried again in two minutes");
    }
}

struct FirstAccount {
    email: String,
    username: String,
    hash: String,
    phone: Option<Phone>,
    metadata: Option<Object>,
}

/// Stores everything a claimed group needs and switches it on; undoes all of it on failure.
async fn initialise(app: &App, group: &AuthGroup, owner: FirstAccount) -> ApiResult<Activated> {
    let result = build_and_store(app, group, owner).await;
    if result.is_err() {
        if let Err(cause) = remove_all(&app.store, &group.id).await {
            tracing::warn!(%cause, "parts of an unfinished group stay; the next attempt removes them");
        }
        release(app, &group.id).await;
    }
    app.tenants.changed(&group.id);
    result
}

async fn build_and_store(
    app: &App,
    group: &AuthGroup,
    owner: FirstAccount,
) -> ApiResult<Activated> {
    // a process that died half-way leaves parts behind
    remove_all(&app.store, &group.id).await?;
    let id = app.random.uuid();
    let client = platform_client::build(app, group);
    let creator = Creator {
        id: &id,
        email: &owner.email,
    };
    let core = CoreObjects::build(app, group, &client.id, creator)?;
    let account = first_account(app, group, id, owner, &core);
    app.store.of::<Client>().insert(&client).await?;
    app.clients.changed(&client.id);
    core.insert(&app.store).await?;
    app.store.of::<Account>().insert(&account).await?;
    let group = switch_on(app, &group.id, &account.id, &client.id).await?;
    Ok(Activated {
        // the answer shows the account as it was made, before it was given its access
        account: Account {
            modified_by: system_admin(),
            ..account
        },
        password: None,
        group,
        client,
        core,
    })
}

fn first_account(
    app: &App,
    group: &AuthGroup,
    id: String,
    owner: FirstAccount,
    core: &CoreObjects,
) -> Account {
    let now = app.date();
    Account {
        modified_by: id.clone(),
        id,
        created_at: now,
        modified_at: now,
        username: owner.username,
        email: owner.email,
        blocked: false,
        auth_group: group.id.clone(),
        password: owner.hash,
        phone: owner.phone,
        verified: true,
        active: true,
        mfa: crate::accounts::model::Mfa::default(),
        accepting_profile_requests: true,
        my_notifications: crate::accounts::model::MyNotifications::default(),
        access: vec![core.access.clone()],
        metadata: owner.metadata,
        user_locked: false,
        identities: Vec::new(),
        recover_codes: Vec::new(),
        version: 0,
        extra: Object::default(),
    }
}

async fn switch_on(app: &App, id: &str, account: &str, client: &str) -> ApiResult<AuthGroup> {
    let now = app.date();
    let groups = app.store.of::<AuthGroup>();
    let switched = groups
        .update(id, |group: &mut AuthGroup| {
            if !group.is_pending() {
                return Err(being_activated());
            }
            group.active = true;
            account.clone_into(&mut group.owner);
            account.clone_into(&mut group.modified_by);
            group.modified_at = now;
            group.associated_client = Some(client.to_owned());
            group.security_expiration = None;
            group.extra.remove(CLAIM);
            Ok(())
        })
        .await;
    match switched {
        Ok(Some(group)) => Ok(group),
        Ok(None) => Err(ApiError::missing(id)),
        Err(e) => {
            // the answer may have been lost on the way, with the change made
            let now_there = groups.get(id).await.ok().flatten();
            now_there
                .filter(|group| group.active && group.owner == account)
                .ok_or(e)
        }
    }
}
