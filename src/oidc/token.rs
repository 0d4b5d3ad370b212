//! The token endpoint (RFC 6749 §3.2, RFC 7636 §4.6, RFC 8707 §2.2, RFC 9700 §4.14).

mod refresh;

use std::sync::Arc;

use actix_web::http::StatusCode;
use serde_json::{Value as Json, json};

use crate::accounts::Account;
use crate::clients::Client;
use crate::gate::Ctx;
use crate::groups::Tenant;
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, reply};
use crate::jose;
use crate::oidc::authorize::{check_pkce_format, check_token_resource};
use crate::oidc::client_auth::{self, Authenticated, Endpoint};
use crate::oidc::grants::Ties;
use crate::oidc::id_token::{self, NewIdToken};
use crate::oidc::issue::{self, AccessParams, NewToken, Subject};
use crate::oidc::params::Params;
use crate::oidc::records::{AuthorizationCode, Grant, Record, RefreshToken};
use crate::oidc::{acr, errors, grants, scopes};
use crate::secrets;
use crate::store::StoreError;

use refresh::{first_refresh, refresh_token};

pub async fn token(ctx: Ctx) -> ApiResult<Reply> {
    let params = Params::of(&ctx)?;
    ctx.app
        .limits
        .check(crate::app::LimitClass::Token, &ctx.peer())?;
    let auth = client_auth::authenticate(&ctx, &params, Endpoint::Token).await?;
    let grant_type = params
        .get("grant_type")
        .ok_or_else(|| errors::invalid_request("missing required parameter 'grant_type'"))?;
    if !matches!(
        grant_type,
        "authorization_code" | "refresh_token" | "client_credentials"
    ) {
        return Err(errors::unsupported_grant_type());
    }
    if !auth.client.payload.has_grant(grant_type) {
        return Err(errors::unauthorized_client(
            "requested grant type is not allowed for this client",
        ));
    }
    params.check_duplicates()?;
    // boxed, so that the smallest of them does not need the room of the largest
    let (body, grant) = match grant_type {
        "authorization_code" => (
            Box::pin(authorization_code(&ctx, &params, &auth)).await?,
            "authorization_code",
        ),
        "refresh_token" => (
            Box::pin(refresh_token(&ctx, &params, &auth)).await?,
            "refresh_token",
        ),
        _ => (
            Box::pin(client_credentials(&ctx, &params, &auth)).await?,
            "client_credentials",
        ),
    };
    ctx.app.metrics.issued(grant);
    Ok(reply::no_store(reply::json_with(StatusCode::OK, &body)?))
}

async fn client_credentials(ctx: &Ctx, params: &Params, auth: &Authenticated) -> ApiResult<Json> {
    // knowing a client's id proves nothing (RFC 6749 §4.4: confidential clients only)
    if !auth.proven {
        return Err(errors::unauthorized_client(
            "client_credentials requires a client that authenticates with a secret or key",
        ));
    }
    let tenant = ctx.tenant()?;
    let client = &auth.client;
    let requested = params.get("scope").unwrap_or_default();
    if scopes::not_allowed(&ctx.app, tenant, client, requested).is_some() {
        return Err(errors::invalid_scope(
            "requested scope is not allowed",
            requested,
        ));
    }
    let mut wanted = params.all("resource");
    if wanted.is_empty() {
        wanted = params.all("audience");
    }
    let resource = match wanted.as_slice() {
        [] => None,
        [one] => Some(*one),
        _ => {
            return Err(errors::invalid_target(
                "only a single resource indicator value is supported for this grant type",
            ));
        }
    };
    if let Some(resource) = resource {
        check_token_resource(resource)?;
    }
    let scope = match resource {
        Some(_) => scopes::for_resource(&ctx.app, tenant, client, requested),
        None => scopes::requested_static(&ctx.app, tenant, requested),
    }
    .join(" ");
    let extra = issue::extra(
        ctx,
        tenant,
        client,
        Subject::Client,
        &scope,
        &AccessParams::default(),
        resource.is_some(),
    )
    .await?;
    let new = NewToken {
        tenant,
        client,
        subject: Subject::Client,
        scope: scope.clone(),
        resource,
        extra,
        grant_id: None,
        gty: "client_credentials",
        session_uid: None,
        sid: None,
        expires_with_session: false,
    };
    let issued = issue::access_token(ctx, new).await?;
    let mut body = json!({ "access_token": issued.token, "expires_in": issued.expires_in, "token_type": "Bearer" });
    if !scope.is_empty() {
        set(&mut body, "scope", scope.into());
    }
    Ok(body)
}

