//! What the settings of a group may be.

use serde_json::Value as Json;

use crate::http::ApiError;
use crate::http::error::ApiResult;

/// Longest life (s) of anything: ten years.
const LONGEST: i64 = 315_360_000;
const LIVES: &[&str] = &[
    "accessToken",
    "authorizationCode",
    "clientCredentials",
    "deviceCode",
    "idToken",
    "refreshToken",
    "interaction",
    "session",
    "grant",
];
const COUNTS: &[&str] = &[
    "/config/failedLoginThresholds/threshold",
    "/config/failedLoginThresholds/duration",
    "/config/passwordPolicy/pattern/characters",
];
const ADDRESSES: &[&str] = &[
    "/primaryDomain",
    "/primaryTOS",
    "/primaryPrivacyPolicy",
    "/registerUrl",
];

/// Words that are known, in any letter case, by where they stand.
const CHALLENGES: &[&str] = &["http-proxy", "privakeysuper", "totp", "device"];
const ORIENTATIONS: &[&str] = &["right", "left", "middle"];
const WORDS: &[(&str, &[&str])] = &[
    ("/config/mfaChallenge/type", CHALLENGES),
    ("/config/ui/skin/loginOrientation", ORIENTATIONS),
];

/// 400 if a value has changed to one that means nothing.
pub fn check(old: &Json, new: &Json) -> ApiResult<()> {
    let wrong = |at: &str, rule: String| {
        let name = at.trim_start_matches('/').replace('/', ".");
        Err(ApiError::validation(format!(
            "The group would not be valid: {name} must be {rule}"
        )))
    };
    let changed = |at: &str| {
        let value = new.pointer(at)?;
        (old.pointer(at) != Some(value)).then_some(value)
    };
    if changed("/name").is_some_and(|name| name.as_str().is_some_and(|n| n.trim().is_empty())) {
        return wrong("/name", "a text that is not empty".to_owned());
    }
    for life in LIVES {
        let at = format!("/config/ttl/{life}");
        let fits = |value: &Json| value.as_i64().is_some_and(|n| (1..=LONGEST).contains(&n));
        if changed(&at).is_some_and(|value| !fits(value)) {
            return wrong(
                &at,
                format!("a whole number of seconds from 1 to {LONGEST}"),
            );
        }
    }
    for at in COUNTS {
        if changed(at).is_some_and(|value| value.as_f64().is_some_and(|n| n < 0.0)) {
            return wrong(at, "0 or more".to_owned());
        }
    }
    for (at, words) in WORDS {
        let known = |value: &Json| {
            let is = |text: &str| words.iter().any(|word| word.eq_ignore_ascii_case(text));
            value.as_str().is_none_or(is)
        };
        if changed(at).is_some_and(|value| !known(value)) {
            return wrong(at, format!("one of {}", words.join(", ")));
        }
    }
    // addresses without a scheme have always been taken
    let acts = |text: &str| {
        let scheme = url::Url::parse(text).map(|url| url.scheme().to_owned());
        scheme.is_ok_and(|s| matches!(s.as_str(), "javascript" | "data" | "vbscript"))
    };
    for at in ADDRESSES {
        if changed(at).is_some_and(|value| value.as_str().is_some_and(acts)) {
            return wrong(at, "an http or https address".to_owned());
        }
    }
    Ok(())
}
