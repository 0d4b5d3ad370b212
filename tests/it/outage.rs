//! The store goes away while the server runs, or is not there when it starts.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ferretdb::FerretDb;
use crate::flow::Flow;
use crate::server::{Server, free_port};
use crate::tenant::Tenant;
use crate::visitor::Visitor;

/// 503, JSON in the shape of every error, and when to try again.
async fn refused(request: RequestBuilder) {
    let answer = request.send().await.expect("an answer");
    let (url, status) = (answer.url().clone(), answer.status());
    let retry = answer.headers().get(RETRY_AFTER).cloned();
    let body = answer.text().await.expect("a text");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{url}: {body}");
    let seconds = retry.and_then(|v| v.to_str().ok()?.parse::<u32>().ok());
    assert!(seconds.is_some(), "{url}: no Retry-After");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert!(
        body["message"].is_string() && body["id"].is_string(),
        "{url}: {body}"
    );
}

#[tokio::test]
async fn a_lost_store_is_said_and_found_again() {
    let folder = Arc::new(TempDir::new().expect("a temporary folder"));
    let listen = format!("127.0.0.1:{}", free_port());
    let Some(store) = FerretDb::start(&listen, Arc::clone(&folder)) else {
        return;
    };
    let address = format!("{}/outage", store.address);
    let patient = [("store.connect_timeout_seconds", "1")];
    let server = Server::start_at(&address, &patient).await;
    let tenant = Tenant::create(&server).await;
    let metadata = json!({
        "client_name": "web", "redirect_uris": ["https://web.test/cb"],
        "grant_types": ["authorization_code", "client_credentials"],
    });
    let client = tenant.client(metadata).await;
    let http = Server::http();
    let account = || {
        http.get(format!("{}/api/{}/account/me", server.url, tenant.group))
            .bearer_auth(&tenant.owner_token)
    };
    let token = || {
        let id = client["client_id"].as_str().expect("an id");
        http.post(format!("{}/token", tenant.issuer))
            .basic_auth(id, client["client_secret"].as_str())
            .form(&[("grant_type", "client_credentials")])
    };
    let flow = Flow::new(&tenant.issuer, &client, &[]);
    let ready = || http.get(format!("{}/ready-check", server.url));
    assert_eq!(account().send().await.unwrap().status(), 200);
    assert_eq!(token().send().await.unwrap().status(), 200);

    drop(store);
    refused(account()).await;
    refused(token()).await;
    refused(
        http.get(flow.url.clone())
            .header(ACCEPT, "application/json"),
    )
    .await;
    let answer = ready().send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.json::<Value>().await.unwrap()["db"], "disconnected");
    let metrics = http.get(format!("{}/metrics", server.url));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("\nueauth_store_up 0\n"), "{metrics}");

    let _store = FerretDb::start(&listen, folder).expect("it was there before");
    let mut attempts = 0;
    while ready().send().await.unwrap().status() != 200 {
        attempts += 1;
        assert!(attempts < 100, "the store is not found again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(account().send().await.unwrap().status(), 200);
    assert_eq!(token().send().await.unwrap().status(), 200);
    let (email, password) = (&tenant.user.email, &tenant.user.password);
    let back = Visitor::new(&server)
        .authorize(&flow.url, email, password)
        .await
        .away();
    flow.tokens(&back).await;
}

#[test]
fn an_absent_store_is_said_at_the_start() {
    let address = format!("mongodb://user:s3cret-word@127.0.0.1:{}/x", free_port());
    let (code, log) = Server::fail(&[
        ("store.url", &address),
        ("store.connect_timeout_seconds", "1"),
        ("store.patience_seconds", "2"),
    ]);
    assert_eq!(code, Some(1), "{log}");
    let last = log
        .lines()
        .rev()
        .find(|l| l.starts_with("ueauth: "))
        .expect(&log);
    assert!(last.contains("store.url"), "{last}");
    assert!(log.contains("trying again"), "{log}");
    assert!(!log.contains("s3cret-word"), "{log}");
}
