//! Stored messages on their way out. A message is stored before the answer to the request that
//! caused it, with a time at which it is due unless it was accepted by then.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::deliveries::{self, Delivery, QUEUED, after, growing, lease, patience};
use crate::http::error::ApiResult;
use crate::notifications::Notification;
use crate::notifications::delivery::{DeliveryError, deliverer};
use crate::store::{Date, Order, Query, StoreError, and, eq};

/// Longest pause between two attempts.
const LONGEST: Duration = Duration::from_hours(1);
/// Messages that are looked for at a time, and handed over at the same time.
const BATCH: u64 = 50;
const AT_ONCE: usize = 4;

/// Messages handed over beside requests; more wait in the store until they are due.
static SLOTS: Semaphore = Semaphore::const_new(32);

/// What a new message carries while its first attempt is under way.
pub fn begun(app: &App, good_for: Option<i64>) -> Delivery {
    let until = good_for
        .map(|life| Date::from_millis(app.now_ms().saturating_add(life.saturating_mul(1000))));
    Delivery {
        state: QUEUED.to_owned(),
        attempts: 1,
        next_at: Some(lease(app)),
        until,
        ..Delivery::default()
    }
}

/// Hands a message over, once, and notes the outcome.
pub async fn attempt(app: &App, it: &Notification) -> Result<Notification, DeliveryError> {
    let (theirs, message) = (Arc::clone(app), it.clone());
    // on its own, so that a fault in writing one message does not end the handing over of others
    let mut task =
        tokio::spawn(async move { deliverer(&message).deliver(&theirs, &message).await });
    let ended = tokio::time::timeout(patience(app), &mut task).await;
    let given = if let Ok(ended) = ended {
        ended.unwrap_or(Err(DeliveryError::Broken))
    } else {
        task.abort();
        Err(DeliveryError::Late)
    };
    match given {
        Ok(()) => Ok(accepted(app, it).await?),
        Err(cause) => {
            tracing::warn!(notification = it.id, error = %cause, "not delivered");
            Err(cause)
        }
    }
}

async fn accepted(app: &App, it: &Notification) -> Result<Notification, StoreError> {
    let stored = app.store.of::<Notification>();
    let changed = stored
        .update(&it.id, |n: &mut Notification| {
            n.processed = true;
            n.delivery = None;
            Ok::<_, StoreError>(())
        })
        .await?;
    // somebody may have deleted it meanwhile
    Ok(changed.unwrap_or_else(|| Notification {
        processed: true,
        delivery: None,
        ..it.clone()
    }))
}

/// Notes that an attempt failed: the message is tried again later, or given up.
pub async fn failed(app: &App, id: &str, cause: &DeliveryError) -> Result<(), StoreError> {
    let settings = &app.settings.notifications;
    let next = |d: &Delivery| {
        let next = after(app, pause(settings.retry_seconds.get(), d.attempts));
        let hopeless = cause.is_final()
            || d.attempts >= i64::from(settings.attempts.get())
            || d.until.is_some_and(|until| until <= next);
        Some(next).filter(|_| !hopeless)
    };
    deliveries::failed::<Notification>(app, id, &cause.to_string(), next).await?;
    Ok(())
}

/// Twice as long after each attempt.
fn pause(first: u32, attempts: i64) -> Duration {
    growing(Duration::from_secs(first.into()), 2, attempts, LONGEST)
}

/// Hands new messages over beside the request, in their order.
pub fn later(app: &App, messages: Vec<Notification>) {
    // without a slot they are found in the store once they are due
    let Ok(slot) = SLOTS.try_acquire() else {
        return;
    };
    let app = Arc::clone(app);
    tokio::spawn(async move {
        for it in messages {
            go(&app, &it).await;
        }
        drop(slot);
    });
}

async fn go(app: &App, it: &Notification) {
    let Err(cause) = attempt(app, it).await else {
        return;
    };
    if let Err(fault) = failed(app, &it.id, &cause).await {
        // it stays as it was taken on, so it becomes due all the same
        tracing::warn!(notification = it.id, error = %fault, "the outcome was not noted");
    }
}

/// Hands over what is due.
pub async fn round(app: &App) -> Result<(), StoreError> {
    let query = Query::new(and([eq("processed", false), deliveries::due(app)]))
        .sort("createdAt", Order::Ascending)
        .limit(BATCH);
    let found = app.store.of::<Notification>().find(query).await?;
    futures_util::stream::iter(found)
        .for_each_concurrent(AT_ONCE, async |it| {
            if let Err(e) = one(app, &it.id).await {
                tracing::warn!(notification = it.id, error = %e, "not taken on");
            }
        })
        .await;
    Ok(())
}

/// Is what the message is about over?
fn is_late(app: &App, it: &Notification) -> bool {
    let until = it.delivery.as_ref().and_then(|d| d.until);
    until.is_some_and(|until| until <= app.date())
}

async fn one(app: &App, id: &str) -> Result<(), StoreError> {
    let taken = deliveries::take_on::<Notification>(app, id).await?;
    let Some(it) = taken else {
        return Ok(());
    };
    if is_late(app, &it) {
        return failed(app, id, &DeliveryError::Expired).await;
    }
    go(app, &it).await;
    Ok(())
}

/// Hands a stored message over again because somebody asks for it, whatever its state.
pub async fn again(app: &App, it: &Notification) -> ApiResult<Result<Notification, DeliveryError>> {
    if is_late(app, it) {
        failed(app, &it.id, &DeliveryError::Expired).await?;
        return Ok(Err(DeliveryError::Expired));
    }
    let next = lease(app);
    app.store
        .of::<Notification>()
        .update(&it.id, |n: &mut Notification| {
            if let Some(d) = n.delivery.as_mut().filter(|d| d.next_at.is_some()) {
                d.attempts = d.attempts.saturating_add(1);
                d.next_at = Some(next);
            }
            Ok::<_, StoreError>(())
        })
        .await?;
    let outcome = attempt(app, it).await;
    if let Err(cause) = &outcome {
        failed(app, &it.id, cause).await?;
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_an_hour() {
        let seconds: Vec<u64> = (1..=9).map(|n| pause(30, n).as_secs()).collect();
        assert_eq!(seconds, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(pause(30, i64::MAX).as_secs(), 3600);
        assert_eq!(pause(7200, 1).as_secs(), 7200, "who wants longer gets it");
    }
}
