//! What may happen to roles, and what they must not be deleted under.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use crate::accounts::Account;
use crate::app::App;
use crate::clients::Client;
use crate::clients::rules::of_group;
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::lists;
use crate::http::odata::{FieldType, Fields};
use crate::http::patch::{self, PatchRules};
use crate::http::reply::public_document;
use crate::http::request::Pairs;
use crate::http::validate::{Kind, Shape, decode};
use crate::organizations::Organization;
use crate::permissions::Permission;
use crate::permissions::rules::{held, of_product};
use crate::products::Product;
use crate::roles::Role;
use crate::store::{Filter, Object, StoreError, Value, and, any_of, eq, ne, or};

/// What list options may name.
pub static FIELDS: Fields = Fields::new(&[
    ("createdAt", FieldType::Date),
    ("createdBy", FieldType::Text),
    ("modifiedAt", FieldType::Date),
    ("modifiedBy", FieldType::Text),
    ("authGroup", FieldType::Text),
    ("name", FieldType::Text),
    ("description", FieldType::Text),
    ("custom", FieldType::Bool),
    ("organization", FieldType::Text),
    ("product", FieldType::Text),
    ("productCodedId", FieldType::Text),
    ("permissions", FieldType::List(&FieldType::Text)),
    ("codedId", FieldType::Text),
    ("core", FieldType::Bool),
]);

const PROTECTED: &[&str] = &[
    "createdAt",
    "createdBy",
    "authGroup",
    "core",
    "custom",
    "organization",
    "product",
    "productCodedId",
    "codedId",
];
const PROTECTED_OF_CORE: &[&str] = &[
    "createdAt",
    "createdBy",
    "authGroup",
    "core",
    "custom",
    "organization",
    "product",
    "productCodedId",
    "codedId",
    "name",
];

static NEW: Shape = Shape {
    required: &["name"],
    members: &[
        ("name", Kind::Text),
        ("description", Kind::Text),
        ("core", Kind::Boolean),
        ("permissions", Kind::TextArray),
    ],
    open: false,
};

/// 400 unless the body describes a new role.
pub fn check_new(body: &Json) -> ApiResult<()> {
    NEW.check(body).map(|_| ())
}

/// The role of the product, whoever it is for.
pub async fn by_id(app: &App, product: &Product, id: &str) -> Result<Option<Role>, StoreError> {
    let found = app.store.of::<Role>().get(id).await?;
    Ok(found.filter(|r| r.auth_group == product.auth_group && r.product == product.id))
}

/// The same, by id or coded id.
pub async fn find(app: &App, product: &Product, key: &str) -> Result<Option<Role>, StoreError> {
    if let Some(found) = by_id(app, product, key).await? {
        return Ok(Some(found));
    }
    let roles = app.store.of::<Role>();
    roles
        .find_one(of_product(product).and(eq("codedId", key)))
        .await
}

/// For everybody, not for one organization.
fn global() -> Filter {
    eq("organization", Value::Null)
}

fn usable_in(organization: &Organization) -> Filter {
    or([eq("organization", organization.id.as_str()), global()])
}

async fn list(app: &App, base: Filter, pairs: &Pairs) -> ApiResult<Vec<Json>> {
    let base = lists::with_search(base, pairs);
    lists::documents(app, pairs, &FIELDS, base, shown, |_| ()).await
}

fn shown(role: &Role) -> Json {
    public_document(role)
}

/// All roles of the group, those of organizations included.
pub async fn of_tenant(app: &App, group: &str, pairs: &Pairs) -> ApiResult<Vec<Json>> {
    list(app, eq("authGroup", group), pairs).await
}

/// Roles of the product that are for everybody.
pub async fn global_of_product(
    app: &App,
    product: &Product,
    pairs: &Pairs,
) -> ApiResult<Vec<Json>> {
    let base = and([of_product(product), ne("custom", true), global()]);
    list(app, base, pairs).await
}

/// Roles of the product that the organization can use.
pub async fn of_product_in(
    app: &App,
    product: &Product,
    organization: &Organization,
    pairs: &Pairs,
) -> ApiResult<Vec<Json>> {
    let base = and([of_product(product), usable_in(organization)]);
    list(app, base, pairs).await
}

/// Roles of all its products that the organization can use.
pub async fn of_organization(
    app: &App,
    organization: &Organization,
    pairs: &Pairs,
) -> ApiResult<Vec<Json>> {
    let base = and([
        eq("authGroup", organization.auth_group.as_str()),
        any_of("product", organization.associated_products.clone()),
        usable_in(organization),
    ]);
    list(app, base, pairs).await
}

/// Makes a role from a checked body. For an organization it starts without permissions and is
/// never core, whatever the body says.
pub async fn create(
    app: &App,
    product: &Product,
    organization: Option<&Organization>,
    body: &Json,
    by: &str,
) -> ApiResult<Role> {
    let text = |name: &str| body.get(name).and_then(Json::as_str).map(ToOwned::to_owned);
    let custom = organization.is_some();
    let permissions = body.get("permissions").and_then(Json::as_array);
    let now = app.date();
    let role = Role {
        id: app.random.uuid(),
        created_at: now,
        created_by: by.to_owned(),
        modified_at: now,
        modified_by: by.to_owned(),
        auth_group: product.auth_group.clone(),
        name: text("name").unwrap_or_default(),
        description: text("description"),
        custom,
        organization: organization.map(|o| o.id.clone()),
        product: product.id.clone(),
        product_coded_id: Some(product.coded_id.clone()),
        permissions: permissions
            .filter(|_| !custom)
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        coded_id: app.random.coded10(),
        core: !custom && body.get("core") == Some(&json!(true)),
        version: 0,
        extra: Object::default(),
    };
    check_name(&role)?;
    check_permissions(app, product, &role.permissions).await?;
    app.store.of::<Role>().insert(&role).await?;
    Ok(role)
}

