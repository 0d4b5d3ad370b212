//! The answer to a challenge over a WebSocket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::answer::{send, to};
use crate::challenges::{Scene, somebody_waits};
use crate::server::{Server, Store};

const PATIENCE: Duration = Duration::from_secs(30);

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens the socket of a challenge, as a page of that origin; else the status of the refusal.
pub async fn open(server: &Server, status_path: &str, origin: Option<&str>) -> Result<Socket, u16> {
    let path = status_path.replace("/status", "/socket");
    let url = format!("{}{path}", server.url.replace("http://", "ws://"));
    let mut request = url.into_client_request().expect("an address");
    if let Some(origin) = origin {
        let origin = origin.parse().expect("a header");
        request.headers_mut().insert("origin", origin);
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

/// The next thing that is said: a state, or the close code.
pub async fn hear<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> String {
    loop {
        let next = tokio::time::timeout(PATIENCE, socket.next()).await;
        match next.expect("something in time") {
            Some(Ok(Message::Text(text))) => {
                let said: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(said.as_object().map(serde_json::Map::len), Some(1));
                return said["state"].as_str().expect("a state").to_owned();
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map_or(CloseCode::Status, |frame| frame.code);
                return u16::from(code).to_string();
            }
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => {
                return "end".to_owned();
            }
            Some(Err(other)) => panic!("{other}"),
        }
    }
}

/// One that reads and never answers.
struct Mute(TcpStream);

impl Mute {
    async fn open(server: &Server, status_path: &str) -> Self {
        let path = status_path.replace("/status", "/socket");
        let host = server.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).await.expect("a connection");
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        Self(stream)
    }

    /// The code it is hung up on with.
    async fn code(mut self) -> u16 {
        let mut seen = Vec::new();
        let reading = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut seen));
        reading.await.expect("an end in time").expect("bytes");
        let close = seen.windows(4).rev().find(|frame| frame[0] == 0x88);
        let close = close.expect("a close frame");
        u16::from_be_bytes([close[2], close[3]])
    }
}

pub async fn all(socket: &mut Socket) -> Vec<String> {
    let mut said = Vec::new();
    while said.last().is_none_or(|last| last != "end") {
        said.push(hear(socket).await);
    }
    said
}

on_both_stores! {
    /// Once, to everybody who listens, and to those who come late at once.
    async fn an_answer_is_pushed(server: Server) {
        let scene = Scene::set(server).await;
        let key = scene.asked("s-1", json!({})).await;
        let path = scene.status_path(&key, "s-1");
        let mut first = open(&scene.server, &path, None).await.expect("a socket");
        let mut second = open(&scene.server, &path, None).await.expect("a socket");
        for socket in [&mut first, &mut second] {
            assert_eq!(hear(socket).await, "pending");
        }
        scene.press(&key, 0).await.expect(204);
        for socket in [&mut first, &mut second] {
            assert_eq!(all(socket).await, ["approved", "1000", "end"]);
        }
        let mut late = open(&scene.server, &path, None).await.expect("a socket");
        assert_eq!(all(&mut late).await, ["approved", "1000", "end"]);

        let key = scene.asked("s-2", json!({})).await;
        let path = scene.status_path(&key, "s-2");
        let mut denied = open(&scene.server, &path, None).await.expect("a socket");
        assert_eq!(hear(&mut denied).await, "pending");
        scene.press(&key, 1).await.expect(204);
        assert_eq!(all(&mut denied).await, ["denied", "1000", "end"]);

        let key = scene.asked("s-3", json!({"duration": "1s"})).await;
        let mut expired = open(&scene.server, &scene.status_path(&key, "s-3"), None).await.expect("a socket");
        assert_eq!(all(&mut expired).await, ["pending", "expired", "1000", "end"]);
        for (key, uid) in [("other", "s-1"), (key.as_str(), "other")] {
            let mut unknown = open(&scene.server, &scene.status_path(key, uid), None).await.expect("a socket");
            assert_eq!(all(&mut unknown).await, ["4404", "end"]);
        }
    }
}

