//! Connections to upstream providers inside a group's settings: their defaults, their secrets,
//! and the certificate with which this server speaks SAML.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::Decode as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA512,
    RsaKeySize, SerialNumber,
};
use serde_json::{Value as Json, json};
use time::OffsetDateTime;

use crate::app::App;
use crate::groups::AuthGroup;
use crate::groups::model::Federate;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::store::{Object, Value};

const KINDS: [&str; 3] = ["oidc", "oauth2", "saml"];
/// Members of a connection that never leave the server.
const SECRETS: [&str; 2] = ["client_secret", "spPrivateKey"];
const DAY: i64 = 86_400;

fn connections_mut(federate: &mut Federate) -> [(&'static str, &mut Vec<Object>); 3] {
    [
        ("oidc", &mut federate.oidc),
        ("oauth2", &mut federate.oauth2),
        ("saml", &mut federate.saml),
    ]
}

fn connections(federate: &Federate) -> [(&'static str, &Vec<Object>); 3] {
    [
        ("oidc", &federate.oidc),
        ("oauth2", &federate.oauth2),
        ("saml", &federate.saml),
    ]
}

/// Fills in what a connection has when nothing is said.
pub fn fill_defaults(federate: &mut Federate) {
    let text = |t: &str| Value::String(t.to_owned());
    for (kind, list) in connections_mut(federate) {
        let defaults: &[(&str, Value)] = if kind == "saml" {
            &[
                ("buttonType", text("standard")),
                ("buttonText", text("Federated Sign-in")),
                ("forceLogin", Value::Boolean(false)),
                ("signRequest", Value::Boolean(false)),
                ("allowUnencryptedAssertion", Value::Boolean(true)),
            ]
        } else {
            &[
                ("buttonType", text("standard")),
                ("buttonText", text("Federated Sign-in")),
                ("PKCE", Value::Boolean(false)),
                ("response_type", text("code")),
                ("grant_type", text("authorization_code")),
            ]
        };
        for connection in list {
            for (name, value) in defaults {
                if !connection.contains_key(name) {
                    connection.insert(*name, value.clone());
                }
            }
            // computed for every answer, never kept
            connection.remove("redirectUris");
        }
    }
}

/// Clients never see secrets, so a connection that comes back without its own keeps it.
pub fn keep_secrets(old: &Federate, new: &mut Federate) {
    let same = |a: &Object, b: &Object, name: &str| {
        a.get_str(name).is_some() && a.get_str(name) == b.get_str(name)
    };
    for ((_, before), (_, after)) in connections(old).into_iter().zip(connections_mut(new)) {
        for connection in after {
            let known = before.iter().find(|b| {
                same(b, connection, "name")
                    && same(b, connection, "provider")
                    && ["client_id", "spCertificate"]
                        .iter()
                        .all(|id| !connection.contains_key(id) || b.get(id) == connection.get(id))
            });
            let Some(known) = known else { continue };
            for secret in SECRETS {
                if let Some(value) = known
                    .get(secret)
                    .filter(|_| !connection.contains_key(secret))
                {
                    connection.insert(secret, value.clone());
                }
            }
        }
    }
}

/// Gives every SAML connection without certificate or key a new pair.
pub async fn make_pairs(app: &App, federate: &mut Federate) -> ApiResult<()> {
    for connection in &mut federate.saml {
        let has = |name: &str| connection.get_str(name).is_some_and(|t| !t.is_empty());
        if has("spCertificate") && has("spPrivateKey") {
            continue;
        }
        let pair = saml_pair(app).await?;
        connection.insert("spCertificate", pair.certificate);
        connection.insert("spPrivateKey", pair.private_key);
    }
    Ok(())
}

/// A self-signed certificate and its key, both PEM; the key in the form of PKCS #1.
pub struct SamlPair {
    pub certificate: String,
    pub private_key: String,
}

impl std::fmt::Debug for SamlPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SamlPair")
    }
}

/// RSA 2048, SHA-512, good for a century: upstream providers pin it and do not renew.
pub async fn saml_pair(app: &App) -> ApiResult<SamlPair> {
    let company = app.settings.bootstrap.company_name.clone();
    let (serial, now) = (app.random.bytes::<20>(), app.now());
    tokio::task::spawn_blocking(move || make_pair(&company, serial, now))
        .await
        .map_err(ApiError::internal)?
        .map_err(|cause| {
            tracing::error!(%cause, "no SAML certificate could be made");
            ApiError::expectation_failed("The SAML certificate could not be made, try again")
        })
}

