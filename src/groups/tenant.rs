//! Active groups, ready for use: settings, keys and core objects as immutable snapshots
//! that a write replaces at once.

use std::sync::Arc;

use tokio::sync::OnceCell;
use ueauth_actors::Clock;

use crate::access::evaluate::core_products;
use crate::app::App;
use crate::bus::{Announcer, Changed};
use crate::domains::Domain;
use crate::groups::keys::for_cookies;
use crate::groups::model::{AuthGroup, Lifetimes};
use crate::http::ApiError;
use crate::jose::{Alg, JoseError, Jwk, KeySet};
use crate::organizations::Organization;
use crate::products::Product;
use crate::snapshots::{Began, Named, Rules, Snapshots};
use crate::store::{Store, StoreError, and, eq};

/// One group as of one moment.
#[derive(Debug)]
pub struct Tenant {
    /// Without its keys.
    pub group: AuthGroup,
    pub keys: KeySet,
    /// Keys of earlier rotations, still good for verifying until the time (ms).
    pub retired: Vec<(KeySet, i64)>,
    /// The published key set, current and retired keys.
    pub jwks: Arc<str>,
    pub ttl: Lifetimes,
    /// Sign cookies; those that can not be guessed come first.
    pub cookie_keys: Vec<String>,
    strong: usize,
    core: OnceCell<Arc<Core>>,
}

impl Named for Tenant {
    fn name(&self) -> &str {
        self.id()
    }
}

/// Another name of a group: its alias, or its host.
#[derive(Debug)]
struct Alias {
    name: String,
    id: String,
}

impl Named for Alias {
    fn name(&self) -> &str {
        &self.name
    }
}

/// Objects every active group has.
#[derive(Debug)]
pub struct Core {
    pub organization: Organization,
    pub products: Vec<Product>,
    /// The administrative domain of the primary organization.
    pub domain: Option<String>,
}

impl Core {
    /// Does the first part of a permission or role name a core product?
    pub fn is_core_code(&self, code: &str) -> bool {
        self.products
            .iter()
            .any(|p| p.coded_id == code || p.id == code)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the keys of group {group} cannot be used")]
    Keys { group: String, source: JoseError },
}

impl From<TenantError> for ApiError {
    fn from(e: TenantError) -> Self {
        match e {
            TenantError::Store(e) => e.into(),
            TenantError::Keys { .. } => ApiError::internal(e),
        }
    }
}

impl Tenant {
    pub fn new(
        mut group: AuthGroup,
        fallback_cookie_keys: &[String],
        now: i64,
    ) -> Result<Self, TenantError> {
        let keys = |jwks: &[Jwk]| {
            KeySet::new(jwks).map_err(|source| TenantError::Keys {
                group: group.id.clone(),
                source,
            })
        };
        let current = keys(&group.config.keys)?;
        let live: Vec<_> = group
            .config
            .retired_keys
            .iter()
            .filter(|r| r.until.as_millis() > now)
            .collect();
        let retired = live
            .iter()
            .map(|r| Ok((keys(&r.keys)?, r.until.as_millis())))
            .collect::<Result<Vec<_>, TenantError>>()?;
        let jwks = if live.is_empty() {
            Arc::clone(current.jwks())
        } else {
            let all: Vec<Jwk> = group
                .config
                .keys
                .iter()
                .chain(live.iter().flat_map(|r| &r.keys))
                .cloned()
                .collect();
            Arc::clone(keys(&all)?.jwks())
        };
        let stored = if group.config.cookie_keys.is_empty() {
            fallback_cookie_keys
        } else {
            &group.config.cookie_keys
        };
        let (cookie_keys, strong) = for_cookies(&group.id, stored, &group.config.keys);
        // they are parsed now; as texts they would take the most room of all
        group.config.keys = Vec::new();
        group.config.retired_keys = Vec::new();
        Ok(Self {
            ttl: group.config.ttl.effective(),
            keys: current,
            retired,
            jwks,
            cookie_keys,
            strong,
            core: OnceCell::new(),
            group,
        })
    }

    pub fn id(&self) -> &str {
        &self.group.id
    }

    /// Keys for cookies whose values strangers may know.
    pub fn strong_cookie_keys(&self) -> &[String] {
        match self.cookie_keys.get(..self.strong) {
            Some(strong) if !strong.is_empty() => strong,
            // there is nothing better
            _ => &self.cookie_keys,
        }
    }

    pub fn is_root(&self) -> bool {
        self.group.pretty_name == "root"
    }

    /// Claims of a token this group signed; expiry is the caller's to check.
    pub fn verify(
        &self,
        token: &str,
        allowed: &[Alg],
        now: i64,
    ) -> Result<crate::jose::Verified, JoseError> {
        let first = self.keys.verify(token, allowed);
        if first.is_ok() {
            return first;
        }
        self.retired
            .iter()
            .filter(|(_, until)| *until > now)
            .find_map(|(keys, _)| keys.verify(token, allowed).ok())
            .map_or(first, Ok)
    }

    /// Primary organization and core products, read once per snapshot.
    pub async fn core(&self, store: &Store) -> Result<Option<Arc<Core>>, StoreError> {
        if let Some(core) = self.core.get() {
            return Ok(Some(Arc::clone(core)));
        }
        let (organizations, domains) = (store.of::<Organization>(), store.of::<Domain>());
        let (organization, products) = tokio::try_join!(
            organizations.find_one(and([eq("authGroup", self.id()), eq("core", true)])),
            core_products(store, self.id()),
        )?;
        let Some(organization) = organization else {
            return Ok(None);
        };
        let domain = domains
            .find_one(and([
                eq("authGroup", self.id()),
                eq("organization", organization.id.as_str()),
                eq("meta.admin", organization.id.as_str()),
            ]))
            .await?
            .map(|d| d.id);
        let core = Arc::new(Core {
            organization,
            products,
            domain,
        });
        // another request may have been first; both read the same
        let _ = self.core.set(Arc::clone(&core));
        Ok(Some(core))
    }

