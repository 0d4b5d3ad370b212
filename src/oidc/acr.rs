//! Authentication context classes: which of them a sign-in meets, told by its methods (RFC 8176).

use serde_json::{Map, Value as Json};

use crate::clients::Client;
use crate::groups::AuthGroup;
use crate::store::Value;

/// Most classes of one request that are looked at.
const MOST: usize = 20;

/// What a class demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// Nothing that can be passed on to somebody else.
    Resistant,
    /// More than one factor.
    Factors,
}

/// The classes that mean something here, the strongest first (OpenID Connect Extended
/// Authentication Profile; OpenID PAPE policies). A group lists those that it tells of.
const CLASSES: &[(&str, Demand)] = &[
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

/// The classes that an authorization is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of each list one class has to be met.
    needed: Vec<Vec<String>>,
    /// One of these should be met.
    asked: Vec<String>,
    /// What the client may be told of, the most wanted first. A class that it always needs counts
    /// without being listed by the group, but is not told then.
    told: Vec<String>,
}

impl Wanted {
    /// `acr_values` and an `acr` of `claims` (OpenID Connect Core §5.5.1.1) as the request has
    /// them, and what the client always needs.
    pub fn of(
        group: &AuthGroup,
        client: &Client,
        acr_values: Option<&str>,
        claims: Option<&str>,
    ) -> Self {
        let listed = |class: &&str| {
            demand(class).is_some() && group.config.acr_values.iter().any(|a| a == class)
        };
        let owned = |classes: &[&str]| -> Vec<String> {
            classes.iter().map(|class| (*class).to_owned()).collect()
        };
        let mut out = Self::default();
        let always = match client.payload.extra.get("default_acr_values") {
            // what the group does not list stays, since dropping it would let everybody in; names that
            // mean nothing here never kept anybody out
            Some(Value::Array(list)) => list
                .iter()
                .filter_map(Value::as_str)
                .filter(|c| demand(c).is_some())
                .collect(),
            _ => Vec::new(),
        };
        let tellable: Vec<&str> = always.iter().copied().filter(|c| listed(c)).collect();
        out.told.extend(owned(&tellable));
        out.need(owned(&always));
        let claims: Json = claims
            .and_then(|c| serde_json::from_str(c).ok())
            .unwrap_or_default();
        let acr = claims.pointer("/id_token/acr").unwrap_or(&Json::Null);
        let several = acr.get("values").and_then(Json::as_array);
        let values = several.into_iter().flatten().chain(acr.get("value"));
        let values: Vec<&str> = values.filter_map(Json::as_str).take(MOST).collect();
        if acr.get("essential").and_then(Json::as_bool) == Some(true) {
            out.told.extend(owned(&values));
            out.need(owned(&values));
        } else {
            let values: Vec<&str> = values.into_iter().filter(listed).collect();
            out.ask(owned(&values));
        }
        let values = acr_values.unwrap_or_default().split_whitespace().take(MOST);
        let values: Vec<&str> = values.filter(listed).collect();
        out.ask(owned(&values));
        out
    }

    fn need(&mut self, classes: Vec<String>) {
        if !classes.is_empty() {
            self.needed.push(classes);
        }
    }

    fn ask(&mut self, classes: Vec<String>) {
        self.told.extend_from_slice(&classes);
        self.asked.extend(classes);
    }

    /// Is something missing without which there is no answer?
    pub fn is_unmet<M: AsRef<str>>(&self, methods: &[M]) -> bool {
        let met = |classes: &Vec<String>| classes.iter().any(|c| is_met(c, methods));
        !self.needed.iter().all(met)
    }

    /// Is something missing that was asked for?
    pub fn falls_short<M: AsRef<str>>(&self, methods: &[M]) -> bool {
        !self.asked.is_empty() && !self.asked.iter().any(|c| is_met(c, methods))
    }

    /// Is more than one factor needed, and would a second one be enough?
    pub fn needs_factors(&self) -> bool {
        self.needed.iter().flatten().any(|c| is_met(c, &["mfa"]))
    }

    /// The class that the client is told: what it wanted, if that is met.
    pub fn answer<M: AsRef<str>>(&self, methods: &[M]) -> Option<&str> {
        let mut met = self.told.iter().filter(|c| is_met(c, methods));
        met.next().map(String::as_str)
    }
}

/// Tells a resource server as well how somebody signed in (RFC 9068 §2.2.1, RFC 9470 §6), where
/// the group tells of classes.
pub fn note(extra: &mut Map<String, Json>, acr: Option<&str>, amr: &[String]) {
    if let Some(acr) = acr {
        extra.insert("acr".to_owned(), acr.into());
        extra.insert("amr".to_owned(), amr.to_vec().into());
    }
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
            ("phrh", [false, false, false]),
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
