//! Limits on how often an address or a subject may ask for something expensive or guessable.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::http::ApiError;
use crate::http::error::ApiResult;
use crate::settings::{RateLimit, RateLimits};

/// Kinds of requests that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitClass {
    Login,
    Token,
    Registration,
    Recovery,
    Codes,
    Passkeys,
    Challenges,
    Lookups,
}

/// One counter per class; each knows its subjects by key.
#[derive(Debug)]
pub struct Limits {
    classes: Vec<(LimitClass, DefaultKeyedRateLimiter<String>)>,
    clock: DefaultClock,
}

impl Limits {
    pub fn new(settings: &RateLimits) -> Self {
        let all = [
            (LimitClass::Login, settings.login),
            (LimitClass::Token, settings.token),
            (LimitClass::Registration, settings.registration),
            (LimitClass::Recovery, settings.recovery),
            (LimitClass::Codes, settings.codes),
            (LimitClass::Passkeys, settings.passkeys),
            (LimitClass::Challenges, settings.challenges),
            (LimitClass::Lookups, settings.lookups),
        ];
        let classes = all
            .into_iter()
            .filter(|(_, l)| settings.enabled && l.enabled)
            .map(|(c, l)| (c, RateLimiter::keyed(quota(l))))
            .collect();
        Self {
            classes,
            clock: DefaultClock::default(),
        }
    }

    /// 429 with `Retry-After` once the subject has used up its share.
    pub fn check(&self, class: LimitClass, subject: &str) -> ApiResult<()> {
        let Some((_, limiter)) = self.classes.iter().find(|(c, _)| *c == class) else {
            return Ok(());
        };
        match limiter.check_key(&subject.to_owned()) {
            Ok(()) => Ok(()),
            Err(until) => Err(ApiError::too_many(
                until
                    .wait_time_from(self.clock.now())
                    .as_secs()
                    .saturating_add(1),
            )),
        }
    }

    /// Forgets subjects that have been quiet long enough to start afresh.
    pub fn forget_quiet(&self) {
        for (_, limiter) in &self.classes {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

fn quota(limit: RateLimit) -> Quota {
    let every = Duration::from_mins(1)
        .checked_div(limit.per_minute.get())
        .unwrap_or(Duration::from_millis(1))
        .max(Duration::from_nanos(1));
    Quota::with_period(every)
        .unwrap_or_else(|| Quota::per_minute(NonZeroU32::MIN))
        .allow_burst(limit.burst)
}