fn set(body: &mut Json, name: &str, value: Json) {
    if let Some(map) = body.as_object_mut() {
        map.insert(name.to_owned(), value);
    }
}

/// What a code or a refresh token stands for.
struct Backing {
    grant: Arc<Record<Grant>>,
    account: Arc<Account>,
}

/// The grant and the account behind a code or token, if all still fit.
async fn backing(
    ctx: &Ctx,
    client: &Client,
    grant: &str,
    account: &str,
    (session, ends_with_session): (Option<&str>, bool),
) -> ApiResult<Option<Backing>> {
    let group = ctx.group_id()?;
    let accounts = ctx.app.store.of::<Account>();
    let ties = Ties {
        group,
        account,
        client: &client.id,
        grant,
        session,
        ends_with_session,
    };
    let person = async { accounts.read(account).await.map_err(ApiError::from) };
    let (grant, person) = tokio::try_join!(grants::behind(&ctx.app, ties), person)?;
    let person = person.filter(|a| a.auth_group == group && a.is_usable());
    Ok(grant
        .zip(person)
        .map(|(grant, account)| Backing { grant, account }))
}

/// Ends a compare-and-set because the code or token was used before.
enum Used {
    Already { at: i64, successor: Option<String> },
    Store(StoreError),
}

impl From<StoreError> for Used {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

async fn authorization_code(ctx: &Ctx, params: &Params, auth: &Authenticated) -> ApiResult<Json> {
    let client = &auth.client;
    let mut params = params.clone();
    if params.get("redirect_uri").is_none()
        && let [only] = client.payload.redirect_uris.as_slice()
    {
        params.set("redirect_uri", only.clone());
    }
    if params.get("code").is_none() || params.get("redirect_uri").is_none() {
        params.require(&["code", "redirect_uri"])?;
    }
    if let Some(verifier) = params.get("code_verifier") {
        check_pkce_format("code_verifier", verifier).map_err(errors::invalid_request)?;
    }
    let value = params.get("code").unwrap_or_default();
    let codes = ctx.app.store.of::<Record<AuthorizationCode>>();
    let code = codes
        .get(value)
        .await?
        .ok_or_else(errors::invalid_grant)?
        .payload;
    let now = ctx.app.now();
    if code.client_id != client.id || code.exp <= now {
        return Err(errors::invalid_grant());
    }
    let session = (code.session_uid.as_deref(), code.expires_with_session);
    let Some(Backing { grant, account }) =
        backing(ctx, client, &code.grant_id, &code.account_id, session).await?
    else {
        return Err(errors::invalid_grant());
    };
    check_verifier(&code, params.get("code_verifier"))?;
    if code.redirect_uri.as_deref() != params.get("redirect_uri") {
        return Err(errors::invalid_grant());
    }
    // only whoever could have used the code may end the grant by using it twice
    if code.consumed > 0 {
        grants::revoke(&ctx.app, &code.grant_id).await?;
        return Err(errors::invalid_grant());
    }
    let resource = chosen_resource(&params, &issue::resource_of(code.resource.as_ref()))?;
    let scope = code.scope.clone().unwrap_or_default();
    let tenant = ctx.tenant()?;
    let token_scope = token_scope(
        ctx,
        tenant,
        client,
        &grant.payload,
        resource.as_deref(),
        &scope,
    );
    let access = AccessParams::of(&params);
    // all that can fail for the client's own mistakes has to fail before the code is used up
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
    acr::note(&mut extra, code.acr.as_deref(), &code.amr);
    if scopes::has(&scope, "openid") {
        id_token::check(ctx, client)?;
    }
    let outcome = codes
        .update(value, |c: &mut Record<AuthorizationCode>| {
            if c.payload.consumed > 0 {
                return Err(Used::Already {
                    at: c.payload.consumed,
                    successor: None,
                });
            }
            c.payload.consumed = now;
            Ok(())
        })
        .await;
    match outcome {
        Ok(Some(_)) => {}
        Ok(None) => return Err(errors::invalid_grant()),
        Err(Used::Already { .. }) => {
            grants::revoke(&ctx.app, &code.grant_id).await?;
            return Err(errors::invalid_grant());
        }
        Err(Used::Store(e)) => return Err(e.into()),
    }
    let offline =
        scopes::has(&scope, "offline_access") && client.payload.has_grant("refresh_token");
    let refresh = offline.then(|| first_refresh(ctx, tenant, client, &code, &scope));
    let refreshes = ctx.app.store.of::<Record<RefreshToken>>();
    let new = NewToken {
        tenant,
        client,
        subject: Subject::Account(&account),
        scope: token_scope.clone(),
        resource: resource.as_deref(),
        extra,
        grant_id: Some(&code.grant_id),
        gty: "authorization_code",
        session_uid: code.session_uid.as_deref(),
        sid: code.sid.as_deref(),
        expires_with_session: code.expires_with_session,
    };
    let store_refresh = async {
        match &refresh {
            Some(token) => refreshes.insert(token).await.map_err(ApiError::from),
            None => Ok(()),
        }
    };
    let (issued, ()) = tokio::try_join!(issue::access_token(ctx, new), store_refresh)?;
    let id_token = NewIdToken {
        scope: &scope,
        with_scope_claims: issued.signed,
        nonce: code.nonce.as_deref(),
        access_token: Some(&issued.token),
        sid: code.sid.as_deref(),
        auth_time: (code.auth_time > 0).then_some(code.auth_time),
        acr: code.acr.as_deref(),
        amr: &code.amr,
        ..Default::default()
    };
    answer(
        ctx,
        client,
        &account,
        &scope,
        &token_scope,
        &issued,
        refresh.map(|r| r.id),
        &id_token,
    )
}

/// A challenge needs its verifier, and a verifier its challenge (RFC 9700 §2.1.1: no downgrade).
fn check_verifier(code: &AuthorizationCode, verifier: Option<&str>) -> ApiResult<()> {
    let fits = match (&code.code_challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            secrets::ct_eq(jose::s256_challenge(verifier), challenge)
        }
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(errors::invalid_grant())
    }
}

