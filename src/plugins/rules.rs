//! The current server-wide options, cached until they change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use crate::app::App;
use crate::http::error::ApiResult;
use crate::number::Number;
use crate::plugins::model::Plugins;
use crate::store::{Filter, Object, Query, StoreError};

#[derive(Debug)]
pub struct PluginCache {
    newest: Cache<(), Arc<Plugins>>,
    /// Counts changes, so that a read that began before one is not kept.
    generation: AtomicU64,
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
                .sort("version", crate::store::Order::Descending)
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
