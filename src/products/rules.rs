//! What may happen to products, and what they must not be deleted under.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use crate::app::App;
use crate::clients::Client;
use crate::clients::rules::of_group;
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::lists;
use crate::http::odata::{FieldType, Fields};
use crate::http::patch::{self, PatchRules};
use crate::http::request::Pairs;
use crate::http::validate::{Kind, Shape, decode};
use crate::organizations::Organization;
use crate::permissions::Permission;
use crate::product_keys::services;
use crate::products::Product;
use crate::products::model::{ProductMeta, hide};
use crate::roles::Role;
use crate::store::{Object, StoreError, and, any_of, eq};

/// What list options may name.
pub static FIELDS: Fields = Fields::new(&[
    ("createdAt", FieldType::Date),
    ("createdBy", FieldType::Text),
    ("modifiedAt", FieldType::Date),
    ("modifiedBy", FieldType::Text),
    ("authGroup", FieldType::Text),
    ("name", FieldType::Text),
    ("description", FieldType::Text),
    ("type", FieldType::Text),
    ("codedId", FieldType::Text),
    ("url", FieldType::Text),
    ("b2c", FieldType::Bool),
    ("core", FieldType::Bool),
    ("meta", FieldType::Open),
    ("associatedClients", FieldType::List(&FieldType::Text)),
]);

/// What a product may be.
const KINDS: &[&str] = &[
    "global", "app", "service", "module", "domain", "entity", "other",
];
const PROTECTED: &[&str] = &[
    "createdAt",
    "createdBy",
    "authGroup",
    "core",
    "codedId",
    "meta.core",
];
const PROTECTED_OF_CORE: &[&str] = &[
    "createdAt",
    "createdBy",
    "authGroup",
    "core",
    "codedId",
    "meta.core",
    "name",
];

static NEW: Shape = Shape {
    required: &["name"],
    members: &[
        ("name", Kind::Text),
        ("description", Kind::Text),
        ("associatedClients", Kind::TextArray),
        ("b2c", Kind::Boolean),
        ("url", Kind::Text),
        ("core", Kind::Boolean),
        ("type", Kind::OneOf(KINDS)),
    ],
    open: false,
};

/// 400 unless the body describes a new product.
pub fn check_new(body: &Json) -> ApiResult<()> {
    NEW.check(body).map(|_| ())
}

/// A product of the group by id or coded id.
pub async fn find(app: &App, group: &str, key: &str) -> Result<Option<Product>, StoreError> {
    let products = app.store.of::<Product>();
    if let Some(found) = products.get(key).await?.filter(|p| p.auth_group == group) {
        return Ok(Some(found));
    }
    products
        .find_one(and([eq("codedId", key), eq("authGroup", group)]))
        .await
}

/// The group's products as list options ask for them.
pub async fn list(app: &App, group: &str, pairs: &Pairs) -> ApiResult<Vec<Json>> {
    let base = eq("authGroup", group);
    lists::documents(app, pairs, &FIELDS, base, Product::public, hide).await
}

/// Those of the products that exist, in the order of their ids in the list.
pub async fn listed(app: &App, group: &str, ids: &[String]) -> Result<Vec<Product>, StoreError> {
    let mut found = app
        .store
        .of::<Product>()
        .find(and([eq("authGroup", group), any_of("_id", ids.to_vec())]))
        .await?;
    found.sort_by_key(|p| ids.iter().position(|id| *id == p.id));
    Ok(found)
}

/// Makes a product from a checked body.
pub async fn create(app: &App, tenant: &Tenant, body: &Json, by: &str) -> ApiResult<Product> {
    let text = |name: &str| body.get(name).and_then(Json::as_str).map(ToOwned::to_owned);
    let flag = |name: &str| body.get(name).and_then(Json::as_bool).unwrap_or_default();
    let now = app.date();
    let product = Product {
        id: app.random.uuid(),
        created_at: now,
        created_by: by.to_owned(),
        modified_at: now,
        modified_by: by.to_owned(),
        auth_group: tenant.id().to_owned(),
        name: text("name").unwrap_or_default(),
        description: text("description"),
        kind: text("type"),
        coded_id: app.random.coded10(),
        url: text("url"),
        b2c: flag("b2c"),
        core: flag("core"),
        meta: ProductMeta {
            core: Some(app.random.uuid()),
            ..ProductMeta::default()
        },
        associated_clients: texts(body, "associatedClients"),
        version: 0,
        extra: Object::default(),
    };
    check(&product)?;
    check_clients(app, tenant, &[], &product.associated_clients).await?;
    app.store.of::<Product>().insert(&product).await?;
    written(app, &product);
    Ok(product)
}

fn texts(body: &Json, name: &str) -> Vec<String> {
    body.get(name)
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .map(ToOwned::to_owned)
        .collect()
}

fn written(app: &App, product: &Product) {
    if product.core {
        app.tenants.changed(&product.auth_group);
    }
}

fn invalid(what: &str) -> ApiError {
    ApiError::validation(format!("products validation failed: {what}"))
}

