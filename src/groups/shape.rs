//! What the registration of a group may say.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use crate::accounts::passwords;
use crate::groups::model::{GroupConfig, PluginOptions};
use crate::groups::new_group::is_alias;
use crate::groups::values;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::validate::{Kind, Shape, decode};

/// Characters of a picture, which may be a `data:` address.
const PICTURE: Kind = Kind::TextUpTo(65_536);

static BODY: Shape = Shape {
    required: &[
        "name",
        "owner",
        "prettyName",
        "primaryDomain",
        "primaryEmail",
    ],
    members: &[
        ("name", Kind::Text),
        ("prettyName", Kind::Matching(is_alias, "^[a-zA-Z0-9-_]*$")),
        ("owner", Kind::Text),
        ("locked", Kind::Boolean),
        ("metadata", Kind::Object),
        ("config", Kind::Nested(&CONFIG)),
        ("pluginOptions", Kind::Nested(&OPTIONS)),
        ("primaryDomain", Kind::Text),
        ("primaryTOS", Kind::Text),
        ("primaryPrivacyPolicy", Kind::Text),
        ("primaryEmail", Kind::Text),
        ("registerUrl", Kind::Text),
    ],
    open: false,
};

/// Keys of `logEventGroups` and `ttl` are checked when they become a `GroupConfig`.
static CONFIG: Shape = Shape {
    required: &[],
    members: &[
        ("logEventGroups", Kind::Object),
        ("ttl", Kind::Object),
        ("defaultLogoutRedirect", Kind::Text),
        ("defaultLogoutName", Kind::Text),
        ("globalSkipLogoutConfirm", Kind::Boolean),
        ("globalSkipAuthorize", Kind::Boolean),
        ("requireVerified", Kind::Boolean),
        ("autoVerify", Kind::Boolean),
        ("passwordLessSupport", Kind::Boolean),
        ("centralPasswordReset", Kind::Boolean),
        ("scopes", Kind::TextArray),
        ("acrValues", Kind::TextArray),
        ("deviceFlow", Kind::Boolean),
        ("pkceRequired", Kind::Boolean),
        ("mfaChallenge", Kind::Nested(&CHALLENGE)),
        ("federate", Kind::Nested(&FEDERATE)),
        ("restrictPasswordRepeats", Kind::Boolean),
        ("failedLoginThresholds", Kind::Nested(&THRESHOLDS)),
        ("passwordPolicy", Kind::Nested(&PASSWORDS)),
        ("ui", Kind::Nested(&UI)),
    ],
    open: false,
};

static OPTIONS: Shape = Shape {
    required: &[],
    members: &[
        ("webAuthN", Kind::Nested(&PASSKEYS)),
        ("externalStreaming", Kind::Nested(&SWITCH)),
        ("notification", Kind::Nested(&NOTIFICATION)),
    ],
    open: false,
};

const OIDC_PROVIDERS: &[&str] = &["google", "custom"];
const OAUTH2_PROVIDERS: &[&str] = &["linkedin", "custom"];
const SAML_PROVIDERS: &[&str] = &["google", "microsoft", "custom"];

static OIDC: Shape = Shape {
    required: &["name", "provider", "client_id", "discovery_url"],
    members: &[
        ("name", Kind::Text),
        ("provider", Kind::OneOf(OIDC_PROVIDERS)),
        ("buttonType", Kind::OneOf(&["google", "standard"])),
        ("buttonText", Kind::Text),
        ("PKCE", Kind::Boolean),
        ("client_id", Kind::Text),
        ("client_secret", Kind::Text),
        ("response_type", Kind::Text),
        ("grant_type", Kind::Text),
        ("discovery_url", Kind::Text),
        ("scopes", Kind::TextArray),
    ],
    open: false,
};

static OAUTH2: Shape = Shape {
    required: &[
        "name",
        "provider",
        "client_id",
        "accessTokenUri",
        "authorizationUri",
        "profileUri",
    ],
    members: &[
        ("name", Kind::Text),
        ("provider", Kind::OneOf(OAUTH2_PROVIDERS)),
        ("buttonType", Kind::OneOf(&["linkedin", "standard"])),
        ("buttonText", Kind::Text),
        ("PKCE", Kind::Boolean),
        ("client_id", Kind::Text),
        ("client_secret", Kind::Text),
        ("response_type", Kind::OneOf(&["code"])),
        ("grant_type", Kind::OneOf(&["authorization_code"])),
        ("accessTokenUri", Kind::Text),
        ("authorizationUri", Kind::Text),
        ("profileUri", Kind::Text),
        ("scopes", Kind::TextArray),
    ],
    open: true,
};