fn make_pair(
    company: &str,
    mut serial: [u8; 20],
    now: i64,
) -> Result<SamlPair, Box<dyn std::error::Error + Send + Sync>> {
    // positive and of full length whatever the encoding (RFC 5280 §4.1.2.2)
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    let start = OffsetDateTime::from_unix_timestamp((now.div_euclid(DAY) - 2) * DAY)?;
    let century = start
        .replace_year(start.year() + 100)
        .or_else(|_| (start - time::Duration::days(1)).replace_year(start.year() + 100))?;
    let mut params = CertificateParams::default();
    params.not_before = start;
    params.not_after = century + time::Duration::seconds(DAY - 1);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in [
        (DnType::CountryName, "United States"),
        (DnType::StateOrProvinceName, "Pennsylvania"),
        (DnType::LocalityName, "Philadelphia"),
        (DnType::CommonName, company),
    ] {
        params.distinguished_name.push(kind, value);
    }
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA512, RsaKeySize::_2048)?;
    let certificate = params.self_signed(&key)?.pem();
    let info = PrivateKeyInfoRef::from_der(key.serialized_der()).map_err(|e| e.to_string())?;
    Ok(SamlPair {
        certificate,
        private_key: pem("RSA PRIVATE KEY", info.private_key.as_bytes()),
    })
}

/// Textual encoding (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out + &format!("-----END {label}-----\n")
}

/// Makes the connections of a group in JSON fit for clients: no secrets, and where the upstream
/// provider is to send people back to.
pub fn present(app: &App, group: &AuthGroup, out: &mut Json) {
    let mut origins = vec![app.settings.origin()];
    if let Some(alias) = group.alias_dns_oidc.as_deref().filter(|a| !a.is_empty()) {
        origins.push(format!("{}://{alias}", app.settings.server.protocol));
    }
    for kind in KINDS {
        let Some(list) = out
            .pointer_mut(&format!("/config/federate/{kind}"))
            .and_then(Json::as_array_mut)
        else {
            continue;
        };
        for connection in list.iter_mut().filter_map(Json::as_object_mut) {
            for secret in SECRETS {
                connection.remove(secret);
            }
            let part = |name: &str| {
                connection
                    .get(name)
                    .and_then(Json::as_str)
                    .unwrap_or_default()
                    .to_lowercase()
            };
            let tail = format!(
                "{}/interaction/callback/{kind}/{}/{}",
                group.id,
                part("provider"),
                part("name").replace(' ', "_")
            );
            let uris: Vec<Json> = origins
                .iter()
                .map(|origin| format!("{origin}/{tail}").into())
                .collect();
            connection.insert("redirectUris".to_owned(), json!(uris));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn federate(value: Json) -> Federate {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn defaults_do_not_replace_what_is_said() {
        let mut f = federate(
            json!({ "oidc": [{ "name": "a", "PKCE": true, "redirectUris": ["x"] }], "saml": [{ "name": "s" }] }),
        );
        fill_defaults(&mut f);
        assert_eq!(
            f.oidc[0].to_json(),
            json!({ "name": "a", "PKCE": true, "buttonType": "standard", "buttonText": "Federated Sign-in",
                    "response_type": "code", "grant_type": "authorization_code" })
        );
        assert_eq!(
            f.saml[0].get("allowUnencryptedAssertion"),
            Some(&Value::Boolean(true))
        );
    }

    #[test]
    fn a_secret_survives_only_with_its_own_connection() {
        let old = federate(
            json!({ "oidc": [{ "name": "a", "provider": "google", "client_id": "c", "client_secret": "s" }] }),
        );
        let secret = |value: Json| {
            let mut new = federate(json!({ "oidc": [value] }));
            keep_secrets(&old, &mut new);
            new.oidc[0].get_str("client_secret").map(ToOwned::to_owned)
        };
        assert_eq!(
            secret(json!({ "name": "a", "provider": "google", "client_id": "c" })),
            Some("s".to_owned())
        );
        assert_eq!(
            secret(json!({ "name": "a", "provider": "google", "client_id": "other" })),
            None
        );
        assert_eq!(
            secret(json!({ "name": "b", "provider": "google", "client_id": "c" })),
            None
        );
        assert_eq!(
            secret(
                json!({ "name": "a", "provider": "google", "client_id": "c", "client_secret": "n" })
            ),
            Some("n".to_owned())
        );
    }

    #[test]
    fn a_pair_is_pem_and_lasts_a_century() {
        // 2024-03-02: the certificate starts on a leap day
        let pair = make_pair("Example Inc", [0; 20], 1_709_380_800).unwrap();
        assert!(pair.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(
            pair.private_key
                .starts_with("-----BEGIN RSA PRIVATE KEY-----\nMII")
        );
        assert!(pair.private_key.lines().all(|l| l.len() <= 64));
    }
}
