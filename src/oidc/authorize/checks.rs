//! The checks of an authorization request, in the order in which they are made.

use std::sync::Arc;

use super::{Check, Refusal, Request};
use crate::clients::{Client, rules};
use crate::gate::Ctx;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::jose::Alg;
use crate::oidc::metadata::RESPONSE_TYPES;
use crate::oidc::params::Params;
use crate::oidc::respond::Target;
use crate::oidc::{acr, scopes};

fn refuse<T>(code: &'static str, description: impl Into<String>) -> Check<T> {
    Err(Refusal {
        code,
        description: description.into(),
        page_only: false,
    })
}

fn page<T>(code: &'static str, description: impl Into<String>) -> Check<T> {
    Err(Refusal {
        code,
        description: description.into(),
        page_only: true,
    })
}

pub(super) fn checks(ctx: &Ctx, client: Arc<Client>, params: &mut Params) -> Check<Request> {
    check_request_object(&client, params)?;
    check_response_mode(params)?;
    default_redirect_uri(&client, params);
    let response_type = check_response_type(&client, params)?;
    check_registration(params)?;
    check_required(params, &response_type)?;
    apply_client_defaults(&client, params);
    check_prompt(params)?;
    let resources = check_resources(params)?;
    let scope = check_scope(ctx, &client, params, &response_type)?;
    check_openid_only(&client, params, &response_type, &scope)?;
    let target = check_redirect_uri(&client, params, &response_type)?;
    check_pkce(ctx, &client, params, &response_type)?;
    let max_age = check_max_age(params)?;
    let hint_sub = check_id_token_hint(ctx, &client, params)?;
    let group = ctx.tenant.as_ref().map(|t| &t.group);
    let acr = group.map_or_else(acr::Wanted::default, |group| {
        acr::Wanted::of(
            group,
            &client,
            params.get("acr_values"),
            params.get("claims"),
        )
    });
    Ok(Request {
        client,
        params: params.clone(),
        response_type,
        target,
        scope,
        resources,
        max_age,
        hint_sub,
        acr,
    })
}

pub(super) async fn find_client(ctx: &Ctx, params: &Params) -> ApiResult<Check<Arc<Client>>> {
    let Some(id) = params.get("client_id") else {
        return Ok(page(
            "invalid_request",
            "missing required parameter 'client_id'",
        ));
    };
    Ok(match rules::find(&ctx.app, ctx.tenant()?, id).await? {
        Some(client) => Ok(client),
        None => page("invalid_client", "client is invalid"),
    })
}

/// Request objects (RFC 9101) are not taken: fetching client-chosen URLs invites SSRF.
fn check_request_object(client: &Client, params: &Params) -> Check {
    if params.get("request").is_some() {
        return refuse(
            "request_not_supported",
            "request parameter provided but not supported",
        );
    }
    if params.get("request_uri").is_some() {
        return refuse(
            "request_uri_not_supported",
            "request_uri parameter provided but not supported",
        );
    }
    if client.payload.flag("require_signed_request_object") {
        return refuse(
            "invalid_request",
            "Request Object must be used by this client",
        );
    }
    Ok(())
}

fn check_response_mode(params: &Params) -> Check {
    let Some(mode) = params.get("response_mode") else {
        return Ok(());
    };
    if !matches!(mode, "query" | "fragment" | "form_post") {
        return refuse(
            "unsupported_response_mode",
            "unsupported response_mode requested",
        );
    }
    let front_channel = params.get("response_type").is_some_and(|t| {
        t.split_whitespace()
            .any(|w| w == "token" || w == "id_token")
    });
    if mode == "query" && front_channel {
        return refuse(
            "invalid_request",
            "response_mode not allowed for this response_type",
        );
    }
    Ok(())
}

pub(super) fn default_redirect_uri(client: &Client, params: &mut Params) {
    if params.get("redirect_uri").is_none()
        && let [only] = client.payload.redirect_uris.as_slice()
    {
        params.set("redirect_uri", only.clone());
    }
}

fn check_response_type(client: &Client, params: &Params) -> Check<String> {
    let Some(asked) = params.get("response_type") else {
        return refuse(
            "invalid_request",
            "missing required parameter 'response_type'",
        );
    };
    let sorted = sorted_words(asked);
    if !RESPONSE_TYPES.contains(&sorted.as_str()) {
        return refuse(
            "unsupported_response_type",
            "unsupported response_type requested",
        );
    }
    if !client
        .payload
        .response_types
        .iter()
        .any(|t| sorted_words(t) == sorted)
    {
        return refuse(
            "unauthorized_client",
            "requested response_type is not allowed for this client",
        );
    }
    Ok(sorted)
}

pub fn sorted_words(text: &str) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable();
    words.dedup();
    words.join(" ")
}

