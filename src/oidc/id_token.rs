//! ID tokens (OpenID Connect Core §2).

use serde_json::{Map, Value as Json};

use crate::accounts::Account;
use crate::clients::Client;
use crate::gate::Ctx;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::jose::{Alg, left_half_hash};
use crate::oidc::claims;

/// What an ID token is made of.
#[derive(Debug, Default)]
pub struct NewIdToken<'a> {
    pub scope: &'a str,
    /// Claims of the scopes belong in only when no userinfo-capable token comes along.
    pub with_scope_claims: bool,
    pub nonce: Option<&'a str>,
    pub access_token: Option<&'a str>,
    pub code: Option<&'a str>,
    pub state: Option<&'a str>,
    pub sid: Option<&'a str>,
    pub auth_time: Option<i64>,
    pub acr: Option<&'a str>,
    pub amr: &'a [String],
}

/// The algorithm the client registered, RS256 by default.
pub fn alg(client: &Client) -> Alg {
    client
        .payload
        .id_token_signed_response_alg
        .as_deref()
        .and_then(|a| a.parse().ok())
        .filter(|a: &Alg| !a.is_hmac())
        .unwrap_or(Alg::RS256)
}

/// Does the client ask for `sid`, because it takes back-channel logouts?
pub fn wants_sid(client: &Client) -> bool {
    client.payload.text("backchannel_logout_uri").is_some()
        && client.payload.flag("backchannel_logout_session_required")
}

/// Fails if no ID token can be made for the client.
pub fn check(ctx: &Ctx, client: &Client) -> ApiResult<()> {
    if client
        .payload
        .text("id_token_encrypted_response_alg")
        .is_some()
        || !ctx.tenant()?.keys.signs(alg(client))
    {
        return Err(ApiError::internal("no ID token can be made for the client"));
    }
    Ok(())
}

pub fn issue(
    ctx: &Ctx,
    client: &Client,
    account: &Account,
    new: &NewIdToken<'_>,
) -> ApiResult<String> {
    if client
        .payload
        .text("id_token_encrypted_response_alg")
        .is_some()
    {
        return Err(ApiError::internal("encrypted ID tokens are not available"));
    }
    let tenant = ctx.tenant()?;
    let alg = alg(client);
    let signer = tenant
        .keys
        .signer(alg)
        .ok_or_else(|| ApiError::internal("the group has no key for the client's ID tokens"))?;
    let now = ctx.app.now();
    let mut out: Map<String, Json> =
        claims::of_account(account, if new.with_scope_claims { new.scope } else { "" });
    let mut add = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            out.insert(name.to_owned(), value);
        }
    };
    add("nonce", new.nonce.map(Json::from));
    add(
        "at_hash",
        new.access_token.map(|t| left_half_hash(alg, t).into()),
    );
    add("c_hash", new.code.map(|c| left_half_hash(alg, c).into()));
    add("s_hash", new.state.map(|s| left_half_hash(alg, s).into()));
    add("sid", new.sid.filter(|_| wants_sid(client)).map(Json::from));
    add("auth_time", new.auth_time.map(Json::from));
    add("acr", new.acr.map(Json::from));
    add(
        "amr",
        (!new.amr.is_empty()).then(|| new.amr.to_vec().into()),
    );
    add("aud", Some(client.id.clone().into()));
    add("exp", Some(now.saturating_add(tenant.ttl.id_token).into()));
    add("iat", Some(now.into()));
    add("iss", Some(ctx.issuer()?.into()));
    signer.sign(Some("JWT"), &out).map_err(ApiError::internal)
}
