//! What may happen to permissions. Roles hold them as `"<id> <coded>"`, and what a role holds
//! counts, so a permission never goes without its string in roles.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use crate::app::App;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::lists;
use crate::http::odata::{FieldType, Fields};
use crate::http::reply::public_document;
use crate::http::request::Pairs;
use crate::http::validate::{Kind, Shape, Violation};
use crate::permissions::Permission;
use crate::permissions::seed::coded;
use crate::products::Product;
use crate::roles::Role;
use crate::store::{Filter, Object, Query, StoreError, and, any_of, eq, ne};

/// What list options may name.
pub static FIELDS: Fields = Fields::new(&[
    ("createdAt", FieldType::Date),
    ("createdBy", FieldType::Text),
    ("authGroup", FieldType::Text),
    ("product", FieldType::Text),
    ("target", FieldType::Text),
    ("action", FieldType::Text),
    ("description", FieldType::Text),
    ("ownershipRequired", FieldType::Bool),
    ("coded", FieldType::Text),
    ("core", FieldType::Bool),
    ("tags", FieldType::List(&FieldType::Text)),
]);

const ONE_WORD: &str = "^( |[^\\s\\p{Cc}])*$";

/// Tokens carry permissions as words, so what splits words could smuggle in another permission.
/// A plain space is harmless: the coded form has a dash instead.
fn is_one_word(text: &str) -> bool {
    text.chars()
        .all(|c| c == ' ' || !(c.is_whitespace() || c.is_control()))
}

static NEW: Shape = Shape {
    required: &["target", "action"],
    members: &[
        ("target", Kind::Matching(is_one_word, ONE_WORD)),
        ("action", Kind::Matching(is_one_word, ONE_WORD)),
        ("description", Kind::Text),
        ("ownershipRequired", Kind::Boolean),
        ("tags", Kind::TextArray),
    ],
    open: false,
};

/// 400 unless the body describes a new permission.
pub fn check_new(body: &Json) -> ApiResult<()> {
    NEW.check(body).map(|_| ())
}

/// 400 unless the body is a list of descriptions.
pub fn check_many(body: &Json) -> ApiResult<()> {
    let Some(items) = body.as_array() else {
        return Err(ApiError::invalid(&[Violation::new(
            "",
            "type",
            "must be array",
        )]));
    };
    for (at, item) in items.iter().enumerate() {
        check_new(item).map_err(|mut e| {
            let found = Violation::new(
                format!("/{at}"),
                "items",
                "must describe a permission: a target and an action, and nothing unknown",
            );
            let whole = ApiError::invalid(&[found]);
            e.message = whole.message;
            e.data = whole.data;
            e
        })?;
    }
    Ok(())
}

/// As roles hold it.
pub fn held(permission: &Permission) -> String {
    format!("{} {}", permission.id, permission.coded)
}

/// What belongs to the product.
pub fn of_product(product: &Product) -> Filter {
    and([
        eq("authGroup", product.auth_group.as_str()),
        eq("product", product.id.as_str()),
    ])
}

pub async fn find(
    app: &App,
    product: &Product,
    id: &str,
) -> Result<Option<Permission>, StoreError> {
    let found = app.store.of::<Permission>().get(id).await?;
    Ok(found.filter(|p| p.auth_group == product.auth_group && p.product == product.id))
}

/// The product's permissions as list options and search words ask for them.
pub async fn list(app: &App, product: &Product, pairs: &Pairs) -> ApiResult<Vec<Json>> {
    let base = lists::with_search(of_product(product), pairs);
    lists::documents(app, pairs, &FIELDS, base, shown, |_| ()).await
}

/// Those that the role holds, as [`list`] does; none if there is no role.
pub async fn list_of_role(
    app: &App,
    product: &Product,
    role: Option<&Role>,
    pairs: &Pairs,
) -> ApiResult<Vec<Json>> {
    let ids = role
        .into_iter()
        .flat_map(|r| &r.permissions)
        .filter_map(|p| p.split_once(' ').map(|(id, _)| id));
    let base = of_product(product).and(any_of("_id", ids));
    let base = lists::with_search(base, pairs);
    lists::documents(app, pairs, &FIELDS, base, shown, |_| ()).await
}

fn shown(permission: &Permission) -> Json {
    public_document(permission)
}

/// Makes the permissions of checked bodies: all of them or, with a duplicate among them, none.
pub async fn create(
    app: &App,
    product: &Product,
    bodies: &[Json],
    core: bool,
    by: &str,
) -> ApiResult<Vec<Permission>> {
    let made: Vec<Permission> = bodies
        .iter()
        .map(|b| new(app, product, b, core, by))
        .collect();
    let incomplete = |p: &&Permission| p.target.is_empty() || p.action.is_empty();
    if let Some(bad) = made.iter().find(incomplete) {
        let path = if bad.target.is_empty() {
            "target"
        } else {
            "action"
        };
        return Err(ApiError::validation(format!(
            "permissions validation failed: {path}: Path `{path}` is required."
        )));
    }
    let mut codes = HashSet::new();
    let twice = made.iter().any(|p| !codes.insert(p.coded.as_str()));
    let permissions = app.store.of::<Permission>();
    let known = of_product(product).and(any_of("coded", codes));
    if twice || permissions.count(known).await? > 0 {
        return Err(duplicate());
    }
    if let Err(e) = permissions.insert_many(&made).await {
        // somebody else was faster; those that went in before are taken out again
        let ours = any_of("_id", made.iter().map(|p| p.id.as_str()));
        permissions
            .delete_many(of_product(product).and(ours))
            .await?;
        return Err(e.into());
    }
    Ok(made)
}

