//! Messages that anybody may ask for by naming an account.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use moka::sync::Cache;

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
/// Groups that are remembered.
const GROUPS: u64 = 10_000;

/// How sending went last in each group, so that asking for somebody who does not exist takes as long
/// and ends the same way. What went wrong because of one account counts for nobody.
#[derive(Debug)]
pub struct Asked(Cache<String, Last>);

#[derive(Debug, Default, Clone, Copy)]
struct Last {
    at: i64,
    took: Duration,
    failed: bool,
}

impl Default for Asked {
    fn default() -> Self {
        Self(Cache::new(GROUPS))
    }
}

impl Asked {
    /// As if a message had been sent since `begun`.
    async fn pretend(&self, app: &App, group: &str, begun: Instant) -> ApiResult<()> {
        let last = self.0.get(group).unwrap_or_default();
        let left = last.took.min(LONGEST).saturating_sub(begun.elapsed());
        tokio::time::sleep(left).await;
        if last.failed && app.now_ms().saturating_sub(last.at) < FRESH {
            return Err(refused(&app.random.uuid()));
        }
        Ok(())
    }
}

/// Sends if there is somebody to send to; the answer does not tell.
pub async fn tell_if<T>(
    app: &App,
    group: &str,
    whom: Option<T>,
    send: impl AsyncFnOnce(T) -> ApiResult<()>,
) -> ApiResult<()> {
    let send = async |whom| send(whom).await.map(Some);
    as_if(app, &app.asked, group, whom, send).await.map(drop)
}

/// The same by another memory of how it went last. `send` yields nothing if the account is such that
/// nothing is sent, and so it is when the account is refused; that looks as if there were none.
pub async fn as_if<T, R>(
    app: &App,
    memory: &Asked,
    group: &str,
    whom: Option<T>,
    send: impl AsyncFnOnce(T) -> ApiResult<Option<R>>,
) -> ApiResult<Option<R>> {
    let begun = Instant::now();
    let sent = match whom {
        Some(whom) => send(whom).await,
        None => Ok(None),
    };
    let failed = match &sent {
        Ok(Some(_)) => false,
        // the service did not do it
        Err(e) if e.status == StatusCode::FAILED_DEPENDENCY => true,
        Err(e) if e.status.is_server_error() => return sent,
        Ok(None) => {
            memory.pretend(app, group, begun).await?;
            return Ok(None);
        }
        Err(cause) => {
            tracing::warn!(group, %cause, "nothing was sent");
            memory.pretend(app, group, begun).await?;
            return Ok(None);
        }
    };
    let last = Last {
        at: app.now_ms(),
        took: begun.elapsed(),
        failed,
    };
    memory.0.insert(group.to_owned(), last);
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
