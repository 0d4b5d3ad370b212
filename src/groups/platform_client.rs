//! The client that the portal and the group's own pages use; every active group has one.

use crate::app::Parts;
use crate::clients::{Client, rules};
use crate::groups::AuthGroup;

/// A new platform client of the group. Its secret is kept even when its authentication method
/// is `none`.
pub fn build(app: &Parts, group: &AuthGroup) -> Client {
    let (redirect_uris, post_logout_redirect_uris) = redirects(app, group);
    let method = if app.settings.ui.pkce_required {
        "none"
    } else {
        "client_secret_basic"
    };
    let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect();
    let name = app.settings.bootstrap.platform_name.clone();
    let mut client = rules::own(app, &group.id, name, method);
    let metadata = &mut client.payload;
    metadata.grant_types = texts(&["client_credentials", "authorization_code", "refresh_token"]);
    metadata.response_types = texts(&["code"]);
    metadata.redirect_uris = redirect_uris;
    metadata.post_logout_redirect_uris = post_logout_redirect_uris;
    metadata.client_skip_consent = Some(true);
    metadata.client_only_passwordless = Some(true);
    metadata.client_allow_org_federation = Some(true);
    client
}

/// Where the client may return to after sign-in and after sign-out.
fn redirects(app: &Parts, group: &AuthGroup) -> (Vec<String>, Vec<String>) {
    let ui = &app.settings.ui;
    let host = format!("https://{}", ui.host);
    let mut login = vec![
        host.clone(),
        format!("{host}{}", ui.login_path),
        format!("{host}{}", ui.refresh_path),
    ];
    let mut logout = vec![host.clone(), format!("{host}{}", ui.logout_path)];
    if !app.settings.is_development() {
        let docs = format!(
            "https://{}/oauth2-redirect.html",
            app.settings.server.public_host
        );
        login.push(docs.clone());
        logout.push(docs);
    }
    let home = group.primary_domain.as_deref().map(with_scheme);
    if let Some(home) = home.filter(|h| *h != host && !h.is_empty()) {
        logout.push(home);
    }
    (login, logout)
}

/// `https://` in front of what has no scheme.
pub fn with_scheme(domain: &str) -> String {
    if domain.is_empty() || domain.contains("://") {
        domain.to_owned()
    } else {
        format!("https://{domain}")
    }
}
