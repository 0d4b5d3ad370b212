//! Leaving people in peace who have denied what anybody can have them asked.

use reqwest::Method;
use serde_json::{Value, json};
use ueauth::challenges::peace::Pause;
use ueauth::store::{Date, Query, StoreError, eq};
use ueauth_actors::{Clock, SystemClock};

use super::passwordless::{shape, state};
use super::{DENIED, Guest, key, refused, scene};
use crate::answer::{send, to};
use crate::challenges::Scene;
use crate::holes::behind_its_back;
use crate::server::{Server, Store};

/// Asks for a sign-in by the user's device; presses a button there if that is asked.
async fn by_device(scene: &Scene, client: &Value, button: Option<i64>) -> String {
    let guest = Guest::at(scene, client.clone());
    let flow = guest.flow(&[]);
    let name = &scene.tenant.user.email;
    let first = guest.visitor.open(&flow.url).await.page();
    let page = guest.chooses(&first, name, "magic-device").await.page();
    assert_eq!(state(scene, &page).await, "pending");
    assert!(key(&page).starts_with("request-"), "{}", key(&page));
    if let Some(button) = button {
        scene.press(&key(&page), button).await.expect(204);
        let landing = guest.confirms(&page).await;
        if button == 0 {
            guest.arrives(&flow, landing).await;
        } else {
            refused(landing, DENIED);
        }
    }
    shape(&page, name)
}

/// How long (s) the pause is; it is over then.
async fn pass(scene: &mut Scene) -> i64 {
    let mut left = 0;
    let account = scene.tenant.user.id.clone();
    behind_its_back(&mut scene.server, async |store| {
        let pauses = store.of::<Pause>();
        let found = pauses.find(Query::new(eq("accountId", account))).await;
        let found = found.expect("the store").remove(0);
        left = found.until.as_millis() - SystemClock.now();
        let over = pauses.update(&found.id, |p: &mut Pause| {
            p.until = Date::from_millis(0);
            Ok::<_, StoreError>(())
        });
        over.await.expect("the store");
    })
    .await;
    left / 1000
}

on_both_stores! {
    /// After a denial nobody without a password has the person asked for a while, and nobody sees it.
    async fn after_a_denial(server: Server) {
        let mut scene = scene(server).await;
        let client = scene.tenant.web_client(json!({})).await;
        let known = scene.asked("p-1", json!({})).await;
        scene.press(&known, 0).await.expect(204);
        let asked = by_device(&scene, &client, Some(1)).await;
        scene.provider.rest("/challenge");
        assert_eq!(by_device(&scene, &client, None).await, asked);
        let body = json!({"lookup": scene.tenant.user.email, "state": "p-1"});
        let shown = scene.post("device/challenge", &body).await.expect(200).json()["data"].clone();
        assert_eq!(shown["response"]["id"], shown["id"]);
        let details = json!({"uid": "p-1", "accountId": scene.tenant.user.id});
        assert_eq!(shown["response"]["interactionDetails"], details);
        assert_eq!(scene.provider.rest("/challenge"), 0);

        // whoever knows the password is asked, which ends no pause
        {
            let guest = Guest::at(&scene, client.clone());
            let flow = guest.flow(&[]);
            let page = guest.waits(&flow).await;
            scene.press(&key(&page), 0).await.expect(204);
            let landing = guest.confirms(&page).await;
            guest.arrives(&flow, landing).await;
        }
        assert_eq!(scene.provider.rest("/challenge"), 1);
        by_device(&scene, &client, None).await;
        assert_eq!(scene.provider.rest("/challenge"), 0);

        let first = pass(&mut scene).await;
        by_device(&scene, &client, Some(1)).await;
        let second = pass(&mut scene).await;
        assert!((1..=300).contains(&first) && (301..=600).contains(&second), "{first} {second}");
        // an approval makes up for all of them
        by_device(&scene, &client, Some(0)).await;
        by_device(&scene, &client, Some(1)).await;
        assert_eq!(scene.provider.rest("/challenge"), 3);
        let again = pass(&mut scene).await;
        assert!((1..=300).contains(&again), "{again}");
    }
}

/// What was denied at one server counts at all of them.
#[tokio::test]
async fn every_server_keeps_the_peace() {
    let Some(server) = Server::start(Store::Mongo).await else {
        return;
    };
    let mut scene = scene(server).await;
    let other = Server::start_at(&scene.server.store, &[]).await;
    let known = scene.asked("p-1", json!({})).await;
    scene.press(&known, 0).await.expect(204);
    let body = json!({"lookup": scene.tenant.user.email, "state": "p-1"});
    let path = scene.path("device/challenge");
    let ask = async |server: &Server| {
        let asked = send(to(server, Method::POST, &path).json(&body)).await;
        let id = asked.expect(200).json()["data"]["id"].clone();
        id.as_str().expect("a key").to_owned()
    };
    let asked = ask(&scene.server).await;
    scene.press(&asked, 1).await.expect(204);
    assert_eq!(scene.provider.rest("/challenge"), 2);
    ask(&other).await;
    assert_eq!(scene.provider.rest("/challenge"), 0);
}
