//! Pages and files that belong to no room: landing page, health, static files, API documents.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use serde_json::json;

use crate::gate::{Ctx, Route};
use crate::groups::tenant::origin;
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, reply};
use crate::interactions::look::Look;
use crate::pages::{DocsPage, DocsViewer, Landing, Page, assets};
use crate::route;

/// What the service calls itself in `/api/version` and in its API document.
pub const NAME: &str = "ue-auth";

pub static ROUTES: &[Route] = &[
    route!(GET "/", [Host], landing, public "landing page"),
    route!(GET "/favicon.ico", [], favicon, public "empty answer"),
    route!(GET "/favicon.png", [], fixed, public "static file"),
    route!(GET "/logo.png", [], fixed, public "static file"),
    route!(GET "/background.jpg", [], fixed, public "static file"),
    route!(GET "/assets/{file}", [], asset, public "static file"),
    route!(GET "/assets/{folder}/{file}", [], asset, public "static file"),
    route!(GET "/ready-check", [], ready, public "for load balancers"),
    route!(GET "/swagger", [Host], swagger, public "documentation"),
    route!(GET "/api", [Host], redoc, public "documentation"),
    route!(GET "/swagger.json", [Host], document, public "documentation"),
    route!(GET "/asyncapi.json", [Host], socket_document, public "documentation"),
    route!(GET "/cleanapi.json", [Host], clean_document, public "documentation"),
    route!(GET "/oauth2-redirect.html", [Host], fixed, public "documentation"),
    route!(GET "/{group}/swagger", [Group], swagger, public "documentation"),
    route!(GET "/{group}/api", [Group], redoc, public "documentation"),
    route!(GET "/{group}/swagger.json", [Group], document, public "documentation"),
    route!(GET "/{group}/cleanapi.json", [Group], clean_document, public "documentation"),
    route!(GET "/demo", [Host], demo, public "development mode only"),
    route!(GET "/demo/config.json", [Host], demo_config, public "development mode only"),
];

async fn landing(ctx: Ctx) -> ApiResult<Reply> {
    let look = Look::of(&ctx)?;
    let company = &ctx.app.settings.bootstrap;
    let (name, description, links) = match &ctx.tenant {
        Some(tenant) => (
            format!("{} Platform", tenant.group.name),
            "Sign-in service",
            tenant
                .group
                .primary_domain
                .as_deref()
                .map(|d| vec![("Website", d)])
                .unwrap_or_default(),
        ),
        None => (
            NAME.to_owned(),
            "Multi-tenant OpenID Connect provider and identity server",
            vec![
                ("API explorer", "/swagger"),
                ("API reference", "/api"),
                (
                    company.company_name.as_str(),
                    company.primary_domain.as_str(),
                ),
            ],
        ),
    };
    let page = Landing {
        shell: look.shell(NAME),
        name: &name,
        version: env!("CARGO_PKG_VERSION"),
        description,
        links,
        copyright: None,
    };
    Ok(look.page(StatusCode::OK, page.html()))
}

async fn favicon(_ctx: Ctx) -> ApiResult<Reply> {
    Ok(reply::no_content())
}

fn file(ctx: &Ctx, name: &str) -> ApiResult<Reply> {
    let asset = assets::asset(name)
        .ok_or_else(|| ApiError::not_found(format!("Path not found - {}", ctx.req.path())))?;
    let unchanged = ctx.req.header(IF_NONE_MATCH.as_str()).is_some_and(|v| {
        v.split(',')
            .any(|t| t.trim().trim_start_matches("W/") == asset.etag)
    });
    let mut out = if unchanged {
        HttpResponse::NotModified().finish()
    } else {
        HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, asset.content_type))
            .body(asset.bytes)
    };
    let cache = if ctx.req.query("v").is_some() {
        "public, max-age=31536000, immutable"
    } else {
        "public, max-age=0"
    };
    out.headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(value) = HeaderValue::from_str(&asset.etag) {
        out.headers_mut().insert(ETAG, value);
    }
    Ok(out)
}

