//! A person's own profile, and who else may look at it.

use serde_json::Value as Json;

use crate::accounts::rules::of_account;
use crate::app::App;
use crate::groups::model::system_admin;
use crate::http::error::ApiResult;
use crate::http::odata::{FieldType, Fields};
use crate::http::request::Pairs;
use crate::http::{ApiError, lists, reply};
use crate::profiles::patching;
use crate::profiles::request::{ProfileRequest, ProfileSnapshot};
use crate::profiles::{OrganizationProfile, Profile, ProfileAccess};
use crate::store::{Document, Filter, Object, StoreError, and, eq, or};

macro_rules! fields {
    ($($more:expr),* $(,)?) => {
        Fields::new(&[
            $($more,)*
            ("createdAt", FieldType::Date),
            ("createdBy", FieldType::Text),
            ("modifiedAt", FieldType::Date),
            ("modifiedBy", FieldType::Text),
            ("authGroup", FieldType::Text),
            ("accountId", FieldType::Text),
            ("givenName", FieldType::Text),
            ("familyName", FieldType::Text),
            ("displayName", FieldType::Text),
            ("bio", FieldType::Text),
            ("picture", FieldType::Text),
            ("employer", FieldType::Text),
            ("title", FieldType::Text),
            ("position", FieldType::Text),
            ("personalHeader", FieldType::Text),
            ("address.street1", FieldType::Text),
            ("address.street2", FieldType::Text),
            ("address.city", FieldType::Text),
            ("address.state", FieldType::Text),
            ("address.postalCode", FieldType::Text),
            ("address.country", FieldType::Text),
            ("additionalEmails.label", FieldType::Text),
            ("additionalEmails.email", FieldType::Text),
            ("contactNumbers.label", FieldType::Text),
            ("contactNumbers.number", FieldType::Text),
            ("meta", FieldType::Open),
        ])
        .hidden(&["meta.core"])
    };
}

/// What list options may name.
pub static FIELDS: Fields = fields!();
/// What list options may name of what organizations keep.
pub static ORGANIZATION_FIELDS: Fields = fields!(
    ("organization", FieldType::Text),
    ("externalId", FieldType::Text),
    ("deleteRequested", FieldType::Bool),
    ("deleteRequestedDate", FieldType::Date),
);
static ACCESS_FIELDS: Fields = Fields::new(&[
    ("createdAt", FieldType::Date),
    ("createdBy", FieldType::Text),
    ("expiresAt", FieldType::Date),
    ("authGroup", FieldType::Text),
    ("viewingAccountId", FieldType::Text),
    ("viewingEmail", FieldType::Text),
    ("client", FieldType::Bool),
    ("accessDetails", FieldType::Text),
    ("targetAccountId", FieldType::Text),
]);

const PROTECTED: &[&str] = &["createdAt", "createdBy", "authGroup", "accountId"];

/// Documents of the group in which the account is named in one of two places.
pub fn between(group: &str, one: &'static str, other: &'static str, account: &str) -> Filter {
    and([
        eq("authGroup", group),
        or([eq(one, account), eq(other, account)]),
    ])
}

/// The one document that fits, 404 without one.
pub async fn one<T: Document>(app: &App, filter: Filter) -> ApiResult<T> {
    let found = app.store.of::<T>().find_one(filter).await?;
    found.ok_or_else(|| ApiError::not_found(""))
}

/// As [`one`], which is deleted.
pub async fn taken<T: Document>(app: &App, filter: Filter) -> ApiResult<T> {
    let gone = app.store.of::<T>().take(filter).await?;
    gone.ok_or_else(|| ApiError::not_found(""))
}

/// The account's profile, 404 without one.
pub async fn find(app: &App, group: &str, account: &str) -> ApiResult<Profile> {
    one(app, of_account(group, account)).await
}

/// Stores the caller's profile; whom the body names does not matter.
pub async fn create(app: &App, group: &str, account: &str, body: &Json) -> ApiResult<Profile> {
    let now = app.date();
    let profile = Profile {
        id: app.random.uuid(),
        created_at: now,
        modified_at: now,
        created_by: system_admin(),
        modified_by: system_admin(),
        auth_group: group.to_owned(),
        account_id: account.to_owned(),
        details: patching::details::<Profile>(body)?,
        version: 0,
        extra: Object::default(),
    };
    app.store.of::<Profile>().insert(&profile).await?;
    Ok(profile)
}