/// What is written about the sockets names the ways they have and what they say.
#[tokio::test]
async fn sockets_are_documented() {
    let Some(server) = Server::start(Store::Embedded).await else {
        return;
    };
    let answer = send(to(&server, Method::GET, "/asyncapi.json"))
        .await
        .expect(200);
    let document = answer.json();
    assert_eq!(document["asyncapi"], "3.0.0");
    let host = server.url.trim_start_matches("http://");
    assert_eq!(
        document["servers"]["this"],
        json!({"host": host, "protocol": "ws"})
    );
    let channels = document["channels"].as_object().expect("channels");
    let mut written: Vec<&str> = channels
        .values()
        .filter_map(|c| c["address"].as_str())
        .collect();
    written.sort_unstable();
    let mut sockets: Vec<&str> = ueauth::serve::all_routes()
        .into_iter()
        .map(|route| route.path)
        .filter(|path| path.ends_with("/socket"))
        .collect();
    sockets.sort_unstable();
    assert_eq!(written, sockets);
    let messages = &document["components"]["messages"];
    let states = |name: &str| messages[name]["payload"]["properties"]["state"].clone();
    assert_eq!(states("pending"), json!({"const": "pending"}));
    assert_eq!(
        states("result"),
        json!({"enum": ["approved", "denied", "expired"]})
    );
}

/// Cookies would come along from any page, so pages must be known ones.
#[tokio::test]
async fn pages_of_other_sites_get_no_socket() {
    let settings = [("ui.allowed_hosts", "portal.test")];
    let Some(server) = Server::start_with(Store::Embedded, &settings).await else {
        return;
    };
    let scene = Scene::set(server).await;
    let key = scene.asked("s-1", json!({})).await;
    let path = scene.status_path(&key, "s-1");
    let own = scene.server.url.clone();
    for origin in [
        own.as_str(),
        "https://portal.test",
        "https://PORTAL.test:8443",
    ] {
        open(&scene.server, &path, Some(origin))
            .await
            .expect(origin);
    }
    for origin in [
        "https://evil.test",
        "null",
        "",
        "http://localhost",
        "http://localhost:1",
        "http://localhost.evil.test",
        "portal.test",
    ] {
        let refused = open(&scene.server, &path, Some(origin)).await;
        assert_eq!(refused.err(), Some(403), "{origin}");
    }
    let socket = path.replace("/status", "/socket");
    let plain = send(to(&scene.server, Method::GET, &socket))
        .await
        .expect(426);
    assert_eq!(plain.header("upgrade"), "websocket");
    let version = to(&scene.server, Method::GET, &socket);
    let version = version
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "12");
    let old = send(version).await.expect(426);
    assert_eq!(old.header("sec-websocket-version"), "13");
    assert_eq!(old.header("connection"), "close, upgrade");
    assert!(old.json()["message"].is_string());
    let elsewhere = path.replace(&scene.tenant.group, "nobody");
    assert_eq!(open(&scene.server, &elsewhere, None).await.err(), Some(501));
}

/// Those who ask for a socket where there is none get the answer that others get.
#[tokio::test]
async fn asking_for_a_socket_elsewhere_changes_nothing() {
    let Some(server) = Server::start(Store::Embedded).await else {
        return;
    };
    for (method, path) in [
        (Method::GET, "/ready-check"),
        (Method::GET, "/api/nowhere"),
        (Method::POST, "/api/init"),
        (Method::HEAD, "/ready-check"),
    ] {
        let usual = send(to(&server, method.clone(), path)).await;
        let asking = to(&server, method, path)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw==");
        let answer = send(asking).await;
        assert_eq!(answer.status, usual.status, "{path}");
        assert_eq!(answer.text.is_empty(), usual.text.is_empty(), "{path}");
        assert_eq!(answer.header("connection"), "close", "{path}");
    }
}