fn check(product: &Product) -> ApiResult<()> {
    if product.name.is_empty() {
        return Err(invalid("name: Path `name` is required."));
    }
    match &product.kind {
        Some(kind) if !KINDS.contains(&kind.as_str()) => Err(invalid(&format!(
            "type: `{kind}` is not a valid enum value for path `type`."
        ))),
        _ => Ok(()),
    }
}

/// Clients that are new in the list must be the group's. Ids of clients that are long gone may
/// stay, since nobody could change such a product otherwise.
async fn check_clients(
    app: &App,
    tenant: &Tenant,
    before: &[String],
    after: &[String],
) -> ApiResult<HashSet<String>> {
    let added: HashSet<&str> = after
        .iter()
        .filter(|id| !id.is_empty() && !before.contains(id))
        .map(String::as_str)
        .collect();
    let mut known: HashSet<String> = HashSet::new();
    if !added.is_empty() {
        let ids = any_of("_id", added.iter().copied());
        let clients = app.store.of::<Client>();
        let found = clients.find(and([ids, of_group(tenant)])).await?;
        known.extend(found.into_iter().map(|c| c.id));
    }
    let bad = |id: &String| added.contains(id.as_str()) && !known.contains(id);
    match after.iter().position(bad) {
        Some(at) => Err(invalid(&format!(
            "associatedClients.{at}: Client does not exist in this authGroup"
        ))),
        None => Ok(known),
    }
}

/// The product after the patch, with what a patch can neither express nor change.
fn patched(product: &Product, operations: &Json) -> ApiResult<Product> {
    let before = serde_json::to_value(product).map_err(ApiError::internal)?;
    let rules = PatchRules {
        protected: if product.core {
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
    let same_meta = before.get("meta") == after.get("meta");
    let mut new: Product = decode(after).map_err(|e| invalid(&e.to_string()))?;
    check(&new)?;
    if same_meta {
        new.meta.clone_from(&product.meta);
    }
    new.extra = product.extra.clone();
    new.version = product.version;
    new.created_at = product.created_at;
    Ok(new)
}

/// Applies a patch to the product with that id.
pub async fn change(
    app: &App,
    tenant: &Tenant,
    old: &Product,
    operations: &Json,
    by: &str,
) -> ApiResult<Product> {
    let draft = patched(old, operations)?;
    let (before, after) = (&old.associated_clients, &draft.associated_clients);
    let known = check_clients(app, tenant, before, after).await?;
    let now = app.date();
    let group = eq("authGroup", tenant.id());
    let changed = app
        .store
        .of::<Product>()
        .update_where(and([eq("_id", old.id.as_str()), group]), |current| {
            let mut new = patched(current, operations)?;
            let fine = |id: &String| {
                id.is_empty() || known.contains(id) || current.associated_clients.contains(id)
            };
            if !new.associated_clients.iter().all(fine) {
                // another writer changed the list between the check and now
                return Err(ApiError::busy(1));
            }
            new.modified_at = now;
            by.clone_into(&mut new.modified_by);
            *current = new;
            Ok(())
        })
        .await?
        .ok_or_else(|| ApiError::missing(&old.id))?;
    written(app, &changed);
    Ok(changed)
}

/// Deletes the product with its permissions and key services: `(permissions deleted, product)`.
/// Refused with 400 while an organization has it or a role belongs to it; then nothing has changed.
pub async fn delete(app: &App, tenant: &Tenant, product: &Product) -> ApiResult<(u64, Product)> {
    let store = &app.store;
    let group = || eq("authGroup", product.auth_group.as_str());
    let organizations = store
        .of::<Organization>()
        .find(and([
            group(),
            eq("associatedProducts", product.id.as_str()),
        ]))
        .await?;
    if !organizations.is_empty() {
        let holders = organizations.iter().map(|o| {
            json!({ "id": o.id, "name": o.name, "description": o.description, "active": o.active })
        });
        return Err(ApiError::bad_request(
            "Organizations still have this product. Take it away from them before deleting it.",
        )
        .data(holders.collect()));
    }
    let of_product = || and([group(), eq("product", product.id.as_str())]);
    let roles = store.of::<Role>().find(of_product()).await?;
    if !roles.is_empty() {
        let left = roles.iter().map(|r| {
            let mut out = json!({ "id": r.id, "name": r.name });
            for (name, value) in [
                ("description", &r.description),
                ("productCodedId", &r.product_coded_id),
            ] {
                if let (Some(map), Some(value)) = (out.as_object_mut(), value) {
                    map.insert(name.to_owned(), json!(value));
                }
            }
            out
        });
        return Err(ApiError::bad_request(
            "This product has associated roles which may be attributed to users. Clean them up before deleting.",
        )
        .data(left.collect()));
    }
    // they can not be reached without their product
    let of_it = eq("payload.associated_product", product.id.as_str());
    services::delete_all(app, tenant, of_it).await?;
    // the product first: should the rest fail, no product is left without its permissions
    let gone = store
        .of::<Product>()
        .take(and([eq("_id", product.id.as_str()), group()]))
        .await?
        .ok_or_else(|| ApiError::missing(&product.id))?;
    written(app, &gone);
    let permissions = store.of::<Permission>().delete_many(of_product()).await?;
    Ok((permissions, gone))
}
