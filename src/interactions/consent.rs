//! The consent page: what a client asks for, in full or not at all.

use actix_web::http::StatusCode;

use crate::gate::Ctx;
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply};
use crate::interactions::look::Look;
use crate::interactions::state::Open;
use crate::interactions::ways::Ways;
use crate::oidc::grants;
use crate::oidc::prompts::consented_of;
use crate::oidc::scopes;
use crate::pages::{Consent, OfflineAccess, Page, ResourceScopes};
use crate::store::Object;

pub async fn show(ctx: &Ctx, open: Open) -> ApiResult<Reply> {
    let silent = open.client.payload.client_skip_consent == Some(true)
        || ctx.tenant()?.group.config.global_skip_authorize == Some(true)
        || open.interaction.federated;
    if silent {
        grant(ctx, &open).await
    } else {
        page(ctx, &open).await
    }
}

/// `POST /{group}/interaction/{uid}/confirm`
pub async fn confirm(ctx: Ctx) -> ApiResult<Reply> {
    let open = Open::load(&ctx).await?;
    open.must_ask("consent")?;
    open.check_form(&ctx)?;
    grant(&ctx, &open).await
}

async fn grant(ctx: &Ctx, open: &Open) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?;
    let session = open
        .interaction
        .session
        .as_ref()
        .ok_or_else(|| ApiError::bad_request("Sign in before you consent"))?;
    let consented = consented_of(&open.interaction.prompt);
    let existing = match &open.interaction.grant_id {
        Some(id) => grants::find(&ctx.app, id, &session.account_id, &open.client.id)
            .await?
            .map(|g| g.id.clone()),
        None => None,
    };
    let id = grants::consent(
        &ctx.app,
        existing.as_deref(),
        &session.account_id,
        &open.client.id,
        &consented,
        tenant.ttl.grant,
    )
    .await?;
    let mut consent = Object::default();
    consent.insert("grantId", id);
    let mut result = Object::default();
    result.insert("consent", consent);
    open.finish(ctx, result, true).await
}

async fn page(ctx: &Ctx, open: &Open) -> ApiResult<Reply> {
    let look = Look::of(ctx)?.for_client(Some(&open.client));
    let consented = consented_of(&open.interaction.prompt);
    let requested = open.param("scope").unwrap_or_default();
    let offline = scopes::has(requested, "offline_access").then(|| {
        if consented.openid.iter().any(|s| s == "offline_access") {
            OfflineAccess::New
        } else {
            OfflineAccess::Previously
        }
    });
    let action = open.path(ctx, "/confirm")?;
    let set_up = format!("{}/recover-mfa", look.base());
    let devices = Ways::of(ctx).await?.mfa;
    let cancel = open.path(ctx, "/abort")?;
    let page = Consent {
        shell: look.shell("Authorize"),
        client_name: &open.client.payload.client_name,
        action: &action,
        csrf: open.csrf(),
        cancel_url: &cancel,
        scopes: consented
            .openid
            .iter()
            .map(String::as_str)
            .filter(|s| !matches!(*s, "openid" | "offline_access"))
            .collect(),
        claims: Vec::new(),
        resources: consented
            .resources
            .iter()
            .map(|(resource, scopes)| ResourceScopes {
                resource,
                scopes: scopes.iter().map(String::as_str).collect(),
            })
            .collect(),
        offline_access: offline,
        device_setup_url: devices.then_some(set_up.as_str()),
        debug: None,
    };
    Ok(look.page(StatusCode::OK, page.html()))
}
