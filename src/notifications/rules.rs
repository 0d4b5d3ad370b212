//! Making messages and handing them over.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::accounts::Account;
use crate::app::App;
use crate::groups::model::AuthGroup;
use crate::groups::{Tenant, tenant};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::http::reply::public_document;
use crate::notifications::model::{Kind, New, Notification};
use crate::oidc::issue;
use crate::outgoing::CallError;
use crate::plugins::Plugins;
use crate::store::{Filter, Object, Query, StoreError, and, eq};

/// Most messages one request for all that are due hands over.
const BATCH: u64 = 25;
/// What the service's token allows.
const SCOPE: &str = "api:write";

/// Why a message was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("the service did not accept it; look at its log")]
    Call(#[from] CallError),
    #[error("the service's client is gone; switch notifications on again to get a new one")]
    NoClient,
    #[error("no token for the service could be made: {0}")]
    Token(ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// 405 unless notifications are on for the whole server.
pub async fn require_global(app: &App) -> ApiResult<Arc<Plugins>> {
    let plugins = crate::plugins::rules::current(app).await?;
    if plugins.notifications.enabled && plugins.notifications.notification_service_uri.is_some() {
        Ok(plugins)
    } else {
        Err(ApiError::switched_off(
            "Global Notifications have not been set",
        ))
    }
}

/// 405 unless notifications are on, for the whole server and for the group.
pub async fn require_on(app: &App, group: &AuthGroup) -> ApiResult<Arc<Plugins>> {
    let plugins = require_global(app).await?;
    if group.plugin_options.notification.enabled {
        Ok(plugins)
    } else {
        Err(ApiError::switched_off(
            "This group does not have notifications enabled",
        ))
    }
}

/// Sends a message of the server's own. It is kept only if the service accepts it; if not the
/// answer is 424. 405 if notifications are off for the whole server; whether the group has them
/// on is the caller's to check (see [`require_on`] and [`Tenant::notifies`]).
pub async fn send(app: &App, tenant: &Tenant, new: New) -> ApiResult<Notification> {
    send_for(app, &tenant.group, new).await
}

/// As [`send`], for a group that may not be active yet.
pub async fn send_for(app: &App, group: &AuthGroup, new: New) -> ApiResult<Notification> {
    let plugins = require_global(app).await?;
    let made = build(app, group, &plugins, new);
    let stored = app.store.of::<Notification>();
    stored.insert(&made).await?;
    match deliver(app, &plugins, &made).await {
        Ok(()) => processed(app, made).await,
        Err(cause) => {
            tracing::warn!(notification = made.id, error = %cause, "not delivered");
            stored.delete(&made.id).await?;
            Err(refused(&made.id))
        }
    }
}

fn refused(id: &str) -> ApiError {
    ApiError::failed_dependency(format!(
        "The notification plugin service did not process the request for notification: {id}"
    ))
}

fn build(app: &App, group: &AuthGroup, plugins: &Plugins, new: New) -> Notification {
    let known = [
        (new.recipient_email.is_some(), "email"),
        (new.recipient_sms.is_some(), "sms"),
    ];
    let formats = if new.formats.is_empty() {
        known
            .into_iter()
            .filter(|(known, _)| *known)
            .map(|(_, format)| format.to_owned())
            .collect()
    } else {
        new.formats
    };
    let iss = new
        .iss
        .unwrap_or_else(|| format!("{}/{}", tenant::origin(app, None), group.id));
    Notification {
        id: app.random.uuid(),
        created_at: app.date(),
        created_by: new.created_by,
        iss: Some(iss),
        kind: Some(new.kind.name().to_owned()),
        formats,
        recipient_user_id: new.recipient_user_id,
        recipient_email: new.recipient_email,
        recipient_sms: new.recipient_sms,
        auth_group_id: group.id.clone(),
        screen_url: new.screen_url,
        subject: new.subject,
        message: new.message,
        destination_uri: plugins
            .notifications
            .notification_service_uri
            .clone()
            .unwrap_or_default(),
        processed: false,
        organization: new.organization,
        branding: Object::from_json(&branding(group)),
        meta: new.meta.as_ref().and_then(Object::from_json),
        version: 0,
        extra: Object::default(),
    }
}

/// How the group presents itself.
fn branding(group: &AuthGroup) -> Json {
    let skin = &group.config.ui.skin;
    let members = [
        ("platform", Some(&group.name)),
        ("contact", group.primary_email.as_ref()),
        ("domain", group.primary_domain.as_ref()),
        ("tos", group.primary_tos.as_ref()),
        ("privacyPolicy", group.primary_privacy_policy.as_ref()),
        ("backgroundImage", skin.splash_image.as_ref()),
        ("logo", skin.logo.as_ref()),
    ];
    let set = members
        .into_iter()
        .filter_map(|(name, value)| value.map(|v| (name.to_owned(), v.clone().into())));
    Json::Object(set.collect::<Map<_, _>>())
}

/// Posts the message to its service with a fresh token of the service's client.
async fn deliver(app: &App, plugins: &Plugins, it: &Notification) -> Result<(), DeliveryError> {
    let token = token(app, plugins).await?;
    let body = public_document(it);
    app.outgoing
        .post_json_as(&it.destination_uri, &token, &body)
        .await?;
    Ok(())
}

async fn token(app: &App, plugins: &Plugins) -> Result<String, DeliveryError> {
    let options = &plugins.notifications;
    let (Some(id), Some(audience)) = (
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

async fn processed(app: &App, mut it: Notification) -> ApiResult<Notification> {
    it.processed = true;
    app.store
        .of::<Notification>()
        .update(&it.id, |n| {
            n.processed = true;
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(it)
}

/// A message that a caller of the API asks for.
pub async fn create(app: &App, tenant: &Tenant, mut new: New) -> ApiResult<Notification> {
    if new.recipient_user_id.is_none() && new.recipient_email.is_none() {
        return Err(ApiError::precondition_required(
            "You must provide either a recipientUserId or recipientEmail",
        ));
    }
    if let Some(id) = &new.recipient_user_id {
        let account: Account = crate::accounts::rules::find(app, tenant.id(), id)
            .await?
            .ok_or_else(|| ApiError::not_found("User Id not valid"))?;
        new.recipient_email.get_or_insert(account.email);
    }
    let plugins = require_on(app, &tenant.group).await?;
    let optional = new.kind == Kind::General
        && !tenant
            .group
            .plugin_options
            .notification
            .ack_required_on_optional;
    let made = build(app, &tenant.group, &plugins, new);
    let stored = app.store.of::<Notification>();
    stored.insert(&made).await?;
    match deliver(app, &plugins, &made).await {
        Ok(()) => processed(app, made).await,
        Err(DeliveryError::Store(e)) => Err(e.into()),
        Err(cause) => {
            tracing::warn!(notification = made.id, error = %cause, "not delivered");
            if optional {
                return Ok(made);
            }
            stored.delete(&made.id).await?;
            Err(refused(&made.id))
        }
    }
}

/// Hands a message over that is still due. 424 if the service does not accept it.
pub async fn process(app: &App, tenant: &Tenant, it: Notification) -> ApiResult<Notification> {
    if it.processed {
        return Ok(it);
    }
    let plugins = require_on(app, &tenant.group).await?;
    match deliver(app, &plugins, &it).await {
        Ok(()) => processed(app, it).await,
        Err(DeliveryError::Store(e)) => Err(e.into()),
        Err(cause) => {
            tracing::warn!(notification = it.id, error = %cause, "not delivered");
            Err(ApiError::failed_dependency(format!(
                "The notification plugin service did not process this request for notification: {}",
                it.id
            )))
        }
    }
}

/// Hands over what is still due among those that satisfy the condition, one after the other.
pub async fn process_all(app: &App, tenant: &Tenant, which: Filter) -> ApiResult<Json> {
    let due = Query::new(and([which, eq("processed", false)])).limit(BATCH);
    let due = app.store.of::<Notification>().find(due).await?;
    let (mut shown, mut sent) = (Vec::new(), 0_usize);
    for it in due {
        let outcome = process(app, tenant, it.clone()).await;
        sent += usize::from(outcome.is_ok());
        shown.push(outcome.unwrap_or(it).public());
    }
    Ok(json!({
        "message": format!("{sent} of {} notifications were processed", shown.len()),
        "result": shown,
    }))
}