/// The one resource of this request, out of those that were granted.
fn chosen_resource(params: &Params, granted: &[String]) -> ApiResult<Option<String>> {
    match params.all("resource").as_slice() {
        [] => match granted {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            _ => Err(errors::invalid_target(
                "only a single resource indicator value must be requested/resolved during Access Token Request",
            )),
        },
        [one] if granted.iter().any(|g| g == one) => Ok(Some((*one).to_owned())),
        [_] => Err(errors::invalid_target(
            "resource indicator is missing, or unknown",
        )),
        _ => Err(errors::invalid_target(
            "only a single resource indicator value must be requested/resolved during Access Token Request",
        )),
    }
}

fn token_scope(
    ctx: &Ctx,
    tenant: &Arc<Tenant>,
    client: &Client,
    grant: &Grant,
    resource: Option<&str>,
    scope: &str,
) -> String {
    if let Some(resource) = resource {
        let granted = grant
            .resources
            .get(resource)
            .map(String::as_str)
            .unwrap_or_default();
        scopes::for_resource(&ctx.app, tenant, client, scope)
            .into_iter()
            .filter(|s| scopes::has(granted, s))
            .collect::<Vec<_>>()
            .join(" ")
    } else {
        let granted = grant.openid_scope().unwrap_or_default();
        scopes::list(scope)
            .into_iter()
            .filter(|s| scopes::has(granted, s))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[allow(clippy::too_many_arguments)]
fn answer(
    ctx: &Ctx,
    client: &Client,
    account: &Account,
    scope: &str,
    token_scope: &str,
    issued: &issue::Issued,
    refresh: Option<String>,
    id_token: &NewIdToken<'_>,
) -> ApiResult<Json> {
    let mut body = json!({
        "access_token": issued.token,
        "expires_in": issued.expires_in,
        "scope": token_scope,
        "token_type": "Bearer",
    });
    if scopes::has(scope, "openid") {
        set(
            &mut body,
            "id_token",
            id_token::issue(ctx, client, account, id_token)?.into(),
        );
    }
    if let Some(token) = refresh {
        set(&mut body, "refresh_token", token.into());
    }
    Ok(body)
}
