//! Changes of the server-wide options. Each writes a new version; the version is checked before
//! anything else happens.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::app::App;
use crate::clients::Client;
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::logs::{self, Code};
use crate::passkeys;
use crate::plugins::model::{EventStream, Notifications, Plugins, Providers};
use crate::plugins::providers::{self, ChallengeKind, text};
use crate::plugins::rules::{append, newest, outdated};
use crate::plugins::service_clients::{self, Service};
use crate::store::{Object, Value};

/// A change that the root group's people or clients ask for.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub app: &'a App,
    pub root: &'a Tenant,
    /// Account or client id.
    pub by: &'a str,
    /// Has the shape its route asks for.
    pub body: &'a Json,
}

impl Change<'_> {
    fn on(&self) -> bool {
        is_on(self.body)
    }

    /// The newest version, if the body says that it starts from it.
    async fn old(&self) -> ApiResult<Arc<Plugins>> {
        let old = newest(self.app).await?;
        let stated = self.body.get("currentVersion").and_then(Json::as_f64);
        if stated == Some(old.version.as_f64()) {
            Ok(old)
        } else {
            Err(outdated())
        }
    }

    fn new_client(&self, service: Service, wanted: bool) -> Option<Client> {
        wanted.then(|| service_clients::build(self.app, self.root, service))
    }
}

pub fn is_on(body: &Json) -> bool {
    body.get("enabled").and_then(Json::as_bool) == Some(true)
}

/// Switches notifications. Each time they are switched on, the client that authenticates to the
/// notification service gets a new id and secret, which only this answer tells.
pub async fn notifications(change: Change<'_>) -> ApiResult<Json> {
    let Change {
        app, root, body, ..
    } = change;
    let _turn = app.plugins.turn.lock().await;
    let old = change.old().await?;
    let client = change.new_client(Service::Notifications, change.on());
    let settings = Notifications {
        enabled: change.on(),
        notification_service_uri: text(body, "notificationServiceUri").map(ToOwned::to_owned),
        registered_client_id: client.as_ref().map(|c| c.id.clone()),
        extra: Object::default(),
    };
    let new = append(app, &old, change.by, |p| p.notifications = settings).await?;
    match &client {
        Some(client) => {
            service_clients::replace(app, root, Service::Notifications, client).await?;
        }
        None => service_clients::remove(app, root, Service::Notifications).await?,
    }
    let mut out = json!({
        "enabled": new.notifications.enabled,
        "plugins": { "version": new.version },
    });
    if let Some(map) = out.as_object_mut() {
        if let Some(uri) = new.notifications.notification_service_uri {
            map.insert("notificationServiceUri".to_owned(), uri.into());
        }
        if let Some(client) = client {
            map.insert("notificationServiceClientId".to_owned(), client.id.into());
            map.insert(
                "notificationServiceClientSecret".to_owned(),
                client.payload.client_secret.into(),
            );
        }
    }
    Ok(json!({ "notifications": out }))
}

/// Takes the provider in for others of its type.
fn with(old: &Providers, provider: Object) -> Providers {
    let kind = provider.get_str("type").unwrap_or_default().to_owned();
    let mut providers = old.providers.clone();
    providers.retain(|p| {
        p.get_str("type")
            .is_none_or(|t| !t.eq_ignore_ascii_case(&kind))
    });
    providers.push(provider);
    Providers {
        enabled: true,
        providers,
        extra: Object::default(),
    }
}

pub async fn passkeys(change: Change<'_>) -> ApiResult<Plugins> {
    let Change { app, body, .. } = change;
    let _turn = app.plugins.turn.lock().await;
    let old = change.old().await?;
    let new = if change.on() {
        let kind = text(body, "type").unwrap_or_default().to_ascii_lowercase();
        if ![passkeys::KIND, "privakey"].contains(&kind.as_str()) {
            return Err(unsupported());
        }
        with(&old.web_authn, providers::passkeys(&kind, body))
    } else {
        Providers::default()
    };
    append(app, &old, change.by, |p| p.web_authn = new).await
}

fn unsupported() -> ApiError {
    ApiError::bad_request("Unsupported mfa type requested")
}

