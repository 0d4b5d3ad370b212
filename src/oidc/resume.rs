//! Interrupting an authorization to ask something, and taking it up again.

use actix_web::cookie::SameSite;
use actix_web::http::StatusCode;
use ueauth_actors::Record as Item;

use crate::gate::Ctx;
use crate::groups::tenant::origin;
use crate::http::cookies::{self, Attributes};
use crate::http::error::{ApiResult, PageRule};
use crate::http::{ApiError, Reply, reply};
use crate::oidc::authorize::{self, Request};
use crate::oidc::params::Params;
use crate::oidc::prompts::Submission;
use crate::oidc::records::{Interaction, InteractionSession, Prompt};
use crate::oidc::respond;
use crate::oidc::sessions::{Browser, Login, add_cookie};
use crate::store::{Object, Value};

/// Name of the cookie that lets a browser into the pages of an interaction.
pub fn page_cookie(ctx: &Ctx) -> ApiResult<String> {
    Ok(format!("{}_interaction", ctx.tenant()?.group.pretty_name))
}

fn resume_cookie(ctx: &Ctx) -> ApiResult<String> {
    Ok(format!(
        "{}_interaction_resume",
        ctx.tenant()?.group.pretty_name
    ))
}

fn stored_params(params: &Params) -> Object {
    let mut out = Object::default();
    for (name, value) in params.iter() {
        let all = params.all(name);
        if all.len() > 1 {
            out.insert(
                name,
                Value::Array(
                    all.into_iter()
                        .map(|v| Value::String(v.to_owned()))
                        .collect(),
                ),
            );
        } else {
            out.insert(name, value);
        }
    }
    out
}

/// The request as it was sent, from a stored interaction.
pub fn params_of(interaction: &Interaction) -> Params {
    let mut pairs = Vec::new();
    for (name, value) in interaction.params.iter() {
        match value {
            Value::String(s) => pairs.push((name.clone(), s.clone())),
            Value::Array(list) => pairs.extend(
                list.iter()
                    .filter_map(Value::as_str)
                    .map(|s| (name.clone(), s.to_owned())),
            ),
            _ => {}
        }
    }
    Params::from_pairs(pairs)
}

/// Stores the request with what must be asked and sends the browser to the pages.
pub async fn interrupt(
    ctx: &Ctx,
    request: &Request,
    prompt: Prompt,
    submission: &Submission,
    browser: &Browser,
) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?;
    let app = &ctx.app;
    let uid = app.random.id21();
    let now = app.now();
    let exp = now.saturating_add(tenant.ttl.interaction);
    let segment = if ctx.typed_group.is_empty() {
        tenant.id()
    } else {
        &ctx.typed_group
    };
    let resume_path = format!("/{segment}/auth/{uid}");
    let session = browser.view();
    let interaction = Interaction {
        iat: now,
        exp,
        jti: uid.clone(),
        kind: "Interaction".into(),
        return_to: format!("{}{resume_path}", origin(app, ctx.custom_domain.as_deref())),
        prompt,
        params: stored_params(&request.params),
        session: session
            .account_id
            .clone()
            .map(|account_id| InteractionSession {
                account_id,
                uid: session.uid.clone(),
                cookie: browser.id().unwrap_or_default().to_owned(),
                more: Object::default(),
            }),
        grant_id: session
            .authorizations
            .get(&request.client.id)
            .and_then(|a| a.grant_id.clone()),
        last_submission: (!submission.0.is_empty()).then(|| submission.0.clone()),
        csrf: Some(app.random.token43()),
        ..Default::default()
    };
    app.actors
        .interactions(tenant.id())
        .create(Item::new(uid.clone(), interaction).until(exp.saturating_mul(1000)))
        .await?;
    let page_path = format!("/{}/interaction/{uid}", tenant.id());
    let mut reply = reply::no_store(reply::see_other(&page_path)?);
    for (name, path) in [
        (page_cookie(ctx)?, &page_path),
        (resume_cookie(ctx)?, &resume_path),
    ] {
        let attributes = Attributes {
            path,
            expires: Some(exp),
            same_site: Some(SameSite::Lax),
            secure: ctx.req.hosts.secure,
        };
        for cookie in cookies::signed(&name, &uid, tenant.strong_cookie_keys(), &attributes) {
            add_cookie(&mut reply, &cookie)?;
        }
    }
    Ok(reply)
}

fn lost(description: &str) -> ApiError {
    ApiError::oauth(StatusCode::BAD_REQUEST, "invalid_request", description).page(PageRule::Always)
}

/// `GET /{group}/auth/{uid}`: the pages are done.
pub async fn resume(ctx: Ctx) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?.clone();
    let uid = ctx.req.param("uid")?.to_owned();
    let name = resume_cookie(&ctx)?;
    let Some(cookie) =
        cookies::verified(ctx.req.http.headers(), &name, tenant.strong_cookie_keys())
    else {
        return Err(lost("authorization request has expired"));
    };
    if cookie != uid {
        return Err(lost("authorization session and cookie identifier mismatch"));
    }
    let interactions = ctx.app.actors.interactions(tenant.id());
    let Some(interaction) = interactions.get(&uid).await? else {
        return Err(lost("interaction session not found"));
    };
    let mut browser = Browser::load(&ctx).await?;
    if interaction
        .session
        .as_ref()
        .is_some_and(|s| s.uid != browser.view().uid)
    {
        return Err(lost(
            "interaction session and authentication session mismatch",
        ));
    }
    // of two tabs that come back, one goes on
    let Some(interaction) = interactions.take(&uid).await? else {
        return Err(lost("interaction session not found"));
    };
    let path = ctx.req.path().to_owned();
    let secure = ctx.req.hosts.secure;
    let mut reply = Box::pin(carry_on(ctx, &interaction, &mut browser)).await?;
    for cookie in cookies::cleared(&name, &path, Some(SameSite::Lax), secure) {
        add_cookie(&mut reply, &cookie)?;
    }
    Ok(reply)
}

async fn carry_on(ctx: Ctx, interaction: &Interaction, browser: &mut Browser) -> ApiResult<Reply> {
    let params = params_of(interaction);
    let submission = Submission(interaction.result.clone().unwrap_or_default());
    if let Some((code, description)) = submission.error() {
        let target = respond::Target::new(
            params.get("redirect_uri").unwrap_or_default(),
            &params,
            &authorize::sorted_words(params.get("response_type").unwrap_or("code")),
        );
        let code = if code == "access_denied" {
            "access_denied"
        } else {
            "server_error"
        };
        return respond::error(&ctx, &target, code, description.unwrap_or_default());
    }
    let freshly = interaction.prompt.name == "login";
    if let Some(account) = submission.login().filter(|_| freshly) {
        let details = match submission.0.get("login") {
            Some(Value::Document(d)) => Object::from(d.clone()),
            _ => Object::default(),
        };
        let amr = match details.get("amr") {
            Some(Value::Array(list)) => list
                .iter()
                .filter_map(|v| v.as_str().map(ToOwned::to_owned))
                .collect(),
            _ => Vec::new(),
        };
        let login = Login {
            account,
            at: ctx.app.now(),
            acr: details.get_str("acr").map(ToOwned::to_owned),
            amr,
        };
        browser.login(&ctx, login).await?;
    }
    Box::pin(authorize::restart(ctx, params, submission, browser)).await
}
