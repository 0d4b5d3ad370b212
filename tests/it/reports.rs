//! Reports of answers to custom challenges, when those who are told do not listen.

use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::json;

use crate::answer::{send, to};
use crate::challenges::{Scene, custom, switch_on};
use crate::flow::text;
use crate::mailbox::Receiver;
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
