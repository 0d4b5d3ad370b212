//! The UserInfo endpoint (OpenID Connect Core §5.3).

use actix_web::http::StatusCode;

use crate::gate::Ctx;
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, reply};
use crate::oidc::introspection::{self, Holder, Kind};
use crate::oidc::params::Params;
use crate::oidc::{claims, errors, scopes};

/// The one access token of a request (RFC 6750 §2).
pub fn presented(ctx: &Ctx, params: &Params) -> ApiResult<String> {
    let issuer = ctx.issuer()?;
    let refused = |description: &str, named| {
        errors::bearer(
            &issuer,
            StatusCode::BAD_REQUEST,
            "invalid_request",
            description,
            named,
        )
    };
    let mut found = Vec::new();
    if let Some(header) = ctx.req.authorization() {
        let parts: Vec<&str> = header.split(' ').collect();
        match parts.as_slice() {
            [scheme, token] if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => {
                found.push((*token).to_owned());
            }
            _ => return Err(refused("invalid authorization header value format", true)),
        }
    }
    if let Some(token) = params.get("access_token") {
        found.push(token.to_owned());
    }
    if let Some(token) = ctx
        .req
        .query("access_token")
        .filter(|_| *ctx.req.method() == actix_web::http::Method::POST)
    {
        found.push(token.to_owned());
    }
    if ctx.req.query("access_token").is_some() && !ctx.app.settings.security.query_tokens {
        return Err(refused("access tokens are not accepted in the query", true));
    }
    match found.len() {
        0 => Err(refused("no access token provided", false)),
        1 => Ok(found.remove(0)),
        _ => Err(refused(
            "access token must only be provided using one mechanism",
            true,
        )),
    }
}

pub async fn userinfo(ctx: Ctx) -> ApiResult<Reply> {
    let params = Params::of(&ctx)?;
    let token = presented(&ctx, &params)?;
    let issuer = ctx.issuer()?;
    let invalid = || {
        errors::bearer(
            &issuer,
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "invalid token provided",
            true,
        )
    };
    let found = introspection::find(&ctx, &token, None)
        .await?
        .filter(|t| t.kind == Kind::Access)
        .ok_or_else(invalid)?;
    let Some(Holder::Person(account)) = introspection::holder(&ctx, &found).await? else {
        return Err(invalid());
    };
    let scope = found.scope.as_deref().unwrap_or_default();
    let lacking = |description: &str, scope: &str| -> ApiError {
        errors::bearer(
            &issuer,
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            description,
            true,
        )
        .with("scope", scope)
    };
    if !scopes::has(scope, "openid") {
        return Err(lacking("access token missing openid scope", "openid"));
    }
    let mut narrowed = scope.to_owned();
    if let Some(wanted) = params.get("scope") {
        if let Some(missing) = scopes::list(wanted)
            .into_iter()
            .find(|s| !scopes::has(scope, s))
        {
            return Err(lacking("access token missing requested scope", missing));
        }
        wanted.clone_into(&mut narrowed);
    }
    Ok(reply::no_store(reply::json_with(
        StatusCode::OK,
        &claims::of_account(&account, &narrowed),
    )?))
}
