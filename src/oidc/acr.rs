//! Authentication context classes: which of them a sign-in meets, told by its methods (RFC 8176).

use crate::clients::Client;
use crate::groups::AuthGroup;
use crate::store::Value;

/// What a class demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// Nothing that can be passed on to somebody else, kept in hardware.
    ResistantHardware,
    /// Nothing that can be passed on to somebody else.
    Resistant,
    /// More than one factor.
    Factors,
}

/// The classes that mean something here, the strongest first (OpenID Connect Extended
/// Authentication Profile; OpenID PAPE policies). A group lists those that it tells of.
const CLASSES: &[(&str, Demand)] = &[
    ("phrh", Demand::ResistantHardware),
    ("phr", Demand::Resistant),
    (
        "http://schemas.openid.net/pape/policies/2007/06/phishing-resistant",
        Demand::Resistant,
    ),
    ("mfa", Demand::Factors),
    (
        "http://schemas.openid.net/pape/policies/2007/06/multi-factor",
        Demand::Factors,
    ),
];

fn demand(class: &str) -> Option<Demand> {
    CLASSES.iter().find(|(n, _)| *n == class).map(|(_, d)| *d)
}

/// Is the class met by these methods? Passkeys say `user` of themselves, passwords never.
pub fn is_met<M: AsRef<str>>(class: &str, methods: &[M]) -> bool {
    let has = |name: &str| methods.iter().any(|m| m.as_ref() == name);
    let key = has("user") && !has("pwd");
    match demand(class) {
        Some(Demand::ResistantHardware) => key && has("hwk"),
        Some(Demand::Resistant) => key && (has("hwk") || has("swk")),
        Some(Demand::Factors) => has("mfa"),
        None => false,
    }
}

/// The strongest class the group tells of that these methods meet.
pub fn strongest<M: AsRef<str>>(group: &AuthGroup, methods: &[M]) -> Option<&'static str> {
    let listed = |class: &str| group.config.acr_values.iter().any(|a| a == class);
    CLASSES
        .iter()
        .map(|(class, _)| *class)
        .find(|class| listed(class) && is_met(class, methods))
}

/// The classes that the client always asks for and the group tells of.
pub fn of_client<'c>(group: &AuthGroup, client: &'c Client) -> Vec<&'c str> {
    let Some(Value::Array(list)) = client.payload.extra.get("default_acr_values") else {
        return Vec::new();
    };
    list.iter()
        .filter_map(Value::as_str)
        .filter(|class| group.config.acr_values.iter().any(|a| a == class))
        .filter(|class| demand(class).is_some())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSKEY: &[&str] = &["swk", "user", "mfa"];
    const KEY: &[&str] = &["hwk", "user", "mfa"];
    const DEVICE: &[&str] = &["pwd", "swk", "mfa"];

    #[test]
    fn classes_are_met_by_what_was_used() {
        for (class, met) in [
            ("phr", [true, true, false]),
            ("phrh", [false, true, false]),
            ("mfa", [true, true, true]),
            ("urn:other", [false, false, false]),
        ] {
            let all = [PASSKEY, KEY, DEVICE];
            assert_eq!(all.map(|methods| is_met(class, methods)), met, "{class}");
        }
        assert!(!is_met("mfa", &["pwd"]) && !is_met("mfa", &[] as &[&str]));
    }

    #[test]
    fn only_what_the_group_tells_of_is_told() {
        let group = |values: &[&str]| -> AuthGroup {
            serde_json::from_value(serde_json::json!({
                "_id": "g", "owner": "me", "name": "n", "prettyName": "p", "active": true,
                "config": { "acrValues": values },
            }))
            .unwrap()
        };
        assert_eq!(strongest(&group(&[]), KEY), None);
        let group = group(&["mfa", "phr"]);
        assert_eq!(strongest(&group, KEY), Some("phr"));
        assert_eq!(strongest(&group, DEVICE), Some("mfa"));
        assert_eq!(strongest(&group, &["pwd"]), None);
    }
}
