//! Answers of the authorization endpoint, in the client's response mode (OAuth 2.0 Multiple
//! Response Types, Form Post Response Mode, RFC 9207).

use std::sync::Arc;

use actix_web::http::StatusCode;

use crate::accounts::Account;
use crate::gate::Ctx;
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, reply};
use crate::oidc::authorize::Request;
use crate::oidc::id_token::{self, NewIdToken};
use crate::oidc::issue::{self, AccessParams, NewToken, Subject};
use crate::oidc::params::Params;
use crate::oidc::records::{AuthorizationCode, ClientAuthorization, Grant, Record, Session};
use crate::oidc::sessions::Browser;
use crate::oidc::{acr, scopes};
use crate::pages::{AutoSubmit, Page};
use crate::store::Value;

/// Where an answer goes and how.
#[derive(Debug, Clone)]
pub struct Target {
    pub redirect_uri: String,
    pub mode: Mode,
    pub state: Option<String>,
    has_id_token: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Query,
    Fragment,
    FormPost,
}

impl Target {
    pub fn new(uri: &str, params: &Params, response_type: &str) -> Self {
        let front = response_type
            .split(' ')
            .any(|w| w == "token" || w == "id_token");
        let mode = match params.get("response_mode") {
            Some("form_post") => Mode::FormPost,
            Some("fragment") => Mode::Fragment,
            Some("query") if !front => Mode::Query,
            _ if front => Mode::Fragment,
            _ => Mode::Query,
        };
        Self {
            redirect_uri: uri.to_owned(),
            mode,
            state: params.get("state").map(ToOwned::to_owned),
            has_id_token: response_type.split(' ').any(|w| w == "id_token"),
        }
    }
}

type Members = Vec<(String, String)>;

fn encode(members: &Members) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(members)
        .finish()
        .replace('+', "%20")
}

fn send(ctx: &Ctx, target: &Target, members: Members, status: StatusCode) -> ApiResult<Reply> {
    let uri = &target.redirect_uri;
    match target.mode {
        Mode::Query | Mode::Fragment => {
            reply::see_other(&located(uri, target.mode, &encode(&members)))
        }
        Mode::FormPost => {
            let look = crate::interactions::look::Look::of(ctx)?;
            let page = AutoSubmit {
                shell: look.shell("Continue"),
                id: None,
                action: uri,
                fields: members,
            };
            Ok(look.page(status, page.html()))
        }
    }
    .map(reply::no_store)
}

/// The redirect URI with the answer in its query or fragment. A URI without a path gets one.
fn located(uri: &str, mode: Mode, answer: &str) -> String {
    let Ok(mut url) = url::Url::parse(uri) else {
        return format!(
            "{uri}{}{answer}",
            if mode == Mode::Fragment { '#' } else { '?' }
        );
    };
    if mode == Mode::Fragment {
        url.set_fragment(Some(answer));
    } else {
        let query = match url.query() {
            Some(q) if !q.is_empty() => format!("{q}&{answer}"),
            _ => answer.to_owned(),
        };
        url.set_query(Some(&query));
    }
    url.into()
}

/// An error for the client (RFC 6749 §4.1.2.1).
pub fn error(ctx: &Ctx, target: &Target, code: &str, description: &str) -> ApiResult<Reply> {
    let mut members: Members = vec![("error".into(), code.into())];
    if !description.is_empty() {
        members.push(("error_description".into(), description.into()));
    }
    if let Some(state) = &target.state {
        members.push(("state".into(), state.clone()));
    }
    members.push(("iss".into(), ctx.issuer()?));
    send(ctx, target, members, StatusCode::BAD_REQUEST)
}

