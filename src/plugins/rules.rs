//! The current server-wide options, cached until they change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use crate::app::App;
use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::number::Number;
use crate::plugins::model::Plugins;
use crate::store::{Filter, Object, Order, Query, StoreError};

#[derive(Debug)]
pub struct PluginCache {
    newest: Cache<(), Arc<Plugins>>,
    /// Counts changes, so that a read that began before one is not kept.
    generation: AtomicU64,
    /// Held by whoever changes the settings, since a change may also replace a client.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl PluginCache {
    pub fn new(max_age: Option<Duration>) -> Self {
        let mut builder = Cache::builder().max_capacity(1);
        if let Some(age) = max_age {
            builder = builder.time_to_live(age);
        }
        Self {
            newest: builder.build(),
            generation: AtomicU64::new(0),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    pub fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.newest.invalidate_all();
    }
}

/// Everything off, as before the first start.
fn none() -> Plugins {
    Plugins {
        id: String::new(),
        created_at: crate::store::Date::default(),
        created_by: String::new(),
        version: Number::Int(0),
        notifications: Default::default(),
        event_stream: Default::default(),
        web_authn: Default::default(),
        mfa_challenge: Default::default(),
        resource_creation_limiter: Default::default(),
        revision: 0,
        extra: Object::default(),
    }
}

/// The settings with the highest version.
pub async fn current(app: &App) -> ApiResult<Arc<Plugins>> {
    if let Some(hit) = app.plugins.newest.get(&()) {
        return Ok(hit);
    }
    let generation = app.plugins.generation.load(Ordering::Acquire);
    let newest = app
        .store
        .of::<Plugins>()
        .find(
            Query::new(Filter::All)
                .sort("version", Order::Descending)
                .limit(1),
        )
        .await?
        .pop();
    let found = Arc::new(newest.unwrap_or_else(none));
    app.plugins.newest.insert((), Arc::clone(&found));
    // checked afterwards: whoever changes it later invalidates what was put in
    if app.plugins.generation.load(Ordering::Acquire) != generation {
        app.plugins.newest.invalidate_all();
    }
    Ok(found)
}

/// Version 1, written when the root group is made.
pub async fn first(app: &App, by: &str) -> Result<Plugins, StoreError> {
    let doc = Plugins {
        id: app.random.uuid(),
        created_at: app.date(),
        created_by: by.to_owned(),
        version: Number::Int(1),
        ..none()
    };
    app.store.of::<Plugins>().insert(&doc).await?;
    app.plugins.changed();
    Ok(doc)
}

/// The settings as stored now, whoever wrote them.
pub async fn newest(app: &App) -> ApiResult<Arc<Plugins>> {
    app.plugins.changed();
    current(app).await
}

/// All versions, newest first.
pub async fn history(app: &App) -> Result<Vec<Plugins>, StoreError> {
    let all = Query::new(Filter::All).sort("version", Order::Descending);
    app.store.of::<Plugins>().find(all).await
}

/// 400 for a change that did not start from the newest version.
pub fn outdated() -> ApiError {
    ApiError::bad_request(
        "Must provide the current version to be incremented. If you thought you did, someone may have updated this before you.",
    )
}

/// The next version: the old one as `edit` leaves it. Of several writers that start from the same
/// version, in whatever process, one succeeds.
pub async fn append(
    app: &App,
    old: &Plugins,
    by: &str,
    edit: impl FnOnce(&mut Plugins),
) -> ApiResult<Plugins> {
    let version = old.version.as_i64().unwrap_or_default().saturating_add(1);
    let mut new = Plugins {
        id: id_of(version),
        created_at: app.date(),
        created_by: by.to_owned(),
        version: Number::Int(version),
        revision: 0,
        ..old.clone()
    };
    edit(&mut new);
    let stored = app.store.of::<Plugins>().insert(&new).await;
    app.plugins.changed();
    match stored {
        Ok(()) => Ok(new),
        Err(StoreError::Duplicate { .. }) => Err(outdated()),
        Err(e) => Err(e.into()),
    }
}

/// One id for each version, so that the store itself refuses a second document of a version.
fn id_of(version: i64) -> String {
    const NAMESPACE: u128 = 0x7565_6175_7468_0070_0000_0000_0000_0000;
    let bits = NAMESPACE | u128::from(version.unsigned_abs());
    uuid::Builder::from_random_bytes(bits.to_be_bytes())
        .into_uuid()
        .to_string()
}
