//! The client that the portal and the group's own pages use; every active group has one.

use crate::app::Parts;
use crate::clients::Client;
use crate::clients::model::Metadata;
use crate::groups::AuthGroup;
use crate::number::Number;
use crate::store::{Object, Value};

/// A new platform client of the group. Its secret is kept even when its authentication method
/// is `none`.
pub fn build(app: &Parts, group: &AuthGroup) -> Client {
    let id = app.random.uuid();
    let (redirect_uris, post_logout_redirect_uris) = redirects(app, group);
    let method = if app.settings.ui.pkce_required {
        "none"
    } else {
        "client_secret_basic"
    };
    let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect();
    let extra: Object = [
        ("backchannel_logout_session_required", Value::Boolean(false)),
        ("require_signed_request_object", Value::Boolean(false)),
        ("request_uris", Value::Array(Vec::new())),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    Client {
        payload: Metadata {
            auth_group: group.id.clone(),
            client_id: id.clone(),
            client_name: app.settings.bootstrap.platform_name.clone(),
            client_secret: Some(app.random.client_secret86()),
            client_secret_expires_at: Some(Number::Int(0)),
            client_id_issued_at: Some(Number::Int(app.now())),
            application_type: Some("web".to_owned()),
            grant_types: texts(&["client_credentials", "authorization_code", "refresh_token"]),
            response_types: texts(&["code"]),
            redirect_uris,
            post_logout_redirect_uris,
            token_endpoint_auth_method: Some(method.to_owned()),
            introspection_endpoint_auth_method: Some(method.to_owned()),
            revocation_endpoint_auth_method: Some(method.to_owned()),
            id_token_signed_response_alg: Some("RS256".to_owned()),
            subject_type: Some("public".to_owned()),
            require_auth_time: Some(false),
            client_skip_consent: Some(true),
            client_only_passwordless: Some(true),
            client_allow_org_federation: Some(true),
            extra,
            ..Metadata::default()
        },
        id,
        access: None,
        version: 0,
        extra: Object::default(),
    }
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
