//! Dynamic client registration (RFC 7591) and its management (RFC 7592).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};

use crate::app::{App, LimitClass};
use crate::clients::model::SecretView;
use crate::clients::{Client, rules};
use crate::gate::{Ctx, Route, tokens};
use crate::groups::Tenant;
use crate::groups::tenant::origin;
use crate::http::error::{ApiResult, PageRule};
use crate::http::request::{Body, OIDC_BODY};
use crate::http::{ApiError, Reply, reply};
use crate::oidc::errors;
use crate::oidc::metadata::{self, Properties, Rules};
use crate::oidc::params::below_group;
use crate::oidc::records::{InitialAccessToken, Purpose, Record, RegistrationAccessToken};
use crate::products::Product;
use crate::route;
use crate::secrets::ct_eq;
use crate::store::{Object, StoreError, and, eq, or};

/// `/reg` below a group.
pub static ROUTES: &[Route] = &[
    Route {
        body: OIDC_BODY,
        ..route!(POST "/{group}/reg", [Limit(LimitClass::Registration)], create, public "takes an initial access token")
    },
    route!(GET "/{group}/reg/{id}", [], read, public "takes a registration access token"),
    Route {
        body: OIDC_BODY,
        ..route!(PUT "/{group}/reg/{id}", [], update, public "takes a registration access token")
    },
    Route {
        body: OIDC_BODY,
        ..route!(PATCH "/{group}/reg/{id}", [], patch, public "names the fault of the request, then that there is no such method")
    },
    route!(DELETE "/{group}/reg/{id}", [], delete, public "takes a registration access token"),
];

const NO_TOKEN: &str = "no access token provided";

