//! Clients of the root group that the server's own services use.

use crate::app::App;
use crate::clients::model::Metadata;
use crate::clients::{Client, rules};
use crate::groups::Tenant;
use crate::number::Number;
use crate::store::{Object, StoreError, Value};

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
    let id = app.random.uuid();
    let (scope, label, redirect_uris) = match service {
        Service::Notifications => (
            Some("api:read api:write"),
            None,
            vec![format!("https://{}", app.settings.ui.host)],
        ),
        Service::ChallengeProxy => (None, Some("api"), Vec::new()),
        Service::EventStream => (Some("core:read core:write"), None, Vec::new()),
    };
    let method = "client_secret_basic";
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
            auth_group: root.id().to_owned(),
            client_id: id.clone(),
            client_name: service.name(root),
            client_secret: Some(app.random.client_secret86()),
            client_secret_expires_at: Some(Number::Int(0)),
            client_id_issued_at: Some(Number::Int(app.now())),
            application_type: Some("web".to_owned()),
            grant_types: vec!["client_credentials".to_owned()],
            redirect_uris,
            token_endpoint_auth_method: Some(method.to_owned()),
            introspection_endpoint_auth_method: Some(method.to_owned()),
            revocation_endpoint_auth_method: Some(method.to_owned()),
            id_token_signed_response_alg: Some("RS256".to_owned()),
            subject_type: Some("public".to_owned()),
            require_auth_time: Some(false),
            scope: scope.map(ToOwned::to_owned),
            client_label: label.map(ToOwned::to_owned),
            extra,
            ..Metadata::default()
        },
        id,
        access: None,
        version: 0,
        extra: Object::default(),
    }
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
