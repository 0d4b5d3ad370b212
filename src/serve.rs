//! The running server: every request goes through [`dispatch`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use tracing::Instrument;

use crate::app::{App, StartError};
use crate::deliveries;
use crate::gate::{Ctx, Route, Step, chain, context};
use crate::groups::names;
use crate::http::error::{ApiResult, PageRule};
use crate::http::hosts::ProxyRules;
use crate::http::router::{Found, Router};
use crate::http::upgrade::Handover;
use crate::http::{ApiError, Reply, Request, etag, headers, request, sockets};
use crate::interactions::look::Look;
use crate::listener;
use crate::pages::{Message, Page};

/// Content of answers that are data, not pages.
const DATA_CSP: &str = "default-src 'none'; frame-ancestors 'none'";

/// Every route of the server. A route that is not in one of these tables does not exist.
pub fn all_routes() -> Vec<&'static Route> {
    let tables: &[&'static [Route]] = &[
        crate::metrics::ROUTES,
        crate::accounts::routes::ROUTES,
        crate::accounts::recovery_routes::ROUTES,
        crate::accounts::recovery_pages::ROUTES,
        crate::accounts::mailed_pages::ROUTES,
        crate::accounts::operations::ROUTES,
        crate::accounts::logins::ROUTES,
        crate::site::ROUTES,
        crate::groups::routes::ROUTES,
        crate::clients::routes::ROUTES,
        crate::access::routes::ROUTES,
        crate::access::member_routes::ROUTES,
        crate::organizations::routes::ROUTES,
        crate::organizations::member_routes::ROUTES,
        crate::domains::routes::ROUTES,
        crate::access::client_access::ROUTES,
        crate::products::routes::ROUTES,
        crate::roles::routes::ROUTES,
        crate::permissions::routes::ROUTES,
        crate::product_keys::routes::ROUTES,
        crate::profiles::routes::ROUTES,
        crate::profiles::organization_routes::ROUTES,
        crate::plugins::routes::ROUTES,
        crate::passkeys::routes::ROUTES,
        crate::passkeys::pages::ROUTES,
        crate::devices::routes::ROUTES,
        crate::devices::pages::ROUTES,
        crate::challenges::wizard::ROUTES,
        crate::notifications::routes::ROUTES,
        crate::challenges::routes::ROUTES,
        crate::oidc::initial_access::ROUTES,
        crate::oidc::registration::ROUTES,
        crate::interactions::ROUTES,
        crate::oidc::ROUTES,
    ];
    tables.iter().copied().flatten().collect()
}

/// Routes and what is needed to find one.
pub struct Server {
    pub app: App,
    router: Router<&'static Route>,
    proxies: ProxyRules,
    tls: bool,
}

impl Server {
    pub fn new(app: App) -> Result<Self, StartError> {
        let mut router = Router::default();
        for route in all_routes() {
            router.add(route.method.clone(), route.path, route)?;
        }
        let server = &app.settings.server;
        let proxies = ProxyRules {
            host_header: server.proxy_host_header.clone(),
            trusted: server.trusted_proxies.clone(),
        };
        let tls = app.settings.tls.certificate.is_some();
        Ok(Self {
            app,
            router,
            proxies,
            tls,
        })
    }
}

/// Is the route one of a group's provider, addressed without an `/api` prefix?
fn is_provider(route: &Route) -> bool {
    route.path.starts_with("/{group}/")
        && !route
            .steps
            .iter()
            .any(|s| matches!(s, Step::Group | Step::GroupEvenInactive))
}

fn is_api(path: &str) -> bool {
    let lower = path.get(..5).unwrap_or(path).to_ascii_lowercase();
    lower == "/api/" || lower == "/api"
}

/// The API documents.
fn is_document(path: &str) -> bool {
    path.ends_with("/swagger.json") || path.ends_with("/cleanapi.json")
}

/// Paths below a first segment that can be a group's name.
fn is_below_group(path: &str) -> bool {
    let mut segments = path.trim_start_matches('/').splitn(2, '/');
    let first = segments.next().unwrap_or_default();
    !first.is_empty()
        && segments.next().is_some_and(|rest| !rest.is_empty())
        && !names::is_protected(first)
}

