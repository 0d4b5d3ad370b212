//! Which host and scheme a request is for. Forwarded headers count only from trusted proxies.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use ipnet::IpNet;

/// Where forwarded headers may come from and which header names the host.
#[derive(Debug, Clone)]
pub struct ProxyRules {
    /// Lower case.
    pub host_header: String,
    pub trusted: Vec<IpNet>,
}

#[derive(Debug, Clone, Default)]
pub struct Hosts {
    /// `Host` as sent.
    pub header: String,
    /// Without the port.
    pub name: String,
    /// `name`, or what a trusted proxy says the client asked for.
    pub effective: String,
    pub secure: bool,
    pub peer: Option<IpAddr>,
}

impl ProxyRules {
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_some_and(|ip| self.trusted.iter().any(|net| net.contains(&ip)))
    }

    pub fn hosts(&self, req: &HttpRequest, tls: bool) -> Hosts {
        let text = |name: &str| req.headers().get(name).and_then(|v| v.to_str().ok());
        let header = text(HOST.as_str())
            .or_else(|| req.uri().host())
            .unwrap_or_default()
            .to_owned();
        let name = without_port(&header).to_owned();
        let socket = req.peer_addr().map(|a| a.ip());
        let trusted = self.trusts(socket);
        let mut effective = name.clone();
        let mut secure = tls;
        let mut peer = socket;
        if trusted {
            if let Some(host) = text(&self.host_header).filter(|h| *h != header && !h.is_empty()) {
                host.clone_into(&mut effective);
            }
            if let Some(proto) = text("x-forwarded-proto").and_then(|p| p.split(',').next()) {
                secure = proto.trim().eq_ignore_ascii_case("https");
            }
            // the right-most address that is no proxy of ours is the client
            if let Some(list) = text("x-forwarded-for") {
                let hops = || list.split(',').rev().filter_map(|a| a.trim().parse().ok());
                // where everybody is trusted, the nearest hop's word is the best there is
                peer = hops()
                    .find(|ip| !self.trusts(Some(*ip)))
                    .or_else(|| hops().next())
                    .or(socket);
            }
        }
        Hosts {
            header,
            name,
            effective,
            secure,
            peer,
        }
    }
}

/// The host of `host[:port]`; IPv6 literals keep their brackets.
pub fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(i)
            if !host.ends_with(']')
                && !host
                    .get(..i)
                    .is_some_and(|h| h.contains(':') && !h.ends_with(']')) =>
        {
            host.get(..i).unwrap_or(host)
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn rules(nets: &[&str]) -> ProxyRules {
        ProxyRules {
            host_header: "x-host".into(),
            trusted: nets.iter().map(|n| n.parse().unwrap()).collect(),
        }
    }

    fn request() -> HttpRequest {
        TestRequest::default()
            .insert_header(("host", "id.example:8443"))
            .insert_header(("x-host", "login.tenant.example"))
            .insert_header(("x-forwarded-proto", "https"))
            .insert_header(("x-forwarded-for", "203.0.113.9, 10.0.0.1"))
            .peer_addr("10.0.0.2:5000".parse().unwrap())
            .to_http_request()
    }

    #[test]
    fn forwarded_headers_count_only_from_trusted_proxies() {
        let h = rules(&["10.0.0.0/8"]).hosts(&request(), false);
        assert_eq!(
            (h.effective.as_str(), h.secure, h.peer),
            ("login.tenant.example", true, "203.0.113.9".parse().ok())
        );
        let h = rules(&["0.0.0.0/0"]).hosts(&request(), false);
        assert_eq!(h.peer, "10.0.0.1".parse().ok());
        let h = rules(&["192.0.2.0/24"]).hosts(&request(), false);
        assert_eq!(
            (h.effective.as_str(), h.secure, h.peer),
            ("id.example", false, "10.0.0.2".parse().ok())
        );
    }

    #[test]
    fn ports_are_cut_off() {
        assert_eq!(without_port("a.b:1"), "a.b");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
        assert_eq!(without_port("a.b"), "a.b");
    }
}
