//! Client authentication (RFC 6749 §2.3, RFC 7523, OpenID Connect Core §9).

use std::sync::Arc;

use actix_web::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use crate::clients::{Client, rules};
use crate::gate::Ctx;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::jose::{self, Alg, Claims};
use crate::oidc::errors;
use crate::oidc::params::Params;
use crate::oidc::replay;
use crate::secrets;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const ASYMMETRIC: &[Alg] = &[Alg::RS256, Alg::PS256, Alg::ES256, Alg::EdDSA];

/// Which of a client's registered methods counts.
#[derive(Debug, Clone, Copy)]
pub enum Endpoint {
    Token,
    Introspection,
    Revocation,
}

impl Endpoint {
    fn method(self, client: &Client) -> &str {
        match self {
            Self::Token => client.payload.token_auth(),
            Self::Introspection => client.payload.introspection_auth(),
            Self::Revocation => client.payload.revocation_auth(),
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Token => "/token",
            Self::Introspection => "/token/introspection",
            Self::Revocation => "/token/revocation",
        }
    }

    fn alg_member(self) -> &'static str {
        match self {
            Self::Token => "token_endpoint_auth_signing_alg",
            Self::Introspection => "introspection_endpoint_auth_signing_alg",
            Self::Revocation => "revocation_endpoint_auth_signing_alg",
        }
    }
}

/// A client and whether it proved who it is.
#[derive(Debug, Clone)]
pub struct Authenticated {
    pub client: Arc<Client>,
    /// By a secret or a key; a public client only names itself.
    pub proven: bool,
}

enum Presented {
    Secret {
        id: String,
        secret: String,
    },
    Assertion {
        id: String,
        token: String,
        claims: Claims,
    },
    IdOnly(String),
}

pub async fn authenticate(
    ctx: &Ctx,
    params: &Params,
    endpoint: Endpoint,
) -> ApiResult<Authenticated> {
    let used_header = ctx.req.authorization().is_some();
    let issuer = ctx.issuer()?;
    let refused = || errors::invalid_client(&issuer, used_header);
    let presented = presented(ctx, params)?;
    let id = match &presented {
        Presented::Secret { id, .. } | Presented::Assertion { id, .. } | Presented::IdOnly(id) => {
            id
        }
    };
    let client = rules::find(&ctx.app, ctx.tenant()?, id)
        .await?
        .ok_or_else(refused)?;
    let method = endpoint.method(&client);
    match presented {
        Presented::IdOnly(_) if method == "none" => Ok(Authenticated {
            client,
            proven: false,
        }),
        Presented::Secret { secret, .. }
            if matches!(method, "client_secret_basic" | "client_secret_post") =>
        {
            check_secret(ctx, &client, &secret).ok_or_else(refused)?;
            Ok(Authenticated {
                client,
                proven: true,
            })
        }
        Presented::Assertion { token, claims, .. }
            if matches!(method, "client_secret_jwt" | "private_key_jwt") =>
        {
            check_assertion(ctx, &client, method, endpoint, &token, &claims)
                .await?
                .ok_or_else(refused)?;
            Ok(Authenticated {
                client,
                proven: true,
            })
        }
        _ => Err(refused()),
    }
}

fn presented(ctx: &Ctx, params: &Params) -> ApiResult<Presented> {
    let one_mechanism = || {
        errors::invalid_request("client authentication must only be provided using one mechanism")
    };
    let body_id = params.get("client_id");
    let body_secret = params.get("client_secret");
    let assertion = params.get("client_assertion");
    if let Some(header) = ctx.req.header(AUTHORIZATION.as_str()) {
        let (id, secret) = basic(header)?;
        if body_id.is_some_and(|b| b != id) {
            return Err(errors::invalid_request(
                "mismatch in body and authorization client ids",
            ));
        }
        if secret.is_empty() {
            return Err(errors::invalid_request(
                "client_secret must be provided in the Authorization header",
            ));
        }
        if body_secret.is_some() || assertion.is_some() {
            return Err(one_mechanism());
        }
        return Ok(Presented::Secret { id, secret });
    }
    if let Some(token) = assertion {
        if body_secret.is_some() {
            return Err(one_mechanism());
        }
        match params.get("client_assertion_type") {
            None => {
                return Err(errors::invalid_request(
                    "client_assertion_type must be provided",
                ));
            }
            Some(ASSERTION_TYPE) => {}
            Some(_) => {
                return Err(errors::invalid_request(format!(
                    "client_assertion_type must have value {ASSERTION_TYPE}"
                )));
            }
        }
        let (_, claims) = jose::decode_unverified(token)
            .map_err(|_| errors::invalid_request("invalid client_assertion format"))?;
        let id = claims
            .get("sub")
            .and_then(Json::as_str)
            .ok_or_else(|| errors::invalid_client("", false))?
            .to_owned();
        if body_id.is_some_and(|b| b != id) {
            return Err(errors::invalid_request(
                "subject of client_assertion must be the same as client_id provided in the body",
            ));
        }
        return Ok(Presented::Assertion {
            id,
            token: token.to_owned(),
            claims,
        });
    }
    match (body_id, body_secret) {
        (Some(id), Some(secret)) => Ok(Presented::Secret {
            id: id.to_owned(),
            secret: secret.to_owned(),
        }),
        (Some(id), None) => Ok(Presented::IdOnly(id.to_owned())),
        _ => Err(errors::invalid_request(
            "no client authentication mechanism provided",
        )),
    }
}

