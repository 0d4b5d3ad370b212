//! Reading cookies and writing signed ones.

use actix_web::cookie::time::OffsetDateTime;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{COOKIE, HeaderMap};

use crate::secrets;

/// The first cookie of that name; a parser for every cookie would cost more than it is worth.
pub fn find(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(COOKIE)
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|pair| {
            let (n, v) = pair.trim().split_once('=')?;
            (n == name).then(|| v.trim_matches('"').to_owned())
        })
}

/// How a cookie is sent back.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    pub path: &'a str,
    /// Seconds since the epoch; none ends with the browser session.
    pub expires: Option<i64>,
    pub same_site: Option<SameSite>,
    pub secure: bool,
}

/// The cookie and its `.sig` companion, an HMAC over `name=value` under the first key.
pub fn signed(
    name: &str,
    value: &str,
    keys: &[String],
    attributes: &Attributes,
) -> Vec<Cookie<'static>> {
    let mut out = vec![plain(name, value, attributes)];
    if let Some(key) = keys.first() {
        let signature = secrets::cookie_signature(&format!("{name}={value}"), key);
        out.push(plain(&format!("{name}.sig"), &signature, attributes));
    }
    out
}

pub fn plain(name: &str, value: &str, attributes: &Attributes) -> Cookie<'static> {
    let mut cookie = Cookie::build(name.to_owned(), value.to_owned())
        .path(attributes.path.to_owned())
        .http_only(true)
        .secure(attributes.secure);
    if let Some(same_site) = attributes.same_site {
        cookie = cookie.same_site(same_site);
    }
    if let Some(at) = attributes
        .expires
        .and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok())
    {
        cookie = cookie.expires(at);
    }
    cookie.finish()
}

/// Expires the cookie and its signature in the browser.
pub fn cleared(
    name: &str,
    path: &str,
    same_site: Option<SameSite>,
    secure: bool,
) -> Vec<Cookie<'static>> {
    let attributes = Attributes {
        path,
        expires: Some(0),
        same_site,
        secure,
    };
    vec![
        plain(name, "", &attributes),
        plain(&format!("{name}.sig"), "", &attributes),
    ]
}

/// The header value. Existing clients expect the attribute `path` in lower case.
pub fn header_value(cookie: &Cookie<'_>) -> String {
    cookie.to_string().replacen("; Path=", "; path=", 1)
}

/// A cookie whose signature verifies under any of the keys.
pub fn verified(headers: &HeaderMap, name: &str, keys: &[String]) -> Option<String> {
    let value = find(headers, name)?;
    let signature = find(headers, &format!("{name}.sig"))?;
    secrets::cookie_verify(&format!("{name}={value}"), &signature, keys).map(|_| value)
}
