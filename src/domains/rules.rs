//! Listing, creating, changing and deleting domains.

use serde_json::Value as Json;

use crate::app::App;
use crate::domains::Domain;
use crate::domains::model::DomainMeta;
use crate::http::error::ApiResult;
use crate::http::odata::{FieldType, Fields};
use crate::http::patch::{self, PatchRules};
use crate::http::request::Pairs;
use crate::http::validate::{Kind, Shape, decode};
use crate::http::{ApiError, lists, reply};
use crate::organizations::Organization;
use crate::organizations::change::{Lost, distinct, refuse_core};
use crate::organizations::rules::references;
use crate::store::{Filter, Object, and, elem, eq};

/// What list options may name.
pub static FIELDS: Fields = Fields::new(&[
    ("createdAt", FieldType::Date),
    ("createdBy", FieldType::Text),
    ("modifiedAt", FieldType::Date),
    ("modifiedBy", FieldType::Text),
    ("authGroup", FieldType::Text),
    ("organization", FieldType::Text),
    ("name", FieldType::Text),
    ("active", FieldType::Bool),
    ("description", FieldType::Text),
    ("associatedOrgProducts", FieldType::List(&FieldType::Text)),
    ("core", FieldType::Bool),
    ("meta", FieldType::Open),
    ("externalId", FieldType::Text),
]);

const PROTECTED: &[&str] = &[
    "createdAt",
    "createdBy",
    "authGroup",
    "core",
    "organization",
    "meta.admin",
];
/// How often a change is computed anew because somebody else was faster.
const ATTEMPTS: usize = 8;

static SHAPE: Shape = Shape {
    required: &["name"],
    members: &[
        ("name", Kind::Text),
        ("description", Kind::Text),
        ("externalId", Kind::Text),
    ],
    open: false,
};

/// 400 unless the body describes a new domain.
pub fn check_body(body: &Json) -> ApiResult<()> {
    SHAPE.check(body).map(drop)
}

/// Restricts a query to the organization's domains.
fn within(organization: &Organization) -> Filter {
    and([
        eq("authGroup", organization.auth_group.as_str()),
        eq("organization", organization.id.as_str()),
    ])
}

fn missing_name() -> ApiError {
    ApiError::validation("domains validation failed: name: Path `name` is required.")
}

/// Domains of the organization as list options ask for them.
pub async fn list(app: &App, organization: &Organization, pairs: &Pairs) -> ApiResult<Vec<Json>> {
    let base = within(organization);
    lists::documents::<Domain>(app, pairs, &FIELDS, base, reply::public_document, |_| {}).await
}

/// The organization's domain with that id.
pub async fn find(app: &App, organization: &Organization, id: &str) -> ApiResult<Domain> {
    app.store
        .of::<Domain>()
        .get(id)
        .await?
        .filter(|d| d.auth_group == organization.auth_group && d.organization == organization.id)
        .ok_or_else(|| ApiError::missing(id))
}

/// Stores what a body that passed [`check_body`] describes; products come later, by patch.
pub async fn create(
    app: &App,
    organization: &Organization,
    author: &str,
    body: &Json,
) -> ApiResult<Domain> {
    let text = |name: &str| body.get(name).and_then(Json::as_str).map(ToOwned::to_owned);
    let now = app.date();
    let domain = Domain {
        id: app.random.uuid(),
        created_at: now,
        created_by: author.to_owned(),
        modified_at: now,
        modified_by: author.to_owned(),
        auth_group: organization.auth_group.clone(),
        organization: organization.id.clone(),
        name: text("name")
            .filter(|n| !n.trim().is_empty())
            .ok_or_else(missing_name)?,
        active: true,
        description: text("description"),
        associated_org_products: Vec::new(),
        core: false,
        meta: DomainMeta {
            admin: Some(format!("unique-placeholder-{}", app.random.uuid())),
            extra: Object::default(),
        },
        external_id: text("externalId"),
        version: 0,
        extra: Object::default(),
    };
    app.store.of::<Domain>().insert(&domain).await?;
    Ok(domain)
}

