//! Key services: the clients that product keys belong to.

use serde_json::{Value as Json, json};

use crate::app::App;
use crate::clients::model::ClientAccess;
use crate::clients::{Client, rules as clients};
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::failures::list_options;
use crate::http::odata::{FieldType, Fields};
use crate::http::request::Pairs;
use crate::products::Product;
use crate::store::{Filter, Object, StoreError, Value, and, any_of, eq};

pub const LABEL: &str = "product-key";

/// What list options may name; [`stored`] says where it is kept.
static FIELDS: Fields = Fields::new(&[
    ("organizationId", FieldType::Text),
    ("authGroup", FieldType::Text),
    ("clientId", FieldType::Text),
    ("productId", FieldType::Text),
    ("name", FieldType::Text),
]);

fn stored(name: &str) -> &'static str {
    match name {
        "organizationId" => "payload.initialized_org_context",
        "authGroup" => "payload.auth_group",
        "productId" => "payload.associated_product",
        "name" => "payload.client_name",
        _ => "_id",
    }
}

/// A condition on what clients see, as one on what is stored.
fn on_stored(filter: Filter) -> Filter {
    let path = |name: std::borrow::Cow<'static, str>| stored(&name).into();
    let all = |list: Vec<Filter>| list.into_iter().map(on_stored).collect();
    match filter {
        Filter::Eq(p, v) => Filter::Eq(path(p), v),
        Filter::Ne(p, v) => Filter::Ne(path(p), v),
        Filter::Gt(p, v) => Filter::Gt(path(p), v),
        Filter::Gte(p, v) => Filter::Gte(path(p), v),
        Filter::Lt(p, v) => Filter::Lt(path(p), v),
        Filter::Lte(p, v) => Filter::Lte(path(p), v),
        Filter::In(p, v) => Filter::In(path(p), v),
        Filter::Exists(p, v) => Filter::Exists(path(p), v),
        Filter::Contains(p, v) => Filter::Contains(path(p), v),
        Filter::StartsWith(p, v) => Filter::StartsWith(path(p), v),
        Filter::EndsWith(p, v) => Filter::EndsWith(path(p), v),
        Filter::Elem(p, inner) => Filter::Elem(path(p), Box::new(on_stored(*inner))),
        Filter::And(list) => Filter::And(all(list)),
        Filter::Or(list) => Filter::Or(all(list)),
        Filter::Not(inner) => Filter::Not(Box::new(on_stored(*inner))),
        other @ (Filter::All | Filter::Text(_)) => other,
    }
}

fn of_product(tenant: &Tenant, product: &Product) -> Filter {
    and([
        clients::of_group(tenant),
        eq("payload.client_label", LABEL),
        eq("payload.associated_product", product.id.as_str()),
    ])
}

fn one(tenant: &Tenant, product: &Product, id: &str, organization: Option<&str>) -> Filter {
    let filter = of_product(tenant, product).and(eq("_id", id));
    match organization {
        Some(organization) => filter.and(eq("payload.initialized_org_context", organization)),
        None => filter,
    }
}

/// The product's service, if it is the organization's where one is given.
pub async fn find(
    app: &App,
    tenant: &Tenant,
    product: &Product,
    id: &str,
    organization: Option<&str>,
) -> Result<Option<Client>, StoreError> {
    app.store
        .of::<Client>()
        .find_one(one(tenant, product, id, organization))
        .await
}

/// A service that is not stored yet.
pub fn build(
    app: &App,
    tenant: &Tenant,
    product: &Product,
    name: &str,
    organization: Option<String>,
) -> Client {
    let name = format!("KEYS - {} {name}", product.name);
    let mut client = clients::own(app, tenant.id(), name, "none");
    let metadata = &mut client.payload;
    metadata.associated_product = Some(product.id.clone());
    metadata.initialized_org_context = organization;
    metadata.client_label = Some(LABEL.to_owned());
    client
}

/// Stores a service with its roles, in one piece.
pub async fn create(
    app: &App,
    tenant: &Tenant,
    product: &Product,
    mut service: Client,
    roles: Option<Vec<String>>,
) -> ApiResult<Client> {
    if let Some(roles) = roles {
        service.access = Some(access(product, &roles));
    }
    app.store
        .of::<Client>()
        .insert(&service)
        .await
        .map_err(|e| match e {
            StoreError::Duplicate { .. } => clients::name_conflict(),
            e => e.into(),
        })?;
    if let Err(e) = clients::associate(app, tenant, &product.id, &service.id).await {
        clients::remove(app, tenant, &service.id).await?;
        return Err(e.into());
    }
    Ok(service)
}

