//! What people are given in an organization: domains, roles, and the terms they accept.

use serde_json::{Map, Value as Json, json};

use crate::accounts::model::{AccessEntry, OrganizationAccess, Terms};
use crate::accounts::{Account, rules as accounts};
use crate::app::App;
use crate::domains::Domain;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::validate::{Kind, Shape};
use crate::organizations::Organization;
use crate::organizations::change::{distinct, pending_terms};
use crate::roles::Role;
use crate::store::{Object, and, any_of, eq};

static WANTED: Shape = Shape {
    required: &[],
    members: &[("domains", Kind::TextArray), ("roles", Kind::TextArray)],
    open: true,
};

static BULK: Shape = Shape {
    required: &["accounts"],
    members: &[
        ("accounts", Kind::TextArray),
        ("domains", Kind::TextArray),
        ("roles", Kind::TextArray),
    ],
    open: true,
};

/// 400 unless `domains` and `roles` are lists of texts.
pub fn check_wanted(body: &Json) -> ApiResult<()> {
    WANTED.check(body).map(drop)
}

/// As [`check_wanted`], with a list of accounts.
pub fn check_bulk(body: &Json) -> ApiResult<()> {
    BULK.check(body).map(drop)
}

static TERMS: Shape = Shape {
    required: &[],
    members: &[("action", Kind::Any)],
    open: false,
};

/// 400 unless the body has nothing but an `action`, which [`terms`] looks at.
pub fn check_terms(body: &Json) -> ApiResult<()> {
    TERMS.check(body).map(drop)
}

/// Domains and roles by id, each once. `None` where nothing was said.
#[derive(Debug, Default)]
pub struct Wanted {
    domains: Option<Vec<String>>,
    roles: Option<Vec<String>>,
}

/// The texts of a list, each once; `None` if there is no list.
pub fn texts(value: Option<&Json>) -> Option<Vec<String>> {
    let list = value?.as_array()?;
    let texts: Vec<String> = list
        .iter()
        .filter_map(Json::as_str)
        .map(ToOwned::to_owned)
        .collect();
    Some(distinct(&texts))
}

impl Wanted {
    pub fn from_body(body: &Json) -> Self {
        Self {
            domains: texts(body.get("domains")),
            roles: texts(body.get("roles")),
        }
    }
}

/// 404 for accounts that the group does not have.
async fn account(app: &App, group: &str, id: &str) -> ApiResult<Account> {
    accounts::find(app, group, id)
        .await?
        .ok_or_else(|| no_account(id))
}

fn no_account(id: &str) -> ApiError {
    ApiError::not_found(format!("user not found: {id}"))
}

pub fn no_record(organization: &str, id: &str) -> ApiError {
    ApiError::not_found(format!(
        "No access record for organization {organization} on user {id}"
    ))
}

/// To callers who ask about an organization that they are not in.
pub fn not_added(organization: &str) -> ApiError {
    ApiError::bad_request("You have not been added to the organization")
        .data(json!({ "organization": organization }))
}

/// What the account holds in the organization.
pub fn held<'a>(account: &'a Account, organization: &str) -> Option<&'a OrganizationAccess> {
    account
        .access
        .iter()
        .map(|e| &e.organization)
        .find(|o| o.id == organization)
}

fn entry_mut<'a>(
    account: &'a mut Account,
    organization: &str,
) -> Option<&'a mut OrganizationAccess> {
    account
        .access
        .iter_mut()
        .map(|e| &mut e.organization)
        .find(|o| o.id == organization)
}

/// 400 unless the address belongs to the organization.
pub fn check_email(organization: &Organization, email: &str) -> ApiResult<()> {
    if organization.allows_email(email) {
        return Ok(());
    }
    Err(
        ApiError::bad_request("The e-mail address is not of a domain of the organization")
            .data(email_domains(organization)),
    )
}

/// 400 with those that are not: domains of the organization, roles that anybody in it can have.
async fn check_known(app: &App, organization: &Organization, wanted: &Wanted) -> ApiResult<()> {
    let (asked_domains, asked_roles) = (
        wanted.domains.clone().unwrap_or_default(),
        wanted.roles.clone().unwrap_or_default(),
    );
    let group = || eq("authGroup", organization.auth_group.as_str());
    let domains = app
        .store
        .of::<Domain>()
        .find(and([
            group(),
            any_of("_id", asked_domains.clone()),
            eq("organization", organization.id.as_str()),
        ]))
        .await?;
    let roles = app
        .store
        .of::<Role>()
        .find(and([group(), any_of("_id", asked_roles.clone())]))
        .await?;
    let usable = |role: &Role| {
        role.organization
            .as_ref()
            .is_none_or(|o| *o == organization.id)
    };
    let unknown_domains: Vec<&String> = asked_domains
        .iter()
        .filter(|id| !domains.iter().any(|d| d.id == **id))
        .collect();
    let unknown_roles: Vec<&String> = asked_roles
        .iter()
        .filter(|id| !roles.iter().any(|r| r.id == **id && usable(r)))
        .collect();
    if unknown_domains.is_empty() && unknown_roles.is_empty() {
        return Ok(());
    }
    Err(
        ApiError::bad_request("The following roles or domains do not exist in the organization")
            .data(json!({ "domains": unknown_domains, "roles": unknown_roles })),
    )
}