async fn fixed(ctx: Ctx) -> ApiResult<Reply> {
    let name = ctx.req.path().trim_start_matches('/').to_ascii_lowercase();
    let mut out = file(&ctx, &name)?;
    if crate::http::headers::is_html(out.headers()) {
        crate::http::headers::secure(
            out.headers_mut(),
            "default-src 'none'; script-src 'self'",
            true,
            ctx.req.hosts.secure,
        );
    }
    Ok(out)
}

async fn asset(ctx: Ctx) -> ApiResult<Reply> {
    let name = ctx
        .req
        .params
        .iter()
        .map(|(_, v)| v.as_str())
        .collect::<Vec<_>>()
        .join("/");
    file(&ctx, &name)
}

/// How long the store may take to show a sign of life.
const READY_PATIENCE: Duration = Duration::from_secs(2);

/// Tells load balancers the truth: 503 while the store cannot be used.
async fn ready(ctx: Ctx) -> ApiResult<Reply> {
    // a balancer must not wait as long as a request may
    let ping = tokio::time::timeout(READY_PATIENCE, ctx.app.store.ping());
    let connected = matches!(ping.await, Ok(Ok(())));
    let status = if connected {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let state = if connected {
        "connected"
    } else {
        "disconnected"
    };
    reply::json_with(status, &json!({ "server": "running", "db": state }))
}

fn docs(ctx: &Ctx, viewer: DocsViewer) -> ApiResult<Reply> {
    let look = Look::with_inline_styles(&ctx.app, ctx.tenant.as_deref(), ctx.req.hosts.secure);
    let url = match &ctx.tenant {
        Some(tenant) => format!("/{}/swagger.json", tenant.id()),
        None => "/swagger.json".to_owned(),
    };
    let page = DocsPage {
        shell: look.shell(NAME),
        viewer,
        document_url: &url,
    };
    Ok(look.page(StatusCode::OK, page.html()))
}

async fn swagger(ctx: Ctx) -> ApiResult<Reply> {
    docs(&ctx, DocsViewer::Swagger)
}

async fn redoc(ctx: Ctx) -> ApiResult<Reply> {
    docs(&ctx, DocsViewer::Redoc)
}

fn openapi(ctx: &Ctx, clean: bool) -> ApiResult<Reply> {
    let server = origin(&ctx.app, ctx.custom_domain.as_deref());
    let document =
        crate::openapi::bytes(&server, ctx.tenant.as_deref(), clean).map_err(ApiError::internal)?;
    Ok(reply::json_bytes(StatusCode::OK, document))
}

async fn document(ctx: Ctx) -> ApiResult<Reply> {
    openapi(&ctx, false)
}

async fn socket_document(ctx: Ctx) -> ApiResult<Reply> {
    let server = origin(&ctx.app, ctx.custom_domain.as_deref());
    let secure = server.starts_with("https:");
    let document = crate::openapi::asyncapi(&server, secure).map_err(ApiError::internal)?;
    reply::json_with(StatusCode::OK, &document)
}

async fn clean_document(ctx: Ctx) -> ApiResult<Reply> {
    openapi(&ctx, true)
}

/// The relying party for a first look, in development mode only.
async fn demo(ctx: Ctx) -> ApiResult<Reply> {
    if !ctx.app.settings.server.development {
        return Err(ApiError::not_found(format!(
            "Path not found - {}",
            ctx.req.path()
        )));
    }
    let mut out = file(&ctx, "demo/index.html")?;
    let csp = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'";
    crate::http::headers::secure(out.headers_mut(), csp, false, ctx.req.hosts.secure);
    Ok(out)
}

async fn demo_config(ctx: Ctx) -> ApiResult<Reply> {
    let missing = || ApiError::not_found(format!("Path not found - {}", ctx.req.path()));
    if !ctx.app.settings.server.development {
        return Err(missing());
    }
    let tenant = ctx
        .app
        .tenants
        .active(&ctx.app, crate::demo::GROUP)
        .await?
        .ok_or_else(missing)?;
    let client = crate::clients::rules::by_name(&ctx.app, &tenant, crate::demo::CLIENT)
        .await?
        .ok_or_else(missing)?;
    let body = json!({ "issuer": tenant.issuer(&ctx.app, None), "client_id": client.id, "group": tenant.group.pretty_name, "hint": crate::demo::PERSON });
    reply::json_with(StatusCode::OK, &body)
}