static SAML: Shape = Shape {
    required: &[
        "name",
        "provider",
        "idpCertificates",
        "ssoLoginUrl",
        "ssoLogoutUrl",
    ],
    members: &[
        ("name", Kind::Text),
        ("provider", Kind::OneOf(SAML_PROVIDERS)),
        (
            "buttonType",
            Kind::OneOf(&["google", "microsoft", "standard"]),
        ),
        ("buttonText", Kind::Text),
        ("idpCertificates", Kind::TextArray),
        ("idpEntityId", Kind::Text),
        ("ssoLoginUrl", Kind::Text),
        ("ssoLogoutUrl", Kind::Text),
        ("forceLogin", Kind::Boolean),
        ("signRequest", Kind::Boolean),
        ("allowUnencryptedAssertion", Kind::Boolean),
    ],
    open: false,
};

static FEDERATE: Shape = Shape {
    required: &[],
    members: &[
        ("oidc", Kind::ListOf(&OIDC)),
        ("oauth2", Kind::ListOf(&OAUTH2)),
        ("saml", Kind::ListOf(&SAML)),
    ],
    open: true,
};

static CHALLENGE: Shape = Shape {
    required: &[],
    members: &[
        ("enable", Kind::Boolean),
        ("required", Kind::Boolean),
        ("noPassLogin", Kind::Boolean),
        ("type", Kind::Text),
        ("numberMatching", Kind::Boolean),
        ("meta", Kind::Object),
    ],
    open: true,
};

static THRESHOLDS: Shape = Shape {
    required: &[],
    members: &[
        ("enabled", Kind::Boolean),
        ("threshold", Kind::Number),
        ("duration", Kind::Number),
    ],
    open: true,
};

static PASSWORDS: Shape = Shape {
    required: &[],
    members: &[
        ("enabled", Kind::Boolean),
        ("pattern", Kind::Nested(&PATTERN)),
    ],
    open: true,
};

static PATTERN: Shape = Shape {
    required: &[],
    members: &[
        ("characters", Kind::Number),
        ("special", Kind::Boolean),
        ("number", Kind::Boolean),
        ("caps", Kind::Boolean),
        ("custom", Kind::Text),
    ],
    open: true,
};

static UI: Shape = Shape {
    required: &[],
    members: &[
        ("fullCustom", Kind::Boolean),
        ("skin", Kind::Nested(&SKIN)),
        ("meta", Kind::Object),
        ("frameAncestors", Kind::TextArray),
    ],
    open: true,
};

static SKIN: Shape = Shape {
    required: &[],
    members: &[
        ("backgroundImage", PICTURE),
        ("splashImage", PICTURE),
        ("logo", PICTURE),
        ("favicon", PICTURE),
        ("loginOrientation", Kind::Text),
        ("bgGradientLow", Kind::Text),
        ("bgGradientHigh", Kind::Text),
    ],
    open: true,
};

static PASSKEYS: Shape = Shape {
    required: &[],
    members: &[
        ("enable", Kind::Boolean),
        ("type", Kind::Text),
        ("meta", Kind::Object),
    ],
    open: true,
};

static SWITCH: Shape = Shape {
    required: &[],
    members: &[("enabled", Kind::Boolean)],
    open: true,
};

static NOTIFICATION: Shape = Shape {
    required: &[],
    members: &[
        ("enabled", Kind::Boolean),
        ("ackRequiredOnOptional", Kind::Boolean),
        ("customService", Kind::Nested(&SWITCH)),
    ],
    open: true,
};

fn typed<T: Serialize + DeserializeOwned>(given: &Json, what: &str) -> ApiResult<()> {
    decode::<T>(given.clone())
        .map(drop)
        .map_err(|e| ApiError::validation(format!("{what} has a member of the wrong type: {e}")))
}

/// 400 unless the body describes a group, with settings that mean something.
pub fn check(body: &Json) -> ApiResult<()> {
    BODY.check(body)?;
    // before keys are made, which takes long
    if let Some(config) = body.get("config") {
        typed::<GroupConfig>(config, "config")?;
    }
    if let Some(options) = body.get("pluginOptions") {
        typed::<PluginOptions>(options, "pluginOptions")?;
    }
    // an empty name has a status of its own
    values::check(&json!({ "name": body["name"] }), body)?;
    let policy = "/config/passwordPolicy/pattern/custom";
    match body.pointer(policy).and_then(Json::as_str) {
        Some(custom) if !passwords::compiles(custom) => Err(ApiError::bad_request(
            "A custom regular expression password policy was added but did not compile",
        )),
        _ => Ok(()),
    }
}
