//! Time as something that is handed in.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::{sync::watch, time::Instant};

/// Milliseconds since the Unix epoch, the precision in which documents hold dates.
pub type Millis = i64;

/// The only source of time of this crate.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Millis;
    /// Completes as soon as [`Clock::now`] is at or past `at`.
    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()>;

    /// The moment after so much more time; the last there is if that is beyond it.
    fn after(&self, pause: Duration) -> Millis {
        let pause = Millis::try_from(pause.as_millis()).unwrap_or(Millis::MAX);
        self.now().saturating_add(pause)
    }
}

/// Longest single sleep of [`SystemClock`]: a wall clock that is set forward is noticed within it.
const LONGEST_NAP: Duration = Duration::from_secs(20);

/// The wall clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    #[allow(clippy::disallowed_methods)] // the single place where real time enters
    fn read() -> Millis {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| {
                Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
            })
    }
}

/// The distance from `now` to `at`; zero if `at` has passed.
fn distance(now: Millis, at: Millis) -> Duration {
    Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
}

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        Self::read()
    }

    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let left = distance(Self::read(), at);
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST_NAP)).await;
            }
        })
    }
}

/// A clock on tokio's timer: it follows `tokio::time::pause` and `advance`.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    started: Instant,
    base: Millis,
}

impl TokioClock {
    /// A clock that shows `base` now. Call it inside a tokio runtime.
    pub fn starting_at(base: Millis) -> Self {
        Self {
            started: Instant::now(),
            base,
        }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Millis {
        let passed = Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX);
        self.base.saturating_add(passed)
    }

    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()> {
        let until = self.started + distance(self.base, at);
        Box::pin(tokio::time::sleep_until(until))
    }
}

/// A clock that stands still until it is set; works across runtimes and threads.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: watch::Sender<Millis>,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Millis) -> Self {
        Self {
            now: watch::Sender::new(now),
        }
    }

    /// Sets the clock and wakes every sleeper whose moment has come. It never goes back.
    pub fn set(&self, now: Millis) {
        self.now.send_modify(|shown| *shown = now.max(*shown));
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by = Millis::try_from(by.as_millis()).unwrap_or(Millis::MAX);
        self.now
            .send_modify(|shown| *shown = shown.saturating_add(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        *self.now.borrow()
    }

    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()> {
        let mut shown = self.now.subscribe();
        Box::pin(async move {
            // A dropped clock stops time: the sleeper then rests for good.
            if shown.wait_for(|now| *now >= at).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
