//! Changing an organization with JSON Patch, and what follows from it.

use serde_json::{Value as Json, json};

use crate::accounts::Account;
use crate::accounts::model::Terms;
use crate::app::App;
use crate::domains::Domain;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::patch::{self, PatchRules};
use crate::http::validate::decode;
use crate::organizations::{Organization, rules, sso};
use crate::products::Product;
use crate::store::{StoreError, and, any_of, eq};

const PROTECTED: &[&str] = &["createdAt", "createdBy", "authGroup", "core"];
/// The name of the group's own organization is part of the platform.
const PROTECTED_CORE: &[&str] = &["createdAt", "createdBy", "authGroup", "core", "name"];
/// What an organization may not change about itself, on top of what nobody may.
const NOT_BY_SELF: &[&str] = &["associatedProducts", "type"];
/// How often a change is computed anew because somebody else was faster.
const ATTEMPTS: usize = 8;

/// A write that came too late, or failed.
#[derive(Debug)]
pub enum Lost {
    Race,
    Store(StoreError),
}

impl From<StoreError> for Lost {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

/// Applies the operations. `own`: the caller may act on its own organization only.
pub async fn patch(
    app: &App,
    group: &str,
    id: &str,
    operations: &Json,
    own: bool,
    author: &str,
) -> ApiResult<Organization> {
    let organizations = app.store.of::<Organization>();
    for _ in 0..ATTEMPTS {
        let old = organizations
            .get(id)
            .await?
            .filter(|o| o.auth_group == group)
            .ok_or_else(|| ApiError::missing(id))?;
        let mut new = changed(app, &old, operations, own).await?;
        new.modified_at = app.date();
        author.clone_into(&mut new.modified_by);
        let seen = as_json(&old)?;
        let written = organizations
            .update(id, |current: &mut Organization| {
                if serde_json::to_value(&*current).ok().as_ref() != Some(&seen) {
                    return Err(Lost::Race);
                }
                current.clone_from(&new);
                Ok(())
            })
            .await;
        match written {
            Ok(Some(stored)) => {
                mirror_products(app, &stored).await?;
                if terms_are_new(&old, &stored) {
                    ask_again(app, &stored).await?;
                }
                return Ok(stored);
            }
            Ok(None) => return Err(ApiError::missing(id)),
            Err(Lost::Race) => {}
            Err(Lost::Store(e)) => return Err(e.into()),
        }
    }
    Err(ApiError::busy(1))
}

fn as_json(organization: &Organization) -> ApiResult<Json> {
    serde_json::to_value(organization).map_err(ApiError::internal)
}

/// What the organization becomes, or why not. Nothing is written.
async fn changed(
    app: &App,
    old: &Organization,
    operations: &Json,
    own: bool,
) -> ApiResult<Organization> {
    let before = as_json(old)?;
    let mut limits = PatchRules {
        write_only: sso::SECRETS,
        allow_ids: true,
        ..PatchRules::default()
    };
    let mut after = patch::apply(&before, operations, &limits)?;
    if after.get("sso").is_some_and(|s| !s.is_object()) {
        return Err(ApiError::validation(
            "organizations validation failed: sso: must be an object",
        ));
    }
    // fields that must be there are missed below, in words that name them
    for field in ["_id", "name", "authGroup"] {
        if after.get(field).is_none() {
            after[field] = json!("");
        }
    }
    let mut new: Organization = decode(after)
        .map_err(|e| ApiError::validation(format!("organizations validation failed: {e}")))?;
    new.associated_products = distinct(&new.associated_products);
    refuse_used(app, old, &new).await?;
    let mut protected = if old.core { PROTECTED_CORE } else { PROTECTED }.to_vec();
    if own {
        protected.extend(NOT_BY_SELF);
    }
    limits.allow_ids = false;
    limits.protected = &protected;
    limits.required = &["modifiedAt", "modifiedBy"];
    patch::apply(&before, operations, &limits)?;
    keep_what_is_not_ours(old, &mut new);
    rules::lower_alias(&mut new);
    let same_sso = old.sso.as_ref().map(crate::store::Object::to_json)
        == new.sso.as_ref().map(crate::store::Object::to_json);
    if same_sso {
        new.sso.clone_from(&old.sso);
    } else {
        new.sso = sso::prepare(app, old.sso.as_ref(), new.sso.as_ref()).await?;
    }
    let texts = new
        .email_domains
        .iter()
        .all(|domain| domain.as_str().is_some());
    if new.email_domains != old.email_domains && !texts {
        return Err(ApiError::validation(
            "organizations validation failed: emailDomains: must be a list of texts",
        ));
    }
    rules::check(&new)?;
    rules::check_products(app, &new).await?;
    rules::refuse_taken(app, &new, Some(old)).await?;
    Ok(new)
}

/// The list without repetitions, in its order.
pub fn distinct(list: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(list.len());
    for item in list {
        if !out.contains(item) {
            out.push(item.clone());
        }
    }
    out
}

/// Refuses to take away core products (403) and products that domains still use (400).
async fn refuse_used(app: &App, old: &Organization, new: &Organization) -> ApiResult<()> {
    let removed: Vec<String> = distinct(&old.associated_products)
        .into_iter()
        .filter(|id| !new.associated_products.contains(id))
        .collect();
    if removed.is_empty() {
        return Ok(());
    }
    refuse_core(app, &old.auth_group, &removed).await?;
    let domains = app
        .store
        .of::<Domain>()
        .find(and([
            eq("authGroup", old.auth_group.as_str()),
            eq("organization", old.id.as_str()),
            any_of("associatedOrgProducts", removed.clone()),
        ]))
        .await?;
    let uses = |d: &Domain, id: &String| d.associated_org_products.contains(id);
    // the administrative domain follows by itself
    let in_use = removed
        .iter()
        .filter(|id| domains.iter().any(|d| !d.core && uses(d, id)));
    let data: Vec<Json> = in_use
        .map(|id| {
            let references: Vec<Json> = domains.iter().filter(|d| uses(d, id)).map(brief).collect();
            json!({ "productId": id, "domainReferences": references })
        })
        .collect();
    if data.is_empty() {
        Ok(())
    } else {
        Err(ApiError::bad_request(
            "You are attempting to remove a product from this organization that is referenced in domains. Remove from the domains first",
        )
        .data(data.into()))
    }
}

/// 403 if one of the products is part of the platform.
pub async fn refuse_core(app: &App, group: &str, removed: &[String]) -> ApiResult<()> {
    let core = app
        .store
        .of::<Product>()
        .count(and([
            eq("authGroup", group),
            any_of("_id", removed.to_vec()),
            eq("core", true),
        ]))
        .await?;
    if core == 0 {
        Ok(())
    } else {
        Err(ApiError::forbidden(
            "You cannot remove core products as this would impact access. If you feel you need to carry out this action, contact the administrator",
        ))
    }
}

fn brief(domain: &Domain) -> Json {
    let mut out = json!({ "id": domain.id, "name": domain.name, "active": domain.active });
    for (name, value) in [
        ("description", &domain.description),
        ("externalId", &domain.external_id),
    ] {
        if let (Some(value), Some(map)) = (value, out.as_object_mut()) {
            map.insert(name.to_owned(), value.clone().into());
        }
    }
    out
}

/// Fields this server does not know stay as they are stored, and a patch adds none. Open members
/// that a patch leaves alone keep their stored types, which JSON can not express.
fn keep_what_is_not_ours(old: &Organization, new: &mut Organization) {
    fn keep_if_equal<T: serde::Serialize + Clone>(old: &T, new: &mut T) {
        if serde_json::to_value(old).ok() == serde_json::to_value(&*new).ok() {
            new.clone_from(old);
        }
    }
    new.extra = old.extra.clone();
    new.access.extra = old.access.extra.clone();
    new.version = old.version;
    new.created_at = old.created_at;
    keep_if_equal(&old.metadata, &mut new.metadata);
    keep_if_equal(&old.email_domains, &mut new.email_domains);
}

/// The administrative domain has the products of its organization, always.
async fn mirror_products(app: &App, organization: &Organization) -> ApiResult<()> {
    let filter = and([
        eq("authGroup", organization.auth_group.as_str()),
        eq("organization", organization.id.as_str()),
        eq("core", true),
        eq("meta.admin", organization.id.as_str()),
    ]);
    app.store
        .of::<Domain>()
        .update_where(filter, |d: &mut Domain| {
            d.associated_org_products = distinct(&organization.associated_products);
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(())
}

fn terms_are_new(old: &Organization, new: &Organization) -> bool {
    let access = &new.access;
    access.required
        && access.disable_access_on_change
        && access.terms_version != old.access.terms_version
}

/// Members who accepted other terms have no access until they accept these.
async fn ask_again(app: &App, organization: &Organization) -> ApiResult<()> {
    let filter = and([
        eq("authGroup", organization.auth_group.as_str()),
        eq("access.organization.id", organization.id.as_str()),
    ]);
    let terms = pending_terms(app, organization);
    app.store
        .of::<Account>()
        .update_many(filter, |account: &mut Account| {
            for entry in &mut account.access {
                let held = &mut entry.organization;
                if held.id == organization.id && held.terms.terms_version != terms.terms_version {
                    let extra = std::mem::take(&mut held.terms.extra);
                    held.terms = Terms {
                        extra,
                        ..terms.clone()
                    };
                }
            }
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(())
}

/// The organization's terms as they are delivered now, not yet accepted.
pub fn pending_terms(app: &App, organization: &Organization) -> Terms {
    let access = &organization.access;
    Terms {
        required: access.required,
        accepted: false,
        terms_delivered_on: Some(app.date()),
        terms_of_access: access.terms.clone(),
        terms_accepted_on: None,
        terms_version: access.terms_version.clone(),
        extra: crate::store::Object::default(),
    }
}