fn duplicate() -> ApiError {
    let keys = ["coded", "authGroup", "product"];
    StoreError::Duplicate {
        collection: "permissions",
        index: "coded_1_authGroup_1_product_1".to_owned(),
        keys: keys.map(ToOwned::to_owned).to_vec(),
    }
    .into()
}

fn new(app: &App, product: &Product, body: &Json, core: bool, by: &str) -> Permission {
    let text = |name: &str| body.get(name).and_then(Json::as_str).map(ToOwned::to_owned);
    let target = text("target").unwrap_or_default();
    let action = text("action").unwrap_or_default();
    let own = body.get("ownershipRequired") == Some(&json!(true));
    let tags = body.get("tags").and_then(Json::as_array);
    Permission {
        id: app.random.uuid(),
        created_at: app.date(),
        created_by: by.to_owned(),
        auth_group: product.auth_group.clone(),
        product: product.id.clone(),
        coded: coded(&target, &action, own),
        target,
        action,
        description: text("description"),
        ownership_required: own,
        core,
        tags: tags
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        version: 0,
        extra: Object::default(),
    }
}

/// Takes the strings out of all roles of the product; how many roles changed.
async fn pull(app: &App, product: &Product, held: &[String]) -> Result<u64, StoreError> {
    if held.is_empty() {
        return Ok(0);
    }
    let gone: HashSet<&str> = held.iter().map(String::as_str).collect();
    app.store
        .of::<Role>()
        .update_many(
            of_product(product).and(any_of("permissions", held.to_vec())),
            |role: &mut Role| {
                role.permissions.retain(|p| !gone.contains(p.as_str()));
                Ok::<_, StoreError>(())
            },
        )
        .await
}

/// Deletes the permissions: `(roles changed, permissions deleted)`. Roles lose them first, so
/// that at no time a role grants what does not exist.
pub async fn delete(
    app: &App,
    product: &Product,
    which: &[Permission],
) -> Result<(u64, u64), StoreError> {
    let strings: Vec<String> = which.iter().map(held).collect();
    let ids = any_of("_id", which.iter().map(|p| p.id.as_str()));
    let before = pull(app, product, &strings).await?;
    let deleted = app
        .store
        .of::<Permission>()
        .delete_many(of_product(product).and(ids))
        .await?;
    // a role may have been given one of them in between
    let after = pull(app, product, &strings).await?;
    Ok((before.saturating_add(after), deleted))
}

/// Those of the list that belong to the product and are not core.
pub async fn ordinary(
    app: &App,
    product: &Product,
    ids: &[String],
) -> Result<Vec<Permission>, StoreError> {
    let listed = and([any_of("_id", ids.to_vec()), ne("core", true)]);
    app.store
        .of::<Permission>()
        .find(of_product(product).and(listed))
        .await
}

/// `{values, id}` with the distinct values of a field, in order of first use. Products without
/// permissions answer under the name in `empty`.
pub async fn distinct(
    app: &App,
    product: &Product,
    id: &str,
    empty: &str,
    values: fn(&Permission) -> &[String],
) -> Result<Json, StoreError> {
    let query = Query::new(of_product(product)).sort("createdAt", crate::store::Order::Ascending);
    let found = app.store.of::<Permission>().find(query).await?;
    if found.is_empty() {
        return Ok(json!({ "id": empty, "values": [] }));
    }
    let mut seen = HashSet::new();
    let values: Vec<&String> = found
        .iter()
        .flat_map(values)
        .filter(|v| seen.insert(v.as_str()))
        .collect();
    Ok(json!({ "values": values, "id": id }))
}

fn ids<'a>(found: impl Iterator<Item = &'a str>) -> Vec<Json> {
    found.map(|id| json!({ "id": id })).collect()
}

/// Which roles hold the permission.
pub async fn roles_with(app: &App, product: &Product, permission: &Permission) -> ApiResult<Json> {
    let holders = of_product(product).and(eq("permissions", held(permission)));
    let found = app.store.of::<Role>().find(holders).await?;
    let roles = ids(found.iter().map(|r| r.id.as_str()));
    Ok(json!({ "totalReferences": roles.len(), "roleIds": roles }))
}

/// Which permissions belong to the product.
pub async fn references(app: &App, product: &Product) -> ApiResult<Json> {
    let found = app
        .store
        .of::<Permission>()
        .find(of_product(product))
        .await?;
    let permissions = ids(found.iter().map(|p| p.id.as_str()));
    Ok(json!({ "totalReferences": permissions.len(), "permissionIds": permissions }))
}