/// Terms after access was defined, and whether they are delivered just now.
fn terms_for(app: &App, organization: &Organization, old: Option<&Terms>) -> (Terms, bool) {
    let kept = old.cloned().unwrap_or_default();
    let settled = kept.accepted && kept.terms_version == organization.access.terms_version;
    if organization.access.required && !settled {
        let terms = Terms {
            extra: kept.extra,
            ..pending_terms(app, organization)
        };
        (terms, true)
    } else {
        (kept, false)
    }
}

/// Replaces what the account has in the organization; what is not wanted is gone.
pub async fn define(
    app: &App,
    organization: &Organization,
    id: &str,
    wanted: &Wanted,
    author: &str,
) -> ApiResult<Json> {
    let before = account(app, &organization.auth_group, id).await?;
    check_email(organization, &before.email)?;
    check_known(app, organization, wanted).await?;
    let now = app.date();
    let mut written = (false, false);
    let stored = app
        .store
        .of::<Account>()
        .update(id, |account: &mut Account| {
            let old = held(account, &organization.id).cloned();
            let (terms, fresh) = terms_for(app, organization, old.as_ref().map(|o| &o.terms));
            written = (old.is_some(), fresh);
            let new = OrganizationAccess {
                id: organization.id.clone(),
                domains: wanted.domains.clone().unwrap_or_default(),
                roles: wanted.roles.clone().unwrap_or_default(),
                terms,
                extra: old.map(|o| o.extra).unwrap_or_default(),
            };
            match entry_mut(account, &organization.id) {
                Some(entry) => *entry = new,
                None => account.access.push(AccessEntry {
                    organization: new,
                    extra: Object::default(),
                }),
            }
            account.modified_at = now;
            author.clone_into(&mut account.modified_by);
            Ok::<_, ApiError>(())
        })
        .await?
        .ok_or_else(|| no_account(id))?;
    let entry = held(&stored, &organization.id).ok_or_else(|| no_record(&organization.id, id))?;
    let (existed, fresh) = written;
    let mut terms = serde_json::to_value(&entry.terms).map_err(ApiError::internal)?;
    if let Some(map) = terms.as_object_mut() {
        if fresh && let Some(at) = entry.terms.terms_delivered_on {
            map.insert("termsDeliveredOn".to_owned(), at.as_millis().into());
        }
        if !existed && !fresh {
            map.remove("accepted");
        }
    }
    Ok(json!({ "id": id, "access": [{ "organization": {
        "id": entry.id,
        "domains": entry.domains,
        "roles": entry.roles,
        "terms": terms,
    }}]}))
}

/// `{domains, roles}` as they were defined.
pub async fn defined(app: &App, organization: &Organization, id: &str) -> ApiResult<Json> {
    let account = account(app, &organization.auth_group, id).await?;
    let held = held(&account, &organization.id).ok_or_else(|| no_record(&organization.id, id))?;
    Ok(json!({ "domains": held.domains, "roles": held.roles }))
}

/// Takes the account out of the organization.
pub async fn remove(app: &App, organization: &Organization, id: &str) -> ApiResult<Json> {
    account(app, &organization.auth_group, id).await?;
    app.store
        .of::<Account>()
        .update(id, |account: &mut Account| {
            let before = account.access.len();
            account
                .access
                .retain(|e| e.organization.id != organization.id);
            if account.access.len() == before {
                return Err(no_record(&organization.id, id));
            }
            Ok(())
        })
        .await?
        .ok_or_else(|| no_account(id))?;
    Ok(json!({ "id": id, "organization": organization.id, "action": "removed" }))
}

/// Which way a bulk change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bulk {
    Grant,
    Revoke,
}

impl Bulk {
    /// Changes the list and says whether that made a difference.
    fn apply(self, list: &mut Vec<String>, wanted: Option<&[String]>) -> bool {
        let (before, wanted) = (list.len(), wanted.unwrap_or_default());
        match self {
            Self::Grant => {
                for id in wanted {
                    if !list.contains(id) {
                        list.push(id.clone());
                    }
                }
            }
            Self::Revoke => list.retain(|id| !wanted.contains(id)),
        }
        list.len() != before
    }
}

