//! Rules of the metadata only this server knows.

use serde_json::Value as Json;

use super::{Invalid, Properties, Rules, invalid, is_set, uris};

const LABELS: &[&str] = &["login", "api", "app", "custom", "product-key"];
pub(super) const FLAGS: &[&str] = &[
    "client_skip_consent",
    "client_only_passwordless",
    "client_optional_skip_logout_prompt",
    "client_allow_org_federation",
    "client_allow_org_self_identify",
    "client_skip_to_federated",
];

/// Members of this server. Those without a value are not stored.
pub(super) fn check(given: &mut Properties, rules: &Rules) -> Result<(), Invalid> {
    if !given.contains_key("client_name") {
        return invalid("client_name is required");
    }
    match given.get("client_label") {
        label if !is_set(label) => {
            given.remove("client_label");
        }
        Some(Json::String(label)) if LABELS.contains(&label.as_str()) => {}
        Some(Json::String(_)) => {
            return invalid(format!("client_label be one of: {}", LABELS.join(" ")));
        }
        _ => return invalid("client_label must be a string value"),
    }
    for name in FLAGS {
        let fits = |v: &Json| {
            // a text names the federation that the login page goes to at once
            v.is_boolean() || v.is_null() || (*name == "client_skip_to_federated" && v.is_string())
        };
        if given.get(*name).is_some_and(|v| !fits(v)) {
            return invalid(format!("{name} must be a boolean value"));
        }
    }
    match given.get("client_federation_options") {
        None | Some(Json::Null) => {}
        Some(Json::Array(list)) if list.iter().all(Json::is_string) => {}
        Some(_) => return invalid("client_federation_options must be an array"),
    }
    // login pages link to it
    match given.get("register_url") {
        url if !is_set(url) => {
            given.remove("register_url");
        }
        Some(Json::String(url)) if uris::is_web(url, &["http", "https"]) => {}
        _ => return invalid("register_url must be a web uri"),
    }
    for (name, what) in [
        ("associated_product", "a product"),
        ("initialized_org_context", "an organization"),
    ] {
        match given.get(name) {
            value if !is_set(value) => {
                given.remove(name);
            }
            Some(Json::String(_)) => {}
            _ => {
                return invalid(format!("{name} must be a string uuid representing {what}"));
            }
        }
    }
    dynamic_scope(given, rules)
}

fn dynamic_scope(given: &mut Properties, rules: &Rules) -> Result<(), Invalid> {
    let value = given.get("dynamic_scope");
    if !is_set(value) {
        given.remove("dynamic_scope");
        return Ok(());
    }
    let words: Vec<&str> = value
        .and_then(Json::as_str)
        .map(|s| s.split_whitespace().collect())
        .unwrap_or_default();
    if words.is_empty() {
        return invalid(
            "dynamic_scope must be a list of one or more dynamic scopes seperated by spaces",
        );
    }
    match words.iter().find(|w| !rules.grants_dynamic(w)) {
        Some(word) => invalid(format!(
            "dynamic_scope value {word} must match a regular expression from the OP scope list OR the AuthGroup restricted dynamic scope list."
        )),
        None => Ok(()),
    }
}
