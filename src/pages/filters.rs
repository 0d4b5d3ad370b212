//! Template filters.

// The attribute macro writes these patterns.
#![allow(clippy::inline_always, clippy::unused_self, clippy::unnecessary_wraps)]

use std::fmt::Display;

use askama::Values;

/// What an unacceptable link becomes: a link that goes nowhere.
const NOWHERE: &str = "#";

/// Passes web addresses, `mailto:` and paths of this server; anything else becomes `#`.
#[askama::filter_fn]
pub fn href<T: Display>(value: T, _: &dyn Values) -> askama::Result<String> {
    let text = value.to_string();
    Ok(if is_link(&text) {
        text
    } else {
        NOWHERE.to_owned()
    })
}

/// Passes form targets: as `href`, and the private schemes that native applications register.
#[askama::filter_fn]
pub fn target<T: Display>(value: T, _: &dyn Values) -> askama::Result<String> {
    let text = value.to_string();
    Ok(if is_link(&text) || is_private_scheme(&text) {
        text
    } else {
        NOWHERE.to_owned()
    })
}

fn is_link(text: &str) -> bool {
    if is_local(text) {
        return true;
    }
    url::Url::parse(text).is_ok_and(|u| matches!(u.scheme(), "http" | "https" | "mailto"))
}

/// A path of this server. `//host` and `/\host` leave it, and browsers skip control characters.
fn is_local(text: &str) -> bool {
    let mut rest = text.chars();
    rest.next() == Some('/')
        && !matches!(rest.next(), Some('/' | '\\'))
        && !text.chars().any(|c| c.is_control() || c == '\\')
}

/// RFC 8252 section 7.1: a private-use scheme is a reversed domain name, so it contains a dot.
fn is_private_scheme(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|u| u.scheme().contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_mail_and_local_links_pass() {
        for good in [
            "https://a.test/x?y=1",
            "http://a.test",
            "mailto:a@b.test",
            "/",
            "/group/auth?x=1",
        ] {
            assert!(is_link(good), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "JaVaScript:alert(1)",
            " javascript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "//evil.test",
            "/\\evil.test",
            "/\t/evil.test",
            "blob:https://a.test/1",
            "file:///etc/passwd",
            "",
            "relative",
        ] {
            assert!(!is_link(bad), "{bad}");
        }
    }

    #[test]
    fn native_application_schemes_are_targets_only() {
        assert!(is_private_scheme("com.example.app:/callback"));
        assert!(!is_link("com.example.app:/callback"));
        for bad in ["javascript:alert(1)", "data:text/html,x", "java\tscript:x"] {
            assert!(!is_private_scheme(bad), "{bad}");
        }
    }
}
