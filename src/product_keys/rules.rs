//! Making, replacing and deleting product keys. A key that is replaced or deleted stops working
//! at once.

use serde_json::{Map, Value as Json, json};

use crate::app::App;
use crate::clients::Client;
use crate::http::error::ApiResult;
use crate::http::odata::{FieldType, Fields};
use crate::http::request::Pairs;
use crate::http::validate::{Kind, Shape};
use crate::http::{ApiError, lists};
use crate::oidc::records::{ClientCredentials, Record};
use crate::product_keys::{ProductKey, model};
use crate::products::Product;
use crate::store::{Date, Filter, Object, StoreError, and, eq};

static FIELDS: Fields = Fields::new(&[
    ("createdAt", FieldType::Date),
    ("createdBy", FieldType::Text),
    ("modifiedAt", FieldType::Date),
    ("modifiedBy", FieldType::Text),
    ("expires", FieldType::Number),
    ("authGroup", FieldType::Text),
    ("productId", FieldType::Text),
    ("clientId", FieldType::Text),
    ("name", FieldType::Text),
    ("organizationId", FieldType::Text),
    ("description", FieldType::Text),
])
.hidden(&["key"]);

/// Life of a key in seconds, unless another is asked for.
const LIFE: i64 = 2_592_000;
/// Ten years: long for a key, and far from the end of what dates can say.
const LONGEST: i64 = 315_360_000;

/// Keys of the product, of one organization where one is given.
pub fn of_product(product: &Product, organization: Option<&str>) -> Filter {
    let filter = and([
        eq("authGroup", product.auth_group.as_str()),
        eq("productId", product.id.as_str()),
    ]);
    match organization {
        Some(organization) => filter.and(eq("organizationId", organization)),
        None => filter,
    }
}

/// Characters of names and descriptions.
const SHORT: Kind = Kind::TextUpTo(1000);

static SERVICE: Shape = Shape {
    required: &["name"],
    members: &[
        ("name", SHORT),
        ("organizationId", SHORT),
        ("roles", Kind::TextArray),
    ],
    open: false,
};

static KEY: Shape = Shape {
    required: &["name", "clientId"],
    members: &[
        ("name", SHORT),
        ("description", SHORT),
        ("clientId", SHORT),
        ("expires", Kind::Integer),
    ],
    open: false,
};

/// 400 unless the body describes a key service.
pub fn check_service(body: &Json) -> ApiResult<()> {
    SERVICE.check(body).map(drop)
}

/// 400 unless the body describes a key.
pub fn check_key(body: &Json) -> ApiResult<()> {
    KEY.check(body).map(drop)
}

fn text<'b>(body: &'b Json, name: &str) -> Option<&'b str> {
    body.get(name).and_then(Json::as_str)
}

/// A text that must not be blank: 400.
pub fn required<'b>(body: &'b Json, name: &str) -> ApiResult<&'b str> {
    text(body, name)
        .filter(|t| !t.trim().is_empty())
        .ok_or_else(|| ApiError::bad_request(format!("{name} is required")))
}

/// A text that may be left out.
pub fn optional(body: &Json, name: &str) -> Option<String> {
    text(body, name)
        .filter(|t| !t.is_empty())
        .map(ToOwned::to_owned)
}

fn life(body: &Json) -> ApiResult<i64> {
    match body.get("expires") {
        None => Ok(LIFE),
        Some(value) => value
            .as_i64()
            .filter(|seconds| (1..=LONGEST).contains(seconds))
            .ok_or_else(|| {
                ApiError::bad_request(format!(
                    "expires must be a whole number of seconds from 1 to {LONGEST}"
                ))
            }),
    }
}

/// What a key says about itself, and for whom it speaks.
pub fn scope(group: &str, organization: Option<&str>) -> String {
    match organization {
        Some(organization) => format!("access group:{group} org:{organization}"),
        None => format!("access group:{group}"),
    }
}

/// Stores the token of a key; returns when it ends.
async fn store_token(
    app: &App,
    key: &str,
    service: &Client,
    scope: String,
    claims: &Map<String, Json>,
    seconds: i64,
) -> ApiResult<Date> {
    let now = app.now();
    let exp = now.saturating_add(seconds);
    let payload = ClientCredentials {
        iat: now,
        exp,
        jti: key.to_owned(),
        kind: "ClientCredentials".to_owned(),
        client_id: service.id.clone(),
        scope: Some(scope),
        extra: Object::from_json(&Json::Object(claims.clone())).unwrap_or_default(),
        ..ClientCredentials::default()
    };
    let record = Record::new(key.to_owned(), payload, Some(exp));
    app.store
        .of::<Record<ClientCredentials>>()
        .insert(&record)
        .await?;
    Ok(Date::from_millis(exp.saturating_mul(1000)))
}

