//! The connection of an organization to its own sign-in: defaults, secrets, return addresses.

use serde_json::{Map, Value as Json, json};

use crate::app::App;
use crate::clients::model::SecretView;
use crate::groups::{AuthGroup, federation};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::organizations::Organization;
use crate::store::Object;

/// An organization has at most one connection, under one of these names.
const KINDS: [&str; 3] = ["oidc", "oauth2", "saml"];
const KEY: &str = "spPrivateKey";
const SECRET: &str = "client_secret";

/// Paths of secrets in the stored document.
pub const SECRETS: &[&str] = &[
    "sso.oidc.client_secret",
    "sso.oidc.spPrivateKey",
    "sso.oauth2.client_secret",
    "sso.oauth2.spPrivateKey",
    "sso.saml.client_secret",
    "sso.saml.spPrivateKey",
];

fn invalid(what: impl std::fmt::Display) -> ApiError {
    ApiError::validation(format!("organizations validation failed: sso.{what}"))
}

/// What is stored for a connection as it was sent: one kind, complete, with its secrets.
///
/// `old` is what is stored so far; clients do not see secrets and so need not repeat them.
pub async fn prepare(
    app: &App,
    old: Option<&Object>,
    new: Option<&Object>,
) -> ApiResult<Option<Object>> {
    let Some(Json::Object(sent)) = new.map(Object::to_json) else {
        return Ok(None);
    };
    let mut sent = sent.into_iter().filter(|(k, _)| KINDS.contains(&&**k));
    let Some((kind, mut connection)) = sent.next() else {
        return Ok(None);
    };
    if sent.next().is_some() {
        return Err(ApiError::bad_request(
            "An organization can have one SSO connection; send either oidc, oauth2 or saml",
        ));
    }
    let Some(members) = connection.as_object_mut() else {
        return Err(invalid(format!("{kind}: must be an object")));
    };
    // computed for every answer, never kept
    members.remove("redirectUris");
    fill_defaults(&kind, members);
    check(&kind, members)?;
    let before = old.map(Object::to_json);
    keep_secrets(before.as_ref().and_then(|b| b.get(&kind)), members);
    if kind == "saml" {
        let has = |name: &str| {
            members
                .get(name)
                .and_then(Json::as_str)
                .is_some_and(|t| !t.is_empty())
        };
        if !has("spCertificate") || !has(KEY) {
            let pair = federation::saml_pair(app).await?;
            members.insert("spCertificate".to_owned(), pair.certificate.into());
            members.insert(KEY.to_owned(), pair.private_key.into());
        }
    }
    Ok(Object::from_json(&json!({ kind: connection })))
}

fn fill_defaults(kind: &str, members: &mut Map<String, Json>) {
    let defaults: &[(&str, Json)] = if kind == "saml" {
        &[
            ("buttonType", json!("standard")),
            ("buttonText", json!("Federated Sign-in")),
            ("forceLogin", json!(false)),
            ("signRequest", json!(false)),
            ("allowUnencryptedAssertion", json!(true)),
        ]
    } else {
        &[
            ("buttonType", json!("standard")),
            ("buttonText", json!("Your Company SSO")),
            ("PKCE", json!(false)),
            ("response_type", json!("code")),
            ("grant_type", json!("authorization_code")),
            ("scopes", json!([])),
        ]
    };
    for (name, value) in defaults {
        members
            .entry((*name).to_owned())
            .or_insert_with(|| value.clone());
    }
}

fn check(kind: &str, members: &Map<String, Json>) -> ApiResult<()> {
    let required: &[&str] = match kind {
        "oidc" => &["name", "discovery_url"],
        "saml" => &["name", "ssoLoginUrl", "ssoLogoutUrl", "idpCertificates"],
        _ => &["name"],
    };
    for name in required {
        if !members.get(*name).is_some_and(|v| *v != json!("")) {
            return Err(invalid(format!("{kind}.{name}: is required")));
        }
    }
    for (name, value) in members {
        let fits = match name.as_str() {
            "PKCE" | "forceLogin" | "signRequest" | "allowUnencryptedAssertion" => {
                value.is_boolean()
            }
            "scopes" | "idpCertificates" => value
                .as_array()
                .is_some_and(|list| list.iter().all(Json::is_string)),
            "buttonType" if kind == "saml" => ["google", "microsoft", "standard"]
                .map(Json::from)
                .contains(value),
            "buttonType" => *value == json!("standard"),
            "response_type" if kind == "oauth2" => *value == json!("code"),
            "grant_type" if kind == "oauth2" => *value == json!("authorization_code"),
            "name" | "buttonText" | "client_id" | SECRET | "response_type" | "grant_type"
            | "discovery_url" | "accessTokenUri" | "authorizationUri" | "profileUri"
            | "ssoLoginUrl" | "ssoLogoutUrl" | "spCertificate" | KEY => value.is_string(),
            _ => true,
        };
        if !fits {
            return Err(invalid(format!(
                "{kind}.{name}: is not a value it can have"
            )));
        }
    }
    Ok(())
}

/// A connection that comes back without its secrets keeps them, as long as it is the same one.
fn keep_secrets(before: Option<&Json>, members: &mut Map<String, Json>) {
    let Some(before) = before else { return };
    let same = |name: &str| !members.contains_key(name) || members.get(name) == before.get(name);
    if members.get("name") != before.get("name") || !same("client_id") || !same("spCertificate") {
        return;
    }
    for name in [SECRET, "spCertificate", KEY] {
        if let Some(value) = before.get(name) {
            members
                .entry(name.to_owned())
                .or_insert_with(|| value.clone());
        }
    }
}

fn connections(out: &mut Json) -> impl Iterator<Item = (&String, &mut Map<String, Json>)> {
    out.get_mut("sso")
        .and_then(Json::as_object_mut)
        .into_iter()
        .flatten()
        .filter_map(|(kind, c)| Some((kind, c.as_object_mut()?)))
}

/// Takes secrets out of an organization in JSON. Private keys never leave the server.
pub fn hide(out: &mut Json, secrets: SecretView) {
    for (_, connection) in connections(out) {
        connection.remove(KEY);
        if secrets == SecretView::Hidden {
            connection.remove(SECRET);
        }
    }
}

/// Adds where the provider of the connection is to send people back to.
pub fn add_return_addresses(
    app: &App,
    group: &AuthGroup,
    organization: &Organization,
    out: &mut Json,
) {
    let mut origins = vec![app.settings.origin()];
    if let Some(alias) = group.alias_dns_oidc.as_deref().filter(|a| !a.is_empty()) {
        origins.push(format!("{}://{alias}", app.settings.server.protocol));
    }
    for (kind, connection) in connections(out) {
        let name = connection
            .get("name")
            .and_then(Json::as_str)
            .unwrap_or_default()
            .replace(' ', "_")
            .to_lowercase();
        let mut keys = vec![organization.id.as_str()];
        keys.extend(
            organization
                .external_id
                .as_deref()
                .filter(|e| !e.is_empty() && kind != "saml"),
        );
        let uris: Vec<String> = origins
            .iter()
            .flat_map(|origin| keys.iter().map(move |key| (origin, key)))
            .map(|(origin, key)| {
                format!(
                    "{origin}/{}/interaction/callback/{kind}/org:{key}/{name}",
                    group.id
                )
            })
            .collect();
        connection.insert("redirectUris".to_owned(), json!(uris));
    }
}
