//! Rules of client metadata (RFC 7591 §2, OpenID Connect Registration §2, and own members):
//! what a client may register, what is filled in, and which fault is named first.

mod checks;
mod own;
mod uris;

use std::borrow::Cow;

use serde_json::{Map, Value as Json, json};

use crate::app::App;
use crate::clients::model::Metadata;
use crate::groups::Tenant;
use crate::http::validate::is_email;
use crate::jose::Alg;
use crate::oidc::scopes;

/// Metadata as sent, by name.
pub type Properties = Map<String, Json>;

/// Grant types of every group, in published order.
pub const GRANT_TYPES: &[&str] = &[
    "implicit",
    "authorization_code",
    "refresh_token",
    "client_credentials",
];
/// The grant type of groups with the device flow (RFC 8628 §3.4).
pub const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Response types, each with its words in alphabetical order.
pub const RESPONSE_TYPES: &[&str] = &[
    "code id_token token",
    "code id_token",
    "code token",
    "code",
    "id_token token",
    "id_token",
    "none",
];
/// Ways in which a client may authenticate.
pub const AUTH_METHODS: &[&str] = &[
    "client_secret_basic",
    "client_secret_jwt",
    "client_secret_post",
    "private_key_jwt",
    "none",
];
/// Algorithms of ID tokens, as far as the group has a key for them.
pub const ID_TOKEN_ALGS: &[Alg] = &[Alg::PS256, Alg::RS256, Alg::ES256, Alg::EdDSA];
/// Algorithms of signed access tokens; the first is the default.
pub const ACCESS_TOKEN_ALGS: &[Alg] = &[Alg::RS256, Alg::PS256, Alg::ES256, Alg::EdDSA];
/// Algorithms of client assertions and request objects that need a key pair.
pub const KEY_PAIR_ALGS: &[&str] = &["RS256", "PS256", "ES256", "EdDSA"];
/// Key management algorithms of encrypted ID tokens and request objects.
/// None: ID tokens and request objects are not encrypted.
pub const ENCRYPTION_ALGS: &[&str] = &[];
/// Content encryption algorithms of the same.
pub const ENCRYPTION_ENCS: &[&str] = &[];
/// The member that selects the algorithm of signed access tokens; RFC 9068 leaves it to the server.
pub const ACCESS_TOKEN_ALG: &str = "access_token_signed_response_alg";

const DEFAULT_AUTH: &str = "client_secret_basic";
const ENDPOINTS: [&str; 3] = ["token", "introspection", "revocation"];

const ARRAYS: &[&str] = &[
    "contacts",
    "default_acr_values",
    "grant_types",
    "post_logout_redirect_uris",
    "redirect_uris",
    "request_uris",
    "response_types",
];
const BOOLEANS: &[&str] = &[
    "backchannel_logout_session_required",
    "require_auth_time",
    "require_signed_request_object",
];
const STRINGS: &[&str] = &[
    "application_type",
    "backchannel_logout_uri",
    "client_id",
    "client_name",
    "client_secret",
    "client_uri",
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "id_token_signed_response_alg",
    ACCESS_TOKEN_ALG,
    "initiate_login_uri",
    "jwks_uri",
    "logo_uri",
    "policy_uri",
    "request_object_encryption_alg",
    "request_object_encryption_enc",
    "request_object_signing_alg",
    "scope",
    "sector_identifier_uri",
    "subject_type",
    "token_endpoint_auth_method",
    "tos_uri",
    "introspection_endpoint_auth_method",
    "revocation_endpoint_auth_method",
];
const ENUMS: &[&str] = &[
    "application_type",
    "default_acr_values",
    "grant_types",
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "id_token_signed_response_alg",
    ACCESS_TOKEN_ALG,
    "request_object_signing_alg",
    "request_object_encryption_alg",
    "request_object_encryption_enc",
    "response_types",
    "subject_type",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "introspection_endpoint_auth_method",
    "introspection_endpoint_auth_signing_alg",
    "revocation_endpoint_auth_method",
    "revocation_endpoint_auth_signing_alg",
];
/// Members without a rule of their own above.
const OTHERS: &[&str] = &[
    "client_id_issued_at",
    "client_secret_expires_at",
    "default_max_age",
    "jwks",
    "auth_group",
    "client_label",
    "register_url",
    "associated_product",
    "initialized_org_context",
    "client_federation_options",
    "dynamic_scope",
];

/// A fault of the metadata: what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    /// The error code of RFC 7591 §3.2.2.
    pub fn code(&self) -> &'static str {
        if self.0.starts_with("redirect_uris") {
            "invalid_redirect_uri"
        } else {
            "invalid_client_metadata"
        }
    }
}

fn invalid<T>(message: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(message.into()))
}

