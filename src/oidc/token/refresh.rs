//! Refresh tokens: the first of a code, their use, and the next ones (RFC 9700 §4.14).

use serde_json::Value as Json;

use super::{Backing, Used, answer, backing, chosen_resource, token_scope};
use crate::clients::Client;
use crate::gate::Ctx;
use crate::groups::Tenant;
use crate::http::error::ApiResult;
use crate::oidc::client_auth::Authenticated;
use crate::oidc::id_token::NewIdToken;
use crate::oidc::issue::{self, AccessParams, NewToken, Subject};
use crate::oidc::params::Params;
use crate::oidc::records::{AuthorizationCode, Record, RefreshToken};
use crate::oidc::{acr, errors, grants, id_token, scopes};

/// A chain of refresh tokens is not extended beyond this age (s): one year.
const LONGEST_CHAIN: i64 = 31_557_600;

pub(super) fn first_refresh(
    ctx: &Ctx,
    tenant: &Tenant,
    client: &Client,
    code: &AuthorizationCode,
    scope: &str,
) -> Record<RefreshToken> {
    let now = ctx.app.now();
    let id = ctx.app.random.token43();
    let exp = now.saturating_add(tenant.ttl.refresh_token);
    let payload = RefreshToken {
        iat: now,
        exp,
        jti: id.clone(),
        kind: "RefreshToken".into(),
        client_id: client.id.clone(),
        account_id: code.account_id.clone(),
        grant_id: code.grant_id.clone(),
        gty: "authorization_code".into(),
        auth_time: code.auth_time,
        acr: code.acr.clone(),
        amr: code.amr.clone(),
        nonce: code.nonce.clone(),
        resource: code.resource.clone(),
        scope: Some(scope.to_owned()),
        session_uid: code.session_uid.clone(),
        sid: code.sid.clone(),
        expires_with_session: code.expires_with_session,
        iiat: now,
        rotations: Some(0),
        ..Default::default()
    };
    Record::new(id, payload, Some(exp))
}

pub(super) async fn refresh_token(
    ctx: &Ctx,
    params: &Params,
    auth: &Authenticated,
) -> ApiResult<Json> {
    params.require(&["refresh_token"])?;
    let client = &auth.client;
    let tenant = ctx.tenant()?;
    let value = params.get("refresh_token").unwrap_or_default();
    let tokens = ctx.app.store.of::<Record<RefreshToken>>();
    let stored = tokens.get(value).await?.ok_or_else(errors::invalid_grant)?;
    let now = ctx.app.now();
    let old = &stored.payload;
    if old.client_id != client.id || old.exp <= now {
        return Err(errors::invalid_grant());
    }
    let session = (old.session_uid.as_deref(), old.expires_with_session);
    let Some(Backing { grant, account }) =
        backing(ctx, client, &old.grant_id, &old.account_id, session).await?
    else {
        return Err(errors::invalid_grant());
    };
    let mut current = value.to_owned();
    if old.consumed > 0 {
        current = within_grace(ctx, old.consumed, old.successor.as_deref(), &old.grant_id).await?;
    }
    let granted = old.scope.clone().unwrap_or_default();
    let scope = match params.get("scope") {
        None => granted.clone(),
        Some(wanted) => {
            let lacking: Vec<&str> = scopes::list(wanted)
                .into_iter()
                .filter(|s| !scopes::has(&granted, s))
                .collect();
            match lacking.as_slice() {
                [] => {}
                [one] => {
                    return Err(errors::invalid_scope(
                        "refresh token missing requested scope",
                        one,
                    ));
                }
                many => {
                    return Err(errors::invalid_scope(
                        "refresh token missing requested scopes",
                        &many.join(" "),
                    ));
                }
            }
            scopes::list(wanted).join(" ")
        }
    };
    let resource = chosen_resource(params, &issue::resource_of(old.resource.as_ref()))?;
    let token_scope = token_scope(
        ctx,
        tenant,
        client,
        &grant.payload,
        resource.as_deref(),
        &scope,
    );
    let access = AccessParams::of(params);
    let mut extra = issue::extra(
        ctx,
        tenant,
        client,
        Subject::Account(&account),
        &token_scope,
        &access,
        resource.is_some(),
    )
    .await?;
    acr::note(&mut extra, old.acr.as_deref(), &old.amr);
    if scopes::has(&scope, "openid") {
        id_token::check(ctx, client)?;
    }
    if old.consumed == 0 && must_rotate(client, old, now) {
        current = rotate(ctx, tenant, &stored).await?;
    }
    let gty = refreshed(&old.gty);
    let new = NewToken {
        tenant,
        client,
        subject: Subject::Account(&account),
        scope: token_scope.clone(),
        resource: resource.as_deref(),
        extra,
        grant_id: Some(&old.grant_id),
        gty: &gty,
        session_uid: old.session_uid.as_deref(),
        sid: old.sid.as_deref(),
        expires_with_session: old.expires_with_session,
    };
    let issued = issue::access_token(ctx, new).await?;
    let id_token = NewIdToken {
        scope: &scope,
        with_scope_claims: issued.signed,
        nonce: old.nonce.as_deref(),
        access_token: Some(&issued.token),
        sid: old.sid.as_deref(),
        auth_time: (old.auth_time > 0).then_some(old.auth_time),
        acr: old.acr.as_deref(),
        amr: &old.amr,
        ..Default::default()
    };
    answer(
        ctx,
        client,
        &account,
        &scope,
        &token_scope,
        &issued,
        Some(current),
        &id_token,
    )
}

