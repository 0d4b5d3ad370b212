//! Token introspection (RFC 7662).

use std::sync::Arc;

use actix_web::http::StatusCode;
use serde_json::{Map, Value as Json, json};

use crate::accounts::Account;
use crate::gate::Ctx;
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, reply};
use crate::oidc::client_auth::{self, Endpoint};
use crate::oidc::grants::{self, Ties};
use crate::oidc::params::Params;
use crate::oidc::records::{AccessToken, ClientCredentials, Record, RefreshToken};
use crate::store::Object;

/// What the three kinds of tokens have in common.
#[derive(Debug)]
pub struct Found {
    pub kind: Kind,
    pub client_id: String,
    pub account_id: Option<String>,
    pub grant_id: Option<String>,
    pub session_uid: Option<String>,
    pub expires_with_session: bool,
    pub sid: Option<String>,
    pub scope: Option<String>,
    pub iat: i64,
    pub exp: i64,
    pub consumed: bool,
    pub extra: Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Access,
    Client,
    Refresh,
}

/// A stored token by its value, whatever its kind; the hint only says where to look first.
pub async fn find(ctx: &Ctx, token: &str, hint: Option<&str>) -> ApiResult<Option<Found>> {
    // signed tokens are not stored, and no stored one has a dot
    if token.contains('.') {
        return Ok(None);
    }
    let mut order = [Kind::Access, Kind::Client, Kind::Refresh];
    match hint {
        Some(h) if h.ends_with("refresh_token") => order.swap(0, 2),
        Some("client_credentials") => order.swap(0, 1),
        _ => {}
    }
    let store = &ctx.app.store;
    let (persons, clients, refreshing) = (
        store.of::<Record<AccessToken>>(),
        store.of::<Record<ClientCredentials>>(),
        store.of::<Record<RefreshToken>>(),
    );
    // what is at hand spares a look into the collections before it
    let known = order.into_iter().find_map(|kind| match kind {
        Kind::Access => persons.at_hand(token).map(|r| access(&r.payload)),
        Kind::Client => clients.at_hand(token).map(|r| client(&r.payload)),
        Kind::Refresh => refreshing.at_hand(token).map(|r| refresh(&r.payload)),
    });
    if known.is_some() {
        return Ok(known);
    }
    for kind in order {
        let found = match kind {
            Kind::Access => persons.read(token).await?.map(|r| access(&r.payload)),
            Kind::Client => clients.read(token).await?.map(|r| client(&r.payload)),
            Kind::Refresh => refreshing.read(token).await?.map(|r| refresh(&r.payload)),
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn access(p: &AccessToken) -> Found {
    Found {
        kind: Kind::Access,
        client_id: p.client_id.clone(),
        account_id: Some(p.account_id.clone()),
        grant_id: Some(p.grant_id.clone()),
        session_uid: p.session_uid.clone(),
        expires_with_session: p.expires_with_session,
        sid: p.sid.clone(),
        scope: p.scope.clone(),
        iat: p.iat,
        exp: p.exp,
        consumed: false,
        extra: p.extra.clone(),
    }
}

fn client(p: &ClientCredentials) -> Found {
    Found {
        kind: Kind::Client,
        client_id: p.client_id.clone(),
        account_id: None,
        grant_id: None,
        session_uid: None,
        expires_with_session: false,
        sid: None,
        scope: p.scope.clone(),
        iat: p.iat,
        exp: p.exp,
        consumed: false,
        extra: p.extra.clone(),
    }
}

fn refresh(p: &RefreshToken) -> Found {
    Found {
        kind: Kind::Refresh,
        client_id: p.client_id.clone(),
        account_id: Some(p.account_id.clone()),
        grant_id: Some(p.grant_id.clone()),
        session_uid: p.session_uid.clone(),
        expires_with_session: p.expires_with_session,
        sid: p.sid.clone(),
        scope: p.scope.clone(),
        iat: p.iat,
        exp: p.exp,
        consumed: p.consumed > 0,
        extra: Object::default(),
    }
}

/// For whom a token is good.
#[derive(Debug)]
pub enum Holder {
    Client,
    Person(Arc<Account>),
}

/// Whose token it is, if it is good now, in this group: client, person, grant and session behind
/// it must still be there.
pub async fn holder(ctx: &Ctx, token: &Found) -> ApiResult<Option<Holder>> {
    let tenant = ctx.tenant()?;
    if token.consumed || token.exp <= ctx.app.now() {
        return Ok(None);
    }
    if token
        .extra
        .get_str("group")
        .is_some_and(|g| g != tenant.id())
    {
        return Ok(None);
    }
    if crate::clients::rules::find(&ctx.app, tenant, &token.client_id)
        .await?
        .is_none()
    {
        return Ok(None);
    }
    let (Some(account), Some(grant)) = (&token.account_id, &token.grant_id) else {
        return Ok(Some(Holder::Client));
    };
    let accounts = ctx.app.store.of::<Account>();
    let ties = Ties {
        group: tenant.id(),
        account,
        client: &token.client_id,
        grant,
        session: token.session_uid.as_deref(),
        ends_with_session: token.expires_with_session,
    };
    let person = async { accounts.read(account).await.map_err(ApiError::from) };
    let (grant, person) = tokio::try_join!(grants::behind(&ctx.app, ties), person)?;
    // a resource server that only asks here must learn that somebody was blocked
    let person = person.filter(|a| grant.is_some() && a.auth_group == tenant.id() && a.is_usable());
    Ok(person.map(Holder::Person))
}

pub async fn introspect(ctx: Ctx) -> ApiResult<Reply> {
    let params = Params::of(&ctx)?;
    let auth = client_auth::authenticate(&ctx, &params, Endpoint::Introspection).await?;
    params.check_duplicates()?;
    params.require(&["token"])?;
    let inactive = || {
        Ok(reply::no_store(reply::json_with(
            StatusCode::OK,
            &json!({ "active": false }),
        )?))
    };
    let value = params.get("token").unwrap_or_default();
    let Some(token) = find(&ctx, value, params.get("token_type_hint")).await? else {
        return inactive();
    };
    // a client that proves nothing may look at its own tokens only
    if !auth.proven && token.client_id != auth.client.id {
        return inactive();
    }
    if holder(&ctx, &token).await?.is_none() {
        return inactive();
    }
    let mut out: Map<String, Json> = match token.extra.to_json() {
        Json::Object(map) => map,
        _ => Map::new(),
    };
    out.insert("active".into(), true.into());
    if let Some(account) = token.account_id {
        out.insert("sub".into(), account.into());
    }
    out.insert("client_id".into(), token.client_id.into());
    out.insert("exp".into(), token.exp.into());
    out.insert("iat".into(), token.iat.into());
    out.insert("iss".into(), ctx.issuer()?.into());
    if let Some(sid) = token.sid {
        out.insert("sid".into(), sid.into());
    }
    if let Some(scope) = token.scope {
        out.insert("scope".into(), scope.into());
    }
    if token.kind != Kind::Refresh {
        out.insert("token_type".into(), "Bearer".into());
    }
    Ok(reply::no_store(reply::json_with(StatusCode::OK, &out)?))
}
