//! Finding clients. A client of another group does not exist.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use crate::app::App;
use crate::clients::model::Client;
use crate::groups::Tenant;
use crate::store::{Filter, StoreError, and, eq, or};

/// Clients by id, until they change.
#[derive(Debug)]
pub struct ClientCache {
    by_id: Cache<String, Arc<Client>>,
    /// Counts changes, so that a read that began before one is not kept.
    generation: AtomicU64,
}

impl ClientCache {
    pub fn new(capacity: u64, max_age: Option<Duration>) -> Self {
        let mut builder = Cache::builder().max_capacity(capacity);
        if let Some(age) = max_age {
            builder = builder.time_to_live(age);
        }
        Self {
            by_id: builder.build(),
            generation: AtomicU64::new(0),
        }
    }

    /// Forgets a client after a write to it.
    pub fn changed(&self, id: &str) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.by_id.invalidate(id);
    }
}

/// Is the client the group's? Old records name the group by its alias.
pub fn belongs(client: &Client, tenant: &Tenant) -> bool {
    client.payload.auth_group == tenant.id()
        || client.payload.auth_group == tenant.group.pretty_name
}

/// Restricts a query to the group's clients.
pub fn of_group(tenant: &Tenant) -> Filter {
    or([
        eq("payload.auth_group", tenant.id()),
        eq("payload.auth_group", tenant.group.pretty_name.as_str()),
    ])
}

/// The group's client with that id, from memory if it was used lately.
pub async fn find(app: &App, tenant: &Tenant, id: &str) -> Result<Option<Arc<Client>>, StoreError> {
    if let Some(hit) = app.clients.by_id.get(id) {
        return Ok(Some(hit).filter(|c| belongs(c, tenant)));
    }
    let generation = app.clients.generation.load(Ordering::Acquire);
    let Some(found) = app.store.of::<Client>().get(id).await? else {
        return Ok(None);
    };
    let found = Arc::new(found);
    if !belongs(&found, tenant) {
        return Ok(None);
    }
    if app.clients.generation.load(Ordering::Acquire) == generation {
        app.clients.by_id.insert(id.to_owned(), Arc::clone(&found));
    }
    Ok(Some(found))
}

/// Is the name taken by another client of the group?
pub async fn name_taken(
    app: &App,
    tenant: &Tenant,
    name: &str,
    except: Option<&str>,
) -> Result<bool, StoreError> {
    let found = app
        .store
        .of::<Client>()
        .find(and([eq("payload.client_name", name), of_group(tenant)]))
        .await?;
    Ok(found.iter().any(|c| except != Some(c.id.as_str())))
}

/// The group's client of that name.
pub async fn by_name(app: &App, tenant: &Tenant, name: &str) -> Result<Option<Client>, StoreError> {
    app.store
        .of::<Client>()
        .find_one(and([eq("payload.client_name", name), of_group(tenant)]))
        .await
}