/// Codes and tokens for a request that nothing stands in the way of.
pub async fn answer(
    ctx: &Ctx,
    request: &Request,
    grant: Option<Arc<Record<Grant>>>,
    browser: &mut Browser,
) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?;
    let session = browser.session();
    let account_id = session
        .account_id
        .clone()
        .ok_or_else(|| ApiError::internal("answer without a session"))?;
    let scope = granted_scope(ctx, request, grant.as_deref())?;
    if scope.is_empty() {
        return error(ctx, &request.target, "access_denied", "");
    }
    let Some(grant) = grant else {
        return error(ctx, &request.target, "access_denied", "");
    };
    let Some(account) = ctx
        .app
        .store
        .of::<Account>()
        .get(&account_id)
        .await?
        .filter(|a| a.auth_group == tenant.id() && a.is_usable())
    else {
        // the next attempt asks who is there
        browser.destroy(ctx).await?;
        return error(
            ctx,
            &request.target,
            "access_denied",
            "the account can not be used",
        );
    };
    let offline = scopes::has(&scope, "offline_access");
    let authorization = authorize_client(ctx, request, &grant.id, offline, browser);
    let mut members = Members::new();
    let mut code_value = None;
    let sid = authorization.sid.clone();
    if request.responds_with("code") {
        let code = new_code(
            ctx,
            request,
            &grant.id,
            &account_id,
            &scope,
            &session,
            sid.as_deref(),
            offline,
        );
        ctx.app
            .store
            .of::<Record<AuthorizationCode>>()
            .insert(&code)
            .await?;
        members.push(("code".into(), code.id.clone()));
        code_value = Some(code.id);
    }
    let mut token_value = None;
    let resource = request.resources.first().map(String::as_str);
    if request.responds_with("token") {
        let token_scope = scope_for(ctx, request, &grant.payload, resource, &scope)?;
        let mut extra = issue::extra(
            ctx,
            tenant,
            &request.client,
            Subject::Account(&account),
            &token_scope,
            &AccessParams::of(&request.params),
            resource.is_some(),
        )
        .await?;
        acr::note(&mut extra, told(request, &session), &session.amr);
        let new = NewToken {
            tenant,
            client: &request.client,
            subject: Subject::Account(&account),
            scope: token_scope.clone(),
            resource,
            extra,
            grant_id: Some(&grant.id),
            gty: "implicit",
            session_uid: Some(&session.uid),
            sid: sid.as_deref(),
            expires_with_session: !offline,
        };
        let issued = issue::access_token(ctx, new).await?;
        members.push(("access_token".into(), issued.token.clone()));
        members.push(("expires_in".into(), issued.expires_in.to_string()));
        members.push(("token_type".into(), "Bearer".into()));
        members.push(("scope".into(), token_scope));
        token_value = Some(issued.token);
    }
    if request.responds_with("id_token") {
        let new = NewIdToken {
            scope: &scope,
            with_scope_claims: request.response_type == "id_token" || resource.is_some(),
            nonce: request.params.get("nonce"),
            access_token: token_value.as_deref(),
            code: code_value.as_deref(),
            state: request.target.state.as_deref(),
            sid: sid.as_deref(),
            auth_time: wants_auth_time(request)
                .then_some(session.login_ts)
                .flatten(),
            acr: told(request, &session),
            amr: &session.amr,
        };
        members.push((
            "id_token".into(),
            id_token::issue(ctx, &request.client, &account, &new)?,
        ));
    }
    if let Some(state) = &request.target.state {
        members.push(("state".into(), state.clone()));
    }
    if !request.target.has_id_token {
        members.push(("iss".into(), ctx.issuer()?));
    }
    send(ctx, &request.target, members, StatusCode::OK)
}

/// The class of the sign-in: what the request wanted, if that is met.
fn told<'r>(request: &'r Request, session: &'r Session) -> Option<&'r str> {
    let wanted = request.acr.answer(&session.amr);
    wanted.or(session.acr.as_deref())
}

/// `auth_time` is told when the client cares about it (OpenID Connect Core §2).
pub fn wants_auth_time(request: &Request) -> bool {
    request.max_age.is_some()
        || request.prompts("login")
        || request.client.payload.require_auth_time == Some(true)
}

