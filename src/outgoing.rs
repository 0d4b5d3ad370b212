//! Requests to addresses that clients choose: never to private networks unless allowed,
//! no redirects, bounded in time and size.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};

use crate::settings::Outgoing;

/// The time back-channel calls get; a person may be waiting.
const BRIEF: Duration = Duration::from_millis(2500);

#[derive(Debug, Clone)]
pub struct Caller {
    client: reqwest::Client,
    allow_loopback: bool,
    limit: usize,
    /// Longest time for one call.
    patience: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("the address is not public; outgoing.allow_loopback decides about this machine's own")]
    NotPublic,
    #[error("the answer has status {0}")]
    Status(u16),
    #[error("the answer is too large")]
    TooLarge,
    #[error("the address could not be reached")]
    Failed(#[source] reqwest::Error),
    #[error("the token can not be sent in a header")]
    Token,
    #[error("the client for outgoing calls could not be made")]
    Setup(#[source] reqwest::Error),
}

/// A request to another service.
#[derive(Debug)]
pub struct Call {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Option<Vec<u8>>,
    /// Longest time for it, if it is less than that of any call.
    pub limit: Option<Duration>,
}

impl Call {
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: None,
            limit: None,
        }
    }

    /// Given up soon: somebody may be waiting.
    #[must_use]
    pub fn brief(mut self) -> Self {
        self.limit = Some(BRIEF);
        self
    }

    /// With a credential, which logs do not show.
    pub fn authorized(mut self, credential: &str) -> Result<Self, CallError> {
        let mut value = HeaderValue::try_from(credential).map_err(|_| CallError::Token)?;
        value.set_sensitive(true);
        self.headers.push((AUTHORIZATION, value));
        Ok(self)
    }

    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.content("application/json", body.to_string().into_bytes())
    }

    #[must_use]
    pub fn form(self, pairs: &[(&str, &str)]) -> Self {
        let text = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        self.content("application/x-www-form-urlencoded", text.into_bytes())
    }

    #[must_use]
    pub fn content(mut self, media: &'static str, body: Vec<u8>) -> Self {
        self.headers
            .push((CONTENT_TYPE, HeaderValue::from_static(media)));
        self.body = Some(body);
        self
    }
}

/// Resolves names to public addresses only.
#[derive(Debug)]
struct PublicOnly {
    allow_loopback: bool,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_loopback = self.allow_loopback;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let fit: Vec<SocketAddr> = found
                .filter(|a| is_allowed(a.ip(), allow_loopback))
                .collect();
            if fit.is_empty() {
                return Err(Box::<dyn std::error::Error + Send + Sync>::from(
                    CallError::NotPublic.to_string(),
                ));
            }
            Ok(Box::new(fit.into_iter()) as Addrs)
        })
    }
}

/// Is the address one of the public internet (or this machine, where that is allowed)?
pub fn is_allowed(ip: IpAddr, allow_loopback: bool) -> bool {
    let ip = ip.to_canonical();
    if ip.is_loopback() {
        return allow_loopback;
    }
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            !(v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.is_documentation()
                || a == 0
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (b == 18 || b == 19))
                || matches!(v4.octets(), [192, 0, 0, _])
                || a >= 240)
        }
        IpAddr::V6(v6) => {
            let [first, second, third, ..] = v6.segments();
            !(v6.is_unspecified()
                || v6.is_multicast()
                // forms that carry an IPv4 address: compatible, NAT64, 6to4, Teredo
                || (first == 0 && second == 0 && third == 0)
                || (first == 0x64 && second == 0xff9b)
                || first == 0x2002
                || (first == 0x2001 && matches!(second, 0 | 0xdb8))
                || (first & 0xffc0) == 0xfec0
                || (first & 0xfe00) == 0xfc00
                || (first & 0xffc0) == 0xfe80)
        }
    }
}

impl Caller {
    pub fn new(settings: &Outgoing) -> Result<Self, CallError> {
        let patience = Duration::from_secs(settings.timeout_seconds.get());
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(patience)
            .dns_resolver(Arc::new(PublicOnly {
                allow_loopback: settings.allow_loopback,
            }))
            .no_proxy()
            .build()
            .map_err(CallError::Setup)?;
        Ok(Self {
            client,
            allow_loopback: settings.allow_loopback,
            limit: settings.response_bytes.get(),
            patience,
        })
    }