/// What the group offers at the moment.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub grant_types: Vec<String>,
    pub acr_values: Vec<String>,
    pub id_token_algs: Vec<String>,
    pub access_token_algs: Vec<String>,
    /// Scopes by name; expressions keep their mark.
    pub scopes: Vec<String>,
    /// Scopes that only a client's own `dynamic_scope` grants; expressions keep their mark.
    pub private_scopes: Vec<String>,
}

impl Rules {
    pub fn of(app: &App, tenant: &Tenant) -> Self {
        let config = &tenant.group.config;
        let mut grant_types = owned(GRANT_TYPES);
        if config.device_flow {
            grant_types.push(DEVICE_GRANT.to_owned());
        }
        let usable = |algs: &[Alg]| -> Vec<String> {
            algs.iter()
                .filter(|a| tenant.keys.signs(**a))
                .map(ToString::to_string)
                .collect()
        };
        let restricted = app.settings.scopes.restricted.iter();
        let restricted = restricted.map(|pattern| pattern.published().into_owned());
        Self {
            grant_types,
            acr_values: config.acr_values.clone(),
            id_token_algs: usable(ID_TOKEN_ALGS),
            access_token_algs: usable(ACCESS_TOKEN_ALGS),
            scopes: scopes::supported(app, tenant)
                .into_iter()
                .map(Cow::into_owned)
                .collect(),
            private_scopes: restricted
                .chain(config.private_scopes.iter().cloned())
                .collect(),
        }
    }

    /// The values a member may have, in the order they are named to clients.
    fn allowed(&self, name: &str, given: &Properties) -> Vec<String> {
        match name {
            "application_type" => owned(&["native", "web"]),
            "subject_type" => owned(&["public"]),
            "default_acr_values" => self.acr_values.clone(),
            "grant_types" => self.grant_types.clone(),
            "response_types" => owned(RESPONSE_TYPES),
            "id_token_signed_response_alg" => self.id_token_algs.clone(),
            ACCESS_TOKEN_ALG => self.access_token_algs.clone(),
            "request_object_signing_alg" => [owned(&["HS256"]), owned(KEY_PAIR_ALGS)].concat(),
            _ if name.ends_with("_enc") => owned(ENCRYPTION_ENCS),
            _ if name.ends_with("_auth_method") => owned(AUTH_METHODS),
            _ => match name.strip_suffix("_auth_signing_alg") {
                Some(endpoint) => match text(given, &format!("{endpoint}_auth_method")) {
                    Some("private_key_jwt") => owned(KEY_PAIR_ALGS),
                    Some("client_secret_jwt") => owned(&["HS256"]),
                    _ => Vec::new(),
                },
                None => owned(ENCRYPTION_ALGS),
            },
        }
    }

    /// Is the value private by name, or accepted by an expression of the server or the group?
    fn grants_dynamic(&self, value: &str) -> bool {
        let by_expression = self
            .scopes
            .iter()
            .chain(&self.private_scopes)
            .filter_map(|s| s.split_once("{d}"))
            .any(|(_, expression)| scopes::matches(expression, value));
        by_expression || self.private_scopes.iter().any(|s| s == value)
    }
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

fn text<'a>(given: &'a Properties, name: &str) -> Option<&'a str> {
    given.get(name).and_then(Json::as_str)
}

fn texts<'a>(given: &'a Properties, name: &str) -> impl Iterator<Item = &'a str> {
    given
        .get(name)
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
}

/// Neither absent, null, false, zero nor empty.
fn is_set(value: Option<&Json>) -> bool {
    match value {
        None | Some(Json::Null | Json::Bool(false)) => false,
        Some(Json::String(s)) => !s.is_empty(),
        Some(Json::Number(n)) => n.as_f64() != Some(0.0),
        Some(_) => true,
    }
}

/// Does the client need a secret: to authenticate, to sign, or to derive an encryption key from?
pub fn needs_secret(given: &Properties) -> bool {
    let token = text(given, "token_endpoint_auth_method").unwrap_or(DEFAULT_AUTH);
    let authenticates = ENDPOINTS.iter().any(|endpoint| {
        let method = text(given, &format!("{endpoint}_endpoint_auth_method")).unwrap_or(token);
        !matches!(method, "none" | "private_key_jwt")
    });
    let signs = given
        .iter()
        .filter(|(name, _)| name.ends_with("_signing_alg") || name.ends_with("_response_alg"))
        .any(|(_, v)| v.as_str().is_some_and(|alg| alg.starts_with("HS")));
    let derives = [
        "id_token_encrypted_response_alg",
        "request_object_encryption_alg",
    ]
    .iter()
    .any(|name| text(given, name).is_some_and(|alg| alg.starts_with('A') || alg == "dir"));
    authenticates || signs || derives
}

