//! Stored documents on their way out to others: when each is due, which server has taken it on, and
//! whether it was given up. So a server that is killed loses none, and one may be sent twice.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::logs::{self, Code};
use crate::store::{Date, Document, Filter, Object, StoreError, Value, and, eq, lte};

pub const QUEUED: &str = "queued";
const DEAD: &str = "dead";

/// Where a document stands on its way out. Those without a next time wait for somebody to have
/// them sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delivery {
    /// `queued`, or `dead` when it will not be tried again.
    pub state: String,
    pub attempts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Date>,
    /// From here on nobody can use what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// What went wrong at the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(flatten)]
    pub extra: Object,
}

/// A document that may be on its way out, which its member `delivery` says.
pub trait Outbound: Document + Clone {
    /// What its id is called in the log.
    const NAME: &'static str;
    /// What the log says once it is not tried again.
    const GIVEN_UP: &'static str;

    fn delivery(&mut self) -> &mut Option<Delivery>;
}

pub fn after(app: &App, pause: Duration) -> Date {
    Date::from_millis(app.ms_after(pause))
}

/// How long one attempt may take: several exchanges with a mail server.
pub fn patience(app: &App) -> Duration {
    Duration::from_secs(app.settings.outgoing.timeout_seconds.get()).saturating_mul(2)
}

/// When whoever has taken one on now may be thought dead.
pub fn lease(app: &App) -> Date {
    after(app, patience(app).saturating_add(Duration::from_secs(1)))
}

/// The pause after so many times: `factor` times as long after each, up to the longest; who begins
/// with a longer one gets that.
pub fn growing(first: Duration, factor: u32, times: i64, longest: Duration) -> Duration {
    let before = u32::try_from(times.saturating_sub(1)).unwrap_or(u32::MAX);
    let pause = first.saturating_mul(factor.saturating_pow(before));
    pause.min(longest.max(first))
}

/// Those that are due.
pub fn due(app: &App) -> Filter {
    lte("delivery.nextAt", app.date())
}

/// Takes a document on, for as long as an attempt may take, if it is still due; of several servers one does.
pub async fn take_on<T: Outbound>(app: &App, id: &str) -> Result<Option<T>, StoreError> {
    let lease = lease(app);
    app.store
        .of::<T>()
        .update_where(and([eq("_id", id), due(app)]), |it: &mut T| {
            let d = it.delivery().get_or_insert_default();
            d.attempts = d.attempts.saturating_add(1);
            d.next_at = Some(lease);
            Ok::<_, StoreError>(())
        })
        .await
}

/// Notes that an attempt failed: it is tried again when `next` says, which is answered, or given up.
pub async fn failed<T: Outbound>(
    app: &App,
    id: &str,
    cause: &str,
    next: impl Fn(&Delivery) -> Option<Date> + Send + Sync,
) -> Result<Option<Date>, StoreError> {
    let (mut again, mut given_up) = (None, false);
    app.store
        .of::<T>()
        .update(id, |it: &mut T| {
            (again, given_up) = (None, false);
            let Some(d) = it.delivery().as_mut().filter(|d| d.state == QUEUED) else {
                return Ok(());
            };
            again = next(d);
            if again.is_none() {
                DEAD.clone_into(&mut d.state);
                given_up = true;
            }
            d.next_at = again;
            d.error = Some(cause.to_owned());
            Ok::<_, StoreError>(())
        })
        .await?;
    if given_up {
        tracing::error!(id, error = cause, "{}", T::GIVEN_UP);
        let details = [(T::NAME, id), ("error", cause)];
        let details = details.map(|(name, value)| (name.to_owned(), Value::from(value)));
        logs::note(app, Code::Error, T::GIVEN_UP, details.into_iter().collect());
    }
    Ok(again)
}

/// A look through the store for what is due.
pub type Round = for<'a> fn(&'a App) -> BoxFuture<'a, Result<(), StoreError>>;

/// Looks for what is due until it is aborted.
pub fn spawn(app: &App, round: Round) -> tokio::task::JoinHandle<()> {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let every = app.settings.notifications.poll_seconds.get();
        let mut every = tokio::time::interval(Duration::from_secs(every));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if let Err(e) = round(&app).await {
                tracing::warn!(error = %e, "what is due to be sent could not be looked for");
            }
        }
    })
}