/// Id and secret, each form-encoded before they were joined (RFC 6749 §2.3.1).
fn basic(header: &str) -> Result<(String, String), ApiError> {
    let broken = || errors::invalid_request("invalid authorization header value format");
    let parts: Vec<&str> = header.split(' ').collect();
    let [scheme, value] = parts.as_slice() else {
        return Err(broken());
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(broken());
    }
    let decoded = STANDARD
        .decode(value)
        .ok()
        .and_then(|b| String::from_utf8(b).ok())
        .ok_or_else(broken)?;
    let (id, secret) = decoded.split_once(':').ok_or_else(broken)?;
    let form = |s: &str| -> Option<String> {
        let plus = s.replace('+', " ");
        percent_encoding::percent_decode_str(&plus)
            .decode_utf8()
            .ok()
            .map(std::borrow::Cow::into_owned)
    };
    match (form(id), form(secret)) {
        (Some(id), Some(secret)) => Ok((id, secret)),
        _ => Err(errors::invalid_request(
            "client_id and client_secret in the authorization header are not properly encoded",
        )),
    }
}

fn check_secret(ctx: &Ctx, client: &Client, presented: &str) -> Option<()> {
    let stored = client.payload.client_secret.as_deref()?;
    let fits = secrets::ct_eq(stored, presented);
    (fits && !client.payload.secret_expired(ctx.app.now())).then_some(())
}

async fn check_assertion(
    ctx: &Ctx,
    client: &Client,
    method: &str,
    endpoint: Endpoint,
    token: &str,
    claims: &Claims,
) -> ApiResult<Option<()>> {
    let only: Option<Alg> = client
        .payload
        .text(endpoint.alg_member())
        .and_then(|a| a.parse().ok());
    let fits = if method == "client_secret_jwt" {
        let Some(secret) = client
            .payload
            .client_secret
            .as_deref()
            .filter(|_| !client.payload.secret_expired(ctx.app.now()))
        else {
            return Ok(None);
        };
        let allowed: &[Alg] = &[only.filter(|a| a.is_hmac()).unwrap_or(Alg::HS256)];
        jose::verify_hmac(token, secret.as_bytes(), allowed).is_ok()
    } else {
        let allowed: Vec<Alg> = ASYMMETRIC
            .iter()
            .copied()
            .filter(|a| only.is_none_or(|o| o == *a))
            .collect();
        crate::clients::keys::verify(ctx, client, token, &allowed).await?
    };
    if !fits || jose::check_times(claims, ctx.app.now(), 0).is_err() {
        return Ok(None);
    }
    let issuer = ctx.issuer()?;
    let origin = crate::groups::tenant::origin(&ctx.app, ctx.custom_domain.as_deref());
    let named = |segment: &str, path: &str| format!("{origin}/{segment}{path}");
    let segments = [ctx.typed_group.as_str(), ctx.group_id()?];
    let mut audiences = vec![issuer];
    for segment in segments {
        audiences.push(named(segment, "/token"));
        audiences.push(named(segment, endpoint.path()));
    }
    let aud_fits = match claims.get("aud") {
        Some(Json::String(a)) => audiences.iter().any(|x| x == a),
        Some(Json::Array(list)) => list
            .iter()
            .filter_map(Json::as_str)
            .any(|a| audiences.iter().any(|x| x == a)),
        _ => false,
    };
    let iss_fits = claims.get("iss").and_then(Json::as_str) == Some(client.id.as_str());
    let Some(jti) = claims
        .get("jti")
        .and_then(Json::as_str)
        .filter(|_| aud_fits && iss_fits)
    else {
        return Ok(None);
    };
    #[allow(clippy::cast_possible_truncation)] // saturates
    let exp = claims
        .get("exp")
        .and_then(Json::as_f64)
        .map_or_else(|| ctx.app.now(), |exp| exp.ceil() as i64);
    // each assertion counts once until it expires (RFC 7523 §3)
    let first = replay::is_first(&ctx.app, &client.id, jti, exp).await?;
    Ok(first.then_some(()))
}
