//! Handing messages to the notification service that the operator chose.

use std::sync::Arc;

use async_trait::async_trait;

use crate::app::App;
use crate::http::reply::public_document;
use crate::notifications::Notification;
use crate::notifications::delivery::{Deliverer, DeliveryError};
use crate::oidc::issue;
use crate::plugins::rules::current;

/// What the service's token allows.
const SCOPE: &str = "api:write";

/// Posts messages as JSON, with a token of the service's client.
#[derive(Debug)]
pub struct Service;

#[async_trait]
impl Deliverer for Service {
    async fn deliver(&self, app: &App, it: &Notification) -> Result<(), DeliveryError> {
        let token = token(app).await?;
        let mut body = public_document(it);
        if let Some(map) = body.as_object_mut() {
            map.remove("delivery");
        }
        app.outgoing
            .post_json_as(&it.destination_uri, &token, &body)
            .await?;
        Ok(())
    }
}

async fn token(app: &App) -> Result<Arc<str>, DeliveryError> {
    let plugins = current(app).await.map_err(DeliveryError::Token)?;
    let options = &plugins.notifications;
    let (true, Some(id), Some(audience)) = (
        options.enabled,
        &options.registered_client_id,
        &options.notification_service_uri,
    ) else {
        return Err(DeliveryError::NoClient);
    };
    let root = app.tenants.active(app, "root").await;
    let root = root
        .map_err(|e| DeliveryError::Token(e.into()))?
        .ok_or(DeliveryError::NoClient)?;
    let client = crate::clients::rules::find(app, &root, id)
        .await?
        .ok_or(DeliveryError::NoClient)?;
    issue::service_token(app, &root, &client, SCOPE, audience).map_err(DeliveryError::Token)
}