/// Members only the server may set (RFC 7592 §2.2).
const FORBIDDEN: &[&str] = &[
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

/// All that may change about the client the group's own portal signs in with.
const PRIMARY_MAY_CHANGE: &[&str] = &[
    "client_allow_org_federation",
    "client_federation_options",
    "client_skip_consent",
    "client_allow_org_self_identify",
    "client_skip_to_federated",
    "client_optional_skip_logout_prompt",
    "client_only_passwordless",
];

/// Why a request is refused: by the protocol, with its headers, or plainly.
enum Fault {
    Protocol(ApiError),
    Plain(ApiError),
}

impl From<ApiError> for Fault {
    fn from(e: ApiError) -> Self {
        Self::Plain(e)
    }
}

impl From<StoreError> for Fault {
    fn from(e: StoreError) -> Self {
        if e.is_duplicate() {
            return Self::Plain(rules::name_conflict());
        }
        Self::Plain(e.into())
    }
}

fn refused(status: StatusCode, code: &'static str, description: impl Into<String>) -> Fault {
    Fault::Protocol(ApiError::oauth(status, code, description))
}

fn invalid_request(description: impl Into<String>) -> Fault {
    Fault::Protocol(errors::invalid_request(description))
}

fn invalid_token() -> Fault {
    refused(
        StatusCode::UNAUTHORIZED,
        "invalid_token",
        "invalid token provided",
    )
}

fn access_denied() -> Fault {
    refused(StatusCode::BAD_REQUEST, "access_denied", "")
}

fn invalid_metadata(fault: &metadata::Invalid) -> Fault {
    refused(StatusCode::BAD_REQUEST, fault.code(), fault.to_string())
}

/// Adds what the protocol says about answers: not to be kept, and a challenge on 4xx (RFC 6750 §3).
fn finish(ctx: &Ctx, outcome: Result<Reply, Fault>) -> ApiResult<Reply> {
    let e = match outcome {
        Ok(reply) => return Ok(reply::no_store(reply)),
        Err(Fault::Plain(e)) => return Err(e.page(PageRule::Never)),
        Err(Fault::Protocol(e)) => e.page(PageRule::Never),
    };
    let mut challenge = format!("Bearer realm=\"{}\"", ctx.issuer()?);
    if e.description() != Some(NO_TOKEN) {
        challenge.extend([", error=\"", &e.error, "\""]);
        if let Some(description) = e.description() {
            let text: String = description.chars().map(challenge_char).collect();
            challenge.extend([", error_description=\"", &text, "\""]);
        }
    }
    Err(e
        .header(WWW_AUTHENTICATE, challenge)
        .header(CACHE_CONTROL, "no-store"))
}

/// RFC 6750 §3 allows no quotes, backslashes or non-ASCII; descriptions may repeat input.
fn challenge_char(c: char) -> char {
    match c {
        '"' => '\'',
        ' '..='~' if c != '\\' => c,
        _ => '?',
    }
}

/// The one bearer token of a provider request: header, body or query (RFC 6750 §2).
pub fn presented_token(ctx: &Ctx) -> ApiResult<String> {
    let header = ctx.req.authorization().filter(|h| !h.is_empty());
    let body = ctx.req.field("access_token").filter(|t| !t.is_empty());
    let query = ctx.req.query("access_token");
    if query.is_some() && !ctx.app.settings.security.query_tokens {
        return Err(errors::invalid_request(
            "access tokens are not accepted in the query",
        ));
    }
    match (header, body, query) {
        (None, None, None) => Err(errors::invalid_request(NO_TOKEN)),
        (Some(header), None, None) => match header.split(' ').collect::<Vec<_>>().as_slice() {
            [scheme, token] if scheme.eq_ignore_ascii_case("bearer") => Ok((*token).to_owned()),
            [_, _] => Err(errors::invalid_request(
                "authorization header scheme must be `Bearer`",
            )),
            _ => Err(errors::invalid_request(
                "invalid authorization header value format",
            )),
        },
        (None, Some(token), None) | (None, None, Some(token)) => Ok(token.to_owned()),
        _ => Err(errors::invalid_request(
            "access token must only be provided using one mechanism",
        )),
    }
}

/// The JSON body, and nothing else.
fn properties(ctx: &Ctx) -> Result<Properties, Fault> {
    match &ctx.req.body {
        Body::Json(Json::Object(map)) => Ok(map.clone()),
        Body::Empty => Ok(Properties::new()),
        // nothing was said about the type, so the bytes mean nothing
        Body::Other(kind) if kind.is_empty() => Ok(Properties::new()),
        Body::Json(_) => Err(invalid_request("the body must be a JSON object")),
        Body::Form(_) | Body::Other(_) => Err(invalid_request(format!(
            "only application/json content-type bodies are supported on {} {}",
            ctx.req.method(),
            below_group(ctx.req.path())
        ))),
    }
}

/// Checks that come before anything of the protocol; answers the product to join, if any.
async fn guards(ctx: &Ctx, body: &Json, except: Option<&str>) -> ApiResult<Option<String>> {
    let tenant = ctx.tenant()?;
    if let Some(name) = body.get("client_name").and_then(Json::as_str)
        && rules::name_taken(&ctx.app, tenant, name, except).await?
    {
        return Err(rules::name_conflict());
    }
    let refuse = |message: &str| Err(ApiError::bad_request(message).page(PageRule::Never));
    let key = match body.get("associated_product") {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::String(key)) if key.is_empty() => return Ok(None),
        Some(Json::String(key)) => key,
        Some(_) => return refuse("Associated Product should be a string uuid"),
    };
    let found = ctx
        .app
        .store
        .of::<Product>()
        .find_one(and([
            eq("authGroup", tenant.id()),
            or([eq("_id", key.as_str()), eq("codedId", key.as_str())]),
        ]))
        .await?;
    match found {
        Some(product) => Ok(Some(product.id)),
        None => refuse("Associated Product does not exist"),
    }
}

/// The stored registration as its owner sees it, with the way to manage it.
fn registration(ctx: &Ctx, client: &Client, token: &str) -> ApiResult<Json> {
    let tenant = ctx.tenant()?;
    let segment = if ctx.typed_group.is_empty() {
        tenant.id()
    } else {
        &ctx.typed_group
    };
    let uri = format!(
        "{}/{}/reg/{}",
        origin(&ctx.app, ctx.custom_domain.as_deref()),
        escape(segment),
        escape(&client.id)
    );
    let mut out = client.public(SecretView::Shown);
    if let Some(map) = out.as_object_mut() {
        map.insert("registration_client_uri".to_owned(), json!(uri));
        map.insert("registration_access_token".to_owned(), json!(token));
    }
    Ok(out)
}