/// Requested scopes that the grant covers, for the provider itself and for resources.
fn granted_scope(ctx: &Ctx, request: &Request, grant: Option<&Record<Grant>>) -> ApiResult<String> {
    let Some(grant) = grant else {
        return Ok(String::new());
    };
    let tenant = ctx.tenant()?;
    let known = scopes::requested_static(&ctx.app, tenant, &request.scope);
    // in the order in which they were granted
    let granted = grant.payload.openid_scope().unwrap_or_default();
    let mut out: Vec<&str> = scopes::list(granted)
        .into_iter()
        .filter(|s| known.contains(s))
        .collect();
    for resource in &request.resources {
        let granted = grant
            .payload
            .resources
            .get(resource)
            .map(String::as_str)
            .unwrap_or_default();
        for scope in scopes::list(granted) {
            if scopes::has(&request.scope, scope) && !out.contains(&scope) {
                out.push(scope);
            }
        }
    }
    Ok(out.join(" "))
}

/// What a token for the resource (or for the provider) may carry of the granted scopes.
fn scope_for(
    ctx: &Ctx,
    request: &Request,
    grant: &Grant,
    resource: Option<&str>,
    scope: &str,
) -> ApiResult<String> {
    let tenant = ctx.tenant()?;
    Ok(match resource {
        Some(resource) => {
            let granted = grant
                .resources
                .get(resource)
                .map(String::as_str)
                .unwrap_or_default();
            scopes::for_resource(&ctx.app, tenant, &request.client, scope)
                .into_iter()
                .filter(|s| scopes::has(granted, s))
                .collect::<Vec<_>>()
                .join(" ")
        }
        None => scopes::requested_static(&ctx.app, tenant, scope).join(" "),
    })
}

/// Remembers in the session that this client has been authorized under this grant.
fn authorize_client(
    ctx: &Ctx,
    request: &Request,
    grant: &str,
    offline: bool,
    browser: &mut Browser,
) -> ClientAuthorization {
    let mut entry = browser
        .view()
        .authorizations
        .get(&request.client.id)
        .cloned()
        .unwrap_or_default();
    entry.grant_id = Some(grant.to_owned());
    if entry.sid.is_none() {
        entry.sid = Some(ctx.app.random.id21());
    }
    entry.persists_logout |= offline;
    browser.authorize(&request.client.id, entry.clone());
    entry
}

#[allow(clippy::too_many_arguments)]
fn new_code(
    ctx: &Ctx,
    request: &Request,
    grant: &str,
    account: &str,
    scope: &str,
    session: &Session,
    sid: Option<&str>,
    offline: bool,
) -> Record<AuthorizationCode> {
    let app = &ctx.app;
    let now = app.now();
    let life = ctx
        .tenant
        .as_ref()
        .map_or(600, |t| t.ttl.authorization_code);
    let id = app.random.token43();
    let text = |name: &str| request.params.get(name).map(ToOwned::to_owned);
    let resource = match request.resources.as_slice() {
        [] => None,
        [one] => Some(Value::String(one.clone())),
        many => Some(Value::Array(
            many.iter().cloned().map(Value::String).collect(),
        )),
    };
    let payload = AuthorizationCode {
        iat: now,
        exp: now.saturating_add(life),
        jti: id.clone(),
        kind: "AuthorizationCode".into(),
        client_id: request.client.id.clone(),
        account_id: account.to_owned(),
        grant_id: grant.to_owned(),
        auth_time: if wants_auth_time(request) {
            session.login_ts.unwrap_or(0)
        } else {
            0
        },
        acr: told(request, session).map(ToOwned::to_owned),
        amr: session.amr.clone(),
        nonce: text("nonce"),
        resource,
        scope: Some(scope.to_owned()),
        session_uid: Some(session.uid.clone()),
        sid: sid
            .filter(|_| id_token::wants_sid(&request.client))
            .map(ToOwned::to_owned),
        expires_with_session: !offline,
        redirect_uri: text("redirect_uri"),
        code_challenge: text("code_challenge"),
        code_challenge_method: text("code_challenge_method"),
        ..Default::default()
    };
    let exp = payload.exp;
    Record::new(id, payload, Some(exp))
}
