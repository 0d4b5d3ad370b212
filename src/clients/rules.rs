//! Finding clients. A client of another group does not exist.

use std::sync::Arc;

use ueauth_actors::Clock;

use crate::app::{App, Parts};
use crate::bus::{Announcer, Changed};
use crate::clients::model::{Client, Metadata};
use crate::groups::Tenant;
use crate::http::ApiError;
use crate::http::error::{ApiResult, PageRule};
use crate::number::Number;
use crate::oidc::records::{ClientCredentials, Record, RegistrationAccessToken};
use crate::product_keys::ProductKey;
use crate::products::Product;
use crate::snapshots::{Named, Rules, Snapshots};
use crate::store::{Filter, Object, StoreError, Value, and, any_of, eq};

impl Named for Client {
    fn name(&self) -> &str {
        &self.id
    }
}

/// Clients by id, until they change.
#[derive(Debug)]
pub struct ClientCache {
    by_id: Snapshots<Client>,
    announcer: Announcer,
}

impl ClientCache {
    pub fn new(rules: Rules, clock: &Arc<dyn Clock>, announcer: Announcer) -> Self {
        Self {
            by_id: Snapshots::new(rules, Arc::clone(clock)),
            announcer,
        }
    }

    /// Forgets a client after a write to it.
    pub fn changed(&self, id: &str) {
        self.forget(id);
        self.announcer.tell(|| Changed::Client(id.to_owned()));
    }

    /// Forgets a client that another node wrote.
    pub fn forget(&self, id: &str) {
        self.by_id.forget(id);
    }

    /// Gives back the room of those that nobody asks for.
    pub fn tidy(&self) {
        self.by_id.tidy();
    }

    /// Forgets all clients, because some may have been written unnoticed.
    pub fn forget_all(&self) {
        self.by_id.forget_all();
    }
}

/// A client that the server makes for itself, with a new secret, not stored yet. It has the
/// client credentials grant; every endpoint takes `method` (OpenID Connect Registration §2).
pub fn own(app: &Parts, group: &str, name: String, method: &str) -> Client {
    let id = app.random.uuid();
    let method = || Some(method.to_owned());
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
            auth_group: group.to_owned(),
            client_id: id.clone(),
            client_name: name,
            client_secret: Some(app.random.client_secret86()),
            client_secret_expires_at: Some(Number::Int(0)),
            client_id_issued_at: Some(Number::Int(app.now())),
            application_type: Some("web".to_owned()),
            grant_types: vec!["client_credentials".to_owned()],
            token_endpoint_auth_method: method(),
            introspection_endpoint_auth_method: method(),
            revocation_endpoint_auth_method: method(),
            id_token_signed_response_alg: Some("RS256".to_owned()),
            subject_type: Some("public".to_owned()),
            require_auth_time: Some(false),
            extra,
            ..Metadata::default()
        },
        id,
        access: None,
        version: 0,
        extra: Object::default(),
    }
}

/// Is the client the group's? Old records name the group by its alias.
pub fn belongs(client: &Client, tenant: &Tenant) -> bool {
    client.payload.auth_group == tenant.id()
        || client.payload.auth_group == tenant.group.pretty_name
}

/// Restricts a query to the group's clients.
pub fn of_group(tenant: &Tenant) -> Filter {
    any_of(
        "payload.auth_group",
        [tenant.id(), tenant.group.pretty_name.as_str()],
    )
}

/// The group's client with that id, from memory if it was used lately.
pub async fn find(app: &App, tenant: &Tenant, id: &str) -> Result<Option<Arc<Client>>, StoreError> {
    if let Some(hit) = app.clients.by_id.get(id) {
        return Ok(Some(hit).filter(|c| belongs(c, tenant)));
    }
    let began = app.clients.by_id.begin();
    let Some(found) = app.store.of::<Client>().get(id).await? else {
        return Ok(None);
    };
    let found = Arc::new(found);
    if !belongs(&found, tenant) {
        return Ok(None);
    }
    app.clients.by_id.keep(Arc::clone(&found), began);
    Ok(Some(found))
}

