//! Bringing a group's core permissions and roles up to the version this server ships.

use std::collections::HashSet;

use serde_json::{Map, Value as Json, json};

use crate::app::App;
use crate::groups::Tenant;
use crate::groups::core_objects::{Maker, granted};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::reply::public_document;
use crate::permissions::Permission;
use crate::permissions::seed::{self, Seed, SeedProduct};
use crate::products::Product;
use crate::products::model::{GROUP_ADMIN, ORG_ADMIN};
use crate::roles::Role;
use crate::store::{StoreError, and, eq};

/// Stored as author of what an update makes.
const AUTHOR: &str = "SYSTEM";

/// The core products, also those of older databases that do not say which of the two they are.
async fn products_of(app: &App, tenant: &Tenant) -> ApiResult<Vec<Product>> {
    let mut found = app
        .store
        .of::<Product>()
        .find(and([
            eq("authGroup", tenant.id()),
            eq("type", "global"),
            eq("core", true),
        ]))
        .await?;
    let is_known = |core: &str| matches!(core, GROUP_ADMIN | ORG_ADMIN);
    found.retain(|p| p.meta.core.as_deref().is_none_or(is_known));
    found.sort_by_key(|p| p.meta.core.as_deref() != Some(GROUP_ADMIN));
    if found.is_empty() {
        return Err(ApiError::bad_request(
            "The group has no core products, so there is nothing to update",
        ));
    }
    Ok(found)
}

fn is_current(product: &Product, seed: &Seed) -> bool {
    product.meta.permissions_version.as_deref() == Some(&seed.permissions_version)
        && product.meta.roles_version.as_deref() == Some(&seed.roles_version)
}

/// Nothing tells what such a product has, so its update can not wait.
fn is_unversioned(product: &Product) -> bool {
    product.meta.permissions_version.is_none() && product.meta.roles_version.is_none()
}

/// Which versions the group has and which there are.
pub async fn status(app: &App, tenant: &Tenant) -> ApiResult<Json> {
    let seed = Seed::load().map_err(ApiError::internal)?;
    let products = products_of(app, tenant).await?;
    let required = products.iter().any(|p| !is_current(p, seed));
    Ok(json!({
        "id": tenant.id(),
        "prettyName": tenant.group.pretty_name,
        "coreProducts": products.iter().map(Product::public).collect::<Vec<_>>(),
        "availableVersion": {
            "permissionsVersion": seed.permissions_version,
            "rolesVersion": seed.roles_version,
        },
        "updateRequired": required,
        "force": required && (seed.force || products.iter().any(is_unversioned)),
    }))
}

/// Adds missing core permissions and resets the core roles; repeating it changes nothing.
/// The answer tells per product name what was done.
pub async fn update(app: &App, tenant: &Tenant) -> ApiResult<Json> {
    let seed = Seed::load().map_err(ApiError::internal)?;
    let mut out = Map::new();
    for product in products_of(app, tenant).await? {
        let key = match product.meta.core.as_deref() {
            Some(GROUP_ADMIN) => GROUP_ADMIN,
            _ => ORG_ADMIN,
        };
        let entry = seed
            .product(key)
            .ok_or_else(|| ApiError::internal("the seed lacks a core product"))?;
        let done = update_product(app, tenant, seed, &product, entry).await;
        app.tenants.changed(tenant.id());
        out.insert(product.name.clone(), done?);
    }
    Ok(Json::Object(out))
}

async fn update_product(
    app: &App,
    tenant: &Tenant,
    seed: &Seed,
    product: &Product,
    entry: &SeedProduct,
) -> ApiResult<Json> {
    let maker = Maker {
        random: &app.random,
        now: app.date(),
        group: tenant.id(),
        title: &tenant.group.name,
        by: AUTHOR,
    };
    let store = app.store.of::<Permission>();
    let mut permissions = store
        .find(and([
            eq("authGroup", tenant.id()),
            eq("product", product.id.as_str()),
        ]))
        .await?;
    for p in &mut permissions {
        if p.coded.is_empty() {
            p.coded = seed::coded(&p.target, &p.action, p.ownership_required);
        }
    }
    let known: HashSet<&str> = permissions.iter().map(|p| p.coded.as_str()).collect();
    let added: Vec<Permission> = entry
        .permissions
        .iter()
        .filter(|p| !known.contains(p.coded().as_str()))
        .map(|p| maker.permission(product, entry, p))
        .collect();
    store.insert_many(&added).await?;
    permissions.extend(added.iter().cloned());
    let roles = update_roles(app, &maker, product, entry, &permissions).await?;
    app.store
        .of::<Product>()
        .update(&product.id, |p: &mut Product| {
            p.meta.permissions_version = Some(seed.permissions_version.clone());
            p.meta.roles_version = Some(seed.roles_version.clone());
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(json!({
        "id": product.id,
        "added": added.iter().map(public_document).collect::<Vec<_>>(),
        "removed": [],
        "roles": roles.iter().map(public_document).collect::<Vec<_>>(),
    }))
}

async fn update_roles(
    app: &App,
    maker: &Maker<'_>,
    product: &Product,
    entry: &SeedProduct,
    permissions: &[Permission],
) -> ApiResult<Vec<Role>> {
    let store = app.store.of::<Role>();
    let mut out = Vec::new();
    for role in &entry.roles {
        let stored = store
            .find_one(and([
                eq("authGroup", maker.group),
                eq("product", product.id.as_str()),
                eq("productCodedId", product.coded_id.as_str()),
                eq("name", role.name.as_str()),
                eq("core", true),
            ]))
            .await?;
        let Some(stored) = stored else {
            let fresh = maker.role(product, entry, role, permissions);
            store.insert(&fresh).await?;
            out.push(fresh);
            continue;
        };
        let wanted = granted(role, permissions);
        let updated = store
            .update(&stored.id, |r: &mut Role| {
                if r.permissions != wanted {
                    r.permissions.clone_from(&wanted);
                    r.modified_at = maker.now;
                    AUTHOR.clone_into(&mut r.modified_by);
                }
                Ok::<_, StoreError>(())
            })
            .await?;
        out.extend(updated);
    }
    Ok(out)
}