/// The metadata to store: known members only, defaults filled in. Names the first fault.
pub fn validate(mut given: Properties, rules: &Rules) -> Result<Metadata, Invalid> {
    given.retain(|name, _| is_known(name));
    fill_in(&mut given);
    required(&given)?;
    booleans(&given)?;
    encodings(&mut given)?;
    checks::arrays(&mut given)?;
    checks::strings(&given)?;
    checks::sort_response_types(&mut given);
    checks::enums(&given, rules)?;
    uris::web(&given)?;
    checks::scope(&mut given, rules)?;
    uris::redirects(&given, "post_logout_redirect_uris")?;
    uris::redirects(&given, "redirect_uris")?;
    if texts(&given, "contacts").any(|c| !is_email(c)) {
        return invalid("contacts can only contain email addresses");
    }
    checks::ages(&given)?;
    checks::combinations(&given)?;
    checks::keys(&given)?;
    own::check(&mut given, rules)?;
    // subjects are the same for every client, so there is no sector to tell apart
    given.remove("sector_identifier_uri");
    given.retain(|_, value| !value.is_null());
    serde_json::from_value(Json::Object(given))
        .map_err(|e| Invalid(format!("the metadata cannot be read: {e}")))
}

/// Is this a member clients may register?
pub fn is_known(name: &str) -> bool {
    [ARRAYS, BOOLEANS, STRINGS, ENUMS, own::FLAGS, OTHERS]
        .iter()
        .any(|list| list.contains(&name))
}

fn fill_in(given: &mut Properties) {
    let method = given
        .get("token_endpoint_auth_method")
        .filter(|m| is_set(Some(m)))
        .cloned()
        .unwrap_or_else(|| json!(DEFAULT_AUTH));
    let alg = given
        .get("token_endpoint_auth_signing_alg")
        .filter(|a| is_set(Some(a)))
        .cloned();
    for endpoint in ["introspection", "revocation"] {
        given
            .entry(format!("{endpoint}_endpoint_auth_method"))
            .or_insert_with(|| method.clone());
        if let Some(alg) = &alg {
            given
                .entry(format!("{endpoint}_endpoint_auth_signing_alg"))
                .or_insert_with(|| alg.clone());
        }
    }
    let defaults = [
        ("application_type", json!("web")),
        ("backchannel_logout_session_required", json!(false)),
        ("grant_types", json!(["authorization_code"])),
        ("id_token_signed_response_alg", json!("RS256")),
        ("post_logout_redirect_uris", json!([])),
        ("request_uris", json!([])),
        ("require_auth_time", json!(false)),
        ("require_signed_request_object", json!(false)),
        ("response_types", json!(["code"])),
        ("subject_type", json!("public")),
        ("token_endpoint_auth_method", json!(DEFAULT_AUTH)),
    ];
    for (name, value) in defaults {
        given.entry(name).or_insert(value);
    }
}

fn required(given: &Properties) -> Result<(), Invalid> {
    let mut names = vec!["client_id"];
    if needs_secret(given) {
        names.push("client_secret");
    }
    let redirects = given
        .get("response_types")
        .and_then(Json::as_array)
        .is_some_and(|types| !types.is_empty());
    if redirects {
        names.push("redirect_uris");
    }
    if let Some(name) = names.iter().find(|name| !is_set(given.get(**name))) {
        return invalid(format!("{name} is mandatory property"));
    }
    let by_key = ENDPOINTS.iter().any(|endpoint| {
        text(given, &format!("{endpoint}_endpoint_auth_method")) == Some("private_key_jwt")
    });
    let signs =
        text(given, "request_object_signing_alg").is_some_and(|a| KEY_PAIR_ALGS.contains(&a));
    let decrypts = text(given, "id_token_encrypted_response_alg")
        .is_some_and(|a| a.starts_with("RSA") || a.starts_with("ECDH"));
    let has_keys = is_set(given.get("jwks")) || is_set(given.get("jwks_uri"));
    if (by_key || signs || decrypts) && !has_keys {
        return invalid("jwks or jwks_uri is mandatory for this client");
    }
    Ok(())
}

fn booleans(given: &Properties) -> Result<(), Invalid> {
    match BOOLEANS
        .iter()
        .find(|name| given.get(**name).is_some_and(|v| !v.is_boolean()))
    {
        Some(name) => invalid(format!("{name} must be a boolean")),
        None => Ok(()),
    }
}

/// Content encryption goes with key management, and has a default.
fn encodings(given: &mut Properties) -> Result<(), Invalid> {
    for (enc, alg) in [
        (
            "id_token_encrypted_response_enc",
            "id_token_encrypted_response_alg",
        ),
        (
            "request_object_encryption_enc",
            "request_object_encryption_alg",
        ),
    ] {
        match (given.contains_key(enc), given.contains_key(alg)) {
            (true, false) => {
                return invalid(format!(
                    "{alg} is mandatory property when {enc} is provided"
                ));
            }
            (false, true) => {
                given.insert(enc.to_owned(), json!("A128CBC-HS256"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
