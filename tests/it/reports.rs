//! Reports of answers to custom challenges, when those who are told do not listen.

use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::answer::{send, to};
use crate::challenges::{Scene, check_signature, custom, switch_on};
use crate::flow::text;
use crate::mailbox::Receiver;
use crate::receive;
use crate::server::{Server, Store};

/// A receiver that hangs costs its own group turns, and no other; what waits is not lost.
async fn waits_for_nobody_else(store: Store) {
    let settings = [
        ("outgoing.at_once", "2"),
        ("outgoing.at_once_per_group", "1"),
        ("outgoing.waiting_per_group", "5"),
    ];
    let Some(server) = Server::start_with(store, &settings).await else {
        return;
    };
    let mut scene = Scene::set(server).await;
    let other = scene.tenant.another(&scene.server, "mall").await;
    switch_on(&scene.server, &other).await;
    let mut receiver = Receiver::start().await;
    receiver.status.store(0, Ordering::SeqCst);
    for state in ["h-1", "h-2", "h-3"] {
        let key = scene.asked(state, json!({"callback": receiver.url})).await;
        scene.press(&key, 0).await.expect(204);
    }
    let first = receiver.next().await.1;

    let hook = format!("{}/hook", scene.provider.url);
    let asked = json!({"callback": hook, "state": "m-1"});
    let asked = custom(&scene.server, &other, asked).await.expect(200);
    let key = text(&asked.json()["data"]["key"]).to_owned();
    let pressed = scene.provider.press(&key, 0);
    let path = format!("/api/{}/mfa/callback", other.group);
    send(to(&scene.server, Method::POST, &path).json(&pressed))
        .await
        .expect(204);
    let told = scene.provider.next("/hook").await.json();
    assert_eq!(told["authGroup"], other.group.as_str());
    assert_eq!(receiver.rest(), 0, "one of the first group at a time");

    receiver.status.store(204, Ordering::SeqCst);
    let mut told: Vec<String> = Vec::new();
    while told.len() < 3 {
        told.push(text(&receiver.next().await.1["state"]).to_owned());
    }
    told.sort_unstable();
    assert_eq!(told, ["h-1", "h-2", "h-3"]);
    assert!(told.contains(&text(&first["state"]).to_owned()));
}

#[tokio::test]
async fn a_hanging_receiver_keeps_no_other_group_waiting_embedded() {
    waits_for_nobody_else(Store::Embedded).await;
}

#[tokio::test]
async fn a_hanging_receiver_keeps_no_other_group_waiting_mongodb() {
    waits_for_nobody_else(Store::Mongo).await;
}

/// What was answered is told although the server was killed: what was tried in vain, what was under
/// way, and what had not been tried yet.
async fn outlives_the_server(store: Store) {
    let settings = [
        ("outgoing.at_once_per_group", "1"),
        ("notifications.poll_seconds", "1"),
    ];
    let Some(server) = Server::start_with(store, &settings).await else {
        return;
    };
    let mut scene = Scene::set(server).await;
    let mut receiver = Receiver::start().await;
    let report_to = json!({"callback": receiver.url});
    receiver.status.store(503, Ordering::SeqCst);
    let mut keys = Vec::new();
    for (state, button) in [("d-1", 0), ("d-2", 1), ("d-3", 0)] {
        let key = scene.asked(state, report_to.clone()).await;
        scene.press(&key, button).await.expect(204);
        keys.push(key);
        // the second hangs, and the third waits for it
        if state != "d-3" {
            assert_eq!(receiver.next().await.1["state"], state);
        }
        receiver.status.store(0, Ordering::SeqCst);
    }
    scene.server.kill();
    receiver.status.store(204, Ordering::SeqCst);
    assert_eq!(receiver.rest(), 0);
    scene.server.restart().await;
    let mut told = Vec::new();
    for _ in 0..3 {
        let (head, body) = receiver.next().await;
        let signature = receive::header(&head, "x-signature");
        check_signature(&scene.tenant, signature, &body.to_string());
        told.push(["state", "key", "response"].map(|name| text(&body[name]).to_owned()));
    }
    told.sort_unstable();
    let expected = [
        ["d-1", &keys[0], "approved"],
        ["d-2", &keys[1], "denied"],
        ["d-3", &keys[2], "approved"],
    ];
    assert_eq!(told, expected);
    let key = scene.asked("d-4", report_to).await;
    scene.press(&key, 1).await.expect(204);
    assert_eq!(receiver.next().await.1["state"], "d-4");
    assert_eq!(receiver.rest(), 0, "each is told once");
}

#[tokio::test]
async fn reports_outlive_the_server_embedded() {
    outlives_the_server(Store::Embedded).await;
}

#[tokio::test]
async fn reports_outlive_the_server_mongodb() {
    outlives_the_server(Store::Mongo).await;
}

/// While one server is about a report, no other is.
#[tokio::test]
async fn of_two_servers_one_reports() {
    let settings = [("notifications.poll_seconds", "1")];
    let Some(server) = Server::start_with(Store::Mongo, &settings).await else {
        return;
    };
    let scene = Scene::set(server).await;
    let other = Server::start_at(&scene.server.store, &settings).await;
    let service = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}/", service.local_addr().expect("its address"));
    let report_to = json!({"callback": address});
    let state = |body: &str| {
        let body: Value = serde_json::from_str(body).expect("JSON");
        text(&body["state"]).to_owned()
    };
    let key = scene.asked("o-1", report_to.clone()).await;
    scene.press(&key, 0).await.expect(204);
    let (body, mut first) = receive::taken(&service).await;
    assert_eq!(state(&body), "o-1");
    let mut byte = [0];
    let alone = tokio::select! {
        biased;
        ended = first.read(&mut byte) => ended.map_or(true, |count| count == 0),
        _ = service.accept() => false,
    };
    assert!(alone, "another one comes while the first is under way");
    let (body, stream) = receive::taken(&service).await;
    assert_eq!(state(&body), "o-1");
    receive::answer(stream, 204).await;

    let key = scene.asked("o-2", report_to).await;
    let path = scene.path("mfa/callback");
    let pressed = scene.provider.press(&key, 1);
    let pressed = to(&other, Method::POST, &path).json(&pressed);
    send(pressed).await.expect(204);
    let (body, stream) = receive::taken(&service).await;
    assert_eq!(state(&body), "o-2");
    receive::answer(stream, 204).await;
}