/// Applies the operations to a domain of the organization.
pub async fn patch(
    app: &App,
    organization: &Organization,
    id: &str,
    operations: &Json,
    author: &str,
) -> ApiResult<Domain> {
    for _ in 0..ATTEMPTS {
        let old = find(app, organization, id).await?;
        let mut new = changed(app, organization, &old, operations).await?;
        new.modified_at = app.date();
        author.clone_into(&mut new.modified_by);
        let seen = serde_json::to_value(&old).map_err(ApiError::internal)?;
        let written = app
            .store
            .of::<Domain>()
            .update(id, |current: &mut Domain| {
                if serde_json::to_value(&*current).ok().as_ref() != Some(&seen) {
                    return Err(Lost::Race);
                }
                current.clone_from(&new);
                Ok(())
            })
            .await;
        match written {
            Ok(Some(stored)) => return Ok(stored),
            Ok(None) => return Err(ApiError::missing(id)),
            Err(Lost::Race) => {}
            Err(Lost::Store(e)) => return Err(e.into()),
        }
    }
    Err(ApiError::busy(1))
}

/// What the domain becomes, or why not. Nothing is written.
async fn changed(
    app: &App,
    organization: &Organization,
    old: &Domain,
    operations: &Json,
) -> ApiResult<Domain> {
    let before = serde_json::to_value(old).map_err(ApiError::internal)?;
    let mut limits = PatchRules {
        allow_ids: true,
        ..PatchRules::default()
    };
    let mut after = patch::apply(&before, operations, &limits)?;
    // fields that must be there are missed below, in words that name them
    for field in ["_id", "name", "authGroup", "organization"] {
        if after.get(field).is_none() {
            after[field] = "".into();
        }
    }
    let mut new: Domain = decode(after)
        .map_err(|e| ApiError::validation(format!("domains validation failed: {e}")))?;
    new.associated_org_products = distinct(&new.associated_org_products);
    let removed: Vec<String> = distinct(&old.associated_org_products)
        .into_iter()
        .filter(|id| !new.associated_org_products.contains(id))
        .collect();
    if !removed.is_empty() {
        refuse_core(app, &old.auth_group, &removed).await?;
    }
    let mut protected = PROTECTED.to_vec();
    if old.core {
        protected.push("name");
    }
    limits.allow_ids = false;
    limits.protected = &protected;
    limits.required = &["modifiedAt", "modifiedBy"];
    patch::apply(&before, operations, &limits)?;
    keep_what_is_not_ours(old, &mut new);
    if new.name.trim().is_empty() {
        return Err(missing_name());
    }
    let licensed = &organization.associated_products;
    let foreign = |id: &String| !licensed.contains(id);
    if let Some(at) = new.associated_org_products.iter().position(foreign) {
        return Err(ApiError::validation(format!(
            "domains validation failed: associatedOrgProducts.{at}: Product does not exist as part of the organization"
        )));
    }
    Ok(new)
}

/// Fields this server does not know stay as they are stored, and a patch adds none.
fn keep_what_is_not_ours(old: &Domain, new: &mut Domain) {
    new.extra = old.extra.clone();
    new.version = old.version;
    new.created_at = old.created_at;
    if old.meta.extra.to_json() == new.meta.extra.to_json() {
        new.meta.extra = old.meta.extra.clone();
    }
}

/// Deletes a domain that nobody is in.
pub async fn delete(app: &App, organization: &Organization, id: &str) -> ApiResult<Domain> {
    let members = and([
        eq("authGroup", organization.auth_group.as_str()),
        elem(
            "access",
            and([
                eq("organization.id", organization.id.as_str()),
                eq("organization.domains", id),
            ]),
        ),
    ]);
    let members = references(app, members).await?;
    if !members.is_empty() {
        return Err(ApiError::bad_request(
            "You can not delete a domain that accounts have access to. Remove them first",
        )
        .data(members.into()));
    }
    app.store
        .of::<Domain>()
        .take(and([eq("_id", id), within(organization)]))
        .await?
        .ok_or_else(|| ApiError::missing(id))
}