fn access(product: &Product, roles: &[String]) -> ClientAccess {
    ClientAccess {
        product: Some(product.id.clone()),
        roles: roles.to_vec(),
        extra: Object::default(),
    }
}

/// Replaces the roles of a service; `None` if there is no such service.
pub async fn set_roles(
    app: &App,
    tenant: &Tenant,
    product: &Product,
    id: &str,
    roles: &[String],
) -> Result<Option<Client>, StoreError> {
    let changed = app
        .store
        .of::<Client>()
        .update_where(one(tenant, product, id, None), |c: &mut Client| {
            let extra = c.access.take().unwrap_or_default().extra;
            c.access = Some(ClientAccess {
                extra,
                ..access(product, roles)
            });
            Ok::<_, StoreError>(())
        })
        .await?;
    app.clients.changed(id);
    Ok(changed)
}

/// Deletes the services that satisfy the condition; their keys stop working at once.
pub async fn delete_all(app: &App, tenant: &Tenant, which: Filter) -> Result<(), StoreError> {
    let label = eq("payload.client_label", LABEL);
    let services = and([clients::of_group(tenant), label, which]);
    for service in app.store.of::<Client>().find(services).await? {
        clients::remove(app, tenant, &service.id).await?;
    }
    Ok(())
}

fn roles(service: &Client) -> Json {
    json!(
        service
            .access
            .as_ref()
            .map(|a| &a.roles)
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    )
}

/// A service in the list.
fn listed(service: &Client) -> Json {
    let payload = &service.payload;
    let mut out = json!({
        "authGroup": payload.auth_group,
        "clientId": service.id,
        "productId": payload.associated_product,
        "name": payload.client_name,
        "roles": roles(service),
    });
    if let (Some(organization), Some(out)) = (&payload.initialized_org_context, out.as_object_mut())
    {
        out.insert("organizationId".to_owned(), organization.clone().into());
    }
    out
}

/// Services of the product as list options ask for them. *Own* callers give the organizations
/// that they belong to and must ask for one of them by id: 403.
pub async fn list(
    app: &App,
    tenant: &Tenant,
    product: &Product,
    pairs: &Pairs,
    own: Option<&[String]>,
) -> ApiResult<Vec<Json>> {
    let mut options = list_options(pairs, &FIELDS, app.settings.limits.list_maximum)?;
    let mut base = of_product(tenant, product);
    if let Some(mine) = own {
        let asked = options.equality("organizationId").and_then(Value::as_str);
        if !asked.is_some_and(|o| mine.iter().any(|m| m == o)) {
            return Err(ApiError::forbidden(
                "A filter with the organizationId of one of your organizations is required",
            ));
        }
        base = base.and(any_of("payload.initialized_org_context", mine.to_vec()));
    }
    options.filter = on_stored(options.filter);
    for (path, _) in &mut options.order {
        *path = stored(path).to_owned();
    }
    let select = options.select.take();
    let query = options.into_query(base);
    let found = app.store.of::<Client>().find(query).await?;
    let mut out: Vec<Json> = found.iter().map(listed).collect();
    if let Some(names) = select {
        for map in out.iter_mut().filter_map(Json::as_object_mut) {
            map.retain(|name, _| name == "clientId" || names.iter().any(|n| n == name));
        }
    }
    Ok(out)
}

/// What the maker of a service is told.
pub fn made(service: &Client) -> Json {
    let payload = &service.payload;
    let mut out = json!({
        "clientId": service.id,
        "name": payload.client_name,
        "label": LABEL,
        "productId": payload.associated_product,
    });
    if let Some(map) = out.as_object_mut() {
        if let Some(organization) = &payload.initialized_org_context {
            map.insert("organizationId".to_owned(), organization.clone().into());
        }
        if service.access.is_some() {
            map.insert("roles".to_owned(), roles(service));
        }
    }
    out
}

/// What is told about a service after its roles changed.
pub fn with_roles(service: &Client) -> Json {
    json!({
        "authGroup": service.payload.auth_group,
        "clientId": service.id,
        "productId": service.payload.associated_product,
        "roles": roles(service),
    })
}
