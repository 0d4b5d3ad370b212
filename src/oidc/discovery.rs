//! What the provider can do (OpenID Connect Discovery §3, RFC 8414) and its keys (RFC 7517).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Map, Value as Json, json};

use crate::gate::Ctx;
use crate::groups::tenant::origin;
use crate::http::error::ApiResult;
use crate::http::{Reply, reply};
use crate::jose::Alg;
use crate::oidc::scopes;

const AUTH_METHODS: &[&str] = &[
    "client_secret_basic",
    "client_secret_jwt",
    "client_secret_post",
    "private_key_jwt",
    "none",
];
const AUTH_ALGS: &[&str] = &["HS256", "RS256", "PS256", "ES256", "EdDSA"];

/// Endpoints are on the issuer's origin whatever the request's headers say.
pub async fn configuration(ctx: Ctx) -> ApiResult<Reply> {
    let tenant = ctx.tenant()?;
    let segment = if ctx.typed_group.is_empty() {
        tenant.id()
    } else {
        &ctx.typed_group
    };
    let base = format!(
        "{}/{segment}",
        origin(&ctx.app, ctx.custom_domain.as_deref())
    );
    let algs: Vec<&str> = [Alg::PS256, Alg::RS256, Alg::ES256, Alg::EdDSA]
        .into_iter()
        .filter(|a| tenant.keys.signer(*a).is_some())
        .map(Alg::as_str)
        .collect();
    let mut claims = vec!["sub", "group", "email", "verified", "username", "profile"];
    let acr_values = &tenant.group.config.acr_values;
    if !acr_values.is_empty() {
        claims.push("acr");
    }
    claims.extend(["sid", "auth_time", "iss"]);
    let mut out = Map::new();
    let mut add = |name: &str, value: Json| {
        out.insert(name.to_owned(), value);
    };
    if !acr_values.is_empty() {
        add("acr_values_supported", json!(acr_values));
    }
    add("authorization_endpoint", json!(format!("{base}/auth")));
    add("claims_parameter_supported", json!(false));
    add("claims_supported", json!(claims));
    add("code_challenge_methods_supported", json!(["S256"]));
    add("end_session_endpoint", json!(format!("{base}/session/end")));
    add(
        "grant_types_supported",
        json!([
            "implicit",
            "authorization_code",
            "refresh_token",
            "client_credentials"
        ]),
    );
    add("id_token_signing_alg_values_supported", json!(algs));
    add("issuer", json!(ctx.issuer()?));
    add("jwks_uri", json!(format!("{base}/jwks")));
    add("registration_endpoint", json!(format!("{base}/reg")));
    add(
        "authorization_response_iss_parameter_supported",
        json!(true),
    );
    add(
        "response_modes_supported",
        json!(["form_post", "fragment", "query"]),
    );
    add(
        "response_types_supported",
        json!(crate::oidc::metadata::RESPONSE_TYPES),
    );
    add(
        "scopes_supported",
        json!(scopes::supported(&ctx.app, tenant)),
    );
    add("subject_types_supported", json!(["public"]));
    add("token_endpoint_auth_methods_supported", json!(AUTH_METHODS));
    add(
        "token_endpoint_auth_signing_alg_values_supported",
        json!(AUTH_ALGS),
    );
    add("token_endpoint", json!(format!("{base}/token")));
    add("request_parameter_supported", json!(false));
    add("request_uri_parameter_supported", json!(false));
    add("userinfo_endpoint", json!(format!("{base}/me")));
    add(
        "introspection_endpoint",
        json!(format!("{base}/token/introspection")),
    );
    add(
        "introspection_endpoint_auth_methods_supported",
        json!(AUTH_METHODS),
    );
    add(
        "introspection_endpoint_auth_signing_alg_values_supported",
        json!(AUTH_ALGS),
    );
    add(
        "revocation_endpoint",
        json!(format!("{base}/token/revocation")),
    );
    add(
        "revocation_endpoint_auth_methods_supported",
        json!(AUTH_METHODS),
    );
    add(
        "revocation_endpoint_auth_signing_alg_values_supported",
        json!(AUTH_ALGS),
    );
    add("backchannel_logout_supported", json!(true));
    add("backchannel_logout_session_supported", json!(true));
    add("claim_types_supported", json!(["normal"]));
    reply::json_with(StatusCode::OK, &out)
}

pub async fn jwks(ctx: Ctx) -> ApiResult<Reply> {
    let body = ctx.tenant()?.jwks.to_string();
    Ok(HttpResponse::Ok()
        .content_type("application/jwk-set+json; charset=utf-8")
        .body(body))
}
