//! What the provider can do (OpenID Connect Discovery §3, RFC 8414) and its keys (RFC 7517).

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::{Serialize, Serializer};

use crate::gate::Ctx;
use crate::groups::tenant::origin;
use crate::http::error::ApiResult;
use crate::http::{Reply, reply};
use crate::jose::Alg;
use crate::oidc::metadata::RESPONSE_TYPES;
use crate::oidc::scopes;

const AUTH_METHODS: &[&str] = &[
    "client_secret_basic",
    "client_secret_jwt",
    "client_secret_post",
    "private_key_jwt",
    "none",
];
const AUTH_ALGS: &[&str] = &["HS256", "RS256", "PS256", "ES256", "EdDSA"];
const GRANT_TYPES: &[&str] = &[
    "implicit",
    "authorization_code",
    "refresh_token",
    "client_credentials",
];
const CLAIMS: &[&str] = &["sub", "group", "email", "verified", "username", "profile"];
const CLAIMS_OF_SESSIONS: &[&str] = &["sid", "auth_time", "iss"];

/// An endpoint of the group.
struct Endpoint<'a> {
    base: &'a str,
    path: &'static str,
}

impl Serialize for Endpoint<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}/{}", self.base, self.path))
    }
}

/// Provider metadata (OpenID Connect Discovery §3, RFC 8414 §2, RFC 9207 §3, OpenID Connect
/// Back-Channel Logout §2.1).
#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    acr_values_supported: &'a [String],
    authorization_endpoint: Endpoint<'a>,
    claims_parameter_supported: bool,
    claims_supported: Vec<&'static str>,
    code_challenge_methods_supported: [&'static str; 1],
    end_session_endpoint: Endpoint<'a>,
    grant_types_supported: &'static [&'static str],
    id_token_signing_alg_values_supported: Vec<&'static str>,
    issuer: String,
    jwks_uri: Endpoint<'a>,
    registration_endpoint: Endpoint<'a>,
    authorization_response_iss_parameter_supported: bool,
    response_modes_supported: [&'static str; 3],
    response_types_supported: &'static [&'static str],
    scopes_supported: Vec<Cow<'a, str>>,
    subject_types_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: &'static [&'static str],
    token_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    token_endpoint: Endpoint<'a>,
    request_parameter_supported: bool,
    request_uri_parameter_supported: bool,
    userinfo_endpoint: Endpoint<'a>,
    introspection_endpoint: Endpoint<'a>,
    introspection_endpoint_auth_methods_supported: &'static [&'static str],
    introspection_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    revocation_endpoint: Endpoint<'a>,
    revocation_endpoint_auth_methods_supported: &'static [&'static str],
    revocation_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    backchannel_logout_supported: bool,
    backchannel_logout_session_supported: bool,
    claim_types_supported: [&'static str; 1],
}

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
    let at = |path| Endpoint { base: &base, path };
    let algs = [Alg::PS256, Alg::RS256, Alg::ES256, Alg::EdDSA];
    let acr_values = &tenant.group.config.acr_values;
    let acr = (!acr_values.is_empty()).then_some(&"acr");
    let claims = CLAIMS.iter().chain(acr).chain(CLAIMS_OF_SESSIONS);
    let metadata = Metadata {
        acr_values_supported: acr_values,
        authorization_endpoint: at("auth"),
        claims_parameter_supported: false,
        claims_supported: claims.copied().collect(),
        code_challenge_methods_supported: ["S256"],
        end_session_endpoint: at("session/end"),
        grant_types_supported: GRANT_TYPES,
        id_token_signing_alg_values_supported: algs
            .into_iter()
            .filter(|alg| tenant.keys.signs(*alg))
            .map(Alg::as_str)
            .collect(),
        issuer: ctx.issuer()?,
        jwks_uri: at("jwks"),
        registration_endpoint: at("reg"),
        authorization_response_iss_parameter_supported: true,
        response_modes_supported: ["form_post", "fragment", "query"],
        response_types_supported: RESPONSE_TYPES,
        scopes_supported: scopes::supported(&ctx.app, tenant),
        subject_types_supported: ["public"],
        token_endpoint_auth_methods_supported: AUTH_METHODS,
        token_endpoint_auth_signing_alg_values_supported: AUTH_ALGS,
        token_endpoint: at("token"),
        request_parameter_supported: false,
        request_uri_parameter_supported: false,
        userinfo_endpoint: at("me"),
        introspection_endpoint: at("token/introspection"),
        introspection_endpoint_auth_methods_supported: AUTH_METHODS,
        introspection_endpoint_auth_signing_alg_values_supported: AUTH_ALGS,
        revocation_endpoint: at("token/revocation"),
        revocation_endpoint_auth_methods_supported: AUTH_METHODS,
        revocation_endpoint_auth_signing_alg_values_supported: AUTH_ALGS,
        backchannel_logout_supported: true,
        backchannel_logout_session_supported: true,
        claim_types_supported: ["normal"],
    };
    reply::json_with(StatusCode::OK, &metadata)
}

pub async fn jwks(ctx: Ctx) -> ApiResult<Reply> {
    let body = ctx.tenant()?.jwks.to_string();
    Ok(HttpResponse::Ok()
        .content_type("application/jwk-set+json; charset=utf-8")
        .body(body))
}
