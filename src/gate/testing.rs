//! Requests from the route on, without a socket.

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::Value as Json;

use crate::accounts::Account;
use crate::accounts::model::AccessEntry;
use crate::app::App;
use crate::gate::{Ctx, Route, chain};
use crate::http::error::ApiResult;
use crate::http::hosts::Hosts;
use crate::http::request::{Body, Request};
use crate::http::router::{Found, Router};
use crate::oidc::records::{AccessToken, Grant, Record};
use crate::store::StoreError;

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

/// Stores an access token, which needs a client, an account and further claims, under `id`, with
/// the grant behind it, and makes the account belong to the organizations it names. It lives for ten minutes.
pub async fn token(app: &App, id: &str, token: AccessToken) {
    let grant = Grant {
        account_id: token.account_id.clone(),
        client_id: token.client_id.clone(),
        kind: "Grant".to_owned(),
        ..Grant::default()
    };
    let grant = Record::new(format!("grant-{}", token.account_id), grant, None);
    app.store.of::<Record<Grant>>().put(&grant).await.unwrap();
    let named = token.extra.get_str("x-access-organizations");
    let named: Vec<&str> = named.unwrap_or_default().split_whitespace().collect();
    let accounts = app.store.of::<Account>();
    let belongs = |account: &mut Account| {
        for id in &named {
            if account.access.iter().all(|e| e.organization.id != *id) {
                let mut entry = AccessEntry::default();
                (*id).clone_into(&mut entry.organization.id);
                account.access.push(entry);
            }
        }
        Ok::<_, StoreError>(())
    };
    accounts.update(&token.account_id, belongs).await.unwrap();
    let exp = app.now() + 600;
    let token = AccessToken {
        iat: app.now(),
        exp,
        jti: token.account_id.clone(),
        kind: "AccessToken".to_owned(),
        grant_id: grant.id,
        ..token
    };
    let record = Record::new(id.to_owned(), token, Some(exp));
    let tokens = app.store.of::<Record<AccessToken>>();
    tokens.put(&record).await.unwrap();
}

/// Status and body of the answer to whoever has the token.
pub async fn call(
    app: &App,
    router: &Router<&'static Route>,
    token: &str,
    method: &str,
    path: &str,
    body: Json,
) -> (u16, Json) {
    let method: Method = method.parse().unwrap();
    let token = format!("Bearer {token}");
    let headers = [("authorization", token.as_str())];
    read(answer(app, router, &method, path, &headers, false, body).await).await
}
