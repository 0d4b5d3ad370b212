//! Issuing access tokens: opaque ones are stored, signed ones (RFC 9068) are not.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::access::evaluate::find_organization;
use crate::access::{AccessFilter, ClientGrants, UserGrants};
use crate::accounts::Account;
use crate::app::App;
use crate::clients::Client;
use crate::gate::Ctx;
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::jose::Alg;
use crate::oidc::errors;
use crate::oidc::params::Params;
use crate::oidc::records::{AccessToken, ClientCredentials, Record};
use crate::oidc::scopes;
use crate::store::{Object, Value};

/// How long (s) a token of the server's own clients is used again, at most.
const SERVICE_TOKEN: i64 = 60;

/// Narrows the access claims of a token; form parameters of the token request.
#[derive(Debug, Clone, Default)]
pub struct AccessParams {
    pub filter: AccessFilter,
    pub context: Option<String>,
}

impl AccessParams {
    pub fn of(params: &Params) -> Self {
        let text = |name: &str| params.get(name).map(ToOwned::to_owned);
        Self {
            filter: AccessFilter {
                organization: text("x_access_filter_organization"),
                domain: text("x_access_filter_domain"),
                product: text("x_access_filter_product"),
                ..AccessFilter::default()
            },
            context: text("x_organization_context"),
        }
    }
}

/// Who a token is for.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    Account(&'a Account),
    Client,
}

/// Claims fixed at issue. For a signed token a large access object becomes a link to it.
pub async fn extra(
    ctx: &Ctx,
    tenant: &Tenant,
    client: &Client,
    subject: Subject<'_>,
    scope: &str,
    access: &AccessParams,
    signed: bool,
) -> ApiResult<Map<String, Json>> {
    let mut out = Map::new();
    out.insert("group".into(), tenant.id().into());
    if let Subject::Account(account) = subject
        && scopes::has(scope, "email")
    {
        out.insert("email".into(), account.email.clone().into());
    }
    if !scopes::wants_access(scope) {
        return Ok(out);
    }
    let wants = |part: &str| scopes::has(scope, "access") || scopes::has(scope, part);
    let mut claims = Map::new();
    let size = match subject {
        Subject::Account(account) => {
            let grants = Box::pin(UserGrants::load(
                &ctx.app.store,
                &tenant.group,
                account,
                &access.filter,
            ))
            .await?;
            let minimized = grants.minimized();
            if wants("access:group") {
                claims.insert("x-access-group".into(), grants.group_claim().into());
            }
            for (scope_part, claim, member) in [
                ("access:organizations", "x-access-organizations", "orgs"),
                ("access:domains", "x-access-domains", "domains"),
                ("access:products", "x-access-products", "products"),
                ("access:roles", "x-access-roles", "productRoles"),
                ("access:permissions", "x-access-permissions", "permissions"),
            ] {
                if let Some(value) = minimized.get(member).filter(|_| wants(scope_part)) {
                    claims.insert(claim.into(), value.clone());
                }
            }
            if wants("access:organizations")
                && let Some(id) =
                    Box::pin(organization_context(ctx, tenant, &grants, access)).await?
            {
                claims.insert("x-organization-context".into(), id.into());
            }
            weight(&Json::Object(minimized))
        }
        Subject::Client => {
            let grants = Box::pin(ClientGrants::load(&ctx.app.store, tenant.id(), client)).await?;
            if wants("access:group") {
                claims.insert("x-access-group".into(), "member".into());
            }
            if !grants.is_empty() {
                let parts = [
                    (
                        "access:products",
                        "x-access-products",
                        grants.product.clone().unwrap_or_default(),
                    ),
                    ("access:roles", "x-access-roles", grants.roles_claim()),
                    (
                        "access:permissions",
                        "x-access-permissions",
                        grants.permissions_claim(),
                    ),
                ];
                for (scope_part, claim, value) in parts {
                    if wants(scope_part) {
                        claims.insert(claim.into(), value.into());
                    }
                }
            }
            weight(&Json::Object(claims.clone()))
        }
    };
    if signed && size > ctx.app.settings.limits.access_object_bytes {
        out.insert(
            "x-access-url".into(),
            access_url(ctx, tenant, &access.filter).into(),
        );
        out.insert("x-access-method".into(), "GET".into());
    } else {
        out.extend(claims);
    }
    Ok(out)
}

