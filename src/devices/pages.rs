//! The page that is the device: it can be installed, and opens without a network.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
};
use serde_json::json;

use crate::devices::push;
use crate::gate::{Ctx, Route};
use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply};
use crate::interactions::look::Look;
use crate::pages::{DeviceApp, Page, assets};
use crate::route;

const SCOPE: HeaderName = HeaderName::from_static("service-worker-allowed");
/// A worker is under the policy it was sent with; it fetches the page and its files.
const WORKER_CSP: &str = "default-src 'none'; connect-src 'self'; frame-ancestors 'none'";
/// The worker without the list of what it keeps.
const WORKER: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/assets/device-worker.js"
));
/// What the page loads.
const FILES: &[&str] = &[
    "ueauth.css",
    "app.js",
    "device.js",
    "logo.png",
    "favicon.png",
];

pub static ROUTES: &[Route] = &[
    route!(GET "/{group}/device-app", [NoCache, Group], show, public "holds no data; keys stay in the browser"),
    route!(GET "/{group}/device-app/{file}", [Group], file, public "static file"),
];

async fn show(ctx: Ctx) -> ApiResult<Reply> {
    let group = ctx.group_id()?;
    let push_key = push::public_key(&ctx.app).await?;
    let look = Look::of(&ctx)?;
    let page = DeviceApp {
        shell: look.shell("My device"),
        group,
        name: &ctx.tenant()?.group.name,
        api_url: &format!("/api/{group}/devices"),
        app_url: &format!("{}/device-app", look.base()),
        push_key: &push_key,
    };
    Ok(look.page(StatusCode::OK, page.html()))
}

async fn file(ctx: Ctx) -> ApiResult<Reply> {
    let (group, name) = (ctx.group_id()?, &ctx.tenant()?.group.name);
    let scope = format!("/{group}/device-app");
    let (media, body) = match ctx.req.param("file")? {
        "manifest.webmanifest" => {
            let manifest = json!({
                "name": format!("{name} device"),
                "short_name": name,
                "id": scope,
                "start_url": scope,
                "scope": scope,
                "display": "standalone",
                "background_color": "#ffffff",
                "theme_color": "#1d2035",
                "icons": [{
                    "src": assets::own("favicon.png"), "sizes": "any", "type": "image/png",
                }],
            });
            ("application/manifest+json", manifest.to_string())
        }
        "worker.js" => {
            let kept: Vec<String> = FILES.iter().map(|f| assets::own(f)).collect();
            let kept = json!({ "page": scope, "files": kept, "name": name });
            // as JSON it is also a script's literal
            let body = format!("const SHELL = {kept};\n{WORKER}");
            ("text/javascript; charset=utf-8", body)
        }
        other => return Err(ApiError::not_found(other)),
    };
    let mut out = HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, WORKER_CSP))
        .body(body);
    if let Ok(scope) = HeaderValue::try_from(scope) {
        out.headers_mut().insert(SCOPE, scope);
    }
    Ok(out)
}
