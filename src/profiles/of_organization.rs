//! What organizations keep about their members, and what the members can say about it.

use serde_json::{Value as Json, json};

use crate::accounts::Account;
use crate::accounts::rules::of_account;
use crate::app::App;
use crate::groups::model::system_admin;
use crate::http::error::ApiResult;
use crate::http::request::Pairs;
use crate::http::validate::{Kind, Shape};
use crate::http::{ApiError, lists};
use crate::organizations::Organization;
use crate::profiles::rules::ORGANIZATION_FIELDS;
use crate::profiles::{OrganizationProfile, patching};
use crate::store::{Filter, Object, StoreError, and, any_of, eq};

static CONTROL: Shape = Shape {
    required: &[],
    members: &[("request", Kind::OneOf(&["remove", "remain"]))],
    open: false,
};

/// 400 unless the body describes a new profile.
pub fn check_body(body: &Json) -> ApiResult<()> {
    patching::OF_ORGANIZATION.check(body).map(drop)
}

/// 400 unless the body is what a person can ask for.
pub fn check_control(body: &Json) -> ApiResult<()> {
    CONTROL.check(body).map(drop)
}

fn within(organization: &Organization) -> Filter {
    and([
        eq("authGroup", organization.auth_group.as_str()),
        eq("organization", organization.id.as_str()),
    ])
}

fn about(organization: &Organization, account: &str) -> Filter {
    within(organization).and(eq("accountId", account))
}

/// Profiles of the organization as list options ask for them.
pub async fn list(app: &App, organization: &Organization, pairs: &Pairs) -> ApiResult<Vec<Json>> {
    let base = within(organization);
    lists::documents::<OrganizationProfile>(
        app,
        pairs,
        &ORGANIZATION_FIELDS,
        base,
        patching::public,
        patching::hide,
    )
    .await
}

/// The profile of a member, 404 without one.
pub async fn of_member(
    app: &App,
    organization: &Organization,
    account: &str,
) -> ApiResult<OrganizationProfile> {
    app.store
        .of::<OrganizationProfile>()
        .find_one(about(organization, account))
        .await?
        .ok_or_else(none_kept)
}

/// What is answered of a profile that there is not.
pub fn none_kept() -> ApiError {
    ApiError::not_found("")
}

/// As [`none_kept`], to those who ask for something to be done with it.
pub fn nothing_to_control() -> ApiError {
    ApiError::bad_request("The organization keeps no profile of this account")
}