pub async fn challenges(change: Change<'_>) -> ApiResult<Plugins> {
    let Change {
        app, root, body, ..
    } = change;
    let _turn = app.plugins.turn.lock().await;
    let old = change.old().await?;
    if !change.on() {
        let none = Providers::default();
        let new = append(app, &old, change.by, |p| p.mfa_challenge = none).await?;
        let proxied = old
            .mfa_challenge
            .providers
            .iter()
            .any(|p| p.get("proxyClientId").is_some());
        if proxied
            && let Err(cause) = service_clients::remove(app, root, Service::ChallengeProxy).await
        {
            let text = "the client of the challenge proxy is still there";
            tracing::warn!(%cause, "{text}");
            let details = [("error".to_owned(), Value::from(cause.to_string()))];
            logs::note(app, Code::Error, text, details.into_iter().collect());
        }
        return Ok(new);
    }
    let kind = text(body, "type")
        .and_then(ChallengeKind::parse)
        .ok_or_else(unsupported)?;
    providers::check_challenges(kind, body)?;
    let client = change.new_client(Service::ChallengeProxy, kind == ChallengeKind::HttpProxy);
    let provider = providers::challenges(kind, body, client.as_ref().map(|c| c.id.as_str()));
    let providers = with(&old.mfa_challenge, provider);
    let new = append(app, &old, change.by, |p| p.mfa_challenge = providers).await?;
    if let Some(client) = &client {
        service_clients::replace(app, root, Service::ChallengeProxy, client).await?;
    }
    Ok(new)
}

/// Where the body asks for authorization by this server; beside the provider or inside it.
fn wants_oauth(body: &Json) -> bool {
    [
        body.get("oauthRequired"),
        body.pointer("/provider/oauthRequired"),
    ]
    .into_iter()
    .any(|v| v.and_then(Json::as_bool) == Some(true))
}

pub async fn event_stream(change: Change<'_>) -> ApiResult<Json> {
    let Change {
        app, root, body, ..
    } = change;
    let _turn = app.plugins.turn.lock().await;
    let old = change.old().await?;
    let mut client = None;
    let mut settings = EventStream::default();
    if change.on() {
        let provider = body.get("provider").unwrap_or(&Json::Null);
        providers::check_stream(provider)?;
        client = change.new_client(Service::EventStream, wants_oauth(body));
        settings = EventStream {
            enabled: true,
            provider: providers::stream(provider),
            extra: Object::default(),
        };
        if let Some(client) = &client {
            settings.provider.oauth_required = true;
            let scope = text(body, "authScopes").or_else(|| text(provider, "authScopes"));
            let auth = authorization(app, root, &client.id, scope, provider.get("auth"));
            settings.provider.extra.insert("auth", auth);
        }
    }
    let new = append(app, &old, change.by, |p| p.event_stream = settings).await?;
    match &client {
        Some(client) => service_clients::replace(app, root, Service::EventStream, client).await?,
        None if !change.on() && old.event_stream.provider.oauth_required => {
            service_clients::remove(app, root, Service::EventStream).await?;
        }
        None => {}
    }
    let mut provider =
        serde_json::to_value(&new.event_stream.provider).map_err(ApiError::internal)?;
    if let Some(auth) = provider.get_mut("auth").and_then(Json::as_object_mut)
        && let Some(secret) = client.and_then(|c| c.payload.client_secret)
    {
        auth.insert("clientSecret".to_owned(), secret.into());
    }
    Ok(json!({ "eventStream": {
        "version": new.version, "enabled": new.event_stream.enabled, "provider": provider,
    } }))
}

/// How the stream's clients get tokens here, above what the body says of it.
fn authorization(
    app: &App,
    root: &Tenant,
    client: &str,
    scope: Option<&str>,
    given: Option<&Json>,
) -> Object {
    let mut auth = given.and_then(Object::from_json).unwrap_or_default();
    let issuer = root.issuer(app, None);
    auth.insert("audience", format!("{issuer}/streaming"));
    auth.insert("issuerUrl", issuer);
    auth.insert("clientId", client);
    auth.insert("rootRef", root.id());
    match scope {
        Some(scope) => auth.insert("scope", scope),
        None => auth.remove("scope"),
    };
    auth
}