/// The group's client as it is stored now, for those who change it.
pub async fn stored(app: &App, tenant: &Tenant, id: &str) -> Result<Option<Client>, StoreError> {
    let found = app.store.of::<Client>().get(id).await?;
    Ok(found.filter(|c| belongs(c, tenant)))
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

/// 409 for a name that another client of the group has.
pub fn name_conflict() -> ApiError {
    ApiError::conflict("This client name already exists in your auth group").page(PageRule::Never)
}

/// Lists the client among those of its product, once.
pub async fn associate(
    app: &App,
    tenant: &Tenant,
    product: &str,
    client: &str,
) -> Result<(), StoreError> {
    let changed = app
        .store
        .of::<Product>()
        .update(product, |p| {
            if p.auth_group == tenant.id() && !p.associated_clients.iter().any(|c| c == client) {
                p.associated_clients.push(client.to_owned());
            }
            Ok::<_, StoreError>(())
        })
        .await?;
    if changed.is_some_and(|p| p.core) {
        app.tenants.changed(tenant.id());
    }
    Ok(())
}

/// Deletes the group's client with its registration tokens and product keys, which stop working at
/// once, and takes it out of all products. Its other tokens die with it, since every use of one
/// looks the client up.
pub async fn remove(app: &App, tenant: &Tenant, id: &str) -> Result<Option<Client>, StoreError> {
    let taken = app
        .store
        .of::<Client>()
        .take(and([eq("_id", id), of_group(tenant)]))
        .await?;
    if taken.is_none() {
        return Ok(None);
    }
    app.clients.changed(id);
    forget_registration_tokens(app, id).await?;
    app.store
        .of::<Record<ClientCredentials>>()
        .delete_many(eq("payload.clientId", id))
        .await?;
    app.store
        .of::<ProductKey>()
        .delete_many(and([eq("authGroup", tenant.id()), eq("clientId", id)]))
        .await?;
    let products = app
        .store
        .of::<Product>()
        .update_many(
            and([eq("authGroup", tenant.id()), eq("associatedClients", id)]),
            |p| {
                p.associated_clients.retain(|c| c != id);
                Ok::<_, StoreError>(())
            },
        )
        .await?;
    if products > 0 {
        app.tenants.changed(tenant.id());
    }
    Ok(taken)
}

/// Gives the client a new secret; the old one is worthless at once.
pub async fn rotate_secret(
    app: &App,
    tenant: &Tenant,
    id: &str,
) -> Result<Option<Client>, StoreError> {
    let secret = app.random.client_secret86();
    let changed = app
        .store
        .of::<Client>()
        .update_where(and([eq("_id", id), of_group(tenant)]), |c| {
            c.payload.client_secret = Some(secret.clone());
            Ok::<_, StoreError>(())
        })
        .await?;
    app.clients.changed(id);
    Ok(changed)
}

/// A new registration access token (RFC 7592 §3), not stored yet. It does not expire.
pub fn registration_token(app: &App, client: &str) -> Record<RegistrationAccessToken> {
    let jti = app.random.token43();
    let payload = RegistrationAccessToken {
        iat: app.now(),
        jti: jti.clone(),
        kind: "RegistrationAccessToken".to_owned(),
        client_id: client.to_owned(),
        policies: vec!["auth_group".to_owned()],
        ..RegistrationAccessToken::default()
    };
    Record::new(jti, payload, None)
}

async fn forget_registration_tokens(app: &App, client: &str) -> Result<(), StoreError> {
    app.store
        .of::<Record<RegistrationAccessToken>>()
        .delete_many(eq("payload.clientId", client))
        .await?;
    Ok(())
}

/// Replaces the client's registration access token; none if the group has no such client.
pub async fn rotate_registration_token(
    app: &App,
    tenant: &Tenant,
    id: &str,
) -> Result<Option<String>, StoreError> {
    if stored(app, tenant, id).await?.is_none() {
        return Ok(None);
    }
    forget_registration_tokens(app, id).await?;
    let token = registration_token(app, id);
    app.store
        .of::<Record<RegistrationAccessToken>>()
        .insert(&token)
        .await?;
    Ok(Some(token.id))
}

/// 400 for the client that the group's own portal signs in with.
pub fn not_primary(tenant: &Tenant, id: &str, message: &str) -> ApiResult<()> {
    if tenant.group.associated_client.as_deref() == Some(id) {
        return Err(ApiError::bad_request(message).page(PageRule::Never));
    }
    Ok(())
}