pub async fn patch(app: &App, group: &str, account: &str, operations: &Json) -> ApiResult<Profile> {
    let now = app.date();
    app.store
        .of::<Profile>()
        .update_where(of_account(group, account), |profile: &mut Profile| {
            let mut new = patching::apply(profile, operations, PROTECTED)?;
            new.details.keep_types(&profile.details);
            new.extra.clone_from(&profile.extra);
            new.version = profile.version;
            new.modified_at = now;
            account.clone_into(&mut new.modified_by);
            *profile = new;
            Ok::<_, ApiError>(())
        })
        .await?
        .ok_or_else(|| ApiError::not_found(""))
}

pub async fn delete(app: &App, group: &str, account: &str) -> ApiResult<Profile> {
    taken(app, of_account(group, account)).await
}

/// All profiles of the group.
pub async fn list(app: &App, group: &str, pairs: &Pairs) -> ApiResult<Vec<Json>> {
    let base = eq("authGroup", group);
    lists::documents::<Profile>(app, pairs, &FIELDS, base, patching::public, patching::hide).await
}

/// 403 unless the profile is the viewer's own or the person lets the viewer see it.
pub async fn may_view(app: &App, group: &str, account: &str, viewer: &str) -> ApiResult<()> {
    if account == viewer {
        return Ok(());
    }
    let access = and([
        eq("authGroup", group),
        eq("targetAccountId", account),
        eq("viewingAccountId", viewer),
    ]);
    // one that has ended is not found
    match app.store.of::<ProfileAccess>().find_one(access).await? {
        Some(_) => Ok(()),
        None => Err(ApiError::forbidden("")),
    }
}

/// Views that the account gave (`given`) or received.
pub async fn accesses(
    app: &App,
    group: &str,
    account: &str,
    given: bool,
    pairs: &Pairs,
) -> ApiResult<Vec<Json>> {
    let side = if given {
        "targetAccountId"
    } else {
        "viewingAccountId"
    };
    of_side::<ProfileAccess>(app, group, (side, account), &ACCESS_FIELDS, pairs).await
}

/// Documents of the group whose field names the account.
pub async fn of_side<T: Document>(
    app: &App,
    group: &str,
    (side, account): (&'static str, &str),
    fields: &Fields,
    pairs: &Pairs,
) -> ApiResult<Vec<Json>> {
    let base = and([eq("authGroup", group), eq(side, account)]);
    lists::documents(
        app,
        pairs,
        fields,
        base,
        |it: &T| reply::public_document(it),
        |_| {},
    )
    .await
}

fn access(group: &str, id: &str, account: &str) -> Filter {
    between(group, "targetAccountId", "viewingAccountId", account).and(eq("_id", id))
}

/// A view that the account gave or received.
pub async fn find_access(
    app: &App,
    group: &str,
    id: &str,
    account: &str,
) -> ApiResult<ProfileAccess> {
    one(app, access(group, id, account)).await
}

pub async fn end_access(
    app: &App,
    group: &str,
    id: &str,
    account: &str,
) -> ApiResult<ProfileAccess> {
    taken(app, access(group, id, account)).await
}

/// Deletes what anybody keeps about a person who is gone: the profile and its copies, who might
/// see it and whom they might see, what was asked of them and by them, and what organizations
/// hold.
pub async fn forget(app: &App, group: &str, account: &str) -> Result<(), StoreError> {
    let store = &app.store;
    store
        .of::<Profile>()
        .delete_many(of_account(group, account))
        .await?;
    store
        .of::<OrganizationProfile>()
        .delete_many(of_account(group, account))
        .await?;
    store
        .of::<ProfileAccess>()
        .delete_many(between(
            group,
            "targetAccountId",
            "viewingAccountId",
            account,
        ))
        .await?;
    store
        .of::<ProfileRequest>()
        .delete_many(between(
            group,
            "targetAccountId",
            "requestingAccountId",
            account,
        ))
        .await?;
    store
        .of::<ProfileSnapshot>()
        .delete_many(between(group, "accountId", "callerId", account))
        .await?;
    Ok(())
}
