//! Stored forms of providers and what they must have.

use serde_json::{Map, Value as Json, json};

use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::plugins::model::{Limiter, StreamProvider};
use crate::store::Object;

/// A text that is there and not empty.
pub fn text<'a>(body: &'a Json, name: &str) -> Option<&'a str> {
    body.get(name)
        .and_then(Json::as_str)
        .filter(|s| !s.is_empty())
}

fn is_true(body: &Json, name: &str) -> bool {
    body.get(name).and_then(Json::as_bool) == Some(true)
}

/// Those of the named members that are texts.
fn texts(body: &Json, names: &[&str]) -> Map<String, Json> {
    let found = names
        .iter()
        .filter_map(|name| text(body, name).map(|s| ((*name).to_owned(), s.into())));
    found.collect()
}

fn object(json: &Json) -> Object {
    Object::from_json(json).unwrap_or_default()
}

/// Providers of challenges by their stored type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChallengeKind {
    HttpProxy,
    Privakey,
    PrivakeySuper,
    /// Codes of an authenticator app; built in.
    Totp,
    /// People's own phones and browsers; built in.
    Device,
}

impl ChallengeKind {
    /// In whatever case it is written.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "http-proxy" => Some(Self::HttpProxy),
            "privakey" => Some(Self::Privakey),
            "privakeysuper" => Some(Self::PrivakeySuper),
            "totp" => Some(Self::Totp),
            "device" => Some(Self::Device),
            _ => None,
        }
    }

    pub fn stored(self) -> &'static str {
        match self {
            Self::HttpProxy => "http-proxy",
            Self::Privakey => "privakey",
            Self::PrivakeySuper => "privakeysuper",
            Self::Totp => "totp",
            Self::Device => "device",
        }
    }
}

/// 400 if the body lacks what its kind of provider needs.
pub fn check_challenges(kind: ChallengeKind, body: &Json) -> ApiResult<()> {
    match kind {
        ChallengeKind::Privakey | ChallengeKind::Totp | ChallengeKind::Device => Ok(()),
        ChallengeKind::PrivakeySuper => {
            if body.get("privakeySuper").is_some_and(Json::is_object) {
                Ok(())
            } else {
                Err(ApiError::bad_request(
                    "privakeySuper requires its id and key",
                ))
            }
        }
        ChallengeKind::HttpProxy => {
            let api = body.get("api").unwrap_or(&Json::Null);
            if ["domain", "challenge", "validate"]
                .iter()
                .any(|name| text(api, name).is_none())
            {
                return Err(ApiError::bad_request(
                    "http-proxy requires domain, challenge and validate api endpoints",
                ));
            }
            if text(body, "proxyEnableScreen").is_none() {
                return Err(ApiError::bad_request(
                    "http-proxy requires you to specify a browser based screen to direct the user to where they can bind their mobile device to a your MFA provider.",
                ));
            }
            Ok(())
        }
    }
}

/// The stored form of a provider whose body passed [`check_challenges`].
pub fn challenges(kind: ChallengeKind, body: &Json, client: Option<&str>) -> Object {
    let mut out = Map::new();
    out.insert("type".to_owned(), kind.stored().into());
    match kind {
        ChallengeKind::Privakey | ChallengeKind::Totp | ChallengeKind::Device => {}
        ChallengeKind::PrivakeySuper => {
            let given = body.get("privakeySuper").unwrap_or(&Json::Null);
            let members = texts(given, &["id", "key"]);
            out.insert("privakeySuper".to_owned(), members.into());
        }
        ChallengeKind::HttpProxy => {
            let api = body.get("api").unwrap_or(&Json::Null);
            let names = [
                "domain",
                "challenge",
                "validate",
                "bind",
                "revoke",
                "devices",
            ];
            out.insert("api".to_owned(), texts(api, &names).into());
            out.extend(texts(
                body,
                &[
                    "proxyEnableScreen",
                    "proxyEnableInstructions",
                    "proxyEnableScreenButtonText",
                ],
            ));
            if let Some(client) = client {
                out.insert("proxyClientId".to_owned(), client.into());
            }
        }
    }
    object(&Json::Object(out))
}

/// The stored form of a provider of passkeys.
pub fn passkeys(kind: &str, body: &Json) -> Object {
    let setup = body.get("setup").filter(|s| s.is_object());
    object(&json!({ "type": kind, "setup": setup.unwrap_or(&json!({})) }))
}

