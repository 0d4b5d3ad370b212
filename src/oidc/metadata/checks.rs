//! The checks of one member or of several together.

use serde_json::{Value as Json, json};

use super::{ARRAYS, ENUMS, Invalid, Properties, Rules, STRINGS, invalid, text, texts};
use crate::http::validate::TEXT_LIMIT;
use crate::jose::Jwk;

pub(super) fn arrays(given: &mut Properties) -> Result<(), Invalid> {
    given.entry("redirect_uris").or_insert_with(|| json!([]));
    for name in ARRAYS {
        match given.get_mut(*name) {
            None => {}
            Some(Json::Array(items)) => {
                let mut once: Vec<Json> = Vec::with_capacity(items.len());
                for item in items.drain(..) {
                    if !once.contains(&item) {
                        once.push(item);
                    }
                }
                *items = once;
            }
            Some(_) => return invalid(format!("{name} must be an array")),
        }
    }
    Ok(())
}

pub(super) fn strings(given: &Properties) -> Result<(), Invalid> {
    let endless = |v: &Json| {
        v.as_str()
            .is_some_and(|s| s.chars().nth(TEXT_LIMIT).is_some())
    };
    let long = |v: &Json| endless(v) || v.as_array().is_some_and(|l| l.iter().any(endless));
    if let Some((name, _)) = given.iter().find(|(_, value)| long(value)) {
        return invalid(format!("{name} must have at most {TEXT_LIMIT} characters"));
    }
    let filled = |v: &Json| v.as_str().is_some_and(|s| !s.is_empty());
    for name in STRINGS {
        let Some(value) = given.get(*name) else {
            continue;
        };
        if !filled(value) {
            return invalid(format!("{name} must be a non-empty string if provided"));
        }
        let printable = |s: &str| s.bytes().all(|b| matches!(b, 0x20..=0x7e));
        if matches!(*name, "client_id" | "client_secret") && !value.as_str().is_some_and(printable)
        {
            return invalid(format!("invalid {name} value"));
        }
    }
    let broken = |name: &&&str| {
        given
            .get(**name)
            .and_then(Json::as_array)
            .is_some_and(|items| !items.iter().all(filled))
    };
    match ARRAYS.iter().find(broken) {
        Some(name) => invalid(format!("{name} must only contain strings")),
        None => Ok(()),
    }
}

pub(super) fn sort_response_types(given: &mut Properties) {
    let sorted = texts(given, "response_types")
        .map(|kind| {
            let mut words: Vec<&str> = kind.split(' ').collect();
            words.sort_unstable();
            words.dedup();
            Json::String(words.join(" "))
        })
        .collect();
    given.insert("response_types".to_owned(), Json::Array(sorted));
}

pub(super) fn enums(given: &Properties, rules: &Rules) -> Result<(), Invalid> {
    for name in ENUMS {
        let Some(value) = given.get(*name) else {
            continue;
        };
        let allowed = rules.allowed(name, given);
        let fits = |v: &Json| v.as_str().is_some_and(|s| allowed.iter().any(|a| a == s));
        let (fine, verb) = match value.as_array().filter(|_| ARRAYS.contains(name)) {
            Some(items) => (items.iter().all(fits), "can only contain"),
            None => (fits(value), "must be"),
        };
        if fine {
            continue;
        }
        if allowed.is_empty() {
            return invalid(format!(
                "{name} must not be provided (no values are allowed)"
            ));
        }
        return invalid(format!("{name} {verb} {}", alternatives(&allowed)));
    }
    Ok(())
}

/// `'a'`, `'a' or 'b'`, `'a', 'b', or 'c'`.
fn alternatives(list: &[String]) -> String {
    let quoted: Vec<String> = list.iter().map(|s| format!("'{s}'")).collect();
    match quoted.as_slice() {
        [one] => one.clone(),
        [one, two] => format!("{one} or {two}"),
        [most @ .., last] => format!("{}, or {last}", most.join(", ")),
        [] => String::new(),
    }
}

pub(super) fn scope(given: &mut Properties, rules: &Rules) -> Result<(), Invalid> {
    let Some(scope) = text(given, "scope") else {
        return Ok(());
    };
    let mut once: Vec<&str> = Vec::new();
    for word in scope.split(' ') {
        if !rules.scopes.iter().any(|s| s == word) {
            return invalid("scope must only contain Authorization Server supported scope values");
        }
        if !once.contains(&word) {
            once.push(word);
        }
    }
    let joined = once.join(" ");
    given.insert("scope".to_owned(), Json::String(joined));
    Ok(())
}

pub(super) fn ages(given: &Properties) -> Result<(), Invalid> {
    for name in ["default_max_age", "client_secret_expires_at"] {
        // larger whole numbers are not exact in every JSON reader
        let fits = |v: &Json| v.as_u64().is_some_and(|n| n < (1 << 53));
        if given.get(name).is_some_and(|v| !fits(v)) {
            return invalid(format!("{name} must be a non-negative integer"));
        }
    }
    Ok(())
}

pub(super) fn combinations(given: &Properties) -> Result<(), Invalid> {
    let grants: Vec<&str> = texts(given, "grant_types").collect();
    let types: Vec<&str> = texts(given, "response_types")
        .flat_map(|t| t.split(' '))
        .collect();
    let interactive = grants
        .iter()
        .any(|g| matches!(*g, "authorization_code" | "implicit"));
    if interactive && types.is_empty() {
        return invalid("response_types must contain members");
    }
    if !types.is_empty() && texts(given, "redirect_uris").next().is_none() {
        return invalid("redirect_uris must contain members");
    }
    if types.contains(&"code") && !grants.contains(&"authorization_code") {
        return invalid(
            "grant_types must contain 'authorization_code' when code is amongst response_types",
        );
    }
    let front_channel = types.contains(&"token") || types.contains(&"id_token");
    if front_channel && !grants.contains(&"implicit") {
        return invalid(
            "grant_types must contain 'implicit' when 'id_token' or 'token' are amongst response_types",
        );
    }
    if given.contains_key("jwks") && given.contains_key("jwks_uri") {
        return invalid("jwks and jwks_uri must not be used at the same time");
    }
    Ok(())
}

/// The client's keys are public ones; a private or shared key here would be a leak (RFC 7517 §9.2).
pub(super) fn keys(given: &Properties) -> Result<(), Invalid> {
    let Some(jwks) = given.get("jwks") else {
        return Ok(());
    };
    let Some(list) = jwks.get("keys").and_then(Json::as_array) else {
        return invalid("jwks must be a JWK Set");
    };
    for key in list {
        match serde_json::from_value::<Jwk>(key.clone()) {
            Ok(jwk) if jwk.is_private() => {
                return invalid("jwks must not contain private or symmetric keys");
            }
            Ok(jwk) if !jwk.kty.is_empty() => {}
            _ => return invalid("jwks must be a JWK Set"),
        }
    }
    Ok(())
}
