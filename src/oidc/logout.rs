//! RP-initiated and back-channel logout (OpenID Connect RP-Initiated Logout 1.0, Back-Channel Logout 1.0).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use futures_util::future::join_all;
use serde_json::json;

use crate::clients::{Client, rules};
use crate::gate::Ctx;
use crate::groups::tenant::origin;
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, reply};
use crate::interactions::look::Look;
use crate::oidc::authorize::verify_hint;
use crate::oidc::params::Params;
use crate::oidc::records::LogoutState;
use crate::oidc::sessions::Browser;
use crate::oidc::{grants, id_token};
use crate::pages::{AutoSubmit, Logout, LogoutCancel, LogoutSuccess, Page};
use crate::secrets;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn refused(description: &str) -> ApiError {
    ApiError::oauth(StatusCode::BAD_REQUEST, "invalid_request", description)
}

fn base(ctx: &Ctx) -> ApiResult<String> {
    let tenant = ctx.tenant()?;
    let segment = if ctx.typed_group.is_empty() {
        tenant.id()
    } else {
        &ctx.typed_group
    };
    Ok(format!(
        "{}/{segment}",
        origin(&ctx.app, ctx.custom_domain.as_deref())
    ))
}

/// `GET|POST /{group}/session/end`
pub async fn end(ctx: Ctx) -> ApiResult<Reply> {
    let params = Params::of(&ctx)?;
    params.check_duplicates()?;
    let tenant = Arc::clone(ctx.tenant()?);
    let (client, hinted) = client_of(&ctx, &params).await?;
    let post_logout = params
        .get("post_logout_redirect_uri")
        .filter(|_| client.is_some());
    if let (Some(client), Some(uri)) = (&client, post_logout)
        && !client
            .payload
            .post_logout_redirect_uris
            .iter()
            .any(|u| u == uri)
    {
        return Err(refused("post_logout_redirect_uri not registered"));
    }
    let mut browser = Browser::load(&ctx).await?;
    let xsrf = ctx.app.random.hex(48);
    let state = LogoutState {
        secret: xsrf.clone(),
        client_id: client.as_ref().map(|c| c.id.clone()),
        state: params.get("state").map(ToOwned::to_owned),
        post_logout_redirect_uri: post_logout.map(ToOwned::to_owned),
    };
    let signed_in = browser.view().account_id.is_some();
    // the hint must be of the very person who is signed in
    let by_request = ctx.req.query("skipPrompt") == Some("true")
        && hinted.is_some()
        && hinted == browser.view().account_id;
    let by_client = client
        .as_ref()
        .is_some_and(|c| c.payload.client_optional_skip_logout_prompt == Some(true));
    let by_group = tenant.group.config.global_skip_logout_confirm == Some(true);
    if signed_in && (by_request || by_client || by_group) {
        browser.set_state(Some(state));
        return finish(&ctx, browser, true).await;
    }
    browser.set_state(Some(state));
    let action = format!("{}/session/end/confirm", base(&ctx)?);
    let look = Look::of(&ctx)?;
    let answer = if !signed_in {
        let page = AutoSubmit {
            shell: look.shell("Log Out"),
            id: Some("op.logoutForm"),
            action: &action,
            fields: vec![("xsrf".into(), xsrf), ("logout".into(), "yes".into())],
        };
        look.page(StatusCode::OK, page.html())
    } else if ctx.req.query("json") == Some("true") {
        reply::json_with(
            StatusCode::OK,
            &json!({ "action": "Log Out", "confirmUri": action, "xsrf": xsrf }),
        )?
    } else {
        let look = look.for_client(client.as_deref());
        let name = client
            .as_ref()
            .map(|c| c.payload.client_name.as_str())
            .or(tenant.group.config.default_logout_name.as_deref())
            .unwrap_or(&tenant.group.name);
        let cancel = cancel_uri(&ctx, client.as_deref());
        let page = Logout {
            shell: look.shell("Log Out"),
            action: &action,
            xsrf: &xsrf,
            name,
            cancel: cancel
                .as_deref()
                .map_or(LogoutCancel::Submit, LogoutCancel::Link),
        };
        look.page(StatusCode::OK, page.html())
    };
    browser.finish(&ctx, reply::no_store(answer)).await
}