/// Percent-encodes all but unreserved characters (RFC 3986 §2.3).
fn escape(segment: &str) -> impl std::fmt::Display + '_ {
    const RESERVED: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    utf8_percent_encode(segment, RESERVED)
}

/// The product may be given by its short code; stored is its id.
fn name_product(given: &mut Properties, product: Option<&str>) {
    if let Some(id) = product {
        given.insert("associated_product".to_owned(), json!(id));
    }
}

async fn join_product(app: &App, tenant: &Tenant, product: Option<String>, client: &str) {
    let Some(product) = product else { return };
    if let Err(error) = rules::associate(app, tenant, &product, client).await {
        tracing::error!(%error, client, product, "a client could not be added to its product");
    }
}

/// Runs a change to its end even if the client of the request goes away.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    tokio::spawn(change)
        .await
        .map_err(|e| Fault::Plain(ApiError::internal(e)))?
}

/// `POST /{group}/reg` (RFC 7591 §3).
pub async fn create(ctx: Ctx) -> ApiResult<Reply> {
    let product = guards(&ctx, &ctx.req.json(), None).await?;
    let outcome = register(&ctx, product).await;
    finish(&ctx, outcome)
}

async fn register(ctx: &Ctx, product: Option<String>) -> Result<Reply, Fault> {
    let tenant = Arc::clone(ctx.tenant()?);
    let app = &ctx.app;
    let mut given = properties(ctx)?;
    let token = presented_token(ctx).map_err(Fault::Protocol)?;
    tokens::find(app, tenant.id(), &token, Purpose::ClientRegistration)
        .await?
        .ok_or_else(invalid_token)?;
    let id = app.random.uuid();
    name_product(&mut given, product.as_deref());
    given.insert("client_id".to_owned(), json!(id));
    given.insert("client_id_issued_at".to_owned(), json!(app.now()));
    given.remove("client_secret");
    given.remove("client_secret_expires_at");
    if metadata::needs_secret(&given) {
        given.insert(
            "client_secret".to_owned(),
            json!(app.random.client_secret86()),
        );
        given.insert("client_secret_expires_at".to_owned(), json!(0));
    }
    match given.get("auth_group") {
        None => {
            given.insert("auth_group".to_owned(), json!(tenant.id()));
        }
        Some(group) if group == tenant.id() => {}
        Some(_) => return Err(access_denied()),
    }
    let payload =
        metadata::validate(given, &Rules::of(app, &tenant)).map_err(|f| invalid_metadata(&f))?;
    let client = Client {
        id,
        payload,
        access: None,
        version: 0,
        extra: Object::new(),
    };
    let rat = rules::registration_token(app, &client.id);
    let change = insert(
        app.clone(),
        Arc::clone(&tenant),
        token,
        client.clone(),
        rat.clone(),
    );
    to_the_end(change).await?;
    join_product(app, &tenant, product, &client.id).await;
    let body = registration(ctx, &client, &rat.id)?;
    Ok(reply::json_with(StatusCode::CREATED, &body)?)
}

/// Takes the initial access token first, so that of many requests with it one gets a client.
async fn insert(
    app: App,
    tenant: Arc<Tenant>,
    token: String,
    client: Client,
    rat: Record<RegistrationAccessToken>,
) -> Result<(), Fault> {
    let tokens = app.store.of::<Record<InitialAccessToken>>();
    let spent = if app.settings.security.single_use_iat {
        let taken = tokens
            .take(and([
                eq("_id", token),
                eq("payload.auth_group", tenant.id()),
            ]))
            .await?;
        Some(taken.ok_or_else(invalid_token)?)
    } else {
        None
    };
    let clients = app.store.of::<Client>();
    let mut stored = clients.insert(&client).await;
    if stored.is_ok() {
        stored = app
            .store
            .of::<Record<RegistrationAccessToken>>()
            .insert(&rat)
            .await;
        if stored.is_err()
            && let Err(error) = clients.delete(&client.id).await
        {
            tracing::error!(%error, client = client.id, "a client without management token stays behind");
        }
    }
    app.clients.changed(&client.id);
    if let (Err(_), Some(spent)) = (&stored, &spent)
        && let Err(error) = tokens.insert(spent).await
    {
        tracing::error!(%error, group = tenant.id(), "an initial access token was lost by a failed registration");
    }
    Ok(stored?)
}

