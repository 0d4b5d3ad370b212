//! The one place where the parts are put together.

use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{broadcast, watch};
use ueauth_actors::{Bus, Clock, MemoryBus, Registry, Threads};

use crate::bus::{Announcer, Changed, NatsBus};
use crate::clients::rules::ClientCache;
use crate::devices::bell::Bell;
use crate::groups::Tenants;
use crate::http::sockets::Sockets;
use crate::limits::Limits;
use crate::oidc::journal::StoreJournal;
use crate::oidc::records::{Interaction, Session};
use crate::plugins::rules::PluginCache;
use crate::secrets::{HashError, HashSettings, PasswordHasher, Random, Sealer};
use crate::settings::Settings;
use crate::snapshots::Rules;
use crate::store::{Collection, Date, Store, StoreError, StoreOptions};

pub use crate::limits::LimitClass;

pub type App = Arc<Parts>;

/// Everything a request may need.
pub struct Parts {
    pub settings: Settings,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub random: Random,
    pub hasher: PasswordHasher,
    pub tenants: Tenants,
    pub clients: ClientCache,
    pub plugins: PluginCache,
    pub limits: Limits,
    pub metrics: crate::metrics::Metrics,
    pub outgoing: crate::outgoing::Caller,
    pub slots: crate::slots::Slots,
    /// The operator's mail server, if there is one.
    pub mailer: Option<crate::notifications::mail::Mailer>,
    pub asked: crate::accounts::notices::Asked,
    /// How asking a device went last.
    pub pushed: crate::accounts::notices::Asked,
    /// Ids that providers of challenges gave.
    pub keys: crate::challenges::decoys::Seen,
    pub actors: Registry<Session, Interaction>,
    /// Requests that wait; groups are bounded by their waiters.
    pub polls: Sockets,
    /// Sockets that clients hold open.
    pub sockets: Sockets,
    /// Tokens of the server's own clients, and until when (s) they are used again.
    pub service_tokens: moka::sync::Cache<String, (Arc<str>, i64)>,
    /// The connection to other nodes, if there may be any.
    pub bus: Option<Arc<NatsBus>>,
    listeners: std::sync::Mutex<Vec<tokio::task::AbortHandle>>,
    stopping: watch::Sender<bool>,
    /// Wakes devices that wait for challenges.
    pub bell: Arc<Bell>,
    /// Seals secrets for the store; [`crate::sealing`] fills it.
    pub sealer: tokio::sync::OnceCell<Sealer>,
    /// Signs cookies of groups that have no keys of their own.
    pub fallback_cookie_keys: Vec<String>,
    /// Works once, on an empty store, to create the root group.
    pub setup_code: Option<SecretString>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the password hasher cannot start; check the hash.* settings")]
    Hasher(#[from] HashError),
    #[error("the actors cannot start")]
    Actors(#[source] std::io::Error),
    #[error(transparent)]
    Outgoing(#[from] crate::outgoing::CallError),
    #[error("the mail server cannot be used; check notifications.smtp_url")]
    Mail(#[from] lettre::transport::smtp::Error),
    #[error("routes collide: {0}")]
    Routes(#[from] crate::http::router::RouteError),
    #[error(transparent)]
    Bus(#[from] crate::bus::BusStartError),
}

/// Every collection of the database, those of rooms that are yet to come included.
pub fn collections() -> Vec<&'static Collection> {
    use crate::accounts::model as accounts;
    use crate::oidc::records as oidc;
    let mut all = vec![
        &accounts::ACCOUNTS,
        &accounts::LOGIN_ATTEMPTS,
        &accounts::LOGIN_TIMEOUTS,
        &accounts::PASSWORD_HISTORY,
        &crate::groups::model::AUTH_GROUPS,
        &crate::organizations::model::ORGANIZATIONS,
        &crate::domains::model::DOMAINS,
        &crate::products::model::PRODUCTS,
        &crate::roles::model::ROLES,
        &crate::permissions::model::PERMISSIONS,
        &crate::clients::model::CLIENTS,
        &crate::plugins::model::PLUGINS,
        &crate::notifications::model::NOTIFICATIONS,
        &crate::challenges::model::CHALLENGES,
        &crate::challenges::model::STATES,
        &crate::challenges::peace::PAUSES,
        &crate::passkeys::model::PASSKEYS,
        &crate::passkeys::model::CEREMONIES,
        &crate::totp::model::TOTP_SECRETS,
        &crate::devices::model::DEVICES,
        &crate::devices::model::ENROLMENTS,
        &crate::devices::push::PUSH_KEYS,
        &crate::sealing::SEALING_KEYS,
        &crate::profiles::model::PROFILES,
        &crate::profiles::model::PROFILE_ACCESSES,
        &crate::product_keys::model::PRODUCT_KEYS,
        &crate::profiles::organization::ORG_PROFILES,
        &crate::profiles::request::PROFILE_REQUESTS,
        &crate::profiles::request::PROFILE_SNAPSHOTS,
        &crate::logs::LOGS,
        &oidc::ACCESS_TOKENS,
        &oidc::AUTHORIZATION_CODES,
        &oidc::REFRESH_TOKENS,
        &oidc::CLIENT_CREDENTIALS,
        &oidc::DEVICE_CODES,
        &oidc::INITIAL_ACCESS_TOKENS,
        &oidc::REGISTRATION_ACCESS_TOKENS,
        &oidc::INTERACTIONS,
        &oidc::SESSIONS,
        &oidc::GRANTS,
        &oidc::REPLAY_DETECTION,
        &oidc::PUSHED_AUTHORIZATION_REQUESTS,
    ];
    all.extend(crate::store_schema::OTHERS);
    all
}

impl Parts {
    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.clock.now()
    }

    /// As [`Self::now_ms`], when so much more time has passed.
    pub fn ms_after(&self, pause: Duration) -> i64 {
        self.clock.after(pause)
    }

    /// Seconds since the epoch.
    pub fn now(&self) -> i64 {
        self.clock.now().div_euclid(1000)
    }

    pub fn date(&self) -> Date {
        Date::from_millis(self.clock.now())
    }

    /// Tells everybody who waits that the server stops.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Completes as soon as the server stops.
    pub async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        if stopping.wait_for(|stopping| *stopping).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends the connection to other nodes.
    pub fn bus_ended(&self) {
        for listener in self.listeners().drain(..) {
            listener.abort();
        }
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Vec<tokio::task::AbortHandle>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the store and starts the actors.
    pub async fn start(
        settings: Settings,
        clock: Arc<dyn Clock>,
        setup_code: Option<SecretString>,
    ) -> Result<App, StartError> {
        let store = open_store(&settings, &clock).await?;
        let random = Random::default();
        let hash = &settings.hash;
        let hasher = PasswordHasher::new(
            &HashSettings {
                memory_kib: hash.memory_kib.get(),
                iterations: hash.iterations.get(),
                parallelism: hash.parallelism.get(),
                permits: hash.permits,
                queue: hash.queue,
            },
            random.clone(),
        )?;
        let outgoing = crate::outgoing::Caller::new(&settings.outgoing)?;
        let mailer = crate::notifications::mail::Mailer::new(&settings)?;
        let shared_store = settings.store.is_shared();
        let mut listeners = Vec::new();
        let nats = match &settings.bus.url {
            Some(url) => {
                let prefix = &settings.bus.subject;
                let (bus, task) =
                    Box::pin(NatsBus::start(url.expose_secret(), prefix, random.uuid())).await?;
                listeners.push(task.abort_handle());
                Some(bus)
            }
            None => None,
        };
        let bus: Arc<dyn Bus> = match &nats {
            Some(bus) => Arc::clone(bus) as Arc<dyn Bus>,
            // others may write to it, and nobody would tell
            None if shared_store => Arc::new(MemoryBus::deaf()),
            None => Arc::new(MemoryBus::default()),
        };
        let bell = Bell::start(Arc::clone(&bus), Arc::clone(&clock));
        let journal = StoreJournal::new(store.clone());
        let actors = Registry::start(
            ueauth_actors::Config {
                threads: Threads::Own(threads(settings.actors.arbiters)),
                mailbox: settings.actors.mailbox.get(),
                idle_after: Duration::from_secs(settings.actors.idle_seconds.get()),
                cached_in_total: settings.actors.cache_entries.get(),
                waiters: settings.actors.waiters.get(),
                ..ueauth_actors::Config::default()
            },
            ueauth_actors::Parts {
                clock: Arc::clone(&clock),
                bus,
                sessions: Arc::new(journal.clone()),
                interactions: Arc::new(journal.clone()),
                challenges: Arc::new(journal),
            },
        )
        .map_err(StartError::Actors)?;
        let max_age = shared_store.then(|| Duration::from_secs(settings.cache.seconds.max(1)));
        let limits = &settings.limits;
        let ping = Duration::from_secs(limits.socket_ping_seconds.get());
        let sockets = Sockets::new(
            limits.sockets_per_address.get(),
            limits.sockets_per_group.get(),
            ping,
        );
        let polls = Sockets::new(limits.polls_per_address.get(), usize::MAX, ping);
        let groups = Rules {
            capacity: usize::try_from(settings.cache.groups).unwrap_or(usize::MAX),
            idle: Duration::from_secs(settings.cache.idle_seconds.get()),
            max_age,
        };
        let clients = Rules {
            capacity: groups.capacity.saturating_mul(4),
            ..groups
        };
        let announcer = Announcer(nats.clone());
        let changes = nats.as_ref().map(|bus| bus.changes());
        let app = Arc::new(Self {
            polls,
            sockets,
            service_tokens: moka::sync::Cache::new(1_000),
            bus: nats,
            listeners: std::sync::Mutex::new(listeners),
            stopping: watch::Sender::new(false),
            tenants: Tenants::new(groups, &clock, announcer.clone()),
            clients: ClientCache::new(clients, &clock, announcer),
            // rarely needed, so they can be read each time
            plugins: PluginCache::new(shared_store.then_some(Duration::ZERO)),
            limits: Limits::new(&settings.rate_limits),
            metrics: crate::metrics::Metrics::default(),
            outgoing,
            slots: crate::slots::Slots::new(&settings.outgoing),
            mailer,
            asked: Default::default(),
            sealer: Default::default(),
            pushed: Default::default(),
            keys: Default::default(),
            fallback_cookie_keys: settings
                .security
                .cookie_keys
                .iter()
                .map(|k| k.expose_secret().to_owned())
                .collect(),
            settings,
            store,
            clock,
            random,
            hasher,
            actors,
            bell,
            setup_code,
        });
        if let Some(changes) = changes {
            let listener = tokio::spawn(heed(Arc::downgrade(&app), changes));
            app.listeners().push(listener.abort_handle());
        }
        Ok(app)
    }
}

/// So many threads; one per core for 0.
fn threads(wanted: usize) -> NonZeroUsize {
    NonZeroUsize::new(wanted)
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}

/// Forgets what other nodes changed.
async fn heed(app: Weak<Parts>, mut changes: broadcast::Receiver<Changed>) {
    use broadcast::error::RecvError;
    loop {
        let change = match changes.recv().await {
            Ok(change) => change,
            Err(RecvError::Lagged(_)) => Changed::Anything,
            Err(RecvError::Closed) => return,
        };
        let Some(app) = app.upgrade() else { return };
        match change {
            Changed::Group(id) => app.tenants.forget(&id),
            Changed::Client(id) => app.clients.forget(&id),
            Changed::Anything => {
                app.tenants.forget_all();
                app.clients.forget_all();
            }
        }
    }
}

async fn open_store(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Store, StartError> {
    let time = Arc::clone(clock);
    let mut options = StoreOptions::new(
        settings.store.url.expose_secret(),
        Arc::new(move || time.now()),
    );
    options.readers = settings.store.readers.get();
    options.cache = usize::from(settings.store.cache_mib) << 20;
    options.min_connections = settings.store.pool_minimum;
    options.max_connections = settings.store.pool_maximum.get();
    options.timeout = Duration::from_secs(settings.store.connect_timeout_seconds.get());
    Ok(Store::open(&options, &collections()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_collection_of_an_existing_database_is_declared_once() {
        let mut names: Vec<&str> = collections().iter().map(|c| c.name).collect();
        names.sort_unstable();
        let expected = [
            "access_token",
            "accounts",
            "approval_devices",
            "auth_groups",
            "authorization_code",
            "challenge-state-checks",
            "challenge_pauses",
            "client",
            "client_credentials",
            "device_code",
            "device_enrolments",
            "domains",
            "federated_tokens",
            "grant",
            "initial_access_token",
            "interaction",
            "login-attempts",
            "login-timouts",
            "logs",
            "notifications",
            "org_profiles",
            "organizations",
            "p-histories",
            "passkey_ceremonies",
            "passkeys",
            "permissions",
            "pkce_sessions",
            "plugins",
            "product_keys",
            "products",
            "profile_accesses",
            "profile_requests",
            "profile_snapshots",
            "profiles",
            "push_keys",
            "pushed_authorization_request",
            "refresh_token",
            "registration_access_token",
            "replay_detection",
            "roles",
            "sealing_keys",
            "session",
            "totp_secrets",
            "transaction_challenges",
        ];
        assert_eq!(names, expected);
    }
}