/// The client a logout is for, and the subject of a valid hint.
async fn client_of(ctx: &Ctx, params: &Params) -> ApiResult<(Option<Arc<Client>>, Option<String>)> {
    let tenant = ctx.tenant()?;
    if let Some(hint) = params.get("id_token_hint") {
        let (_, claims) = crate::jose::decode_unverified(hint)
            .map_err(|_| refused("could not decode id_token_hint"))?;
        let aud = claims
            .get("aud")
            .and_then(|v| v.as_str())
            .unwrap_or_default()
            .to_owned();
        if params.get("client_id").is_some_and(|id| id != aud) {
            return Err(refused(
                "client_id does not match the provided id_token_hint",
            ));
        }
        let client = rules::find(&ctx.app, tenant, &aud).await?.ok_or_else(|| {
            ApiError::oauth(
                StatusCode::BAD_REQUEST,
                "invalid_client",
                "unrecognized id_token_hint audience",
            )
        })?;
        let (sub, _) =
            verify_hint(ctx, hint).ok_or_else(|| refused("could not validate id_token_hint"))?;
        return Ok((Some(client), Some(sub)));
    }
    match params.get("client_id") {
        None => Ok((None, None)),
        Some(id) => match rules::find(&ctx.app, tenant, id).await? {
            Some(client) => Ok((Some(client), None)),
            None => Err(ApiError::oauth(
                StatusCode::BAD_REQUEST,
                "invalid_client",
                "client is invalid",
            )),
        },
    }
}

/// Where "cancel" leads: only to addresses that are registered for the client or the group.
fn cancel_uri(ctx: &Ctx, client: Option<&Client>) -> Option<String> {
    let tenant = ctx.tenant.as_ref()?;
    if let (Some(wanted), Some(client)) = (ctx.req.query("onCancel"), client)
        && is_known_host(client, wanted)
    {
        return Some(wanted.to_owned());
    }
    return_uri(ctx, tenant, client)
}

fn is_known_host(client: &Client, url: &str) -> bool {
    let host = |u: &str| {
        url::Url::parse(u)
            .ok()
            .filter(|u| matches!(u.scheme(), "http" | "https"))
            .and_then(|u| u.host_str().map(ToOwned::to_owned))
    };
    let Some(wanted) = host(url) else {
        return false;
    };
    let p = &client.payload;
    p.redirect_uris
        .iter()
        .chain(&p.post_logout_redirect_uris)
        .map(String::as_str)
        .chain(p.text("client_uri"))
        .any(|u| host(u).as_ref() == Some(&wanted))
}

fn return_uri(
    ctx: &Ctx,
    tenant: &crate::groups::Tenant,
    client: Option<&Client>,
) -> Option<String> {
    client
        .and_then(|c| c.payload.text("client_uri").map(ToOwned::to_owned))
        .or_else(|| tenant.group.config.default_logout_redirect.clone())
        .or_else(|| {
            client
                .filter(|c| tenant.group.associated_client.as_deref() == Some(c.id.as_str()))
                .map(|_| tenant.portal(&ctx.app))
        })
}

/// `POST /{group}/session/end/confirm`
pub async fn confirm(ctx: Ctx) -> ApiResult<Reply> {
    let params = Params::of(&ctx)?;
    params.check_duplicates()?;
    let browser = Browser::load(&ctx).await?;
    let state = browser
        .view()
        .state
        .clone()
        .ok_or_else(|| refused("could not find logout details"))?;
    if !secrets::ct_eq(&state.secret, params.get("xsrf").unwrap_or_default()) {
        return Err(refused("xsrf token invalid"));
    }
    finish(&ctx, browser, params.get("logout").is_some()).await
}

/// Logs out, or only the client that asked, and goes where the client wants to go.
async fn finish(ctx: &Ctx, mut browser: Browser, everything: bool) -> ApiResult<Reply> {
    let state = browser.view().state.clone().unwrap_or_default();
    if everything {
        end_session(ctx, &mut browser).await?;
    } else if let Some(client) = &state.client_id {
        leave_client(ctx, &mut browser, client).await?;
    }
    browser.set_state(None);
    let to = if let Some(uri) = &state.post_logout_redirect_uri {
        with_query(uri, "state", state.state.as_deref())
    } else {
        let success = format!("{}/session/end/success", base(ctx)?);
        with_query(
            &success,
            "client_id",
            state.client_id.as_deref().filter(|_| !everything),
        )
    };
    browser
        .finish(ctx, reply::no_store(reply::see_other(&to)?))
        .await
}

fn with_query(uri: &str, name: &str, value: Option<&str>) -> String {
    let Ok(mut url) = url::Url::parse(uri) else {
        return uri.to_owned();
    };
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, value);
    }
    url.into()
}

