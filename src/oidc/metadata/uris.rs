//! Rules of the addresses in client metadata.

use serde_json::Value as Json;
use url::Url;

use super::{Invalid, Properties, invalid, text, texts};

const WEB: &[&str] = &[
    "backchannel_logout_uri",
    "client_uri",
    "initiate_login_uri",
    "jwks_uri",
    "logo_uri",
    "policy_uri",
    "sector_identifier_uri",
    "tos_uri",
];
const HTTPS_ONLY: &[&str] = &["initiate_login_uri", "sector_identifier_uri"];
const LOOPBACK: &[&str] = &["localhost", "127.0.0.1", "[::1]"];

/// Parsed, unless a parser would have to drop or guess parts of it.
fn parse(uri: &str) -> Option<Url> {
    let clean = !uri.chars().any(|c| c.is_whitespace() || c.is_control());
    clean.then(|| Url::parse(uri).ok()).flatten()
}

pub(super) fn is_web(uri: &str, schemes: &[&str]) -> bool {
    uri.contains("://") && parse(uri).is_some_and(|u| schemes.contains(&u.scheme()) && u.has_host())
}

/// Addresses that are fetched or linked to.
pub(super) fn web(given: &Properties) -> Result<(), Invalid> {
    for name in WEB {
        let (kind, schemes): (_, &[&str]) = if HTTPS_ONLY.contains(name) {
            ("https", &["https"])
        } else {
            ("web", &["http", "https"])
        };
        if text(given, name).is_some_and(|uri| !is_web(uri, schemes)) {
            return invalid(format!("{name} must be a {kind} uri"));
        }
    }
    if texts(given, "request_uris").any(|uri| !is_web(uri, &["http", "https"])) {
        return invalid("request_uris must only contain web uris");
    }
    Ok(())
}

/// Where the browser is sent back to (RFC 6749 §3.1.2, RFC 8252 §7 for native clients).
pub(super) fn redirects(given: &Properties, name: &str) -> Result<(), Invalid> {
    let native = text(given, "application_type") == Some("native");
    let implicit = given
        .get("grant_types")
        .and_then(Json::as_array)
        .is_some_and(|g| g.iter().any(|g| g == "implicit"));
    for uri in texts(given, name) {
        let Some(url) = parse(uri) else {
            return invalid(format!("{name} must only contain valid uris"));
        };
        if url.fragment().is_some() {
            return invalid(format!("{name} must not contain fragments"));
        }
        let host = url.host_str().unwrap_or_default();
        let loopback = LOOPBACK.contains(&host);
        let fault = match (native, url.scheme()) {
            (false, "http") if implicit => {
                "for web clients using implicit flow MUST only register URLs using the https scheme"
                    .to_owned()
            }
            (false, "https") if implicit && host == "localhost" => {
                "for web clients using implicit flow must not be using localhost".to_owned()
            }
            (false, "http" | "https") => continue,
            (false, _) => "must only contain web uris".to_owned(),
            (true, "http") if !loopback => {
                "for native clients using http as a protocol can only use loopback addresses as hostnames"
                    .to_owned()
            }
            (true, "https") if loopback => format!(
                "for native clients using claimed HTTPS URIs must not be using {host} as hostname"
            ),
            (true, "http" | "https") => continue,
            (true, scheme) if scheme.contains('.') => continue,
            (true, _) => {
                "for native clients using Custom URI scheme should use reverse domain name based scheme"
                    .to_owned()
            }
        };
        return invalid(format!("{name} {fault}"));
    }
    Ok(())
}
