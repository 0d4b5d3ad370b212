//! Requests from the route on, without a socket.

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::Value as Json;

use crate::app::App;
use crate::gate::{Ctx, Route, chain};
use crate::http::error::ApiResult;
use crate::http::hosts::Hosts;
use crate::http::request::{Body, Request};
use crate::http::router::{Found, Router};

/// The router of the whole server.
pub fn router() -> Router<&'static Route> {
    let mut router = Router::default();
    for route in crate::serve::all_routes() {
        router.add(route.method.clone(), route.path, route).unwrap();
    }
    router
}

/// What the server answers to a request on its own host; panics if there is no such route.
pub async fn answer(
    app: &App,
    router: &Router<&'static Route>,
    method: &Method,
    path: &str,
    headers: &[(&str, &str)],
    secure: bool,
    body: Json,
) -> ApiResult<HttpResponse> {
    let Found::Route(route, params) = router.find(method, path.split('?').next().unwrap()) else {
        panic!("no such route: {method} {path}")
    };
    let mut http = TestRequest::with_uri(path).method(method.clone());
    for header in headers {
        http = http.insert_header(*header);
    }
    let host = app.settings.service_host().to_owned();
    let hosts = Hosts {
        header: host.clone(),
        name: host.clone(),
        effective: host,
        secure,
        ..Hosts::default()
    };
    let mut req = Request::new(http.to_http_request(), hosts, "id".to_owned());
    req.set_params(params)?;
    req.body = Body::Json(body);
    chain::run(Ctx::new(app.clone(), req, route)).await
}

/// Status and body, of an error too.
pub async fn read(answer: ApiResult<HttpResponse>) -> (u16, Json) {
    let reply = match answer {
        Ok(reply) => reply,
        Err(e) => return (e.status.as_u16(), e.body("id")),
    };
    let status = reply.status().as_u16();
    let bytes = actix_web::body::to_bytes(reply.into_body()).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Json::Null))
}