pub async fn dispatch(
    http: HttpRequest,
    payload: web::Payload,
    server: web::Data<Arc<Server>>,
) -> HttpResponse {
    let server = Arc::clone(&server);
    let id = Request::id_of(&http);
    let span =
        tracing::info_span!("request", id = %id, method = %http.method(), path = %http.path());
    async move {
        let (began, started) = (server.app.now_ms(), Instant::now());
        let mut route = None;
        let hosts = server.proxies.hosts(&http, server.tls);
        let secure = hosts.secure;
        let provider = is_below_group(http.path());
        let answered = answer(
            &server,
            http.clone(),
            hosts,
            id.clone(),
            payload,
            &mut route,
        )
        .await;
        let mut reply = match answered {
            Ok(reply) if is_api(http.path()) || is_document(http.path()) => {
                etag::apply(http.method(), http.headers(), reply)
            }
            Ok(reply) => reply,
            Err(e) => Box::pin(render_error(&server, &http, &e, &id, secure)).await,
        };
        if provider {
            headers::vary_origin(reply.headers_mut());
        }
        if !reply.headers().contains_key("content-security-policy") {
            headers::secure(reply.headers_mut(), DATA_CSP, false, secure);
        }
        headers::common(reply.headers_mut(), &id);
        server
            .app
            .metrics
            .answered(route, reply.status(), started.elapsed());
        tracing::info!(
            status = reply.status().as_u16(),
            ms = server.app.now_ms() - began,
            "answered"
        );
        reply
    }
    .instrument(span)
    .await
}

async fn answer(
    server: &Server,
    http: HttpRequest,
    hosts: crate::http::hosts::Hosts,
    id: String,
    payload: web::Payload,
    chosen: &mut Option<&'static Route>,
) -> ApiResult<Reply> {
    let path = http.path().to_owned();
    let method = http.method().clone();
    let mut request = Request::new(http, hosts, id);
    if method == Method::OPTIONS {
        return options(server, &request, &path);
    }
    let found = server.router.find(&method, &path);
    let route = match found {
        Found::Route(route, params) => {
            *chosen = Some(*route);
            request.set_params(params)?;
            *route
        }
        Found::Methods(_) | Found::Nothing => {
            return Box::pin(nothing(server, request, &path)).await;
        }
    };
    if method == Method::HEAD && is_provider(route) {
        return Box::pin(nothing(server, request, &path)).await;
    }
    if method == Method::GET && sockets::is_wanted(&request.http) {
        let handover = request.http.extensions().get::<Handover>().cloned();
        request.handover = handover;
    } else {
        let patience = Duration::from_secs(server.app.settings.limits.body_seconds.get());
        let mut payload = payload.into_inner();
        let read = request.read_body(&mut payload, body_rule(server, route));
        tokio::time::timeout(patience, read)
            .await
            .map_err(|_| ApiError::too_slow())??;
        if is_api(&path)
            && let Some(name) = request.repeated_field()
        {
            let reason = format!("'{name}' is there more than once; send it once");
            return Err(ApiError::bad_request(reason));
        }
    }
    let mut ctx = Ctx::new(Arc::clone(&server.app), request, route);
    if is_provider(route) {
        context::provider(&mut ctx).await?;
    } else if is_api(&path) {
        context::host(&mut ctx).await?;
    }
    chain::run(ctx).await
}

/// Limits come from the settings; a route may ask for more.
fn body_rule(server: &Server, route: &Route) -> request::BodyRule {
    let limits = &server.app.settings.limits;
    if is_provider(route) {
        return request::BodyRule {
            json: limits.oidc_json_bytes.get(),
            form: limits.oidc_form_bytes.get(),
        };
    }
    request::BodyRule {
        json: route.body.json.max(limits.api_json_bytes.get()),
        form: route.body.form.max(limits.api_form_bytes.get()),
    }
}

fn options(server: &Server, request: &Request, path: &str) -> ApiResult<Reply> {
    if headers::is_preflight(&request.http) && is_below_group(path) {
        return Ok(headers::preflight(&request.http));
    }
    match server.router.find(&Method::OPTIONS, path) {
        Found::Methods(methods) => Ok(headers::allow(&methods)),
        _ => Err(ApiError::not_found(format!("Path not found - {path}"))),
    }
}

/// No route: below a group the provider says so, elsewhere the service.
async fn nothing(server: &Server, request: Request, path: &str) -> ApiResult<Reply> {
    static NOWHERE: Route =
        crate::route!(GET "/{group}/nothing", [], unreachable, public "never registered");
    let method = request.method().to_string();
    let first = path
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let mut ctx = Ctx::new(Arc::clone(&server.app), request, &NOWHERE);
    if is_below_group(path) {
        ctx.req.params = vec![("group", first)];
        context::provider(&mut ctx).await?;
        return Err(crate::oidc::errors::unrecognized(
            &method,
            crate::oidc::params::below_group(path),
        ));
    }
    if is_api(path) {
        context::host(&mut ctx).await?;
    }
    Err(ApiError::not_found(format!("Path not found - {path}")))
}

async fn unreachable(ctx: Ctx) -> ApiResult<Reply> {
    Err(ApiError::not_found(format!(
        "Path not found - {}",
        ctx.req.path()
    )))
}