async fn end_token(app: &App, key: &str) -> Result<(), StoreError> {
    app.store
        .of::<Record<ClientCredentials>>()
        .delete(key)
        .await
        .map(drop)
}

fn with_key(record: &ProductKey, ends: Date) -> Json {
    let mut out = record.public();
    if let Some(map) = out.as_object_mut() {
        map.insert("key".to_owned(), record.key.clone().into());
        map.insert("expiresOn".to_owned(), json!(ends));
    }
    out
}

/// Makes a key of the service with these claims, and shows it this once.
pub async fn create(
    app: &App,
    product: &Product,
    service: &Client,
    claims: &Map<String, Json>,
    author: &str,
    body: &Json,
) -> ApiResult<Json> {
    let organization = service.payload.initialized_org_context.clone();
    let now = app.date();
    let record = ProductKey {
        id: app.random.uuid(),
        created_at: now,
        modified_at: now,
        created_by: author.to_owned(),
        modified_by: author.to_owned(),
        expires: life(body)?,
        auth_group: product.auth_group.clone(),
        product_id: product.id.clone(),
        client_id: service.id.clone(),
        name: required(body, "name")?.to_owned(),
        key: app.random.token43(),
        description: optional(body, "description"),
        version: 0,
        extra: Object::default(),
        organization_id: organization,
    };
    let keys = app.store.of::<ProductKey>();
    // the record first: a token without one could not be taken back
    keys.insert(&record).await?;
    let scope = scope(&record.auth_group, record.organization_id.as_deref());
    match store_token(app, &record.key, service, scope, claims, record.expires).await {
        Ok(ends) => Ok(with_key(&record, ends)),
        Err(e) => {
            keys.delete(&record.id).await?;
            Err(e)
        }
    }
}

/// Gives the key another token with these claims and the same life from now; the old one ends.
pub async fn rotate(
    app: &App,
    record: &ProductKey,
    service: &Client,
    claims: &Map<String, Json>,
    author: &str,
) -> ApiResult<Json> {
    let key = app.random.token43();
    let scope = scope(&record.auth_group, record.organization_id.as_deref());
    let ends = store_token(app, &key, service, scope, claims, record.expires).await?;
    let now = app.date();
    let mut old = String::new();
    let changed = app
        .store
        .of::<ProductKey>()
        .update(&record.id, |stored: &mut ProductKey| {
            old.clone_from(&stored.key);
            stored.key.clone_from(&key);
            stored.modified_at = now;
            author.clone_into(&mut stored.modified_by);
            Ok::<_, StoreError>(())
        })
        .await;
    match changed {
        Ok(Some(stored)) => {
            if let Err(e) = end_token(app, &old).await {
                // the record has to name the token that still works, so that the call can be repeated
                let back = |record: &mut ProductKey| {
                    record.key.clone_from(&old);
                    Ok::<_, StoreError>(())
                };
                app.store
                    .of::<ProductKey>()
                    .update(&record.id, back)
                    .await?;
                end_token(app, &key).await?;
                return Err(e.into());
            }
            Ok(with_key(&stored, ends))
        }
        Ok(None) => {
            end_token(app, &key).await?;
            Err(ApiError::missing(&record.id))
        }
        Err(e) => {
            end_token(app, &key).await?;
            Err(e.into())
        }
    }
}

pub async fn list(app: &App, keys: Filter, pairs: &Pairs) -> ApiResult<Vec<Json>> {
    lists::documents(app, pairs, &FIELDS, keys, ProductKey::public, model::hide).await
}

pub async fn find(app: &App, keys: Filter, id: &str) -> ApiResult<ProductKey> {
    app.store
        .of::<ProductKey>()
        .find_one(keys.and(eq("_id", id)))
        .await?
        .ok_or_else(|| ApiError::missing(id))
}

/// Deletes the record and its token.
pub async fn delete(app: &App, keys: Filter, id: &str) -> ApiResult<ProductKey> {
    let gone = app
        .store
        .of::<ProductKey>()
        .take(keys.and(eq("_id", id)))
        .await?
        .ok_or_else(|| ApiError::missing(id))?;
    if let Err(e) = end_token(app, &gone.key).await {
        // put back what says which token still works, so that the call can be repeated
        app.store.of::<ProductKey>().put(&gone).await?;
        return Err(e.into());
    }
    Ok(gone)
}
