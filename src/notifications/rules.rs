//! Making messages and handing them over.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::accounts::Account;
use crate::app::App;
use crate::groups::model::AuthGroup;
use crate::groups::{Tenant, tenant};
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::notifications::delivery::{self, DeliveryError, Way};
use crate::notifications::model::{Kind, New, Notification};
use crate::notifications::outbox;
use crate::plugins::Plugins;
use crate::plugins::rules::current;
use crate::store::{Filter, Object, Order, Query, and, eq};

/// Most messages one request for all that are due hands over.
const BATCH: u64 = 25;

/// Are notifications on, for the whole server and for the group?
pub async fn are_on(app: &App, tenant: &Tenant) -> ApiResult<bool> {
    let plugins = current(app).await?;
    Ok(delivery::is_on(app, &plugins, &tenant.group))
}

fn off_everywhere() -> ApiError {
    ApiError::switched_off("Global Notifications have not been set")
}

/// 405 unless notifications are on, for the whole server and for the group.
pub async fn require_on(app: &App, group: &AuthGroup) -> ApiResult<Arc<Plugins>> {
    let plugins = current(app).await?;
    if delivery::of_server(app, &plugins).is_none() {
        return Err(off_everywhere());
    }
    if group.plugin_options.notification.enabled {
        Ok(plugins)
    } else {
        Err(ApiError::switched_off(
            "This group does not have notifications enabled",
        ))
    }
}

/// What becomes of a message of the server's own that the service does not accept. Mail waits in
/// the store and is tried again in either case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IfRefused {
    /// It is forgotten, and the answer is 424.
    #[default]
    Fail,
    /// It is kept and tried again; the request goes on.
    Keep,
}

/// Sends a message of the server's own. 405 if notifications are off for the whole server; whether
/// the group has them on is the caller's to check (see [`require_on`] and [`are_on`]).
pub async fn send(app: &App, group: &AuthGroup, new: New, if_refused: IfRefused) -> ApiResult<()> {
    send_all(app, group, vec![new], if_refused).await
}

/// As [`send`], for messages that are to arrive in this order. None goes out after one that was
/// refused.
pub async fn send_all(
    app: &App,
    group: &AuthGroup,
    messages: Vec<New>,
    if_refused: IfRefused,
) -> ApiResult<()> {
    let plugins = current(app).await?;
    let way = delivery::of_group(app, &plugins, group).ok_or_else(off_everywhere)?;
    let build = |new| build(app, group, &way, new);
    let made: Vec<Notification> = messages.into_iter().map(build).collect();
    let stored = app.store.of::<Notification>();
    stored.insert_many(&made).await?;
    if let Way::Mail(_) = way {
        outbox::later(app, made);
        return Ok(());
    }
    for (at, it) in made.iter().enumerate() {
        match (outbox::attempt(app, it).await, if_refused) {
            (Ok(_), _) => {}
            (Err(DeliveryError::Store(e)), _) => return Err(e.into()),
            (Err(cause), IfRefused::Keep) => outbox::failed(app, &it.id, &cause).await?,
            (Err(_), IfRefused::Fail) => {
                for unsent in made.iter().skip(at) {
                    stored.delete(&unsent.id).await?;
                }
                return Err(refused(&it.id));
            }
        }
    }
    Ok(())
}

/// 424: the service did not accept a message.
pub fn refused(id: &str) -> ApiError {
    ApiError::failed_dependency(format!(
        "The notification plugin service did not process the request for notification: {id}"
    ))
}

fn build(app: &App, group: &AuthGroup, way: &Way, new: New) -> Notification {
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
        destination_uri: way.destination().to_owned(),
        processed: false,
        organization: new.organization,
        branding: Object::from_json(&branding(group)),
        meta: new.meta.as_ref().and_then(Object::from_json),
        delivery: Some(outbox::begun(app, new.good_for)),
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
    let way = delivery::of_group(app, &plugins, &tenant.group).ok_or_else(off_everywhere)?;
    let optional = new.kind == Kind::General
        && !tenant
            .group
            .plugin_options
            .notification
            .ack_required_on_optional;
    let made = build(app, &tenant.group, &way, new);
    let stored = app.store.of::<Notification>();
    stored.insert(&made).await?;
    if let Way::Mail(_) = way {
        outbox::later(app, vec![made.clone()]);
        return Ok(made);
    }
    match outbox::attempt(app, &made).await {
        Ok(done) => Ok(done),
        Err(DeliveryError::Store(e)) => Err(e.into()),
        Err(cause) if optional => {
            outbox::failed(app, &made.id, &cause).await?;
            let kept = stored.get(&made.id).await?;
            Ok(kept.unwrap_or(made))
        }
        Err(_) => {
            stored.delete(&made.id).await?;
            Err(refused(&made.id))
        }
    }
}

/// Hands a message over that is still due or was given up. 424 if it is not accepted.
pub async fn process(app: &App, tenant: &Tenant, it: Notification) -> ApiResult<Notification> {
    if it.processed {
        return Ok(it);
    }
    require_on(app, &tenant.group).await?;
    match outbox::again(app, &it).await? {
        Ok(done) => Ok(done),
        Err(DeliveryError::Store(e)) => Err(e.into()),
        Err(_) => Err(ApiError::failed_dependency(format!(
            "The notification plugin service did not process this request for notification: {}",
            it.id
        ))),
    }
}

/// Hands over what is still due among those that satisfy the condition, one after the other.
pub async fn process_all(app: &App, tenant: &Tenant, which: Filter) -> ApiResult<Json> {
    let due = Query::new(and([which, eq("processed", false)]))
        .sort("delivery.attempts", Order::Ascending)
        .sort("createdAt", Order::Ascending)
        .limit(BATCH);
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
