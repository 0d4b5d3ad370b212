//! Who passkeys are made for: the host that the browser sees.

use std::time::Duration;

use url::Url;
use webauthn_rs::WebauthnBuilder;
use webauthn_rs::prelude::{Webauthn, WebauthnError};

use crate::gate::Ctx;
use crate::groups::model::AuthGroup;
use crate::groups::tenant::origin;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::hosts::without_port;
use crate::plugins::Plugins;

/// The provider that is built in, as stored configurations name it.
pub const KIND: &str = "webauthn";
/// How long (s) a ceremony may take.
pub const LIFE: i64 = 300;

/// Whether the group's people can use passkeys of this server.
pub fn is_on(plugins: &Plugins, group: &AuthGroup) -> bool {
    let own = &group.plugin_options.web_authn;
    let built_in = |kind: Option<&str>| kind.is_some_and(|k| k.eq_ignore_ascii_case(KIND));
    plugins.web_authn.enabled
        && own.enable
        && built_in(own.kind.as_deref())
        && plugins
            .web_authn
            .providers
            .iter()
            .any(|p| built_in(p.get_str("type")))
}

/// The relying party of a request.
#[derive(Debug)]
pub struct Party {
    pub webauthn: Webauthn,
    /// Its id.
    pub domain: String,
}

impl Party {
    /// 424 where there are no passkeys.
    pub async fn of(ctx: &Ctx) -> ApiResult<Self> {
        let plugins = ctx.plugins().await?;
        let group = &ctx.tenant()?.group;
        if !plugins.web_authn.enabled || !group.plugin_options.web_authn.enable {
            return Err(ApiError::failed_dependency(
                "Passkeys are switched off for this group. Ask its administrator.",
            ));
        }
        if !is_on(&plugins, group) {
            return Err(ApiError::failed_dependency(format!(
                "This server has no passkeys of the type that the group names; the built-in type is {KIND}",
            )));
        }
        Self::on(&page_origin(ctx)?, &group.name)
    }

    fn on(origin: &Url, name: &str) -> ApiResult<Self> {
        let host = origin.domain().unwrap_or_default();
        // browsers know no passkeys of addresses without a name
        let domain = if host.contains("localhost") {
            "localhost"
        } else {
            host
        };
        let seconds = u64::try_from(LIFE).unwrap_or_default();
        let webauthn = WebauthnBuilder::new(domain, origin)
            .and_then(|b| {
                b.rp_name(name)
                    .timeout(Duration::from_secs(seconds))
                    .build()
            })
            .map_err(|cause| {
                tracing::warn!(%origin, %cause, "no passkeys on this host");
                ApiError::failed_dependency(
                    "Passkeys need a server that is reached by a host name, not by an address",
                )
            })?;
        Ok(Self {
            webauthn,
            domain: domain.to_owned(),
        })
    }
}

/// What browsers say the pages of this request come from. Aliases are kept without a port, so
/// that comes from the request.
fn page_origin(ctx: &Ctx) -> ApiResult<Url> {
    let header = ctx.req.hosts.header.to_ascii_lowercase();
    let alias = ctx.custom_domain.as_deref();
    let host = match alias {
        Some(alias) if without_port(&header).eq_ignore_ascii_case(alias) => Some(header.as_str()),
        other => other,
    };
    Url::parse(&origin(&ctx.app, host)).map_err(ApiError::internal)
}

/// 424 for what the browser sent; the reason is for the log.
pub fn refused(cause: &WebauthnError) -> ApiError {
    tracing::info!(%cause, "a passkey was refused");
    not_verified()
}

pub fn not_verified() -> ApiError {
    ApiError::failed_dependency("The passkey could not be verified. Begin again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(origin: &str) -> Option<String> {
        let party = Party::on(&Url::parse(origin).unwrap(), "Shop");
        party.ok().map(|p| p.domain)
    }

    #[test]
    fn the_id_is_the_host_without_its_port() {
        assert_eq!(
            domain("https://id.example.com").as_deref(),
            Some("id.example.com")
        );
        assert_eq!(
            domain("https://id.example.com:8443").as_deref(),
            Some("id.example.com")
        );
        assert_eq!(
            domain("http://localhost:3000").as_deref(),
            Some("localhost")
        );
        assert_eq!(
            domain("http://shop.localhost:3000").as_deref(),
            Some("localhost")
        );
        assert_eq!(domain("http://127.0.0.1:3000"), None);
    }

    #[test]
    fn the_origin_has_its_port() {
        let party = Party::on(&Url::parse("https://id.example.com:8443").unwrap(), "Shop").unwrap();
        let origins: Vec<&str> = party
            .webauthn
            .get_allowed_origins()
            .iter()
            .map(Url::as_str)
            .collect();
        assert_eq!(origins, ["https://id.example.com:8443/"]);
    }
}