/// The known members of an event stream's provider.
pub fn stream(provider: &Json) -> StreamProvider {
    let mut extra = texts(
        provider,
        &[
            "type",
            "adminUrl",
            "streamUrl",
            "externalEventBodySchemaUrl",
        ],
    );
    for name in ["auth", "setupConfig", "clientConfig"] {
        if let Some(value) = provider.get(name).filter(|v| v.is_object()) {
            extra.insert(name.to_owned(), value.clone());
        }
    }
    let master = provider.get("masterStream").unwrap_or(&Json::Null);
    StreamProvider {
        master_stream: Limiter {
            enabled: is_true(master, "enabled"),
            extra: object(&Json::Object(texts(master, &["streamPath"]))),
        },
        oauth_required: is_true(provider, "oauthRequired"),
        rest_auth: is_true(provider, "restAuth"),
        stream_auth: is_true(provider, "streamAuth"),
        master_auth: is_true(provider, "masterAuth"),
        lock_streaming_once_active: is_true(provider, "lockStreamingOnceActive"),
        enable_validation: is_true(provider, "enableValidation"),
        extra: object(&Json::Object(extra)),
    }
}

/// 422 if the settings of an event stream are incomplete, 400 without a type.
pub fn check_stream(provider: &Json) -> ApiResult<()> {
    match text(provider, "type") {
        None => Err(ApiError::bad_request("The provider's type is required")),
        Some("nats") => check_nats(provider),
        Some("pulsar") => check_pulsar(provider),
        Some(_) => Err(ApiError::failed_dependency(
            "There is no event stream provider of that type",
        )),
    }
}

fn check_nats(provider: &Json) -> ApiResult<()> {
    let refuse = |message: &str| Err(ApiError::unprocessable(message));
    let at = |pointer: &str| {
        provider
            .pointer(pointer)
            .and_then(Json::as_str)
            .unwrap_or_default()
    };
    if is_true(provider, "restAuth") {
        return refuse("NATS does not use REST authorization");
    }
    if is_true(provider, "streamAuth")
        && (at("/auth/userSeed").is_empty() || at("/auth/userPublicKey").is_empty())
    {
        return refuse("NATS stream authorization requires auth.userSeed and auth.userPublicKey");
    }
    if at("/streamUrl").is_empty() {
        return refuse("NATS url required");
    }
    if at("/clientConfig/stream").is_empty() || at("/clientConfig/subject").is_empty() {
        return refuse("NATS requires clientConfig.stream and clientConfig.subject");
    }
    if !at("/clientConfig/subject").contains("{authGroup}") {
        return refuse("The NATS subject must contain {authGroup}");
    }
    let simple = provider
        .pointer("/clientConfig/coreSimpleStream")
        .and_then(Json::as_bool)
        == Some(true);
    if simple {
        let issuer = ["/auth/jwtIssuer", "/auth/clientId", "/auth/authGroup"];
        if issuer.iter().any(|pointer| at(pointer).is_empty()) {
            return refuse(
                "NATS with a simple core stream requires auth.jwtIssuer, auth.clientId and auth.authGroup",
            );
        }
    } else if at("/auth/jwt").is_empty() {
        return refuse("NATS requires auth.jwt");
    }
    if provider.pointer("/masterStream/enabled") == Some(&Json::Bool(true))
        && at("/masterStream/streamPath").split("::").count() != 2
    {
        return refuse("The master stream requires a streamPath of the form stream::subject");
    }
    Ok(())
}

fn check_pulsar(provider: &Json) -> ApiResult<()> {
    const OPTIONS: &[&str] = &[
        "operationTimeoutSeconds",
        "ioThreads",
        "tlsTrustCertsFilePath",
        "tlsValidateHostname",
        "tlsAllowInsecureConnection",
    ];
    let refuse = |message: &str| Err(ApiError::unprocessable(message));
    if text(provider, "adminUrl").is_none() {
        return refuse("Pulsar requires an adminUrl");
    }
    if text(provider, "streamUrl").is_none() {
        return refuse("Pulsar requires a streamUrl");
    }
    let lists = ["/setupConfig/clusterList", "/setupConfig/adminRoles"];
    if lists
        .iter()
        .any(|p| !provider.pointer(p).is_some_and(Json::is_array))
    {
        return refuse(
            "Pulsar requires the lists setupConfig.clusterList and setupConfig.adminRoles",
        );
    }
    let known = |options: &Map<String, Json>| options.keys().all(|k| OPTIONS.contains(&k.as_str()));
    match provider.get("clientConfig").and_then(Json::as_object) {
        Some(options) if !known(options) => refuse("Pulsar does not know all of clientConfig"),
        _ => Ok(()),
    }
}
