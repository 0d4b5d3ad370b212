//! Nobody may ask for what is guessable or expensive without end.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answer::{send, to};
use crate::server::{Server, Store};
use crate::tenant::Tenant;

/// who asks on a host that is not the portal's is refused, and nobody may ask without end.
#[tokio::test]
async fn the_callers_host_opens_lookups_without_limit() {
    let settings = [
        ("rate_limits.enabled", "true"),
        ("rate_limits.lookups.burst", "5"),
        ("rate_limits.lookups.per_minute", "1"),
        ("server.trusted_proxies", "none"),
    ];
    let server = Server::start_with(Store::Embedded, &settings)
        .await
        .expect("a server");
    let check = "/api/groupcheck/some-name";
    for _ in 0..5 {
        send(to(&server, Method::GET, check)).await.expect(202);
    }
    for address in ["192.0.2.1", "192.0.2.2"] {
        let request = to(&server, Method::GET, check).header("x-forwarded-for", address);
        let refused = send(request).await.expect(429);
        assert!(
            refused
                .header("retry-after")
                .parse::<u32>()
                .is_ok_and(|seconds| seconds > 0)
        );
        assert!(refused.json()["message"].is_string());
    }
    send(to(&server, Method::GET, "/api/group-info/some-name"))
        .await
        .expect(429);
    send(to(&server, Method::GET, "/ready-check"))
        .await
        .expect(200);
}

/// passwords can not be guessed without end, at the form or with Basic.
#[tokio::test]
async fn password_guesses_are_limited_by_caller() {
    let settings = [
        ("rate_limits.enabled", "true"),
        ("rate_limits.login.burst", "6"),
        ("rate_limits.login.per_minute", "1"),
    ];
    let server = Server::start_with(Store::Embedded, &settings)
        .await
        .expect("a server");
    let tenant = Tenant::create(&server).await;
    let guess = async || {
        let request = to(
            &server,
            Method::POST,
            &format!("/{}/token/simple-iat", tenant.group),
        )
        .basic_auth(&tenant.user.email, Some("Wr0ng!pass"))
        .json(&json!({}));
        send(request).await.status
    };
    let mut answers = Vec::new();
    for _ in 0..7 {
        answers.push(guess().await);
    }
    assert_eq!(answers.first(), Some(&401));
    assert_eq!(answers.last(), Some(&429), "{answers:?}");
}

/// Bodies that never end hold their connections for ever.
#[tokio::test]
async fn bodies_have_to_arrive() {
    let settings = [("limits.body_seconds", "1")];
    let server = Server::start_with(Store::Embedded, &settings)
        .await
        .expect("a server");
    let host = server.url.trim_start_matches("http://");
    let mut wire = TcpStream::connect(host).await.expect("a connection");
    let head = format!(
        "POST /api/init HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    wire.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let heard = tokio::time::timeout(Duration::from_secs(20), wire.read_to_string(&mut answer));
    // the connection has to end as well: what comes next is no request
    heard.await.expect("an end").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("send it again"), "{answer}");
}
