//! What operators see: metrics, kept errors, conditional reads, who may frame pages.

use reqwest::header::{CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, X_FRAME_OPTIONS};
use serde_json::json;
use std::sync::Arc;
use ueauth::accounts::Account;
use ueauth::logs::{Code, Log};
use ueauth::store::{Store as Documents, StoreOptions};
use ueauth_actors::{Clock, SystemClock};

use crate::raw::Raw;
use crate::server::{Server, Store};
use crate::tenant::Tenant;
use crate::visitor::Visitor;

async fn text(server: &Server, path: &str) -> String {
    let answer = Server::http()
        .get(format!("{}{path}", server.url))
        .send()
        .await
        .unwrap();
    answer.text().await.unwrap()
}

#[tokio::test]
async fn metrics_count() {
    let server = Server::start(Store::Embedded).await.unwrap();
    let tenant = Tenant::create(&server).await;
    let client = json!({"client_name": "web", "redirect_uris": ["https://web.test/cb"]});
    let client = tenant.client(client).await;
    let flow = crate::flow::Flow::new(&tenant.issuer, &client, &[]);
    let landing = Visitor::new(&server)
        .authorize(&flow.url, &tenant.user.email, "Wr0ng!")
        .await;
    assert_eq!(landing.page().status, 200);
    text(&server, "/nowhere").await;
    let metrics = text(&server, "/metrics").await;
    for line in [
        // the owners of root and shop, and then the wrong password
        r#"ueauth_logins_total{result="ok"} 2"#,
        r#"ueauth_logins_total{result="wrong_password"} 1"#,
        r#"ueauth_tokens_total{grant="authorization_code"} 2"#,
        r#"ueauth_http_requests_total{route="/api/group",method="POST",status="2xx"} 1"#,
        r#"ueauth_http_requests_total{route="none",method="none",status="4xx"} 1"#,
        "ueauth_store_up 1",
    ] {
        assert!(
            metrics.lines().any(|l| l == line),
            "{line} is not in\n{metrics}"
        );
    }
    let awake = metrics
        .lines()
        .find_map(|l| l.strip_prefix("ueauth_supervisors "));
    assert!(awake.is_some_and(|n| n != "0"), "{metrics}");
    assert!(!metrics.contains(&tenant.group), "labels name tenants");
}

#[tokio::test]
async fn metrics_can_be_off() {
    let off = [("metrics.enabled", "false")];
    let server = Server::start_with(Store::Embedded, &off).await.unwrap();
    let answer = Server::http()
        .get(format!("{}/metrics", server.url))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
}

/// An internal error says why only where the settings want it.
#[tokio::test]
async fn causes_of_internal_errors_are_hidden() {
    for hidden in ["true", "false"] {
        let setting = [("security.hide_internal", hidden)];
        let server = Server::start_with(Store::Embedded, &setting).await.unwrap();
        let tenant = Tenant::create(&server).await;
        let broken = bson::doc! {
            "_id": "broken", "authGroup": &tenant.group, "email": "b@shop.test", "username": "b",
            "password": { "not": "a text" },
        };
        let store = open(&server).await;
        let broken = Raw::<Account>::new(broken);
        store.of().insert(&broken).await.unwrap();
        store.close().await;
        let answer = Server::http()
            .get(format!(
                "{}/api/{}/account/broken",
                server.url, tenant.group
            ))
            .bearer_auth(&tenant.owner_token)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 500);
        let body: serde_json::Value = answer.json().await.unwrap();
        let said = body["cause"]
            .as_str()
            .is_some_and(|c| c.contains("accounts"));
        assert_eq!(said, hidden == "false", "{body}");
    }
}

async fn open(server: &Server) -> Documents {
    let options = StoreOptions::new(&server.store, Arc::new(|| SystemClock.now()));
    Documents::open(&options, &ueauth::app::collections())
        .await
        .unwrap()
}