fn check_registration(params: &Params) -> Check {
    match params.get("registration") {
        Some(_) => refuse(
            "registration_not_supported",
            "registration parameter provided but not supported",
        ),
        None => Ok(()),
    }
}

fn check_required(params: &Params, response_type: &str) -> Check {
    if params.get("redirect_uri").is_none() {
        return page(
            "invalid_request",
            "missing required parameter 'redirect_uri'",
        );
    }
    if response_type.split(' ').any(|w| w == "id_token") && params.get("nonce").is_none() {
        return refuse("invalid_request", "missing required parameter 'nonce'");
    }
    Ok(())
}

fn apply_client_defaults(client: &Client, params: &mut Params) {
    use crate::store::Value;
    if params.get("max_age").is_none() {
        let default = match client.payload.extra.get("default_max_age") {
            Some(Value::Int32(n)) => Some(i64::from(*n)),
            Some(Value::Int64(n)) => Some(*n),
            _ => None,
        };
        if let Some(n) = default {
            params.set("max_age", n.to_string());
        }
    }
    if params.get("acr_values").is_none()
        && let Some(Value::Array(list)) = client.payload.extra.get("default_acr_values")
    {
        let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
        if !words.is_empty() {
            params.set("acr_values", words.join(" "));
        }
    }
}

fn check_prompt(params: &Params) -> Check {
    let Some(prompt) = params.get("prompt") else {
        return Ok(());
    };
    let words: Vec<&str> = prompt.split_whitespace().collect();
    if words
        .iter()
        .any(|w| !matches!(*w, "none" | "login" | "consent"))
    {
        return refuse("invalid_request", "unsupported prompt value requested");
    }
    if words.len() > 1 && words.contains(&"none") {
        return refuse("invalid_request", "prompt none must only be used alone");
    }
    Ok(())
}

/// Resource indicators (RFC 8707 §2); `audience` stands in where none is given.
fn check_resources(params: &Params) -> Check<Vec<String>> {
    let mut wanted = params.all("resource");
    if wanted.is_empty() {
        wanted = params.all("audience");
    }
    if wanted.len() > 20 {
        return refuse("invalid_target", "too many resource indicators");
    }
    for resource in &wanted {
        check_resource(resource)?;
    }
    Ok(wanted.into_iter().map(ToOwned::to_owned).collect())
}

fn check_resource(resource: &str) -> Check {
    if resource.trim().is_empty() {
        return refuse(
            "invalid_target",
            "resource indicator must be an absolute URI",
        );
    }
    for part in resource.split_whitespace() {
        if url::Url::parse(part).is_err() {
            return refuse(
                "invalid_target",
                "resource indicator must be an absolute URI",
            );
        }
        if part.contains('#') {
            return refuse(
                "invalid_target",
                "resource indicator must not contain a fragment component",
            );
        }
    }
    Ok(())
}

/// A resource of a token request, with the same rules.
pub fn check_token_resource(resource: &str) -> Result<(), ApiError> {
    check_resource(resource).map_err(|r| crate::oidc::errors::invalid_target(r.description))
}

fn check_scope(ctx: &Ctx, client: &Client, params: &Params, response_type: &str) -> Check<String> {
    let Ok(tenant) = ctx.tenant() else {
        return page("invalid_request", "no group");
    };
    let requested = params.get("scope").unwrap_or_default();
    if scopes::not_allowed(&ctx.app, tenant, client, requested).is_some() {
        return refuse("invalid_scope", "requested scope is not allowed");
    }
    let offline = response_type.split(' ').any(|w| w == "code")
        && params
            .get("prompt")
            .is_some_and(|p| p.split_whitespace().any(|w| w == "consent"))
        && client.payload.has_grant("refresh_token");
    let kept: Vec<&str> = scopes::list(requested)
        .into_iter()
        .filter(|s| *s != "offline_access" || offline)
        .collect();
    Ok(kept.join(" "))
}

fn check_openid_only(client: &Client, params: &Params, response_type: &str, scope: &str) -> Check {
    if scopes::has(scope, "openid") {
        return Ok(());
    }
    for name in [
        "acr_values",
        "claims_locales",
        "id_token_hint",
        "max_age",
        "nonce",
    ] {
        if params.get(name).is_some() {
            return refuse(
                "invalid_request",
                format!("openid scope must be requested when using the {name} parameter"),
            );
        }
    }
    if response_type.split(' ').any(|w| w == "id_token") {
        return refuse(
            "invalid_request",
            "openid scope must be requested for this response_type",
        );
    }
    if client.payload.require_auth_time == Some(true) {
        return refuse(
            "invalid_request",
            "openid scope must be requested for clients with require_auth_time",
        );
    }
    Ok(())
}

