//! Addresses of mail servers: `smtp://` and `smtps://`.

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Host, Url};

/// How the connection is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// From the first byte (RFC 8314 §3.3).
    Implicit,
    /// By STARTTLS (RFC 3207); without it nothing is sent.
    Required,
    /// By STARTTLS where the server offers it.
    Opportunistic,
    Never,
}

/// A mail server and how to sign in there.
#[derive(Debug, Clone)]
pub struct SmtpUrl {
    /// A name or an address, an IPv6 one without brackets.
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub user: Option<String>,
    pub password: Option<SecretString>,
    /// The `from` parameter, for those who cannot set one elsewhere.
    pub from: Option<String>,
}

/// What is wrong with an address. Does not repeat it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SmtpUrlError {
    #[error("must start with `smtp://` or `smtps://` and name a host")]
    Address,
    #[error("its `tls` parameter must be `required`, `opportunistic` or `none`")]
    Tls,
}

impl SmtpUrl {
    pub fn is_one(text: &str) -> bool {
        let scheme = text.split(':').next().unwrap_or_default();
        matches!(scheme, "smtp" | "smtps")
    }

    pub fn parse(text: &str) -> Result<Self, SmtpUrlError> {
        let url = Url::parse(text.trim()).map_err(|_| SmtpUrlError::Address)?;
        let implicit = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            _ => return Err(SmtpUrlError::Address),
        };
        let host = url
            .host_str()
            .filter(|h| !h.is_empty())
            .ok_or(SmtpUrlError::Address)?;
        // such schemes leave addresses unparsed, so `127.0.0.1` arrives as a name
        let host = match Host::parse(host).map_err(|_| SmtpUrlError::Address)? {
            Host::Ipv6(ip) => ip.to_string(),
            other => other.to_string(),
        };
        let parameter = |name: &str| {
            url.query_pairs()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value.into_owned())
        };
        let tls = match parameter("tls").as_deref() {
            _ if implicit => SmtpTls::Implicit,
            None if is_loopback(&host) => SmtpTls::Opportunistic,
            None | Some("required") => SmtpTls::Required,
            Some("opportunistic") => SmtpTls::Opportunistic,
            Some("none") => SmtpTls::Never,
            Some(_) => return Err(SmtpUrlError::Tls),
        };
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Ok(Self {
            port: url.port().unwrap_or(if implicit { 465 } else { 587 }),
            tls,
            user: Some(plain(url.username())).filter(|u| !u.is_empty()),
            password: url.password().map(|p| SecretString::from(plain(p))),
            from: parameter("from"),
            host,
        })
    }

    /// Could somebody on the way read what is sent?
    pub fn is_exposed(&self) -> bool {
        matches!(self.tls, SmtpTls::Opportunistic | SmtpTls::Never) && !is_loopback(&self.host)
    }

    /// Scheme, host and port: what may be shown of it.
    pub fn shown(&self) -> String {
        let scheme = if self.tls == SmtpTls::Implicit {
            "smtps"
        } else {
            "smtp"
        };
        if self.host.contains(':') {
            return format!("{scheme}://[{}]:{}", self.host, self.port);
        }
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn privacy_is_the_default() {
        let of = |text: &str| SmtpUrl::parse(text).unwrap();
        let it = of("smtps://me%40a.test:p%3Aw@mail.test");
        assert_eq!((it.port, it.tls), (465, SmtpTls::Implicit));
        assert_eq!(it.user.as_deref(), Some("me@a.test"));
        assert_eq!(it.password.unwrap().expose_secret(), "p:w");
        let it = of("smtp://mail.test");
        assert_eq!((it.port, it.tls), (587, SmtpTls::Required));
        assert!(it.user.is_none() && !it.is_exposed());
        assert!(of("smtp://mail.test:25?tls=none").is_exposed());
        let local = of("smtp://127.0.0.1:1025");
        assert!(local.tls == SmtpTls::Opportunistic && !local.is_exposed());
        assert_eq!(local.shown(), "smtp://127.0.0.1:1025");
        let six = of("smtp://[::1]:25");
        assert_eq!(
            (six.host.as_str(), six.shown().as_str()),
            ("::1", "smtp://[::1]:25")
        );
        assert_eq!(
            of("smtp://h.test?from=a%40b.test").from.unwrap(),
            "a@b.test"
        );
    }

    #[test]
    fn what_is_no_mail_server_is_refused_without_repeating_it() {
        for text in [
            "http://mail.test",
            "smtp:",
            "smtp://",
            "mail.test",
            "smtp://h?tls=maybe",
        ] {
            assert!(SmtpUrl::parse(text).is_err(), "{text}");
        }
        let fault = SmtpUrl::parse("smtp://u:s3cret@h.test?tls=x").unwrap_err();
        assert!(!fault.to_string().contains("s3cret"));
        let shown = format!("{:?}", SmtpUrl::parse("smtp://u:s3cret@h.test"));
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