/// Ends the whole session: tells every client that wants to know, revokes what does not
/// outlive it, deletes it.
pub async fn end_session(ctx: &Ctx, browser: &mut Browser) -> ApiResult<()> {
    let session = browser.session();
    if let Some(account) = &session.account_id {
        let notices = session
            .authorizations
            .iter()
            .map(|(client, entry)| notify(ctx, client, account, entry.sid.clone()));
        join_all(notices).await;
    }
    for entry in session
        .authorizations
        .values()
        .filter(|a| !a.persists_logout)
    {
        if let Some(grant) = &entry.grant_id {
            grants::revoke(&ctx.app, grant).await?;
        }
    }
    browser.destroy(ctx).await
}

async fn leave_client(ctx: &Ctx, browser: &mut Browser, client: &str) -> ApiResult<()> {
    let session = browser.session();
    let Some(entry) = session.authorizations.get(client) else {
        return Ok(());
    };
    if let Some(account) = &session.account_id {
        notify(ctx, client, account, entry.sid.clone()).await;
    }
    if let Some(grant) = entry.grant_id.as_ref().filter(|_| !entry.persists_logout) {
        grants::revoke(&ctx.app, grant).await?;
    }
    browser.forget_client(client);
    Ok(())
}

/// Sends a logout token; a client that cannot be reached does not keep anybody signed in.
async fn notify(ctx: &Ctx, client: &str, account: &str, sid: Option<String>) {
    let Ok(tenant) = ctx.tenant() else { return };
    let Ok(Some(client)) = rules::find(&ctx.app, tenant, client).await else {
        return;
    };
    let Some(uri) = client.payload.text("backchannel_logout_uri") else {
        return;
    };
    let Some(signer) = tenant.keys.signer(id_token::alg(&client)) else {
        return;
    };
    let Ok(issuer) = ctx.issuer() else { return };
    let mut claims = json!({
        "sub": account,
        "events": { EVENT: {} },
        "jti": ctx.app.random.id21(),
        "aud": client.id,
        "iat": ctx.app.now(),
        "exp": ctx.app.now().saturating_add(120),
        "iss": issuer,
    });
    if let (Some(map), Some(sid), true) =
        (claims.as_object_mut(), sid, id_token::wants_sid(&client))
    {
        map.insert("sid".into(), sid.into());
    }
    let sent = match signer.sign(Some("logout+jwt"), &claims) {
        Ok(token) => ctx
            .app
            .outgoing
            .post_form(uri, &[("logout_token", &token)])
            .await
            .map_err(|e| e.to_string()),
        Err(e) => Err(e.to_string()),
    };
    if let Err(error) = sent {
        tracing::warn!(client = %client.id, %error, "back-channel logout failed");
    }
}

/// `GET /{group}/session/end/success`
pub async fn success(ctx: Ctx) -> ApiResult<Reply> {
    let tenant = Arc::clone(ctx.tenant()?);
    let client = match ctx.req.query("client_id") {
        None => None,
        Some(id) => Some(rules::find(&ctx.app, &tenant, id).await?.ok_or_else(|| {
            ApiError::oauth(
                StatusCode::BAD_REQUEST,
                "invalid_client",
                "client is invalid",
            )
        })?),
    };
    let back = return_uri(&ctx, &tenant, client.as_deref());
    if let (Some(true), Some(back)) = (tenant.group.config.global_skip_logout_confirm, &back) {
        return Ok(reply::no_store(reply::see_other(back)?));
    }
    let look = Look::of(&ctx)?.for_client(client.as_deref());
    let back = back.or_else(|| tenant.group.primary_domain.clone());
    let page = LogoutSuccess {
        shell: look.shell("Confirmed"),
        client_name: client.as_ref().map(|c| c.payload.client_name.as_str()),
        return_url: back.as_deref(),
        login_url: client
            .as_ref()
            .and_then(|c| c.payload.text("initiate_login_uri")),
    };
    let mut out = look.page(StatusCode::OK, page.html());
    let mut data = json!({ "title": "Confirmed", "authGroup": {
        "name": tenant.group.name,
        "primaryPrivacyPolicy": tenant.group.primary_privacy_policy,
        "primaryTOS": tenant.group.primary_tos,
        "primaryDomain": tenant.group.primary_domain,
    }});
    if let (Some(map), Some(client)) = (data.as_object_mut(), &client) {
        map.insert(
            "message".into(),
            format!("You are still logged into {}", client.payload.client_name).into(),
        );
    }
    if let Ok(value) = ascii(&data.to_string()).parse() {
        out.headers_mut()
            .insert(HeaderName::from_static("json-data"), value);
    }
    Ok(reply::no_store(out))
}

/// JSON with everything beyond ASCII escaped, fit for a header.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for unit in json.chars() {
        if unit.is_ascii() {
            out.push(unit);
        } else {
            let mut units = [0; 2];
            for u in unit.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{u:04x}"));
            }
        }
    }
    out
}
