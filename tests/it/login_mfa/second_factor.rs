//! A right password, then the device.

use reqwest::Method;
use serde_json::{Value, json};

use super::{DENIED, FEW_QUESTIONS, Guest, INVALID, change, confirming, key, refused, scene, uid};
use crate::answer::{send, to};
use crate::server::{Server, Store};
use crate::visitor::Visitor;

on_both_stores! {
    /// The device agrees: tokens say what was used. The approval is good once, in this browser.
    async fn approved(server: Server) {
        let mut scene = scene(server).await;
        let group = json!([{"op": "replace", "path": "/config/acrValues", "value": ["phr", "mfa"]}]);
        scene.tenant.patch(&scene.server, group).await;
        let client = scene.tenant.web_client(json!({})).await;
        let sent = {
            let guest = Guest::at(&scene, client);
            let flow = guest.flow(&[]);
            let page = guest.waits(&flow).await;
            assert_eq!((page.status, confirming(&page).value("accountId")), (200, scene.tenant.user.id.clone()));
            let (key, uid) = (key(&page), uid(&page));
            assert_eq!(scene.status(&key, &uid).await, 206);
            let early = guest.confirms(&page).await.page();
            assert!(early.text.contains("has not answered yet"), "{}", early.text);
            scene.press(&key, 0).await.expect(204);
            assert_eq!(scene.status(&key, &uid).await, 204);

            let thief = Guest::new(&scene).await;
            let other = thief.flow(&[]);
            let theirs = thief.visitor.open(&other.url).await.page();
            let form = theirs.form(|form| form.asks_for("email"));
            let stolen = [("providerKey", key.as_str()), ("accountId", scene.tenant.user.id.as_str()), ("email", "")];
            refused(thief.visitor.submit(&theirs, form, &stolen, None).await, INVALID);

            let landing = guest.confirms(&early).await;
            assert_eq!(scene.status(&key, &uid).await, 206, "used up");
            let who = guest.arrives(&flow, landing).await;
            assert_eq!(who["sub"], scene.tenant.user.id);
            assert_eq!((&who["amr"], &who["acr"]), (&json!(["pwd", "mfa"]), &json!("mfa")));
            let again = guest.confirms(&page).await.page();
            assert_eq!(again.status, 400, "the sign-in is over");
            key
        };
        let asked = scene.provider.next("/challenge").await.json();
        assert_eq!(asked["content"]["title"], "Authorization Request");
        assert!(sent.starts_with("request-"));
    }

    /// The device refuses: the person is told so, and no later approval helps.
    async fn denied(server: Server) {
        let scene = scene(server).await;
        let guest = Guest::new(&scene).await;
        let flow = guest.flow(&[]);
        let page = guest.waits(&flow).await;
        scene.press(&key(&page), 1).await.expect(204);
        refused(guest.confirms(&page).await, DENIED);
        scene.press(&key(&page), 0).await.expect(204);
        refused(guest.confirms(&page).await, DENIED);
        // starting again asks again
        let page = guest.waits(&flow).await;
        scene.press(&key(&page), 0).await.expect(204);
        let landing = guest.confirms(&page).await;
        assert_eq!(guest.arrives(&flow, landing).await["sub"], scene.tenant.user.id);
    }

    /// An approval signs nobody in whose password was not proven in this very sign-in.
    async fn unproven(server: Server) {
        let scene = scene(server).await;
        let guest = Guest::new(&scene).await;
        let flow = guest.flow(&[]);
        let page = guest.visitor.open(&flow.url).await.page();
        let (uid, user) = (uid(&page), scene.tenant.user.id.clone());
        let form = page.form(|form| form.asks_for("email"));
        let send_key = async |key: &str| {
            let fields = [("providerKey", key), ("accountId", user.as_str()), ("email", "")];
            guest.visitor.submit(&page, form, &fields, None).await
        };
        // what an application asks may carry the interaction's name, and proves nothing here
        let custom = scene.asked(&uid, json!({})).await;
        scene.press(&custom, 0).await.expect(204);
        assert_eq!(scene.status(&custom, &uid).await, 204);
        refused(send_key(&custom).await, INVALID);
        // nor does what the pages for devices ask
        let body = json!({"lookup": scene.tenant.user.email, "state": uid});
        let asked = scene.post("device/challenge", &body).await.expect(200).json()["data"]["id"].clone();
        let asked = asked.as_str().expect("a key");
        scene.press(asked, 0).await.expect(204);
        refused(send_key(asked).await, INVALID);

        let waiting = guest.waits(&flow).await;
        let own = super::uid(&waiting);
        assert_ne!(own, uid);
        for foreign in [custom.as_str(), asked] {
            refused(guest.confirms_as(&waiting, &[("providerKey", foreign)]).await, INVALID);
        }
        let other = &scene.tenant.owner.id;
        scene.press(&key(&waiting), 0).await.expect(204);
        refused(guest.confirms_as(&waiting, &[("accountId", other)]).await, INVALID);
        let landing = guest.confirms(&waiting).await;
        assert_eq!(guest.arrives(&flow, landing).await["sub"], user);
    }

    /// The approval of one sign-in is worth nothing in another, though both are of the same person.
    async fn another_sign_in(server: Server) {
        let scene = scene(server).await;
        let (first, second) = (Guest::new(&scene).await, Guest::new(&scene).await);
        let (flow, other) = (first.flow(&[]), second.flow(&[]));
        let old = first.waits(&flow).await;
        let page = second.waits(&other).await;
        // the newer question takes the place of the older one
        refused(first.confirms(&old).await, DENIED);
        scene.press(&key(&page), 0).await.expect(204);
        let renewed = first.waits(&flow).await;
        refused(first.confirms_as(&renewed, &[("providerKey", &key(&page))]).await, INVALID);
        let landing = second.confirms(&page).await;
        assert_eq!(second.arrives(&other, landing).await["sub"], scene.tenant.user.id);
        assert!(first.confirms(&renewed).await.page().text.contains("has not answered yet"));
    }

    /// Whoever was blocked meanwhile stays out, and the approval is gone.
    async fn blocked_meanwhile(server: Server) {
        let scene = scene(server).await;
        let guest = Guest::new(&scene).await;
        let flow = guest.flow(&[]);
        let user = &scene.tenant.user;
        let page = guest.waits(&flow).await;
        scene.press(&key(&page), 0).await.expect(204);
        let set = |value: bool| json!([{"op": "replace", "path": "/blocked", "value": value}]);
        change(&scene, user, set(true)).await;
        refused(guest.confirms(&page).await, INVALID);
        change(&scene, user, set(false)).await;
        refused(guest.confirms(&page).await, "did not answer in time");
    }

    /// What was proven ends with the password it was proven by, and with a block, even if that is over.
    async fn proven_before_a_change(server: Server) {
        let scene = scene(server).await;
        let guest = Guest::new(&scene).await;
        let flow = guest.flow(&[]);
        let user = &scene.tenant.user;
        let set = |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
        let blocked = [set("/blocked", json!(true)), set("/blocked", json!(false))];
        let locked = [set("/userLocked", json!(true)), set("/userLocked", json!(false))];
        let renewed = [set("/password", json!("An0ther!pass"))];
        for changes in [&blocked[..], &locked[..], &renewed[..]] {
            let page = guest.waits(&flow).await;
            for patch in changes {
                change(&scene, user, patch.clone()).await;
            }
            scene.press(&key(&page), 0).await.expect(204);
            refused(guest.confirms(&page).await, INVALID);
        }
        let page = guest.visitor.open(&flow.url).await.page();
        let page = guest.visitor.log_in(page, &user.email, "An0ther!pass").await.page();
        scene.press(&key(&page), 0).await.expect(204);
        let landing = guest.confirms(&page).await;
        assert_eq!(guest.arrives(&flow, landing).await["sub"], user.id);
    }

    /// Without the form's token nothing is confirmed.
    async fn forged(server: Server) {
        let scene = scene(server).await;
        let guest = Guest::new(&scene).await;
        let flow = guest.flow(&[]);
        let page = guest.waits(&flow).await;
        scene.press(&key(&page), 0).await.expect(204);
        assert_eq!(guest.confirms_as(&page, &[("csrf", "x")]).await.page().status, 403);
        let stranger = Visitor::new(&scene.server);
        assert_eq!(stranger.submit(&page, confirming(&page), &[], None).await.page().status, 400);
        let landing = guest.confirms(&page).await;
        guest.arrives(&flow, landing).await;
    }

    /// A wrong password asks no device, and tells nothing of one.
    async fn wrong_password(server: Server) {
        let mut scene = scene(server).await;
        {
            let guest = Guest::new(&scene).await;
            let flow = guest.flow(&[]);
            let page = guest.visitor.open(&flow.url).await.page();
            refused(guest.visitor.log_in(page, &scene.tenant.user.email, "wrong").await, INVALID);
        }
        assert_eq!(scene.provider.rest("/challenge"), 0);
    }

    /// Where devices are switched off for everybody, the password is enough, and operators hear of it.
    async fn switched_off(server: Server) {
        let scene = scene(server).await;
        let guest = Guest::new(&scene).await;
        scene.option("mfa-challenge", json!({"enabled": false})).await;
        let flow = guest.flow(&[]);
        let landing = guest.types(&flow, &scene.tenant.user).await;
        assert_eq!(guest.arrives(&flow, landing).await["amr"], json!(["pwd"]));
        let log = scene.server.log();
        assert!(log.contains("without the second factor"), "{log}");
    }

    /// A provider that can not be reached lets nobody in.
    async fn unreachable(server: Server) {
        let scene = scene(server).await;
        let guest = Guest::new(&scene).await;
        let api = json!({"domain": "http://127.0.0.1:1", "challenge": "/c", "validate": "/v", "bind": "/b", "devices": "/d", "revoke": "/r"});
        scene.option("mfa-challenge", json!({
            "enabled": true, "type": "http-proxy", "api": api,
            "proxyEnableScreen": "https://mfa.test/setup", "proxyEnableInstructions": "One", "proxyEnableScreenButtonText": "Go",
        })).await;
        let flow = guest.flow(&[]);
        let page = guest.types(&flow, &scene.tenant.user).await.page();
        assert_eq!(page.status, 400);
        assert!(page.text.contains("could not be asked"), "{}", page.text);
    }
}

