//! Errors and notices that are kept in the database, for installations that read them there.

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::http::ApiError;
use crate::store::{Collection, Date, Document, Expiry, Object, StoreError};

pub static LOGS: Collection = Collection {
    name: "logs",
    indexes: &[],
    expiry: &[Expiry::after("logTimestamp", 2_592_000)],
};

/// Fixed text of every HTTP error.
const SENT: &str = "Error recorded and sent out as http response.";

/// Entries on their way to the store at the same time; more are only in the process's log.
static SLOTS: Semaphore = Semaphore::const_new(64);

/// What kind of entry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Code {
    Error,
    Notify,
    Success,
    Log,
}

/// An entry. `id` is the request's id for HTTP errors.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    #[serde(rename = "_id")]
    pub id: String,
    pub log_timestamp: Date,
    #[serde(default = "error")]
    pub code: Code,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Object>,
    #[serde(default, rename = "__v")]
    pub version: i32,
    #[serde(flatten)]
    pub extra: Object,
}

const fn error() -> Code {
    Code::Error
}

impl Document for Log {
    const COLLECTION: &'static Collection = &LOGS;
    fn id(&self) -> &str {
        &self.id
    }
}

/// What is answered once, such as a made-up password, is not kept.
fn hide_secrets(data: &mut Json) {
    match data {
        Json::Object(members) => {
            members.retain(|name, _| !SECRETS.contains(&name.as_str()));
            members.values_mut().for_each(hide_secrets);
        }
        Json::Array(items) => items.iter_mut().for_each(hide_secrets),
        _ => {}
    }
}

const SECRETS: &[&str] = &["password", "token", "key", "client_secret", "recoverCodes"];

/// The entry of an error that a client was sent; none for the error that something exists already.
fn entry(now: Date, id: &str, e: &ApiError, oidc: bool) -> Option<Log> {
    if e.status == StatusCode::CONFLICT && e.duplicate {
        return None;
    }
    let mut details = Object::new();
    if !oidc {
        details.insert("statusCode", i32::from(e.status.as_u16()));
    }
    details.insert("error", e.error.as_ref());
    details.insert("message", e.message.as_str());
    if let Some(data) = e.data.as_ref().filter(|_| !oidc) {
        let mut data = data.clone();
        hide_secrets(&mut data);
        details.insert("data", crate::store::from_json(&data));
    }
    Some(Log {
        id: id.to_owned(),
        log_timestamp: now,
        code: Code::Error,
        message: SENT.to_owned(),
        details: Some(details),
        version: 0,
        extra: Object::new(),
    })
}

/// Keeps an error that was sent to a client, if the settings say so. The answer does not wait for it,
/// and nothing that happens here changes it.
pub fn keep(app: &App, id: &str, e: &ApiError, oidc: bool) {
    if !app.settings.logging.persist_http_errors {
        return;
    }
    let Some(log) = entry(app.date(), id, e, oidc) else {
        return;
    };
    store(app, log);
}

/// Keeps something that an operator should know and nobody was sent, if the settings say so.
pub fn note(app: &App, code: Code, message: &str, details: Object) {
    if !app.settings.logging.persist {
        return;
    }
    let log = Log {
        id: app.random.uuid(),
        log_timestamp: app.date(),
        code,
        message: message.to_owned(),
        details: Some(details),
        version: 0,
        extra: Object::new(),
    };
    store(app, log);
}

fn store(app: &App, mut log: Log) {
    let Ok(slot) = SLOTS.try_acquire() else {
        tracing::warn!("too many entries at once, one is not kept in the database");
        return;
    };
    let logs = app.store.of::<Log>();
    let other = app.random.uuid();
    tokio::spawn(async move {
        let mut stored = logs.insert(&log).await;
        // a client may choose the same request id again; both entries stay
        if stored.as_ref().is_err_and(StoreError::is_duplicate) {
            log.id = other;
            stored = logs.insert(&log).await;
        }
        if let Err(fault) = stored {
            tracing::warn!(cause = %fault, "an entry could not be kept in the database");
        }
        drop(slot);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Value;
    use serde_json::json;

    #[test]
    fn entries_say_what_the_client_was_told() {
        let now = Date::from_millis(5);
        let e = ApiError::bad_request("no").data(json!({"a": 1}));
        let log = entry(now, "r1", &e, false).unwrap();
        assert_eq!((log.id.as_str(), log.code), ("r1", Code::Error));
        let details = log.details.unwrap();
        assert_eq!(details.get("statusCode"), Some(&Value::Int32(400)));
        assert_eq!(details.get_str("message"), Some("no"));
        assert!(details.contains_key("data"));
        let oidc = entry(now, "r1", &e, true).unwrap().details.unwrap();
        assert_eq!(oidc.len(), 2);
        let duplicate = StoreError::Duplicate {
            collection: "accounts",
            index: "email_1".to_owned(),
            keys: vec!["email".to_owned()],
        };
        assert!(entry(now, "r1", &duplicate.into(), false).is_none());
        assert!(entry(now, "r1", &ApiError::conflict("x"), false).is_some());
    }
}