fn check_redirect_uri(client: &Client, params: &Params, response_type: &str) -> Check<Target> {
    let uri = params.get("redirect_uri").unwrap_or_default();
    if !registered(client, uri) {
        return page(
            "invalid_redirect_uri",
            "redirect_uri did not match any of the client's registered redirect_uris",
        );
    }
    Ok(Target::new(uri, params, response_type))
}

/// Exact match; native clients may use any port on the loopback interface (RFC 8252 §7.3).
pub fn registered(client: &Client, uri: &str) -> bool {
    client
        .payload
        .redirect_uris
        .iter()
        .any(|r| r == uri || (client.payload.is_native() && same_but_port(r, uri)))
}

fn same_but_port(registered: &str, uri: &str) -> bool {
    let loopback = |u: &url::Url| {
        u.scheme() == "http" && matches!(u.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
    };
    let (Ok(mut a), Ok(mut b)) = (url::Url::parse(registered), url::Url::parse(uri)) else {
        return false;
    };
    loopback(&a) && loopback(&b) && a.set_port(None).is_ok() && b.set_port(None).is_ok() && a == b
}

/// PKCE with S256 only (RFC 7636, RFC 9700 §2.1.1).
fn check_pkce(ctx: &Ctx, client: &Client, params: &Params, response_type: &str) -> Check {
    let challenge = params.get("code_challenge");
    match (challenge, params.get("code_challenge_method")) {
        (None, Some(_)) => {
            return refuse(
                "invalid_request",
                "code_challenge must be provided with code_challenge_method",
            );
        }
        (Some(_), None) => {
            return refuse(
                "invalid_request",
                "plain code_challenge_method fallback disabled, code_challenge_method must be provided",
            );
        }
        (Some(_), Some(method)) if method != "S256" => {
            return refuse(
                "invalid_request",
                "not supported value of code_challenge_method",
            );
        }
        _ => {}
    }
    if let Some(challenge) = challenge {
        check_pkce_format("code_challenge", challenge)
            .or_else(|text| refuse("invalid_request", text))?;
    }
    let group_wants = ctx
        .tenant
        .as_ref()
        .is_some_and(|t| t.group.config.pkce_required);
    let public_must = ctx.app.settings.oidc.require_pkce_for_public_clients
        && client.payload.token_auth() == "none";
    if challenge.is_none()
        && (group_wants || public_must)
        && response_type.split(' ').any(|w| w == "code")
    {
        return refuse(
            "invalid_request",
            "Authorization Server policy requires PKCE to be used for this request",
        );
    }
    Ok(())
}

/// 43–128 unreserved characters (RFC 7636 §4.1).
pub fn check_pkce_format(name: &str, value: &str) -> Result<(), String> {
    if value.len() < 43 {
        return Err(format!(
            "{name} must be a string with a minimum length of 43 characters"
        ));
    }
    if value.len() > 128 {
        return Err(format!(
            "{name} must be a string with a maximum length of 128 characters"
        ));
    }
    if !value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
    {
        return Err(format!("{name} contains invalid characters"));
    }
    Ok(())
}

fn check_max_age(params: &mut Params) -> Check<Option<i64>> {
    let Some(text) = params.get("max_age") else {
        return Ok(None);
    };
    let Some(age) = text.parse::<i64>().ok().filter(|n| *n >= 0) else {
        return refuse("invalid_request", "invalid max_age parameter value");
    };
    if age == 0 {
        let prompt = params.get("prompt").unwrap_or_default().to_owned();
        if !prompt
            .split_whitespace()
            .any(|w| w == "login" || w == "none")
        {
            params.set("prompt", format!("login {prompt}").trim().to_owned());
        }
    }
    Ok(Some(age))
}

/// Signed by this group for this client; an expired one is good enough as a hint.
fn check_id_token_hint(ctx: &Ctx, client: &Client, params: &Params) -> Check<Option<String>> {
    let Some(hint) = params.get("id_token_hint") else {
        return Ok(None);
    };
    match verify_hint(ctx, hint) {
        Some((sub, aud)) if aud == client.id => Ok(Some(sub)),
        _ => refuse("invalid_request", "could not validate id_token_hint"),
    }
}

/// Subject and audience of an ID token this group has issued.
pub fn verify_hint(ctx: &Ctx, hint: &str) -> Option<(String, String)> {
    let tenant = ctx.tenant.as_ref()?;
    let verified = tenant
        .verify(hint, &[Alg::RS256, Alg::PS256, Alg::ES256, Alg::EdDSA], 0)
        .ok()?;
    let text = |name: &str| {
        verified
            .claims
            .get(name)
            .and_then(serde_json::Value::as_str)
            .map(ToOwned::to_owned)
    };
    (text("iss")? == ctx.issuer().ok()?).then_some(())?;
    Some((text("sub")?, text("aud")?))
}
