//! Hosts of a group's own: one for its portal, one for sign-in.

use crate::app::App;
use crate::clients::Client;
use crate::groups::AuthGroup;
use crate::groups::rules::change;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::validate::{Kind, Shape};
use crate::store::StoreError;
use serde_json::Value as Json;

static BODY: Shape = Shape {
    required: &[],
    members: &[("aliasDnsUi", Kind::Text), ("aliasDnsOIDC", Kind::Text)],
    open: false,
};

pub fn check_body(body: &Json) -> ApiResult<()> {
    BODY.check(body).map(|_| ())
}

/// Which of the two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Portal,
    Provider,
}

impl Target {
    pub fn parse(text: &str) -> ApiResult<Self> {
        match text {
            "ui" => Ok(Self::Portal),
            "oidc" => Ok(Self::Provider),
            _ => Err(ApiError::bad_request("target must be ui or oidc")),
        }
    }

    fn field(self, group: &mut AuthGroup) -> &mut Option<String> {
        match self {
            Self::Portal => &mut group.alias_dns_ui,
            Self::Provider => &mut group.alias_dns_oidc,
        }
    }
}

/// The hosts asked for, in lower case. 400 for what is no host name or is the service's own.
pub fn requested(app: &App, body: &Json) -> ApiResult<Vec<(Target, String)>> {
    let mut out = Vec::new();
    for (name, target) in [
        ("aliasDnsUi", Target::Portal),
        ("aliasDnsOIDC", Target::Provider),
    ] {
        let Some(host) = body.get(name).and_then(Json::as_str) else {
            continue;
        };
        let host = host.trim().to_lowercase();
        if !is_host_name(&host) {
            return Err(ApiError::bad_request(format!(
                "{name} must be a host name, such as login.example.com"
            )));
        }
        if host.eq_ignore_ascii_case(app.settings.service_host()) {
            return Err(ApiError::bad_request(format!(
                "{name} is the host of the service itself"
            )));
        }
        out.push((target, host));
    }
    Ok(out)
}

/// Labels of letters, digits and inner hyphens, at least two (RFC 1123 §2.1).
fn is_host_name(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253
        && text.split('.').count() >= 2
        && text.split('.').all(label)
        && text.parse::<std::net::Ipv4Addr>().is_err()
}

/// Sets hosts that are not set yet and lets the platform client return to them. 404 if one is
/// set, 409 if another group has it, 422 without a platform client; nothing is left half-done.
pub async fn set(
    app: &App,
    id: &str,
    hosts: &[(Target, String)],
    by: &str,
) -> ApiResult<AuthGroup> {
    let client = platform_client(app, id).await?;
    if !hosts.is_empty() && client.is_none() {
        return Err(no_client());
    }
    let group = change(app, id, by, |group| {
        for (target, host) in hosts {
            let field = target.field(group);
            if field.as_deref().is_some_and(|h| !h.is_empty()) {
                return Err(ApiError::missing(id));
            }
            *field = Some(host.clone());
        }
        Ok(())
    })
    .await?;
    let Some(client) = client.filter(|_| !hosts.is_empty()) else {
        return Ok(group);
    };
    if let Err(e) = admit(app, &client, hosts).await {
        let undone = change(app, id, by, |group| {
            for (target, host) in hosts {
                let field = target.field(group);
                if field.as_deref() == Some(host) {
                    *field = None;
                }
            }
            Ok(())
        })
        .await;
        if let Err(cause) = undone {
            tracing::warn!(%cause, "an alias stays although the platform client does not know it");
        }
        return Err(e);
    }
    Ok(group)
}

fn no_client() -> ApiError {
    ApiError::unprocessable("The group has no platform client with redirect addresses")
}

async fn platform_client(app: &App, id: &str) -> ApiResult<Option<String>> {
    let group = app
        .store
        .of::<AuthGroup>()
        .get(id)
        .await?
        .filter(|g| g.active)
        .ok_or_else(|| ApiError::missing(id))?;
    let Some(client) = group.associated_client else {
        return Ok(None);
    };
    let found = app.store.of::<Client>().get(&client).await?;
    Ok(found
        .filter(|c| {
            !c.payload.redirect_uris.is_empty() && !c.payload.post_logout_redirect_uris.is_empty()
        })
        .map(|c| c.id))
}

async fn admit(app: &App, client: &str, hosts: &[(Target, String)]) -> ApiResult<()> {
    let ui = &app.settings.ui;
    let mut login = Vec::new();
    let mut logout = Vec::new();
    for (target, host) in hosts {
        let host = format!("https://{host}");
        match target {
            Target::Portal => {
                login.extend([host.clone(), format!("{host}{}", ui.login_path)]);
                logout.extend([host.clone(), format!("{host}{}", ui.logout_path)]);
            }
            Target::Provider => {
                let docs = format!("{host}/oauth2-redirect.html");
                login.push(docs.clone());
                logout.push(docs);
            }
        }
    }
    let updated = app
        .store
        .of::<Client>()
        .update(client, |c: &mut Client| {
            add_missing(&mut c.payload.redirect_uris, &login);
            add_missing(&mut c.payload.post_logout_redirect_uris, &logout);
            Ok::<_, StoreError>(())
        })
        .await?;
    app.clients.changed(client);
    updated.map(|_| ()).ok_or_else(no_client)
}

fn add_missing(list: &mut Vec<String>, more: &[String]) {
    for uri in more {
        if !list.contains(uri) {
            list.push(uri.clone());
        }
    }
}

/// Takes a host away and with it every address of the platform client on that host.
pub async fn remove(app: &App, id: &str, target: Target, by: &str) -> ApiResult<AuthGroup> {
    let old = app
        .store
        .of::<AuthGroup>()
        .get(id)
        .await?
        .and_then(|mut group| target.field(&mut group).take());
    let group = change(app, id, by, |group| {
        *target.field(group) = None;
        Ok(())
    })
    .await?;
    let (Some(host), Some(client)) = (old.filter(|h| !h.is_empty()), &group.associated_client)
    else {
        return Ok(group);
    };
    app.store
        .of::<Client>()
        .update(client, |c: &mut Client| {
            c.payload.redirect_uris.retain(|uri| !is_on(uri, &host));
            c.payload
                .post_logout_redirect_uris
                .retain(|uri| !is_on(uri, &host));
            Ok::<_, StoreError>(())
        })
        .await?;
    app.clients.changed(client);
    Ok(group)
}

fn is_on(uri: &str, host: &str) -> bool {
    url::Url::parse(uri)
        .ok()
        .and_then(|u| u.host_str().map(|h| h.eq_ignore_ascii_case(host)))
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_told_from_other_texts() {
        for good in ["a.test", "login.my-co.example.com"] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "https://a.test",
            "a.test/x",
            "a..test",
            "-a.test",
            "a.test:80",
            "10.0.0.1",
            "a b.test",
        ] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }

    #[test]
    fn only_addresses_on_the_very_host_go() {
        assert!(is_on("https://ui.a.test/signin", "ui.a.test"));
        assert!(!is_on("https://xui.a.test", "ui.a.test"));
        assert!(!is_on("https://b.test/?ui.a.test", "ui.a.test"));
    }
}