#[tokio::test]
async fn errors_are_kept_under_their_id_or_another() {
    let on = [("logging.persist_http_errors", "true")];
    let mut server = Server::start_with(Store::Embedded, &on).await.unwrap();
    for path in ["/api/groupcheck", "/api/no-such-path"] {
        let answer = Server::http()
            .get(format!("{}{path}", server.url))
            .header("x-request-id", "the-same-id")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404);
    }
    // the entry is written beside the answer; stopping the server waits for no more than that
    let mut kept = Vec::new();
    for _ in 0..100 {
        let store = open(&server).await;
        kept = store
            .of::<Log>()
            .find(ueauth::store::Filter::All)
            .await
            .unwrap();
        store.close().await;
        if kept.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    server.kill();
    assert_eq!(kept.len(), 2, "{kept:?}");
    let same = kept.iter().filter(|log| log.id == "the-same-id");
    assert_eq!(same.count(), 1, "{kept:?}");
    for log in &kept {
        assert_eq!(log.code, Code::Error);
        let details = log.details.as_ref().expect("details");
        assert_eq!(details.get_str("error"), Some("Not Found"));
    }
}

#[tokio::test]
async fn unchanged_documents_are_not_sent_again() {
    let server = Server::start(Store::Embedded).await.unwrap();
    let tenant = Tenant::create(&server).await;
    let http = Server::http();
    let account = || {
        http.get(format!("{}/api/{}/account/me", server.url, tenant.group))
            .bearer_auth(&tenant.owner_token)
    };
    let first = account().send().await.unwrap();
    let tag = first.headers()[ETAG].clone();
    let again = account().header(IF_NONE_MATCH, &tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()[ETAG], tag);
    assert!(again.headers().contains_key("x-request-id"));
    assert!(again.bytes().await.unwrap().is_empty());
    // the tag belongs to this account only, and to callers who may see it
    let other = format!(
        "{}/api/{}/account/{}",
        server.url, tenant.group, tenant.user.id
    );
    let other = http
        .get(other)
        .bearer_auth(&tenant.owner_token)
        .header(IF_NONE_MATCH, &tag);
    assert_eq!(other.send().await.unwrap().status(), 200);
    let stranger = http
        .get(format!("{}/api/{}/account/me", server.url, tenant.group))
        .header(IF_NONE_MATCH, &tag);
    assert_eq!(stranger.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_group_says_who_may_frame_its_pages() {
    let server = Server::start(Store::Embedded).await.unwrap();
    let tenant = Tenant::create(&server).await;
    let page = || async {
        let answer = Server::http()
            .get(format!("{}/{}/swagger", server.url, tenant.group))
            .send()
            .await
            .unwrap();
        let header = |name| {
            answer
                .headers()
                .get(name)
                .map(|v| v.to_str().unwrap().to_owned())
        };
        (
            header(CONTENT_SECURITY_POLICY).unwrap(),
            header(X_FRAME_OPTIONS),
        )
    };
    let (policy, frame) = page().await;
    assert!(policy.contains("frame-ancestors 'self';"), "{policy}");
    assert_eq!(frame.as_deref(), Some("SAMEORIGIN"));
    let own = json!([{ "op": "add", "path": "/config/ui/frameAncestors", "value": ["'self'", "https://portal.test"] }]);
    tenant.patch(&server, own).await;
    let (policy, frame) = page().await;
    assert!(
        policy.contains("frame-ancestors 'self' https://portal.test;"),
        "{policy}"
    );
    assert_eq!(frame, None);
}

/// Threads that run actors or answer requests.
fn runners(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", server.pid()))
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with("actix-rt"))
        .count()
}

#[tokio::test]
async fn actors_get_as_many_threads_as_are_set() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut counts = Vec::new();
    for arbiters in ["1", "4"] {
        let settings = [("actors.arbiters", arbiters)];
        let server = Server::start_with(Store::Embedded, &settings).await;
        counts.push(runners(&server.unwrap()));
    }
    assert_eq!(counts[1] - counts[0], 3, "{counts:?}");
}