/// The organization whose permissions the token shall stand for, by id. The caller must belong to it.
async fn organization_context(
    ctx: &Ctx,
    tenant: &Tenant,
    grants: &UserGrants,
    access: &AccessParams,
) -> ApiResult<Option<String>> {
    let Some(wanted) = access
        .context
        .as_deref()
        .filter(|_| !grants.organizations.is_empty())
    else {
        return Ok(None);
    };
    let found = find_organization(&ctx.app.store, tenant.id(), wanted).await?;
    let Some(organization) = found else {
        if access.filter.organization.as_deref() == Some(wanted) {
            return Ok(None);
        }
        return Err(errors::invalid_request(format!(
            "Requested x_organization_context {wanted} does not exist"
        )));
    };
    if grants
        .organizations
        .iter()
        .any(|o| o.stored.id == organization.id)
    {
        Ok(Some(organization.id))
    } else {
        Err(errors::invalid_request(format!(
            "Requesting x_organization_context to which user does not have access: {wanted}"
        )))
    }
}

fn access_url(ctx: &Ctx, tenant: &Tenant, filter: &AccessFilter) -> String {
    let base = format!(
        "{}/api/{}/access/validate",
        crate::groups::tenant::origin(&ctx.app, ctx.custom_domain.as_deref()),
        tenant.id()
    );
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [
        ("org", &filter.organization),
        ("domain", &filter.domain),
        ("product", &filter.product),
    ] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() {
        base
    } else {
        format!("{base}?{query}")
    }
}

/// Size by the contract's measure: 2 per character, 8 per number, 4 per boolean, keys included.
fn weight(value: &Json) -> usize {
    match value {
        Json::String(s) => 2 * s.encode_utf16().count(),
        Json::Number(_) => 8,
        Json::Bool(_) => 4,
        Json::Null => 0,
        Json::Array(list) => list.iter().map(weight).sum(),
        Json::Object(map) => map
            .iter()
            .map(|(k, v)| 2 * k.encode_utf16().count() + weight(v))
            .sum(),
    }
}

/// Everything an access token says.
#[derive(Debug)]
pub struct NewToken<'a> {
    pub tenant: &'a Arc<Tenant>,
    pub client: &'a Client,
    pub subject: Subject<'a>,
    pub scope: String,
    pub resource: Option<&'a str>,
    pub extra: Map<String, Json>,
    pub grant_id: Option<&'a str>,
    pub gty: &'a str,
    pub session_uid: Option<&'a str>,
    pub sid: Option<&'a str>,
    pub expires_with_session: bool,
}

/// A token and its life in seconds.
#[derive(Debug, Clone)]
pub struct Issued {
    pub token: String,
    pub expires_in: i64,
    pub signed: bool,
}

/// The algorithm of a client's signed access tokens.
fn alg(client: &Client) -> Alg {
    client
        .payload
        .text("access_token_signed_response_alg")
        .and_then(|a| a.parse().ok())
        .filter(|a| matches!(a, Alg::RS256 | Alg::PS256 | Alg::ES256 | Alg::EdDSA))
        .unwrap_or(Alg::RS256)
}