/// The grant type of what comes of a refresh token.
fn refreshed(gty: &str) -> String {
    if gty.ends_with(" refresh_token") {
        gty.to_owned()
    } else {
        format!("{gty} refresh_token")
    }
}

/// Public clients always; others once most of the token's life is over; very old chains never.
fn must_rotate(client: &Client, token: &RefreshToken, now: i64) -> bool {
    if now - token.iiat >= LONGEST_CHAIN {
        return false;
    }
    let life = (token.exp - token.iat).max(1);
    client.payload.token_auth() == "none"
        || (now - token.iat).saturating_mul(10) >= life.saturating_mul(7)
}

/// Replaces the token in one step. A racing request gets the same successor within the grace
/// period; later, whoever presents the old one again ends the whole family (RFC 9700 §4.14.2).
async fn rotate(ctx: &Ctx, tenant: &Tenant, stored: &Record<RefreshToken>) -> ApiResult<String> {
    let now = ctx.app.now();
    let tokens = ctx.app.store.of::<Record<RefreshToken>>();
    let id = ctx.app.random.token43();
    let old = &stored.payload;
    let exp = now.saturating_add(tenant.ttl.refresh_token);
    let payload = RefreshToken {
        iat: now,
        exp,
        jti: id.clone(),
        gty: refreshed(&old.gty),
        rotations: Some(old.rotations.unwrap_or(0).saturating_add(1)),
        consumed: 0,
        successor: None,
        ..old.clone()
    };
    tokens
        .insert(&Record::new(id.clone(), payload, Some(exp)))
        .await?;
    let outcome = tokens
        .update(&stored.id, |t: &mut Record<RefreshToken>| {
            if t.payload.consumed > 0 {
                return Err(Used::Already {
                    at: t.payload.consumed,
                    successor: t.payload.successor.clone(),
                });
            }
            t.payload.consumed = now;
            t.payload.successor = Some(id.clone());
            Ok(())
        })
        .await;
    match outcome {
        Ok(Some(_)) => Ok(id),
        lost => {
            tokens.delete(&id).await?;
            match lost {
                Err(Used::Already { at, successor }) => {
                    within_grace(ctx, at, successor.as_deref(), &old.grant_id).await
                }
                Err(Used::Store(e)) => Err(e.into()),
                _ => Err(errors::invalid_grant()),
            }
        }
    }
}

/// The successor of a token that was used a moment ago; reuse after that revokes the family.
async fn within_grace(
    ctx: &Ctx,
    at: i64,
    successor: Option<&str>,
    grant: &str,
) -> ApiResult<String> {
    let grace = i64::try_from(ctx.app.settings.oidc.refresh_grace_seconds).unwrap_or(0);
    if let Some(id) = successor.filter(|_| grace > 0 && ctx.app.now() - at <= grace) {
        let next = ctx.app.store.of::<Record<RefreshToken>>().get(id).await?;
        if next.is_some_and(|t| t.payload.consumed == 0) {
            return Ok(id.to_owned());
        }
    }
    grants::revoke(&ctx.app, grant).await?;
    Err(errors::invalid_grant())
}
