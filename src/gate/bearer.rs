//! Access tokens as credentials for the API (RFC 6750).

use std::sync::Arc;

use serde_json::Value as Json;

use crate::accounts::Account;
use crate::gate::caller::{Caller, Claims, ClientCaller, UserCaller};
use crate::gate::chain::Ctx;
use crate::gate::strategies::Failure;
use crate::groups::Tenant;
use crate::http::Request;
use crate::jose::{self, Alg};
use crate::oidc::grants::{self, Ties};
use crate::oidc::records::{AccessToken, ClientCredentials, Record};

/// Signatures accepted on access tokens. HMAC never: the group's keys are public.
const ALGS: &[Alg] = &[
    Alg::RS256,
    Alg::RS384,
    Alg::RS512,
    Alg::PS256,
    Alg::PS384,
    Alg::PS512,
    Alg::ES256,
    Alg::ES384,
    Alg::ES512,
    Alg::EdDSA,
];

pub const CHALLENGE: &str = "Bearer realm=\"Users\"";
pub const CHALLENGE_INVALID: &str = "Bearer realm=\"Users\", error=\"invalid_token\"";

/// Which audiences a token may have been issued for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// This API, of a client of the group.
    Own,
    Any,
}

/// Does the request carry a bearer scheme?
pub fn offered(req: &Request) -> bool {
    req.authorization()
        .and_then(|h| h.split(' ').next())
        .is_some_and(|s| s.eq_ignore_ascii_case("bearer"))
}

/// The one token of the request: from the header, the body or the query (RFC 6750 §2).
pub fn token(ctx: &Ctx) -> Result<String, Failure> {
    let mut found: Vec<String> = Vec::new();
    if let Some(header) = ctx.req.authorization() {
        let parts: Vec<&str> = header.split(' ').collect();
        let [scheme, value] = parts.as_slice() else {
            return Err(Failure::Malformed);
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            found.push((*value).to_owned());
        }
    }
    if ctx.req.field_is_not_text("access_token") {
        return Err(Failure::Malformed);
    }
    found.extend(
        ctx.req
            .field("access_token")
            .filter(|t| !t.is_empty())
            .map(ToOwned::to_owned),
    );
    if let Some(token) = ctx.req.query("access_token") {
        if !ctx.app.settings.security.query_tokens {
            return Err(Failure::Malformed);
        }
        found.push(token.to_owned());
    }
    if found.len() > 1 {
        return Err(Failure::Malformed);
    }
    found
        .pop()
        .filter(|t| !t.is_empty())
        .ok_or(Failure::Denied(CHALLENGE))
}

const INVALID: Failure = Failure::Denied(CHALLENGE_INVALID);

pub async fn authenticate(ctx: &mut Ctx, audience: Audience) -> Result<Caller, Failure> {
    let token = token(ctx)?;
    let (tenant, claims) = if is_jwt(&token) {
        signed(ctx, &token).await?
    } else {
        opaque(ctx, &token).await?
    };
    check_claims(ctx, &tenant, &claims, audience)?;
    principal(ctx, tenant, claims, token, audience).await
}

fn is_jwt(token: &str) -> bool {
    matches!(token.split('.').count(), 2 | 3)
}

fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Json::as_str)
}

/// The group that issued the token: the requested one, or root for any.
async fn subject_group(ctx: &mut Ctx, group: &str) -> Result<Arc<Tenant>, Failure> {
    if let Some(tenant) = ctx.tenant.as_ref().filter(|t| t.id() == group) {
        return Ok(Arc::clone(tenant));
    }
    let tenant = ctx
        .app
        .tenants
        .active(&ctx.app, group)
        .await?
        .filter(|t| t.is_root())
        .ok_or(INVALID)?;
    if let (Some(custom), Some(alias)) = (&ctx.custom_domain, &tenant.group.alias_dns_oidc)
        && custom != alias
    {
        return Err(INVALID);
    }
    if ctx.tenant.is_none() {
        ctx.tenant = Some(Arc::clone(&tenant));
    }
    Ok(tenant)
}

async fn signed(ctx: &mut Ctx, token: &str) -> Result<(Arc<Tenant>, Claims), Failure> {
    let (_, unverified) = jose::decode_unverified(token).map_err(|_| INVALID)?;
    let group = text(&unverified, "group").ok_or(INVALID)?.to_owned();
    let tenant = subject_group(ctx, &group).await?;
    let verified = tenant
        .verify(token, ALGS, ctx.app.now_ms())
        .map_err(|_| INVALID)?;
    jose::check_times(&verified.claims, ctx.app.now(), 0).map_err(|_| INVALID)?;
    Ok((tenant, verified.claims))
}

