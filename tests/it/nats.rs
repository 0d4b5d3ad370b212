//! Several servers on one store, with a bus between them, and what happens when parts of it are missing.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::answer::{send, to};
use crate::challenges::{Scene, somebody_waits};
use crate::server::{Server, Store, free_port};
use crate::skip::skip;
use crate::sockets::{hear, open};

/// A NATS server of its own.
struct Nats {
    url: String,
    port: u16,
    process: Child,
    folder: TempDir,
}

impl Nats {
    fn start() -> Option<Self> {
        if !program().exists() {
            skip(
                "tests of several nodes",
                "nats-server is not there; `make tools` gets it",
            );
            return None;
        }
        let port = free_port();
        let folder = TempDir::new().expect("a temporary folder");
        Some(Self {
            url: format!("nats://127.0.0.1:{port}"),
            port,
            process: run(port, &folder),
            folder,
        })
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn again(&mut self) {
        self.process = run(self.port, &self.folder);
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.stop();
    }
}

fn program() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/target/tools/nats-server"
    ))
}

fn run(port: u16, folder: &TempDir) -> Child {
    Command::new(program())
        .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server starts")
}

/// Waits until the server's gauge has that value.
async fn gauge(server: &Server, name: &str, value: usize) {
    let line = format!("ueauth_{name} {value}");
    for _ in 0..1500 {
        let metrics = send(to(server, Method::GET, "/metrics")).await;
        if metrics.text.lines().any(|l| l == line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} does not become {value}");
}

/// Three servers on one store and one bus.
struct Nodes {
    nats: Nats,
    a: Scene,
    b: Server,
    c: Server,
}

impl Nodes {
    async fn start() -> Option<Self> {
        let nats = Nats::start()?;
        let bus = [("bus.url", nats.url.as_str())];
        let first = Server::start_with(Store::Mongo, &bus).await?;
        let b = Server::start_at(&first.store, &bus).await;
        let c = Server::start_at(&first.store, &bus).await;
        let a = Scene::set(first).await;
        let nodes = Self { nats, a, b, c };
        nodes.connected(1).await;
        Some(nodes)
    }

    async fn connected(&self, up: usize) {
        for server in [&self.a.server, &self.b, &self.c] {
            gauge(server, "bus_up", up).await;
        }
    }

    /// Answers at node C.
    async fn press(&self, key: &str, button: i64) {
        let body = self.a.provider.press(key, button);
        let callback = to(&self.c, Method::POST, &self.a.path("mfa/callback"));
        send(callback.json(&body)).await.expect(204);
    }
}

/// Asked on one, waited for on the second, answered on the third.
#[tokio::test]
async fn an_answer_reaches_whoever_waits_on_another_node() {
    let Some(nodes) = Nodes::start().await else {
        return;
    };
    for (number, button, said) in [(1, 0, "approved"), (2, 1, "denied")] {
        let uid = format!("n-{number}");
        let key = nodes.a.asked(&uid, json!({})).await;
        let path = nodes.a.status_path(&key, &uid);
        let mut socket = open(&nodes.b, &path, None).await.expect("a socket");
        assert_eq!(hear(&mut socket).await, "pending");
        let poll = tokio::spawn(send(to(&nodes.b, Method::GET, &format!("{path}?wait=60"))));
        somebody_waits(&nodes.b).await;
        let began = Instant::now();
        nodes.press(&key, button).await;
        assert_eq!(hear(&mut socket).await, said);
        let took = began.elapsed();
        // far from any interval at which the store could have been read
        assert!(took < Duration::from_millis(900), "{took:?}");
        assert_eq!(hear(&mut socket).await, "1000");
        let polled = poll.await.expect("an answer");
        assert_eq!(polled.status, if button == 0 { 204 } else { 206 });
    }
}

/// Without the bus everybody reads the store, and when it is back nobody needs to be started again.
#[tokio::test]
async fn the_store_stands_in_for_the_bus() {
    let Some(mut nodes) = Nodes::start().await else {
        return;
    };
    let key = nodes.a.asked("n-1", json!({})).await;
    let path = nodes.a.status_path(&key, "n-1");
    let mut socket = open(&nodes.b, &path, None).await.expect("a socket");
    assert_eq!(hear(&mut socket).await, "pending");
    nodes.nats.stop();
    let began = Instant::now();
    nodes.press(&key, 0).await;
    assert_eq!(hear(&mut socket).await, "approved");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    nodes.connected(0).await;

    // asked without a bus, answered with one
    let key = nodes.a.asked("n-2", json!({})).await;
    let path = nodes.a.status_path(&key, "n-2");
    let mut socket = open(&nodes.b, &path, None).await.expect("a socket");
    assert_eq!(hear(&mut socket).await, "pending");
    nodes.nats.again();
    nodes.connected(1).await;
    let began = Instant::now();
    nodes.press(&key, 1).await;
    assert_eq!(hear(&mut socket).await, "denied");
    assert!(began.elapsed() < Duration::from_millis(900));
}

/// A node that starts while the bus is away works, and joins as soon as it is there.
#[tokio::test]
async fn a_node_starts_without_the_bus() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    nats.stop();
    let bus = [("bus.url", nats.url.as_str())];
    let Some(server) = Server::start_with(Store::Mongo, &bus).await else {
        return;
    };
    gauge(&server, "bus_up", 0).await;
    nats.again();
    gauge(&server, "bus_up", 1).await;
}

/// The answer is stored before the node that took it dies; whoever tells it again heals the rest.
#[tokio::test]
async fn an_answer_outlives_the_node_that_took_it() {
    let Some(mut nodes) = Nodes::start().await else {
        return;
    };
    let key = nodes.a.asked("n-1", json!({})).await;
    let path = nodes.a.status_path(&key, "n-1");
    let mut socket = open(&nodes.b, &path, None).await.expect("a socket");
    assert_eq!(hear(&mut socket).await, "pending");
    // the asker dies first
    nodes.a.server.kill();
    nodes.press(&key, 0).await;
    assert_eq!(hear(&mut socket).await, "approved");
    assert_eq!(hear(&mut socket).await, "1000");
    nodes.press(&key, 0).await;
    // the waiting node dies as well; the client asks another one
    nodes.b.kill();
    let mut again = open(&nodes.c, &path, None).await.expect("a socket");
    assert_eq!(hear(&mut again).await, "approved");
}

/// What one node changes, the others know at once.
#[tokio::test]
async fn changes_of_groups_and_clients_are_told() {
    let Some(nats) = Nats::start() else {
        return;
    };
    // copies would be believed for an hour
    let settings = [("bus.url", nats.url.as_str()), ("cache.seconds", "3600")];
    let Some(first) = Server::start_with(Store::Mongo, &settings).await else {
        return;
    };
    let second = Server::start_at(&first.store, &settings).await;
    let scene = Scene::set(first).await;
    for server in [&scene.server, &second] {
        gauge(server, "bus_up", 1).await;
    }
    let info = format!("/api/group-info/{}", scene.tenant.group);
    let name = async || {
        let answer = send(to(&second, Method::GET, &info)).await.expect(200);
        answer.json()["data"]["name"]
            .as_str()
            .expect("a name")
            .to_owned()
    };
    let before = name().await;
    let renamed = json!([{"op": "replace", "path": "/name", "value": format!("{before} 2")}]);
    scene.tenant.patch(&scene.server, renamed).await;
    let began = Instant::now();
    while name().await == before {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "still the old name"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
