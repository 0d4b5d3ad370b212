//! Content Security Policy of HTML pages.

/// What differs from page to page and installation to installation.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Same value as in the page's shell.
    pub nonce: &'a str,
    /// Setting as written: sources separated by commas; empty means `'self'`.
    pub frame_ancestors: &'a str,
    /// The server is reached over https, so that plain requests can be upgraded.
    pub https: bool,
    /// Further origins that scripts of this page may call.
    pub connect: &'a [&'a str],
    /// Viewers of the API documentation write style elements; no other page needs this.
    pub inline_styles: bool,
}

/// Value of the `Content-Security-Policy` header.
///
/// `form-action` is left out on purpose: browsers apply it to redirects after a post, which would stop
/// the way back to the client.
pub fn csp(policy: &Policy<'_>) -> String {
    let nonce: String = policy
        .nonce
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_'))
        .collect();
    let ancestors = sources(policy.frame_ancestors.split(','));
    let ancestors = if ancestors.is_empty() {
        "'self'".to_owned()
    } else {
        ancestors
    };
    let connect = sources(policy.connect.iter().copied());
    let styles = if policy.inline_styles {
        "'unsafe-inline'".to_owned()
    } else {
        format!("'nonce-{nonce}'")
    };
    let mut value = format!(
        "default-src 'self';base-uri 'none';connect-src {};font-src 'self' https: data:;frame-ancestors {ancestors};\
         img-src * data:;object-src 'none';script-src 'self' 'nonce-{nonce}';script-src-attr 'none';\
         style-src 'self' https: {styles};style-src-attr {}",
        if connect.is_empty() {
            "'self'".to_owned()
        } else {
            format!("'self' {connect}")
        },
        if policy.inline_styles {
            "'unsafe-inline'"
        } else {
            "'none'"
        },
    );
    if policy.inline_styles {
        value.push_str(";worker-src 'self' blob:");
    }
    if policy.https {
        value.push_str(";upgrade-insecure-requests");
    }
    value
}

/// Joins sources, leaving out whatever could end the directive or the header.
fn sources<'a>(list: impl Iterator<Item = &'a str>) -> String {
    list.map(str::trim)
        .filter(|s| {
            !s.is_empty()
                && s.chars()
                    .all(|c| (c.is_ascii_graphic() || c == ' ') && !matches!(c, ';' | ','))
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy<'static> {
        Policy {
            nonce: "abc+/=",
            frame_ancestors: "",
            https: false,
            connect: &[],
            inline_styles: false,
        }
    }

    #[test]
    fn no_inline_code_without_nonce() {
        let value = csp(&policy());
        assert!(value.contains("script-src 'self' 'nonce-abc+/='"));
        assert!(value.contains("style-src 'self' https: 'nonce-abc+/='"));
        assert!(value.contains("frame-ancestors 'self';"));
        assert!(!value.contains("unsafe-inline") && !value.contains("form-action"));
        assert!(!value.contains("upgrade-insecure-requests"));
        assert!(
            csp(&Policy {
                https: true,
                ..policy()
            })
            .contains("upgrade-insecure-requests")
        );
    }

    #[test]
    fn settings_cannot_add_directives() {
        let value = csp(&Policy {
            frame_ancestors: "https://a.test, https://b.test;script-src *,https://c.test\r\nX: y",
            nonce: "x';script-src *",
            ..policy()
        });
        assert!(value.contains("frame-ancestors https://a.test"), "{value}");
        assert!(!value.contains("script-src *"), "{value}");
        assert!(
            !value.contains("b.test") && !value.contains('\r') && !value.contains('\n'),
            "{value}"
        );
        assert_eq!(value.matches("script-src ").count(), 1, "{value}");
    }
}
