//! Messages that anybody may ask for by naming an account.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::accounts::{Account, attempts};
use crate::app::App;
use crate::gate::Ctx;
use crate::groups::Tenant;
use crate::http::error::ApiResult;
use crate::notifications::are_on;
use crate::notifications::messages::lock_notice;
use crate::notifications::rules::refused;

/// How long (ms) the last failure speaks for the next request.
const FRESH: i64 = 60_000;
/// Longest pretence.
const LONGEST: Duration = Duration::from_secs(10);

/// How sending went last, so that asking for somebody who does not exist takes as long and ends
/// the same way.
#[derive(Debug, Default)]
pub struct Asked(Mutex<Last>);

#[derive(Debug, Default, Clone, Copy)]
struct Last {
    at: i64,
    took: Duration,
    failed: bool,
}

impl Asked {
    fn note(&self, last: Last) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// As if a message had been sent.
    async fn pretend(&self, app: &App) -> ApiResult<()> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokio::time::sleep(last.took.min(LONGEST)).await;
        if last.failed && app.now_ms().saturating_sub(last.at) < FRESH {
            return Err(refused(&app.random.uuid()));
        }
        Ok(())
    }
}

/// Sends if there is somebody to send to; the answer does not tell.
pub async fn tell_if<T>(
    app: &App,
    whom: Option<T>,
    send: impl AsyncFnOnce(T) -> ApiResult<()>,
) -> ApiResult<()> {
    as_if(app, &app.asked, whom, send).await
}

/// The same by another memory of how it went last.
pub async fn as_if<T>(
    app: &App,
    memory: &Asked,
    whom: Option<T>,
    send: impl AsyncFnOnce(T) -> ApiResult<()>,
) -> ApiResult<()> {
    let Some(whom) = whom else {
        return memory.pretend(app).await;
    };
    let begun = Instant::now();
    let sent = send(whom).await;
    memory.note(Last {
        at: app.now_ms(),
        took: begun.elapsed(),
        failed: sent.is_err(),
    });
    sent
}

/// Warns the owner of what may be somebody else's doing, where messages are on; that it did not
/// work out stops nothing.
pub async fn warn_owner(app: &App, tenant: &Tenant, account: &Account) -> ApiResult<()> {
    if are_on(app, tenant).await?
        && let Err(cause) = lock_notice(app, tenant, account).await
    {
        tracing::warn!(account = account.id, %cause, "its owner could not be warned");
    }
    Ok(())
}

/// The account of the group that the body names, if messages may go to it.
pub async fn named(ctx: &Ctx) -> ApiResult<Option<Account>> {
    let name = ctx.req.field("email").unwrap_or_default();
    let found = attempts::find(&ctx.app, ctx.group_id()?, name).await?;
    Ok(found.filter(|a| a.active && !a.blocked))
}
