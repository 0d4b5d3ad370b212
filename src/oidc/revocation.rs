//! Token revocation (RFC 7009).

use actix_web::HttpResponse;

use crate::gate::Ctx;
use crate::http::Reply;
use crate::http::error::ApiResult;
use crate::oidc::client_auth::{self, Endpoint};
use crate::oidc::introspection::{self, Kind};
use crate::oidc::params::Params;
use crate::oidc::records::{AccessToken, ClientCredentials, Record};
use crate::oidc::{errors, grants};

/// 200 also for tokens that are unknown or not stored (§2.2).
pub async fn revoke(ctx: Ctx) -> ApiResult<Reply> {
    let params = Params::of(&ctx)?;
    let auth = client_auth::authenticate(&ctx, &params, Endpoint::Revocation).await?;
    params.check_duplicates()?;
    params.require(&["token"])?;
    let value = params.get("token").unwrap_or_default();
    let done = || {
        Ok(HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .body(""))
    };
    let Some(token) = introspection::find(&ctx, value, params.get("token_type_hint")).await? else {
        return done();
    };
    let ours = crate::clients::rules::find(&ctx.app, ctx.tenant()?, &token.client_id)
        .await?
        .is_some();
    if !ours {
        return done();
    }
    if token.client_id != auth.client.id {
        return Err(errors::invalid_request("this token does not belong to you"));
    }
    match token.kind {
        Kind::Access => {
            ctx.app
                .store
                .of::<Record<AccessToken>>()
                .delete(value)
                .await?;
        }
        Kind::Client => {
            ctx.app
                .store
                .of::<Record<ClientCredentials>>()
                .delete(value)
                .await?;
        }
        Kind::Refresh => {
            grants::revoke(&ctx.app, token.grant_id.as_deref().unwrap_or_default()).await?;
        }
    }
    done()
}