pub async fn access_token(ctx: &Ctx, new: NewToken<'_>) -> ApiResult<Issued> {
    let app = &ctx.app;
    let now = app.now();
    let for_client = matches!(new.subject, Subject::Client);
    let life = if for_client {
        new.tenant.ttl.client_credentials
    } else {
        new.tenant.ttl.access_token
    };
    if let Some(resource) = new.resource {
        let token = signed(app, &ctx.issuer()?, &new, resource, now, life)?;
        return Ok(Issued {
            token,
            expires_in: life,
            signed: true,
        });
    }
    let token = app.random.token43();
    let exp = now.saturating_add(life);
    let extra = Object::from_json(&Json::Object(new.extra)).unwrap_or_default();
    let scope = Some(new.scope).filter(|s| !s.is_empty());
    match new.subject {
        Subject::Client => {
            let payload = ClientCredentials {
                iat: now,
                exp,
                jti: token.clone(),
                kind: "ClientCredentials".into(),
                client_id: new.client.id.clone(),
                scope,
                extra,
                ..Default::default()
            };
            app.store
                .of::<Record<ClientCredentials>>()
                .insert(&Record::new(token.clone(), payload, Some(exp)))
                .await?;
        }
        Subject::Account(account) => {
            let payload = AccessToken {
                iat: now,
                exp,
                jti: token.clone(),
                kind: "AccessToken".into(),
                client_id: new.client.id.clone(),
                account_id: account.id.clone(),
                grant_id: new.grant_id.unwrap_or_default().to_owned(),
                gty: new.gty.to_owned(),
                scope,
                session_uid: new.session_uid.map(ToOwned::to_owned),
                sid: new.sid.map(ToOwned::to_owned),
                expires_with_session: new.expires_with_session,
                extra,
                ..Default::default()
            };
            app.store
                .of::<Record<AccessToken>>()
                .insert(&Record::new(token.clone(), payload, Some(exp)))
                .await?;
        }
    }
    Ok(Issued {
        token,
        expires_in: life,
        signed: false,
    })
}

/// A signed token of a client for calls that the server itself makes on the client's behalf
/// (RFC 6749 §4.4, RFC 8707). It is used again for a while.
pub fn service_token(
    app: &App,
    tenant: &Arc<Tenant>,
    client: &Client,
    scope: &str,
    resource: &str,
) -> ApiResult<Arc<str>> {
    let now = app.now();
    let key = format!("{} {} {scope} {resource}", tenant.id(), client.id);
    if let Some((token, until)) = app.service_tokens.get(&key)
        && now < until
    {
        return Ok(token);
    }
    let new = NewToken {
        tenant,
        client,
        subject: Subject::Client,
        scope: scope.to_owned(),
        resource: Some(resource),
        extra: Map::from_iter([("group".to_owned(), tenant.id().into())]),
        grant_id: None,
        gty: "client_credentials",
        session_uid: None,
        sid: None,
        expires_with_session: false,
    };
    let life = tenant.ttl.client_credentials;
    let issuer = tenant.issuer(app, None);
    let token: Arc<str> = signed(app, &issuer, &new, resource, now, life)?.into();
    let until = now.saturating_add(SERVICE_TOKEN.min(life / 2));
    app.service_tokens.insert(key, (Arc::clone(&token), until));
    Ok(token)
}

fn signed(
    app: &App,
    issuer: &str,
    new: &NewToken<'_>,
    resource: &str,
    now: i64,
    life: i64,
) -> ApiResult<String> {
    let signer = new
        .tenant
        .keys
        .signer(alg(new.client))
        .or_else(|| new.tenant.keys.signer(Alg::RS256));
    let signer = signer.ok_or_else(|| ApiError::internal("the group has no signing key"))?;
    let mut claims = new.extra.clone();
    let sub = match new.subject {
        Subject::Account(account) => &account.id,
        Subject::Client => &new.client.id,
    };
    claims.insert("jti".into(), app.random.id21().into());
    claims.insert("sub".into(), sub.clone().into());
    claims.insert("iat".into(), now.into());
    claims.insert("exp".into(), now.saturating_add(life).into());
    if !new.scope.is_empty() {
        claims.insert("scope".into(), new.scope.clone().into());
    }
    claims.insert("client_id".into(), new.client.id.clone().into());
    claims.insert("iss".into(), issuer.into());
    claims.insert("aud".into(), audience(resource));
    signer
        .sign(Some("at+jwt"), &claims)
        .map_err(ApiError::internal)
}

/// Several audiences may be given in one text, separated by spaces.
fn audience(resource: &str) -> Json {
    if resource.contains(' ') {
        json!(resource.split_whitespace().collect::<Vec<_>>())
    } else {
        resource.into()
    }
}

/// `resource` of a stored code or token: a text or a list.
pub fn resource_of(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(s)) => vec![s.clone()],
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|v| v.as_str().map(ToOwned::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}