fn invalid(what: &str) -> ApiError {
    ApiError::validation(format!("roles validation failed: {what}"))
}

fn check_name(role: &Role) -> ApiResult<()> {
    if role.name.is_empty() {
        return Err(invalid("name: Path `name` is required."));
    }
    Ok(())
}

/// Each must be the id and the code of a permission of the product.
async fn check_permissions(app: &App, product: &Product, given: &[String]) -> ApiResult<()> {
    if given.is_empty() {
        return Ok(());
    }
    let ids: HashSet<&str> = given.iter().filter_map(|p| p.split(' ').next()).collect();
    let found = app
        .store
        .of::<Permission>()
        .find(of_product(product).and(any_of("_id", ids)))
        .await?;
    let known: HashSet<String> = found.iter().map(held).collect();
    let wrong: Vec<String> = given
        .iter()
        .enumerate()
        .filter(|(_, p)| !known.contains(*p))
        .map(|(at, p)| {
            format!(
                "permissions.{at}: Permission does not exist or is not part of this product. Also make sure you provide value as a concat of \"permission.id permission.coded\" where there is a space between the values: {p}"
            )
        })
        .collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(invalid(&wrong.join(", ")))
    }
}

/// The role after the patch, with what a patch can neither express nor change.
fn patched(role: &Role, operations: &Json) -> ApiResult<Role> {
    let before = serde_json::to_value(role).map_err(ApiError::internal)?;
    let rules = PatchRules {
        protected: if role.core {
            PROTECTED_OF_CORE
        } else {
            PROTECTED
        },
        required: &["modifiedAt", "modifiedBy"],
        ..PatchRules::default()
    };
    let mut after = patch::apply(&before, operations, &rules)?;
    if let Some(map) = after.as_object_mut() {
        // so that a missing name is reported like an empty one
        map.entry("name").or_insert_with(|| json!(""));
    }
    let mut new: Role = decode(after).map_err(|e| invalid(&e.to_string()))?;
    check_name(&new)?;
    new.extra = role.extra.clone();
    new.version = role.version;
    new.created_at = role.created_at;
    Ok(new)
}

/// Applies a patch to the role. `may_grant` refuses permissions that the caller may not give.
pub async fn change(
    app: &App,
    product: &Product,
    old: &Role,
    operations: &Json,
    by: &str,
    may_grant: impl Fn(&str) -> ApiResult<()>,
) -> ApiResult<Role> {
    let draft = patched(old, operations)?;
    check_permissions(app, product, &draft.permissions).await?;
    for added in draft
        .permissions
        .iter()
        .filter(|p| !old.permissions.contains(p))
    {
        may_grant(added)?;
    }
    let now = app.date();
    app.store
        .of::<Role>()
        .update_where(
            of_product(product).and(eq("_id", old.id.as_str())),
            |current| {
                let mut new = patched(current, operations)?;
                let fine =
                    |p: &String| draft.permissions.contains(p) || current.permissions.contains(p);
                if !new.permissions.iter().all(fine) {
                    // another writer changed the list between the check and now
                    return Err(ApiError::busy(1));
                }
                new.modified_at = now;
                by.clone_into(&mut new.modified_by);
                *current = new;
                Ok(())
            },
        )
        .await?
        .ok_or_else(|| ApiError::missing(&old.id))
}

/// Deletes the role. Refused with 400 while an account or a client has it; then nothing has
/// changed.
pub async fn delete(app: &App, tenant: &Tenant, role: &Role) -> ApiResult<Role> {
    let group = || eq("authGroup", tenant.id());
    let holders = and([group(), eq("access.organization.roles", role.id.as_str())]);
    let accounts = app.store.of::<Account>().find(holders).await?;
    if !accounts.is_empty() {
        let data = accounts.iter().map(|a| {
            let applied: Vec<&str> = a
                .access
                .iter()
                .map(|e| &e.organization)
                .filter(|o| o.roles.contains(&role.id))
                .map(|o| o.id.as_str())
                .collect();
            json!({ "id": a.id, "authGroup": a.auth_group, "organizationsWhereApplied": applied })
        });
        return Err(ApiError::bad_request(
            "Accounts still have this role. Take it away from them before deleting it.",
        )
        .data(data.collect()));
    }
    // clients hold roles by id or, of their one product, by coded id
    let by_code = and([
        eq("access.product", role.product.as_str()),
        eq("access.roles", role.coded_id.as_str()),
    ]);
    let holding = or([eq("access.roles", role.id.as_str()), by_code]);
    let clients = app
        .store
        .of::<Client>()
        .find(and([of_group(tenant), holding]))
        .await?;
    if !clients.is_empty() {
        let data = clients.iter().map(|c| {
            json!({
                "id": c.id,
                "authGroup": c.payload.auth_group,
                "name": c.payload.client_name,
                "product": c.access.as_ref().and_then(|a| a.product.as_ref()),
            })
        });
        return Err(ApiError::bad_request(
            "Clients still have this role. Take it away from them before deleting it.",
        )
        .data(data.collect()));
    }
    app.store
        .of::<Role>()
        .take(and([eq("_id", role.id.as_str()), group()]))
        .await?
        .ok_or_else(|| ApiError::missing(&role.id))
}