/// The profile with that id, or else of that account, or else with that external id.
///
/// In this order, so that an external id can not stand for somebody else's profile.
pub async fn find(
    app: &App,
    organization: &Organization,
    key: &str,
) -> ApiResult<Option<OrganizationProfile>> {
    for field in ["_id", "accountId", "externalId"] {
        let filter = within(organization).and(eq(field, key));
        let found = app
            .store
            .of::<OrganizationProfile>()
            .find_one(filter)
            .await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn invalid(what: &str) -> ApiError {
    ApiError::validation(format!("org_profiles validation failed: {what}"))
}

/// Stores what a body that passed [`check_body`] says about a member of the organization.
pub async fn create(
    app: &App,
    organization: &Organization,
    body: &Json,
) -> ApiResult<OrganizationProfile> {
    let text = |name: &str| body.get(name).and_then(Json::as_str).map(ToOwned::to_owned);
    let account = text("accountId").unwrap_or_default();
    let member = app
        .store
        .of::<Account>()
        .find_one(and([
            eq("_id", account.as_str()),
            eq("authGroup", organization.auth_group.as_str()),
            eq("access.organization.id", organization.id.as_str()),
        ]))
        .await?;
    if member.is_none() {
        return Err(invalid(
            "accountId: Account does not exist in this AuthGroup and/or Organization",
        ));
    }
    let now = app.date();
    let profile = OrganizationProfile {
        id: app.random.uuid(),
        created_at: now,
        modified_at: now,
        created_by: system_admin(),
        modified_by: system_admin(),
        auth_group: organization.auth_group.clone(),
        organization: organization.id.clone(),
        account_id: Some(account),
        external_id: text("externalId"),
        delete_requested: false,
        delete_requested_date: None,
        details: patching::details::<OrganizationProfile>(body)?,
        version: 0,
        extra: Object::default(),
    };
    app.store
        .of::<OrganizationProfile>()
        .insert(&profile)
        .await?;
    Ok(profile)
}

/// Applies the operations. What the person asked for stays as the person left it.
pub async fn patch(
    app: &App,
    organization: &Organization,
    key: &str,
    operations: &Json,
    author: &str,
) -> ApiResult<OrganizationProfile> {
    let missing = || ApiError::not_found(key);
    let id = find(app, organization, key).await?.ok_or_else(missing)?.id;
    let now = app.date();
    app.store
        .of::<OrganizationProfile>()
        .update_where(within(organization).and(eq("_id", id)), |profile| {
            let mut new = changed(profile, operations)?;
            new.modified_at = now;
            author.clone_into(&mut new.modified_by);
            *profile = new;
            Ok::<_, ApiError>(())
        })
        .await?
        .ok_or_else(missing)
}

fn changed(old: &OrganizationProfile, operations: &Json) -> ApiResult<OrganizationProfile> {
    let mut protected = vec![
        "createdAt",
        "createdBy",
        "authGroup",
        "organization",
        "accountId",
    ];
    if old.delete_requested {
        protected.extend(["deleteRequested", "deleteRequestedDate"]);
    }
    let mut new = patching::apply(old, operations, &protected)?;
    new.details.keep_types(&old.details);
    new.extra.clone_from(&old.extra);
    new.version = old.version;
    Ok(new)
}

pub async fn delete(
    app: &App,
    organization: &Organization,
    key: &str,
) -> ApiResult<OrganizationProfile> {
    let missing = || ApiError::not_found(key);
    let id = find(app, organization, key).await?.ok_or_else(missing)?.id;
    app.store
        .of::<OrganizationProfile>()
        .take(within(organization).and(eq("_id", id)))
        .await?
        .ok_or_else(missing)
}

/// Which organizations keep a profile of the account. What is in it is not told.
pub async fn kept_about(app: &App, group: &str, account: &str) -> ApiResult<Vec<Json>> {
    let mut profiles = app
        .store
        .of::<OrganizationProfile>()
        .find(of_account(group, account))
        .await?;
    profiles.sort_by_key(|p| p.created_at);
    let ids: Vec<String> = profiles.iter().map(|p| p.organization.clone()).collect();
    let organizations = app
        .store
        .of::<Organization>()
        .find(and([eq("authGroup", group), any_of("_id", ids)]))
        .await?;
    let one = |profile: &OrganizationProfile| {
        let organization = organizations.iter().find(|o| o.id == profile.organization);
        let mut out = json!({
            "organizationProfileId": profile.id,
            "organizationId": profile.organization,
            "authGroup": profile.auth_group,
            "createdAt": profile.created_at,
            "modifiedAt": profile.modified_at,
            "deleteRequested": profile.delete_requested,
        });
        let optional = [
            ("organizationName", organization.map(|o| o.name.clone())),
            (
                "contactEmail",
                organization.and_then(|o| o.contact_email.clone()),
            ),
            (
                "deleteRequestedDate",
                profile
                    .delete_requested_date
                    .map(crate::store::Date::to_iso),
            ),
        ];
        for (name, value) in optional {
            if let (Some(value), Some(out)) = (value, out.as_object_mut()) {
                out.insert(name.to_owned(), value.into());
            }
        }
        out
    };
    Ok(profiles.iter().map(one).collect())
}

/// Asks the organization to delete the account's profile (`remove`), or no longer to (`remain`).
pub async fn control(
    app: &App,
    organization: &Organization,
    account: &str,
    request: &str,
) -> ApiResult<Json> {
    let remove = request == "remove";
    let date = remove.then(|| app.date());
    let stored = app
        .store
        .of::<OrganizationProfile>()
        .update_where(
            about(organization, account),
            |profile: &mut OrganizationProfile| {
                profile.delete_requested = remove;
                profile.delete_requested_date = date;
                Ok::<_, StoreError>(())
            },
        )
        .await?
        .ok_or_else(nothing_to_control)?;
    let mut out = json!({ "orgProfileId": stored.id, "request": request, "verified": true });
    if let Some(date) = date {
        out["date"] = json!(date);
    }
    Ok(out)
}