/// The client and the token that may manage it. A token used on another client is destroyed.
async fn managed(ctx: &Ctx) -> Result<(Client, Record<RegistrationAccessToken>), Fault> {
    let token = presented_token(ctx).map_err(Fault::Protocol)?;
    let tenant = ctx.tenant()?;
    let records = ctx.app.store.of::<Record<RegistrationAccessToken>>();
    let record = records
        .get(&token)
        .await?
        .filter(|r| {
            let p = &r.payload;
            p.kind == "RegistrationAccessToken" && (p.exp == 0 || p.exp > ctx.app.now())
        })
        .ok_or_else(invalid_token)?;
    let owner = ctx
        .app
        .store
        .of::<Client>()
        .get(&record.payload.client_id)
        .await?;
    match owner {
        Some(client) if !rules::belongs(&client, tenant) => Err(invalid_token()),
        Some(client) if client.id == ctx.req.param("id")? => Ok((client, record)),
        _ => {
            records.delete(&token).await?;
            Err(invalid_token())
        }
    }
}

/// `GET /{group}/reg/{id}` (RFC 7592 §2.1).
pub async fn read(ctx: Ctx) -> ApiResult<Reply> {
    let outcome = show(&ctx).await;
    finish(&ctx, outcome)
}

async fn show(ctx: &Ctx) -> Result<Reply, Fault> {
    let (client, token) = managed(ctx).await?;
    let body = registration(ctx, &client, &token.id)?;
    Ok(reply::json_with(StatusCode::OK, &body)?)
}

/// What an update must name before anything else is looked at.
async fn update_guards(ctx: &Ctx) -> ApiResult<Option<String>> {
    let body = ctx.req.json();
    let id = body.get("client_id").and_then(Json::as_str);
    if id.is_none_or(str::is_empty) {
        return Err(
            ApiError::bad_request("client_id should be included in the request body")
                .page(PageRule::Never),
        );
    }
    guards(ctx, &body, id).await
}

/// `PUT /{group}/reg/{id}`: the whole metadata anew (RFC 7592 §2.2).
pub async fn update(ctx: Ctx) -> ApiResult<Reply> {
    let product = update_guards(&ctx).await?;
    let outcome = replace(&ctx, product).await;
    finish(&ctx, outcome)
}

/// There is no partial update.
pub async fn patch(ctx: Ctx) -> ApiResult<Reply> {
    update_guards(&ctx).await?;
    let path = below_group(ctx.req.path());
    Err(errors::unrecognized(ctx.req.method().as_str(), path).page(PageRule::Never))
}

