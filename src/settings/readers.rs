//! Values as they are written in settings.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use lettre::message::Mailbox;
use regex::Regex;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use url::Url;

use super::sections::{Listen, ScopePattern};
use super::smtp::SmtpUrl;

fn text<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    Ok(String::deserialize(source)?.trim().to_owned())
}

fn optional_text<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    text(source).map(|text| (!text.is_empty()).then_some(text))
}

pub fn listen<'de, D: Deserializer<'de>>(source: D) -> Result<Listen, D::Error> {
    text(source)?.parse().map_err(D::Error::custom)
}

pub fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

pub fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(host, |(inside, _)| {
            host.get(..inside.len() + 2).unwrap_or(host)
        });
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

pub fn host<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = text(source)?;
    let name = without_port(&text);
    let port = text.get(name.len()..).unwrap_or_default();
    let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let name_fits = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(is_host_byte),
    };
    let port_fits = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|p| p.parse::<u16>().is_ok_and(|p| p > 0));
    if name_fits && port_fits {
        return Ok(text);
    }
    Err(D::Error::custom(
        "must be `host` or `host:port`, without a scheme or path",
    ))
}

pub fn header_name<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = text(source)?.to_ascii_lowercase();
    if !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    {
        return Ok(text);
    }
    Err(D::Error::custom(
        "must be the name of a header, such as `x-host`",
    ))
}

pub fn networks<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |text: String| {
        let text = text.trim();
        let address = text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or(address).map_err(|_| {
            D::Error::custom(format!(
                "`{text}` is neither an address nor a network like `10.0.0.0/8`"
            ))
        })
    };
    Vec::<String>::deserialize(source)?
        .into_iter()
        .map(parse)
        .collect()
}

pub fn optional_path<'de, D: Deserializer<'de>>(source: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(optional_text(source)?.map(PathBuf::from))
}

pub fn optional_secret<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<SecretString>, D::Error> {
    Ok(optional_text(source)?.map(SecretString::from))
}

pub fn store_url<'de, D: Deserializer<'de>>(source: D) -> Result<SecretString, D::Error> {
    let text = text(source)?;
    let embedded = text
        .strip_prefix("sqlite:")
        .is_some_and(|path| !path.is_empty());
    if embedded || text.starts_with("mongodb://") || text.starts_with("mongodb+srv://") {
        return Ok(SecretString::from(text));
    }
    // The value stays out of the message: it may hold a password.
    Err(D::Error::custom(
        "must start with `sqlite:`, `mongodb://` or `mongodb+srv://`",
    ))
}

pub fn bus_url<'de, D: Deserializer<'de>>(source: D) -> Result<Option<SecretString>, D::Error> {
    let Some(text) = optional_text(source)? else {
        return Ok(None);
    };
    let fits = |part: &str| part.starts_with("nats://") || part.starts_with("tls://");
    if text.split(',').map(str::trim).all(fits) {
        return Ok(Some(SecretString::from(text)));
    }
    Err(D::Error::custom(
        "must be empty or start with `nats://` or `tls://`",
    ))
}

pub fn smtp_url<'de, D: Deserializer<'de>>(source: D) -> Result<Option<SmtpUrl>, D::Error> {
    optional_text(source)?
        .map(|text| SmtpUrl::parse(&text).map_err(D::Error::custom))
        .transpose()
}

pub fn mailbox<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Mailbox>, D::Error> {
    let fault = |_| D::Error::custom("must be `address` or `Name <address>`");
    optional_text(source)?
        .map(|text| text.parse().map_err(fault))
        .transpose()
}

fn web_url(text: &str) -> Result<Url, &'static str> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("must be a complete http or https address, such as `https://example.com/path`"),
    }
}

pub fn optional_url<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Url>, D::Error> {
    optional_text(source)?
        .map(|text| web_url(&text).map_err(D::Error::custom))
        .transpose()
}

pub fn url_text<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = text(source)?;
    web_url(&text).map_err(D::Error::custom)?;
    Ok(text)
}

pub fn path<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = text(source)?;
    if text.starts_with('/') && !text.starts_with("//") && !text.contains(char::is_whitespace) {
        return Ok(text);
    }
    Err(D::Error::custom("must be a path that starts with one `/`"))
}

pub fn optional_email<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    let Some(text) = optional_text(source)? else {
        return Ok(None);
    };
    match text.split_once('@') {
        Some((local, domain))
            if !local.is_empty() && !domain.is_empty() && !domain.contains('@') =>
        {
            Ok(Some(text.to_lowercase()))
        }
        _ => Err(D::Error::custom("must be an e-mail address")),
    }
}

/// The texts end up in a style sheet, so only what a colour can consist of is let through.
pub fn colour<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = text(source)?;
    let fits = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '#' | '(' | ')' | ',' | '.' | '%' | ' ' | '/')
    };
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(text);
    }
    Err(D::Error::custom("must be a CSS colour, such as `#131525`"))
}

pub fn frame_ancestors<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    let sources = Vec::<String>::deserialize(source)?;
    let fits = |source: &String| {
        !source.is_empty()
            && source
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b';' && b != b',')
    };
    if sources.iter().all(fits) {
        return Ok(sources);
    }
    Err(D::Error::custom(
        "each element must be one source of the directive, such as `'self'` or `https://app.example.com`",
    ))
}

pub fn scopes<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<ScopePattern>, D::Error> {
    let parse = |text: String| match text.strip_prefix("{d}") {
        None => Ok(ScopePattern::Exact(text)),
        Some(expression) => Regex::new(expression)
            .map(ScopePattern::Dynamic)
            .map_err(|_| D::Error::custom(format!("`{expression}` is not a regular expression"))),
    };
    Vec::<String>::deserialize(source)?
        .into_iter()
        .map(parse)
        .collect()
}
