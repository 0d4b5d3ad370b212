//! What the server counts, for `/metrics` (OpenMetrics text format).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::app::App;
use crate::gate::{Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply};
use crate::route;

pub static ROUTES: &[Route] = &[route!(GET "/metrics", [], show, public "metrics for monitoring")];

/// Upper ends of the latency buckets, in seconds.
const LATENCIES: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// The route of requests that none matches.
const NO_ROUTE: &str = "none";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
    method: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LoginLabels {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct GrantLabels {
    grant: &'static str,
}

/// How a password sign-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    Ok,
    UnknownAccount,
    /// Blocked, locked, inactive, or not verified where that is required.
    UnusableAccount,
    WrongPassword,
    /// Within a lock-out, or the failure that began one.
    LockedOut,
}

impl Login {
    const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::UnknownAccount => "unknown_account",
            Self::UnusableAccount => "unusable_account",
            Self::WrongPassword => "wrong_password",
            Self::LockedOut => "locked_out",
        }
    }
}

type Level = Gauge<i64, AtomicI64>;
type Total = Counter<u64, AtomicU64>;

/// Values that other parts keep; they are read when somebody looks.
#[derive(Debug, Default)]
struct Looked {
    supervisors: Level,
    keepers: Level,
    waiters: Level,
    subscriptions: Level,
    pending_challenges: Level,
    cached_sessions: Level,
    cached_interactions: Level,
    cached_challenges: Level,
    keeper_restarts: Total,
    actor_refusals: Total,
    hashes_running: Level,
    hashes_queued: Level,
    hashes_done: Total,
    hashes_refused: Total,
    store_up: Level,
    bus_up: Level,
    sockets: Level,
}

/// All counters of the server. Recording takes no allocation and no exclusive lock, except the
/// first time that a combination of labels occurs.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Total>,
    latency: Family<RouteLabels, Histogram, fn() -> Histogram>,
    logins: Family<LoginLabels, Total>,
    tokens: Family<GrantLabels, Total>,
    looked: Looked,
}

fn latencies() -> Histogram {
    Histogram::new(LATENCIES)
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("ueauth");
        let requests = Family::default();
        let latency: Family<_, _, fn() -> Histogram> = Family::new_with_constructor(latencies);
        let (logins, tokens) = (Family::default(), Family::default());
        let looked = Looked::default();
        registry.register("http_requests", "Answered requests", requests.clone());
        registry.register(
            "http_request_seconds",
            "Time from the request's head to the answer's",
            latency.clone(),
        );
        registry.register("logins", "Password sign-ins by result", logins.clone());
        registry.register(
            "tokens",
            "Answers of the token endpoint by grant",
            tokens.clone(),
        );
        let levels: [(&str, &str, &Level); 13] = [
            ("supervisors", "Groups that are awake", &looked.supervisors),
            ("keepers", "Keepers of awake groups", &looked.keepers),
            (
                "waiters",
                "Requests waiting for a challenge",
                &looked.waiters,
            ),
            (
                "subscriptions",
                "Subscriptions without a result",
                &looked.subscriptions,
            ),
            (
                "pending_challenges",
                "Challenges whose expiry this node watches",
                &looked.pending_challenges,
            ),
            (
                "cached_sessions",
                "Sessions in memory",
                &looked.cached_sessions,
            ),
            (
                "cached_interactions",
                "Interactions in memory",
                &looked.cached_interactions,
            ),
            (
                "cached_challenges",
                "Challenges in memory",
                &looked.cached_challenges,
            ),
            (
                "password_hashes_running",
                "Password hashes being computed",
                &looked.hashes_running,
            ),
            (
                "password_hashes_queued",
                "Password hashes waiting for their turn",
                &looked.hashes_queued,
            ),
            (
                "store_up",
                "Whether the store answered when it was last used",
                &looked.store_up,
            ),
            (
                "bus_up",
                "Whether notices of other nodes get through; 1 where there are none",
                &looked.bus_up,
            ),
            ("sockets", "WebSockets that are open", &looked.sockets),
        ];
        for (name, help, level) in levels {
            registry.register(name, help, level.clone());
        }
        let totals: [(&str, &str, &Total); 4] = [
            (
                "keeper_restarts",
                "Keepers restarted after a fault",
                &looked.keeper_restarts,
            ),
            (
                "actor_refusals",
                "Calls refused because an actor was busy",
                &looked.actor_refusals,
            ),
            (
                "password_hashes",
                "Password hashes computed",
                &looked.hashes_done,
            ),
            (
                "password_hash_refusals",
                "Password checks turned away because the queue was full",
                &looked.hashes_refused,
            ),
        ];
        for (name, help, total) in totals {
            registry.register(name, help, total.clone());
        }
        Self {
            registry,
            requests,
            latency,
            logins,
            tokens,
            looked,
        }
    }
}

