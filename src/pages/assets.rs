//! Files that pages load, built into the binary.

use std::fmt::Write as _;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};

/// A file as it is served.
#[derive(Debug)]
pub struct Asset {
    pub bytes: &'static [u8],
    pub content_type: &'static str,
    /// Strong entity tag with its quotes (RFC 9110 section 8.8.3).
    pub etag: String,
}

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/", $path)))),+]
    };
}

const FILES: &[(&str, &[u8])] = files![
    "ueauth.css",
    "app.js",
    "forms.js",
    "account.js",
    "passkey.js",
    "set_device.js",
    "wait.js",
    "device.js",
    "docs.js",
    "oauth2-redirect.html",
    "favicon.png",
    "logo.png",
    "background.jpg",
    "demo/index.html",
    "demo/demo.css",
    "demo/demo.js",
    "demo/oauth4webapi.js",
    "vendor/swagger-ui-bundle.js",
    "vendor/swagger-ui.css",
    "vendor/oauth2-redirect.js",
    "vendor/redoc.standalone.js",
];

/// What is known of each file once somebody has asked for it: reading all of them for their hashes
/// would bring megabytes into memory that most servers never send.
static ASSETS: [OnceLock<Asset>; FILES.len()] = [const { OnceLock::new() }; FILES.len()];

/// The file at a path below `assets/`, e.g. `ueauth.css` or `demo/index.html`; exact names only.
pub fn asset(path: &str) -> Option<&'static Asset> {
    let at = FILES.iter().position(|(p, _)| *p == path)?;
    let (path, bytes) = FILES.get(at)?;
    let known = ASSETS.get(at)?;
    Some(known.get_or_init(|| Asset {
        bytes,
        content_type: content_type(path),
        etag: etag(bytes),
    }))
}

/// Address of a file with its content hash, so that it may be cached for ever:
/// `/assets/ueauth.css?v=0123456789abcdef`. `None` when the file is not part of this build.
pub fn url(path: &str) -> Option<String> {
    asset(path).map(|a| format!("/assets/{path}?v={}", a.etag.trim_matches('"')))
}

/// As [`url`], for files that are always there.
pub(crate) fn own(path: &str) -> String {
    url(path).unwrap_or_else(|| format!("/assets/{path}"))
}

fn etag(bytes: &[u8]) -> String {
    let mut tag = String::from("\"");
    for byte in digest(&SHA256, bytes).as_ref().iter().take(8) {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("png") => "image/png",
        Some("jpg") => "image/jpeg",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_exact_name_only() {
        assert!(asset("ueauth.css").is_some_and(|a| a.content_type.starts_with("text/css")));
        for path in ["../Cargo.toml", "/ueauth.css", "demo", "", "UEAUTH.css"] {
            assert!(asset(path).is_none(), "{path}");
        }
    }

    #[test]
    fn images_are_what_they_say() {
        assert!(asset("logo.png").is_some_and(|a| a.bytes.starts_with(b"\x89PNG\r\n\x1a\n")));
        assert!(asset("favicon.png").is_some_and(|a| a.bytes.starts_with(b"\x89PNG\r\n\x1a\n")));
        assert!(asset("background.jpg").is_some_and(|a| a.bytes.starts_with(&[0xff, 0xd8, 0xff])));
    }

    #[test]
    fn the_stylesheet_stays_small_and_alone() {
        let css = asset("ueauth.css").map(|a| a.bytes).unwrap_or_default();
        assert!(css.len() < 12 * 1024, "{}", css.len());
        let text = String::from_utf8_lossy(css);
        assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("@import"));
    }

    #[test]
    fn addresses_change_with_content() {
        assert_ne!(etag(b"a"), etag(b"b"));
        assert!(
            url("app.js").is_some_and(|u| u.starts_with("/assets/app.js?v=") && !u.contains('"'))
        );
    }
}