    /// `{protocol}://{host}/{id}`: what this group's tokens carry as `iss`.
    pub fn issuer(&self, app: &App, custom_domain: Option<&str>) -> String {
        format!("{}/{}", origin(app, custom_domain), self.id())
    }

    /// The issuer by id and by alias; either is accepted in `iss` and `aud`.
    pub fn issuers(&self, app: &App, custom_domain: Option<&str>) -> [String; 2] {
        let origin = origin(app, custom_domain);
        [
            format!("{origin}/{}", self.id()),
            format!("{origin}/{}", self.group.pretty_name),
        ]
    }

    /// The host of the group's portal.
    pub fn ui_host<'a>(&'a self, app: &'a App) -> &'a str {
        self.group
            .alias_dns_ui
            .as_deref()
            .filter(|h| !h.is_empty())
            .unwrap_or(&app.settings.ui.host)
    }

    pub fn portal(&self, app: &App) -> String {
        format!("https://{}/{}", self.ui_host(app), self.group.pretty_name)
    }
}

/// Scheme and host of the service, or of the alias the request came in on.
pub fn origin(app: &App, custom_domain: Option<&str>) -> String {
    match custom_domain {
        Some(host) => format!("{}://{host}", app.settings.server.protocol),
        None => app.settings.origin(),
    }
}

/// Groups by id, and their ids by their other names.
#[derive(Debug)]
pub struct Tenants {
    by_id: Snapshots<Tenant>,
    /// A stale one is noticed when it leads to a group of another name.
    aliases: Snapshots<Alias>,
    announcer: Announcer,
}

impl Tenants {
    pub fn new(rules: Rules, clock: &Arc<dyn Clock>, announcer: Announcer) -> Self {
        let aliases = Rules {
            capacity: rules.capacity.saturating_mul(2),
            max_age: None,
            ..rules
        };
        Self {
            by_id: Snapshots::new(rules, Arc::clone(clock)),
            aliases: Snapshots::new(aliases, Arc::clone(clock)),
            announcer,
        }
    }

    fn by_other_name(&self, name: &str) -> Option<Arc<Tenant>> {
        let alias = self.aliases.get(name)?;
        self.by_id.get(&alias.id)
    }

    fn learn(&self, name: String, tenant: &Tenant) {
        let alias = Alias {
            name,
            id: tenant.id().to_owned(),
        };
        self.aliases.keep(Arc::new(alias), self.aliases.begin());
    }

    /// The group with that id or alias (exact), active or not.
    pub async fn find(&self, app: &App, name: &str) -> Result<Option<Arc<Tenant>>, TenantError> {
        if let Some(hit) = self.by_id.get(name) {
            return Ok(Some(hit));
        }
        if let Some(hit) = self
            .by_other_name(name)
            .filter(|t| t.group.pretty_name == name)
        {
            return Ok(Some(hit));
        }
        // boxed: nearly every request ends above
        Box::pin(self.load(app, name)).await
    }

    async fn load(&self, app: &App, name: &str) -> Result<Option<Arc<Tenant>>, TenantError> {
        let groups = app.store.of::<AuthGroup>();
        let began = self.by_id.begin();
        let found = match groups.get(name).await? {
            Some(group) => Some(group),
            None => groups.find_one(eq("prettyName", name)).await?,
        };
        found.map(|group| self.keep(app, group, began)).transpose()
    }

    /// The active group with that id or alias.
    pub async fn active(&self, app: &App, name: &str) -> Result<Option<Arc<Tenant>>, TenantError> {
        Ok(self.find(app, name).await?.filter(|t| t.group.active))
    }

    /// The group that is served on that host.
    pub async fn by_host(&self, app: &App, host: &str) -> Result<Option<Arc<Tenant>>, TenantError> {
        let key = format!("host:{host}");
        if let Some(hit) = self
            .by_other_name(&key)
            .filter(|t| t.group.alias_dns_oidc.as_deref() == Some(host))
        {
            return Ok(Some(hit));
        }
        let began = self.by_id.begin();
        let Some(group) = app
            .store
            .of::<AuthGroup>()
            .find_one(eq("aliasDnsOIDC", host))
            .await?
        else {
            return Ok(None);
        };
        let tenant = self.keep(app, group, began)?;
        self.learn(key, &tenant);
        Ok(Some(tenant))
    }

    fn keep(&self, app: &App, group: AuthGroup, began: Began) -> Result<Arc<Tenant>, TenantError> {
        let tenant = Arc::new(Tenant::new(group, &app.fallback_cookie_keys, app.now_ms())?);
        self.by_id.keep(Arc::clone(&tenant), began);
        self.learn(tenant.group.pretty_name.clone(), &tenant);
        Ok(tenant)
    }

    /// Forgets a group after a write to it or to its core objects.
    pub fn changed(&self, id: &str) {
        self.forget(id);
        self.announcer.tell(|| Changed::Group(id.to_owned()));
    }

    /// Forgets a group that another node wrote.
    pub fn forget(&self, id: &str) {
        self.by_id.forget(id);
    }

    /// Gives back the room of those that nobody asks for.
    pub fn tidy(&self) {
        self.by_id.tidy();
        self.aliases.tidy();
    }

    /// Forgets all groups, because some may have been written unnoticed.
    pub fn forget_all(&self) {
        self.by_id.forget_all();
    }
}