async fn replace(ctx: &Ctx, product: Option<String>) -> Result<Reply, Fault> {
    let tenant = Arc::clone(ctx.tenant()?);
    let app = &ctx.app;
    let mut given = properties(ctx)?;
    let (client, token) = managed(ctx).await?;
    if let Some(name) = FORBIDDEN.iter().find(|name| given.contains_key(**name)) {
        return Err(invalid_request(format!(
            "request MUST NOT include the {name} field"
        )));
    }
    given.retain(|_, value| !value.is_null() && value != "");
    name_product(&mut given, product.as_deref());
    if given.get("client_id").and_then(Json::as_str) != Some(&client.id) {
        return Err(invalid_request(
            "provided client_id does not match the authenticated client's one",
        ));
    }
    let secret = client.payload.client_secret.clone();
    if let Some(sent) = given.remove("client_secret") {
        let same = match (sent.as_str(), &secret) {
            (Some(sent), Some(secret)) => ct_eq(sent, secret),
            _ => false,
        };
        if !same {
            return Err(invalid_request(
                "provided client_secret does not match the authenticated client's one",
            ));
        }
    }
    let here = given.get("auth_group").and_then(Json::as_str) == Some(tenant.id());
    if !here || client.payload.auth_group != tenant.id() {
        return Err(access_denied());
    }
    let kept = serde_json::to_value(&client.payload).map_err(ApiError::internal)?;
    for name in ["client_id_issued_at", "client_secret_expires_at"] {
        if let Some(value) = kept.get(name) {
            given.insert(name.to_owned(), value.clone());
        }
    }
    match secret {
        Some(secret) => {
            given.insert("client_secret".to_owned(), json!(secret));
        }
        None if metadata::needs_secret(&given) => {
            given.insert(
                "client_secret".to_owned(),
                json!(app.random.client_secret86()),
            );
            given.insert("client_secret_expires_at".to_owned(), json!(0));
        }
        None => {}
    }
    let payload =
        metadata::validate(given, &Rules::of(app, &tenant)).map_err(|f| invalid_metadata(&f))?;
    let new = Client { payload, ..client };
    if tenant.group.associated_client.as_deref() == Some(new.id.as_str())
        && !only_flags_differ(&kept, &new)?
    {
        return Err(access_denied());
    }
    let rat = rules::registration_token(app, &new.id);
    to_the_end(change(app.clone(), token, new.clone(), rat.clone())).await?;
    join_product(app, &tenant, product, &new.id).await;
    let body = registration(ctx, &new, &rat.id)?;
    Ok(reply::json_with(StatusCode::OK, &body)?)
}

fn only_flags_differ(before: &Json, new: &Client) -> ApiResult<bool> {
    let fixed = |mut metadata: Json| {
        if let Some(map) = metadata.as_object_mut() {
            map.retain(|name, _| {
                metadata::is_known(name) && !PRIMARY_MAY_CHANGE.contains(&name.as_str())
            });
        }
        metadata
    };
    let after = serde_json::to_value(&new.payload).map_err(ApiError::internal)?;
    Ok(fixed(before.clone()) == fixed(after))
}

/// The old token goes first: of two updates with one token, one is made.
async fn change(
    app: App,
    old: Record<RegistrationAccessToken>,
    new: Client,
    rat: Record<RegistrationAccessToken>,
) -> Result<(), Fault> {
    let records = app.store.of::<Record<RegistrationAccessToken>>();
    let taken = records
        .take(eq("_id", old.id.as_str()))
        .await?
        .ok_or_else(invalid_token)?;
    let written = app
        .store
        .of::<Client>()
        .update(&new.id, |c| {
            // a secret that was rotated meanwhile stays rotated
            let kept = (
                c.payload.client_secret.take(),
                c.payload.client_secret_expires_at.take(),
            );
            c.payload = new.payload.clone();
            if kept.0.is_some() {
                (c.payload.client_secret, c.payload.client_secret_expires_at) = kept;
            }
            Ok::<_, StoreError>(())
        })
        .await;
    app.clients.changed(&new.id);
    let outcome = match written {
        // deleted meanwhile, and its tokens with it
        Ok(None) => return Err(invalid_token()),
        Ok(Some(_)) => records.insert(&rat).await,
        Err(e) => Err(e),
    };
    if outcome.is_err()
        && let Err(error) = records.insert(&taken).await
    {
        tracing::error!(%error, client = new.id, "a registration access token was lost by a failed update");
    }
    Ok(outcome?)
}

/// `DELETE /{group}/reg/{id}` (RFC 7592 §2.3).
pub async fn delete(ctx: Ctx) -> ApiResult<Reply> {
    rules::not_primary(
        ctx.tenant()?,
        ctx.req.param("id")?,
        "You can not delete the primary client of your auth group",
    )?;
    let outcome = remove(&ctx).await;
    finish(&ctx, outcome)
}

async fn remove(ctx: &Ctx) -> Result<Reply, Fault> {
    let (client, _) = managed(ctx).await?;
    let (app, tenant) = (ctx.app.clone(), Arc::clone(ctx.tenant()?));
    to_the_end(async move { Ok(rules::remove(&app, &tenant, &client.id).await?) }).await?;
    Ok(reply::no_content())
}

#[cfg(test)]
mod tests;
