//! Messages as the API shows them: without the tokens they carry, which act for their recipient.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value as Json;

use crate::http::reply::public_document;
use crate::notifications::Notification;

const HIDDEN: &str = "redacted";

/// Runs of characters of which tokens are made; those of a token's length are taken for one.
static RUNS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("[A-Za-z0-9_-]{43,}").ok());
/// Tokens in links, whatever they look like.
static PARAMETERS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("([?&](?:code|token)=)[^&#]*").ok());
const TOKEN_LENGTH: usize = 43;

fn without_tokens(text: &str) -> String {
    let Some(runs) = RUNS.as_ref() else {
        return HIDDEN.to_owned();
    };
    runs.replace_all(text, |found: &regex::Captures<'_>| {
        let run = found.get(0).map_or("", |m| m.as_str());
        if run.len() == TOKEN_LENGTH {
            HIDDEN.to_owned()
        } else {
            run.to_owned()
        }
    })
    .into_owned()
}

fn without_parameters(url: &str) -> String {
    PARAMETERS.as_ref().map_or_else(
        || HIDDEN.to_owned(),
        |p| p.replace_all(url, format!("${{1}}{HIDDEN}")).into_owned(),
    )
}

fn walk(value: &mut Json) {
    match value {
        Json::String(text) => *text = without_tokens(text),
        Json::Array(list) => list.iter_mut().for_each(walk),
        Json::Object(map) => map.values_mut().for_each(walk),
        _ => {}
    }
}

/// Takes the tokens out of an answer.
pub fn hide(out: &mut Json) {
    if let Some(url) = out.get_mut("screenUrl")
        && let Some(text) = url.as_str()
    {
        *url = without_parameters(text).into();
    }
    for name in ["screenUrl", "subject", "message", "meta"] {
        if let Some(value) = out.get_mut(name) {
            walk(value);
        }
    }
    for name in ["token", "apiHeader"] {
        if let Some(value) = out.pointer_mut(&format!("/meta/{name}")) {
            *value = HIDDEN.into();
        }
    }
}

impl Notification {
    /// The message as it is shown to anybody but the notification service.
    pub fn public(&self) -> Json {
        let mut out = public_document(self);
        hide(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hole_tokens_of_others_could_be_read_in_lists() {
        let token = "Tg0Dc3CrA9NrbO_vMboE-b3h4fKHXqGQL3obU2_-MBu";
        let mut out = json!({
            "screenUrl": format!("https://a.test/g/verifyaccount?code={token}&user=u-1"),
            "message": format!("Your code:\n{token}"),
            "subject": "Hi",
            "meta": { "token": token, "apiHeader": format!("bearer {token}"), "apiBody": [{ "value": token }] },
        });
        hide(&mut out);
        assert!(!out.to_string().contains(token));
        assert_eq!(
            out["screenUrl"],
            "https://a.test/g/verifyaccount?code=redacted&user=u-1"
        );
        let mut short = json!({ "screenUrl": "https://a.test/?x=1&token=abc#f" });
        hide(&mut short);
        assert_eq!(short["screenUrl"], "https://a.test/?x=1&token=redacted#f");
    }

    #[test]
    fn other_text_stays() {
        let plain = json!({
            "screenUrl": "https://a.test/s?user=4732fc4c-0270-4cd0-a044-3a1750178d34",
            "message": "There", "meta": { "a": 1 }, "recipientEmail": "x@a.test",
        });
        let mut out = plain.clone();
        hide(&mut out);
        assert_eq!(out, plain);
    }
}