/// Neither one address nor one group can take all sockets, and those that end are given back.
#[tokio::test]
async fn sockets_are_limited() {
    let by_address = [("limits.sockets_per_address", "2")];
    let by_group = [("limits.sockets_per_group", "2")];
    for (settings, status) in [(by_address, 429), (by_group, 503)] {
        let Some(server) = Server::start_with(Store::Embedded, &settings).await else {
            return;
        };
        let scene = Scene::set(server).await;
        let key = scene.asked("s-1", json!({})).await;
        let path = scene.status_path(&key, "s-1");
        let mut first = open(&scene.server, &path, None).await.expect("a socket");
        let _second = open(&scene.server, &path, None).await.expect("a socket");
        let full = open(&scene.server, &path, None).await;
        assert_eq!(full.err(), Some(status));
        assert_eq!(hear(&mut first).await, "pending");
        first.close(None).await.expect("an end");
        all(&mut first).await;
        let mut again = open(&scene.server, &path, None).await;
        for _ in 0..600 {
            if again.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            again = open(&scene.server, &path, None).await;
        }
        again.expect("a place that was given back");
    }
}

/// Requests that wait are limited as well, others are not.
#[tokio::test]
async fn polls_are_limited() {
    let settings = [("limits.polls_per_address", "1")];
    let Some(server) = Server::start_with(Store::Embedded, &settings).await else {
        return;
    };
    let scene = Scene::set(server).await;
    let key = scene.asked("s-1", json!({})).await;
    let path = scene.status_path(&key, "s-1");
    let wait = format!("{path}?wait=30");
    let poll = tokio::spawn(send(to(&scene.server, Method::GET, &wait)));
    somebody_waits(&scene.server).await;
    let ask = async |path: &str| send(to(&scene.server, Method::GET, path)).await;
    assert_eq!(ask(&wait).await.expect(429).header("retry-after"), "1");
    ask(&path).await.expect(206);
    scene.press(&key, 0).await.expect(204);
    poll.await.expect("an answer").expect(204);
    ask(&wait).await.expect(204);
}

/// Clients have nothing to say, and must be there.
#[tokio::test]
async fn clients_that_break_the_rules_are_hung_up_on() {
    let settings = [("limits.socket_ping_seconds", "1")];
    let Some(server) = Server::start_with(Store::Embedded, &settings).await else {
        return;
    };
    let scene = Scene::set(server).await;
    let key = scene.asked("s-1", json!({})).await;
    let path = scene.status_path(&key, "s-1");
    let socket = async || open(&scene.server, &path, None).await.expect("a socket");
    let silent = Mute::open(&scene.server, &path).await;

    let mut talks = socket().await;
    talks.send(Message::text("approved")).await.expect("sent");
    assert_eq!(all(&mut talks).await, ["pending", "1003", "end"]);
    let mut talks = socket().await;
    let much = Message::text("x".repeat(100_000));
    talks.send(much).await.expect("sent");
    assert_eq!(all(&mut talks).await, ["pending", "1009", "end"]);

    // one that answers pings stays, whatever the silent one does
    let mut alive = socket().await;
    assert_eq!(hear(&mut alive).await, "pending");
    let mut pings = 0;
    let code = silent.code();
    tokio::pin!(code);
    let code = loop {
        tokio::select! {
            code = &mut code => break code,
            // reading on is what sends the answer
            message = alive.next() => {
                assert!(matches!(message, Some(Ok(Message::Ping(_)))), "{message:?}");
                pings += 1;
            }
        }
    };
    assert!(pings > 0);
    assert_eq!(code, 4408);
    scene.press(&key, 0).await.expect(204);
    assert_eq!(all(&mut alive).await, ["approved", "1000", "end"]);
}

/// Nobody is left waiting for a server that stops, and the server does not wait for them.
#[tokio::test]
async fn a_server_that_stops_lets_everybody_go() {
    let Some(server) = Server::start(Store::Embedded).await else {
        return;
    };
    let mut scene = Scene::set(server).await;
    let key = scene.asked("s-1", json!({})).await;
    let path = scene.status_path(&key, "s-1");
    let mut socket = open(&scene.server, &path, None).await.expect("a socket");
    assert_eq!(hear(&mut socket).await, "pending");
    let poll = send(to(&scene.server, Method::GET, &format!("{path}?wait=60")));
    let poll = tokio::spawn(poll);
    somebody_waits(&scene.server).await;
    let began = std::time::Instant::now();
    scene.server.terminate();
    assert_eq!(all(&mut socket).await, ["1001", "end"]);
    assert_eq!(
        poll.await.expect("an answer").expect(206).json()["state"],
        "pending"
    );
    scene.server.ended();
    assert!(began.elapsed() < Duration::from_secs(10));
}