fn level(gauge: &Level, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

fn total(counter: &Total, value: u64) {
    counter.inner().store(value, Ordering::Relaxed);
}

impl Metrics {
    /// A request was answered; `route` is none if no route fits it.
    pub fn answered(&self, route: Option<&'static Route>, status: StatusCode, took: Duration) {
        let (route, method) = route.map_or((NO_ROUTE, NO_ROUTE), |r| (r.path, r.method.as_str()));
        self.requests
            .get_or_create(&RequestLabels {
                route,
                method,
                status: class(status),
            })
            .inc();
        self.latency
            .get_or_create(&RouteLabels { route, method })
            .observe(took.as_secs_f64());
    }

    /// A password sign-in ended.
    pub fn login(&self, how: Login) {
        let labels = LoginLabels {
            result: how.label(),
        };
        self.logins.get_or_create(&labels).inc();
    }

    /// The token endpoint gave tokens.
    pub fn issued(&self, grant: &'static str) {
        self.tokens.get_or_create(&GrantLabels { grant }).inc();
    }

    fn look(&self, app: &App) {
        let (actors, hashes) = (app.actors.counters(), app.hasher.stats());
        let looked = &self.looked;
        level(&looked.supervisors, actors.supervisors);
        level(&looked.keepers, actors.keepers);
        level(&looked.waiters, actors.waiters);
        level(&looked.subscriptions, actors.subscriptions);
        level(&looked.pending_challenges, actors.pending_challenges);
        level(&looked.cached_sessions, actors.cached_sessions);
        level(&looked.cached_interactions, actors.cached_interactions);
        level(&looked.cached_challenges, actors.cached_challenges);
        total(&looked.keeper_restarts, actors.restarts as u64);
        total(&looked.actor_refusals, actors.refused as u64);
        level(&looked.hashes_running, hashes.in_flight);
        level(&looked.hashes_queued, hashes.queued);
        total(&looked.hashes_done, hashes.completed);
        total(&looked.hashes_refused, hashes.rejected);
        level(&looked.store_up, usize::from(app.store.is_connected()));
        let bus_up = app.bus.as_ref().is_none_or(|bus| bus.is_up());
        level(&looked.bus_up, usize::from(bus_up));
        level(&looked.sockets, app.sockets.open());
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

async fn show(ctx: Ctx) -> ApiResult<Reply> {
    let settings = &ctx.app.settings.metrics;
    // both the connection and whoever is said to be behind it, which a header may make up
    let connection = ctx.req.http.peer_addr().map(|a| a.ip());
    let allowed = [connection, ctx.req.hosts.peer].iter().all(|peer| {
        peer.is_some_and(|ip| {
            let ip = ip.to_canonical();
            settings
                .allowed_networks
                .iter()
                .any(|net| net.contains(&ip))
        })
    });
    if !settings.enabled || !allowed {
        return Err(ApiError::not_found(format!(
            "Path not found - {}",
            ctx.req.path()
        )));
    }
    let metrics = &ctx.app.metrics;
    metrics.look(&ctx.app);
    let text = metrics.text().map_err(ApiError::internal)?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, HeaderValue::from_static(kind)))
        .body(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_shown() {
        let metrics = Metrics::default();
        let route = ROUTES.first();
        metrics.answered(route, StatusCode::NOT_FOUND, Duration::from_millis(20));
        metrics.answered(route, StatusCode::OK, Duration::from_millis(2));
        metrics.answered(None, StatusCode::SERVICE_UNAVAILABLE, Duration::ZERO);
        metrics.login(Login::WrongPassword);
        metrics.issued("refresh_token");
        metrics.issued("refresh_token");
        let text = metrics.text().unwrap();
        for line in [
            r#"ueauth_http_requests_total{route="/metrics",method="GET",status="4xx"} 1"#,
            r#"ueauth_http_requests_total{route="/metrics",method="GET",status="2xx"} 1"#,
            r#"ueauth_http_requests_total{route="none",method="none",status="5xx"} 1"#,
            r#"ueauth_http_request_seconds_bucket{le="0.0025",route="/metrics",method="GET"} 1"#,
            r#"ueauth_http_request_seconds_count{route="/metrics",method="GET"} 2"#,
            r#"ueauth_logins_total{result="wrong_password"} 1"#,
            r#"ueauth_tokens_total{grant="refresh_token"} 2"#,
            "ueauth_store_up 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
