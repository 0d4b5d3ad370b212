//! Clients of the root group that the server's own services use.

use crate::app::App;
use crate::clients::{Client, rules};
use crate::groups::Tenant;
use crate::store::StoreError;

/// What a service client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Notifications,
    ChallengeProxy,
    EventStream,
}

impl Service {
    fn name(self, root: &Tenant) -> String {
        let id = root.id();
        match self {
            Self::Notifications => format!("{id}_Global_Notification_Service"),
            Self::ChallengeProxy => format!("{id}_global_mfa_proxy"),
            Self::EventStream => format!("{id}_Global_Event_Streaming"),
        }
    }
}

/// A new client with a new secret, not stored yet. Its scopes are always valid, whatever scopes
/// the server offers to others.
pub fn build(app: &App, root: &Tenant, service: Service) -> Client {
    let (scope, label, redirect_uris) = match service {
        Service::Notifications => (
            Some("api:read api:write"),
            None,
            vec![format!("https://{}", app.settings.ui.host)],
        ),
        Service::ChallengeProxy => (None, Some("api"), Vec::new()),
        Service::EventStream => (Some("core:read core:write"), None, Vec::new()),
    };
    let mut client = rules::own(app, root.id(), service.name(root), "client_secret_basic");
    client.payload.redirect_uris = redirect_uris;
    client.payload.scope = scope.map(ToOwned::to_owned);
    client.payload.client_label = label.map(ToOwned::to_owned);
    client
}

/// Puts the client in the place of the service's former one.
pub async fn replace(
    app: &App,
    root: &Tenant,
    service: Service,
    client: &Client,
) -> Result<(), StoreError> {
    remove(app, root, service).await?;
    app.store.of::<Client>().insert(client).await?;
    app.clients.changed(&client.id);
    Ok(())
}

/// Deletes the service's client, if there is one.
pub async fn remove(app: &App, root: &Tenant, service: Service) -> Result<(), StoreError> {
    if let Some(old) = rules::by_name(app, root, &service.name(root)).await? {
        rules::remove(app, root, &old.id).await?;
    }
    Ok(())
}