    /// May the address be called, as far as it tells by itself? Addresses given as numbers do not
    /// pass the resolver.
    pub fn check(&self, url: &str) -> Result<(), CallError> {
        let url = url::Url::parse(url).map_err(|_| CallError::NotPublic)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(CallError::NotPublic);
        }
        let fits = match url.host() {
            Some(url::Host::Ipv4(ip)) => is_allowed(ip.into(), self.allow_loopback),
            Some(url::Host::Ipv6(ip)) => is_allowed(ip.into(), self.allow_loopback),
            Some(url::Host::Domain(_)) => true,
            None => false,
        };
        if fits {
            Ok(())
        } else {
            Err(CallError::NotPublic)
        }
    }

    /// The body of a 200 answer.
    pub async fn get(&self, url: &str) -> Result<Vec<u8>, CallError> {
        self.check(url)?;
        let answer = self
            .client
            .get(url)
            .timeout(BRIEF)
            .send()
            .await
            .map_err(CallError::Failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(CallError::Status(answer.status().as_u16()));
        }
        self.read(answer).await
    }

    /// The body of an answer that says success.
    pub async fn exchange(&self, call: Call) -> Result<Vec<u8>, CallError> {
        self.check(&call.url)?;
        let mut request = self
            .client
            .request(call.method, &call.url)
            .headers(call.headers.into_iter().collect());
        if let Some(body) = call.body {
            request = request.body(body);
        }
        if let Some(limit) = call.limit {
            request = request.timeout(limit.min(self.patience));
        }
        let answer = request.send().await.map_err(CallError::Failed)?;
        if !answer.status().is_success() {
            return Err(CallError::Status(answer.status().as_u16()));
        }
        self.read(answer).await
    }

    async fn read(&self, mut answer: reqwest::Response) -> Result<Vec<u8>, CallError> {
        let mut out = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(CallError::Failed)? {
            if out.len() + chunk.len() > self.limit {
                return Err(CallError::TooLarge);
            }
            out.extend_from_slice(&chunk);
        }
        Ok(out)
    }

    /// Sends JSON with a bearer token (RFC 6750 §2.1); any 2xx is success. Redirects are not
    /// followed, since they would take the token along.
    pub async fn post_json_as(
        &self,
        url: &str,
        token: &str,
        body: &serde_json::Value,
    ) -> Result<(), CallError> {
        self.check(url)?;
        let mut authorization =
            HeaderValue::try_from(format!("bearer {token}")).map_err(|_| CallError::Token)?;
        authorization.set_sensitive(true);
        let request = self
            .client
            .post(url)
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json, text/plain, */*");
        deliver(request.json(body)).await
    }

    /// Sends a form; any 2xx is success.
    pub async fn post_form(&self, url: &str, form: &[(&str, &str)]) -> Result<(), CallError> {
        self.check(url)?;
        deliver(self.client.post(url).timeout(BRIEF).form(form)).await
    }

    /// Sends JSON; any 2xx is success.
    pub async fn post_json(&self, url: &str, body: &serde_json::Value) -> Result<(), CallError> {
        self.check(url)?;
        deliver(self.client.post(url).timeout(BRIEF).json(body)).await
    }
}

/// Sends to an address that was checked; what comes back does not matter, only its status.
async fn deliver(request: reqwest::RequestBuilder) -> Result<(), CallError> {
    let answer = request.send().await.map_err(CallError::Failed)?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(CallError::Status(answer.status().as_u16()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_networks_are_never_called() {
        for ip in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::",
            "fc00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:5",
            "2002:a00:5::",
            "::10.0.0.5",
            "192.0.0.8",
        ] {
            assert!(!is_allowed(ip.parse().unwrap(), true), "{ip}");
        }
        assert!(!is_allowed("127.0.0.1".parse().unwrap(), false));
        assert!(!is_allowed("::ffff:127.0.0.1".parse().unwrap(), false));
        assert!(is_allowed("127.0.0.1".parse().unwrap(), true));
        assert!(is_allowed("93.184.216.34".parse().unwrap(), false));
        assert!(is_allowed("2606:2800:220:1::1".parse().unwrap(), false));
    }
}