/// Nobody answers: the page says so.
#[tokio::test]
async fn expired() {
    let soon = [("actors.challenge_seconds", "1")];
    let Some(server) = Server::start_with(Store::Embedded, &soon).await else {
        return;
    };
    let scene = scene(server).await;
    let guest = Guest::new(&scene).await;
    let flow = guest.flow(&[]);
    let page = guest.waits(&flow).await;
    let path = format!("{}?wait=60", scene.status_path(&key(&page), &uid(&page)));
    let ended = send(to(&scene.server, Method::GET, &path))
        .await
        .expect(206);
    assert_eq!(ended.json()["state"], "expired");
    refused(guest.confirms(&page).await, "did not answer in time");
    scene.press(&key(&page), 0).await.expect(204);
    refused(guest.confirms(&page).await, "did not answer in time");
}

/// What anybody can ask of a device leaves room for those who know the password.
#[tokio::test]
async fn pushes_are_limited() {
    let Some(server) = Server::start_with(Store::Embedded, &FEW_QUESTIONS).await else {
        return;
    };
    let scene = scene(server).await;
    let key = scene.asked("l-1", json!({})).await;
    scene.press(&key, 1).await.expect(204);
    let key = scene.asked("l-2", json!({})).await;
    scene.press(&key, 1).await.expect(204);
    scene.custom(json!({"state": "l-3"})).await.expect(429);
    let guest = Guest::new(&scene).await;
    let flow = guest.flow(&[]);
    for _ in 0..2 {
        assert_eq!(guest.waits(&flow).await.status, 200);
    }
    let busy = guest.waits(&flow).await;
    assert_eq!(busy.status, 429);
    assert!(busy.headers.contains_key("retry-after"));
}