async fn opaque(ctx: &mut Ctx, token: &str) -> Result<(Arc<Tenant>, Claims), Failure> {
    let store = ctx.app.store.clone();
    let now = ctx.app.now();
    let mut claims = Claims::new();
    let extra;
    if let Some(found) = store.of::<Record<AccessToken>>().read(token).await? {
        let p = &found.payload;
        if p.kind != "AccessToken" || p.exp <= now || p.iat >= p.exp {
            return Err(INVALID);
        }
        let ties = Ties {
            group: p.extra.get_str("group").ok_or(INVALID)?,
            account: &p.account_id,
            client: &p.client_id,
            grant: &p.grant_id,
            session: p.session_uid.as_deref(),
            ends_with_session: p.expires_with_session,
        };
        let grant = Box::pin(grants::behind(&ctx.app, ties));
        if grant.await?.is_none() {
            return Err(INVALID);
        }
        claims.insert("sub".into(), p.account_id.clone().into());
        basics(
            &mut claims,
            p.client_id.clone(),
            p.iat,
            p.exp,
            p.jti.clone(),
            p.scope.clone(),
            p.aud.as_ref(),
        );
        extra = p.extra.to_json();
    } else if let Some(found) = store.of::<Record<ClientCredentials>>().read(token).await? {
        let p = &found.payload;
        if p.kind != "ClientCredentials" || p.exp <= now || p.iat >= p.exp {
            return Err(INVALID);
        }
        claims.insert("sub".into(), p.client_id.clone().into());
        basics(
            &mut claims,
            p.client_id.clone(),
            p.iat,
            p.exp,
            p.jti.clone(),
            p.scope.clone(),
            p.aud.as_ref(),
        );
        extra = p.extra.to_json();
    } else {
        return Err(INVALID);
    }
    if let Json::Object(extra) = extra {
        claims.extend(extra);
    }
    let group = text(&claims, "group").ok_or(INVALID)?.to_owned();
    let tenant = subject_group(ctx, &group).await?;
    let issuer = tenant.issuer(&ctx.app, ctx.custom_domain.as_deref());
    claims.insert("iss".into(), issuer.into());
    Ok((tenant, claims))
}

fn basics(
    claims: &mut Claims,
    client: String,
    iat: i64,
    exp: i64,
    jti: String,
    scope: Option<String>,
    aud: Option<&crate::store::Value>,
) {
    claims.insert("client_id".into(), client.into());
    claims.insert("iat".into(), iat.into());
    claims.insert("exp".into(), exp.into());
    claims.insert("jti".into(), jti.into());
    claims.insert("scope".into(), scope.unwrap_or_default().into());
    claims.insert("token_type".into(), "Bearer".into());
    if let Some(aud) = aud {
        claims.insert("aud".into(), crate::store::to_json(aud));
    }
}

fn check_claims(
    ctx: &Ctx,
    tenant: &Tenant,
    claims: &Claims,
    audience: Audience,
) -> Result<(), Failure> {
    // an ID token carries a nonce and names no client
    if claims.contains_key("nonce") || text(claims, "client_id").is_none() {
        return Err(INVALID);
    }
    let issuers = tenant.issuers(&ctx.app, ctx.custom_domain.as_deref());
    if !text(claims, "iss").is_some_and(|iss| issuers.iter().any(|i| i == iss)) {
        return Err(INVALID);
    }
    if text(claims, "group") != Some(tenant.id()) {
        return Err(INVALID);
    }
    if audience == Audience::Own {
        let ours = |v: &Json| v.as_str().is_some_and(|a| issuers.iter().any(|i| i == a));
        let accepted = match claims.get("aud") {
            None | Some(Json::Null) => true,
            Some(Json::Array(list)) => list.iter().any(ours),
            Some(one) => ours(one),
        };
        let azp = text(claims, "azp");
        let foreign_azp = azp.is_some_and(|a| {
            text(claims, "sub").is_some_and(|s| s != a)
                && tenant.group.associated_client.as_deref() != Some(a)
        });
        if !accepted || foreign_azp {
            return Err(INVALID);
        }
    }
    Ok(())
}

async fn principal(
    ctx: &Ctx,
    tenant: Arc<Tenant>,
    claims: Claims,
    token: String,
    audience: Audience,
) -> Result<Caller, Failure> {
    let client_id = text(&claims, "client_id").ok_or(INVALID)?.to_owned();
    let sub = text(&claims, "sub").unwrap_or(&client_id).to_owned();
    if sub == client_id {
        let client = crate::clients::rules::find(&ctx.app, &tenant, &client_id)
            .await?
            .ok_or(INVALID)?;
        return Ok(Caller::Client(Box::new(ClientCaller {
            client,
            claims,
            tenant,
            token,
        })));
    }
    if audience == Audience::Own
        && tenant.group.associated_client.as_deref() != Some(client_id.as_str())
        && crate::clients::rules::find(&ctx.app, &tenant, &client_id)
            .await?
            .is_none()
    {
        return Err(INVALID);
    }
    let account = ctx
        .app
        .store
        .of::<Account>()
        .read(&sub)
        .await?
        .filter(|a| a.auth_group == tenant.id() && a.is_usable())
        .ok_or(INVALID)?;
    // a token of another person who had this id before
    let issued = claims.get("iat").and_then(Json::as_i64);
    if issued.is_some_and(|iat| iat < account.created_at.as_millis().div_euclid(1000)) {
        return Err(INVALID);
    }
    Ok(Caller::User(Box::new(UserCaller {
        account,
        claims,
        tenant,
        token,
    })))
}