async fn render_error(
    server: &Server,
    http: &HttpRequest,
    e: &ApiError,
    id: &str,
    secure: bool,
) -> HttpResponse {
    let as_page = match e.page {
        PageRule::Always => true,
        PageRule::Never => false,
        PageRule::Negotiated => request::wants_html(http),
    };
    crate::logs::keep(&server.app, id, e, is_below_group(http.path()));
    let mut reply = if as_page {
        error_page(server, http, e, id, secure).await
    } else {
        let mut body = e.body(id);
        if let Some(cause) = &e.cause
            && !server.app.settings.security.hide_internal
            && let Some(members) = body.as_object_mut()
        {
            members.insert("cause".to_owned(), cause.as_str().into());
        }
        crate::http::reply::json_with(e.status, &body)
            .unwrap_or_else(|_| HttpResponse::InternalServerError().finish())
    };
    for (name, value) in &e.headers {
        reply.headers_mut().append(name.clone(), value.clone());
    }
    if is_below_group(http.path()) {
        headers::never_cache(reply.headers_mut());
    }
    if e.status.is_server_error() && e.status != StatusCode::NOT_IMPLEMENTED {
        tracing::error!(status = e.status.as_u16(), error = %e.error, message = %e.message, "failed");
    }
    reply
}

async fn error_page(
    server: &Server,
    http: &HttpRequest,
    e: &ApiError,
    id: &str,
    secure: bool,
) -> HttpResponse {
    let first = http
        .path()
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default();
    let tenant = if names::is_protected(first) || first.is_empty() {
        None
    } else {
        server
            .app
            .tenants
            .active(&server.app, first)
            .await
            .ok()
            .flatten()
    };
    let look = Look::new(&server.app, tenant.as_deref(), secure);
    let text = e.description().unwrap_or(&e.message).to_owned();
    let heading = if e.status == StatusCode::NOT_FOUND {
        "This page does not exist"
    } else {
        "Something went wrong"
    };
    let mut page = Message::new(look.shell("oops! something went wrong"), heading, &text);
    page.details.push(("error".to_owned(), e.error.to_string()));
    for (name, value) in &e.more {
        if let Some(value) = value.as_str() {
            page.details.push((name.clone(), value.to_owned()));
        }
    }
    page.details.push(("id".to_owned(), id.to_owned()));
    let portal = tenant.as_ref().map(|t| t.portal(&server.app));
    page.home = portal.as_deref().map(|url| (url, "Go Home"));
    look.page(e.status, page.html())
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot listen on {address}; is it in use? (setting server.listen)")]
    Listen {
        address: String,
        source: std::io::Error,
    },
    #[error("the certificate cannot be used (settings tls.certificate and tls.key): {0}")]
    Tls(String),
    #[error("the server stopped")]
    Run(#[source] std::io::Error),
}

/// Binds and serves until told to stop.
pub async fn run(app: App, ready: impl FnOnce(&[std::net::SocketAddr])) -> Result<(), ServeError> {
    let server = Arc::new(Server::new(Arc::clone(&app))?);
    let settings = &app.settings;
    match app.actors.resume().await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "took up groups with open challenges"),
        Err(e) => tracing::warn!(error = %e, "open challenges could not be taken up yet"),
    }
    let purger = app.store.spawn_purger(Duration::from_secs(
        settings.store.purge_interval_seconds.get(),
    ));
    let forgetful = Arc::clone(&app);
    let cleaner = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_secs(20));
        loop {
            every.tick().await;
            forgetful.limits.forget_quiet();
            forgetful.tenants.tidy();
            forgetful.clients.tidy();
        }
    });
    let senders = [
        deliveries::spawn(&app, |app| {
            Box::pin(crate::notifications::outbox::round(app))
        }),
        deliveries::spawn(&app, |app| {
            Box::pin(crate::challenges::callbacks::round(app))
        }),
    ];
    // the embedded store gets documents of other systems from `ueauth migrate` only, which writes over these too
    let blanker = settings
        .store
        .is_shared()
        .then(|| crate::accounts::clear_text::spawn(&app));
    let (running, addresses) = listener::start(server, stop(Arc::clone(&app)))?;
    ready(&addresses);
    let outcome = running.await.map_err(ServeError::Run);
    purger.abort();
    cleaner.abort();
    senders
        .iter()
        .chain(&blanker)
        .for_each(tokio::task::JoinHandle::abort);
    app.actors.stop();
    app.bus_ended();
    app.store.clone().close().await;
    outcome
}

/// Completes when the process is told to stop; whoever waits is told before.
async fn stop(app: App) {
    use tokio::signal::unix::{SignalKind, signal};
    let ended = async |kind| match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(cause) => {
            tracing::warn!(%cause, "a signal cannot be listened to");
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = ended(SignalKind::terminate()) => {}
        () = ended(SignalKind::interrupt()) => {}
        () = ended(SignalKind::quit()) => {}
    }
    tracing::info!("stopping");
    app.stop();
}