/// Gives to or takes from those of the accounts that are members; others are left alone.
pub async fn bulk(
    app: &App,
    organization: &Organization,
    body: &Json,
    way: Bulk,
) -> ApiResult<Json> {
    let wanted = Wanted::from_body(body);
    check_known(app, organization, &wanted).await?;
    let ids = texts(body.get("accounts")).unwrap_or_default();
    let members = and([
        eq("authGroup", organization.auth_group.as_str()),
        any_of("_id", ids),
        eq("access.organization.id", organization.id.as_str()),
    ]);
    let accounts = app.store.of::<Account>();
    let (mut matching, mut domains, mut roles) = (0_u64, 0_u64, 0_u64);
    for member in accounts.find(members).await? {
        let mut changed = None;
        accounts
            .update(&member.id, |account: &mut Account| {
                changed = entry_mut(account, &organization.id).map(|entry| {
                    (
                        way.apply(&mut entry.domains, wanted.domains.as_deref()),
                        way.apply(&mut entry.roles, wanted.roles.as_deref()),
                    )
                });
                Ok::<_, ApiError>(())
            })
            .await?;
        if let Some((of_domains, of_roles)) = changed {
            matching += 1;
            domains += u64::from(of_domains);
            roles += u64::from(of_roles);
        }
    }
    let report = |asked: Option<&Vec<String>>, modified: u64| {
        if asked.is_some() {
            json!({ "matching": matching, "modified": modified, "operationRan": true })
        } else {
            json!({ "operationRan": false })
        }
    };
    Ok(json!({
        "domains": report(wanted.domains.as_ref(), domains),
        "roles": report(wanted.roles.as_ref(), roles),
    }))
}

/// Accepts or declines the organization's terms for the account.
pub async fn terms(
    app: &App,
    organization: &Organization,
    id: &str,
    action: Option<&Json>,
) -> ApiResult<Json> {
    let action = action
        .filter(|a| !a.is_null() && **a != json!(""))
        .ok_or_else(|| ApiError::bad_request("You must specify an action: accept or decline"))?;
    let not_in_it = || not_added(&organization.id);
    accounts::find(app, &organization.auth_group, id)
        .await?
        .filter(|a| held(a, &organization.id).is_some())
        .ok_or_else(not_in_it)?;
    match action.as_str() {
        Some("accept") => {}
        Some("decline") => return remove(app, organization, id).await,
        _ => return Err(ApiError::bad_request("Unknown action requested")),
    }
    let now = app.date();
    let stored = app
        .store
        .of::<Account>()
        .update(id, |account: &mut Account| {
            let entry = entry_mut(account, &organization.id).ok_or_else(not_in_it)?;
            entry.terms.accepted = true;
            entry.terms.terms_accepted_on = Some(now);
            Ok::<_, ApiError>(())
        })
        .await?
        .ok_or_else(not_in_it)?;
    let entry = held(&stored, &organization.id).ok_or_else(not_in_it)?;
    Ok(json!({
        "id": id,
        "organization": organization.id,
        "action": "accepted",
        "access": [{ "organization": {
            "id": entry.id,
            "domains": entry.domains,
            "roles": entry.roles,
            "terms": entry.terms,
        }}],
    }))
}

/// Every organization the account is in, those with terms to accept included.
pub async fn memberships(app: &App, group: &str, account: &Account) -> ApiResult<Vec<Json>> {
    let ids = account.access.iter().map(|e| e.organization.id.clone());
    let organizations = app
        .store
        .of::<Organization>()
        .find(and([eq("authGroup", group), any_of("_id", ids)]))
        .await?;
    let ids = account
        .access
        .iter()
        .flat_map(|e| e.organization.domains.iter().cloned());
    let domains = app
        .store
        .of::<Domain>()
        .find(and([eq("authGroup", group), any_of("_id", ids)]))
        .await?;
    let mut out = Vec::with_capacity(account.access.len());
    for held in account.access.iter().map(|e| &e.organization) {
        let Some(organization) = organizations.iter().find(|o| o.id == held.id) else {
            continue;
        };
        let domains: Vec<Json> = held
            .domains
            .iter()
            .filter_map(|id| domains.iter().find(|d| d.id == *id))
            .filter(|d| d.organization == held.id)
            .map(|d| named("_id", &d.id, &d.name, d.description.as_deref()))
            .collect();
        let mut shown = named(
            "_id",
            &organization.id,
            &organization.name,
            organization.description.as_deref(),
        );
        if let Some(map) = shown.as_object_mut() {
            map.insert("access".to_owned(), json!(organization.access));
            map.insert("emailDomains".to_owned(), email_domains(organization));
        }
        out.push(json!({
            "terms": held.terms,
            "domains": domains,
            "roles": held.roles,
            "organization": shown,
        }));
    }
    Ok(out)
}

fn email_domains(organization: &Organization) -> Json {
    organization
        .email_domains
        .iter()
        .map(crate::store::to_json)
        .collect()
}

fn named(key: &str, id: &str, name: &str, description: Option<&str>) -> Json {
    let mut out = Map::new();
    out.insert(key.to_owned(), id.into());
    out.insert("name".to_owned(), name.into());
    if let Some(description) = description {
        out.insert("description".to_owned(), description.into());
    }
    Json::Object(out)
}
