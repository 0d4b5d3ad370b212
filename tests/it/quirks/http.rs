//! What every answer has to keep to.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use crate::answer::{send, to};
use crate::server::{Server, Store};
use crate::tenant::Tenant;

/// Pages of other sites are not told why their request failed.
#[tokio::test]
async fn errors_lack_the_headers_that_let_browsers_show_them() {
    let server = super::embedded().await;
    let tenant = Tenant::create(&server).await;
    let group = &tenant.group;
    let account = format!("/api/{group}/account");
    let (token, accounts) = (format!("/{group}/token"), format!("/api/{group}/accounts"));
    let cases = [
        (
            Method::POST,
            account.as_str(),
            "application/json",
            "{\"name\":",
            400,
        ),
        (Method::POST, &account, "application/json", "\u{0}", 400),
        (Method::POST, &account, "text/plain", "x", 400),
        (Method::POST, &token, "application/json", "{}", 400),
        (
            Method::POST,
            &token,
            "application/x-www-form-urlencoded",
            "a=1&a=2",
            400,
        ),
        (Method::GET, &accounts, "application/json", "", 401),
        (
            Method::GET,
            "/api/nothing/at/all/here",
            "application/json",
            "",
            404,
        ),
        (
            Method::GET,
            "/api/nobody/accounts",
            "application/json",
            "",
            501,
        ),
    ];
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(8 << 20));
    let large = (
        Method::POST,
        account.as_str(),
        "application/json",
        large.as_str(),
        413,
    );
    for (method, path, kind, body, status) in cases.into_iter().chain([large]) {
        let request = to(&server, method.clone(), path)
            .header(CONTENT_TYPE, kind)
            .header("origin", "https://elsewhere.test")
            .body(body.to_owned());
        let answer = send(request).await.expect(status);
        let allowed = |name: &str| {
            let value = answer.headers.get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        assert_eq!(
            allowed("access-control-allow-origin"),
            "*",
            "{method} {path} {status}"
        );
        let headers = allowed("access-control-allow-headers").to_lowercase();
        assert!(
            headers.contains("x-org-context"),
            "{method} {path}: {headers:?}"
        );
    }
}

/// Tokens in addresses end up in the logs of everything on the way.
#[tokio::test]
async fn tokens_in_addresses_can_not_be_forbidden() {
    let settings = [("security.query_tokens", "false")];
    let server = Server::start_with(Store::Embedded, &settings)
        .await
        .expect("a server");
    let tenant = Tenant::create(&server).await;
    let client = tenant.web_client(serde_json::json!({})).await;
    let tokens = tenant.tokens(&server, &client, &tenant.user, &[]).await;
    let own = crate::flow::text(&client["registration_access_token"]);
    let id = crate::flow::text(&client["client_id"]);
    for (path, token) in [
        (
            format!("/api/{}/accounts", tenant.group),
            tenant.owner_token.as_str(),
        ),
        (
            format!("/{}/me", tenant.group),
            crate::flow::text(&tokens["access_token"]),
        ),
        (format!("/{}/reg/{id}", tenant.group), own),
    ] {
        let header = to(&server, Method::GET, &path).bearer_auth(token);
        send(header).await.expect(200);
        let query = to(
            &server,
            Method::GET,
            &format!("{path}?access_token={token}"),
        );
        send(query).await.expect(400);
        assert!(!server.log().contains(token), "{path}: the token is logged");
    }
}

/// Where they are allowed, this server's own log is none of those.
#[tokio::test]
async fn tokens_in_addresses_are_logged() {
    let settings = [("logging.level", "debug")];
    let server = Server::start_with(Store::Embedded, &settings)
        .await
        .expect("a server");
    let tenant = Tenant::create(&server).await;
    let token = &tenant.owner_token;
    for path in ["accounts", "nothing", "account/me"] {
        let path = format!("/api/{}/{path}?access_token={token}", tenant.group);
        let answer = send(to(&server, Method::GET, &path)).await;
        assert!(
            matches!(answer.status, 200 | 404),
            "{path}: {}",
            answer.status
        );
    }
    assert!(server.log().contains("answered"), "nothing is logged");
    assert!(
        !server.log().contains(token.as_str()),
        "the token is logged"
    );
}
