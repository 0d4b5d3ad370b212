//! Signing in without a password.

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::{DENIED, FEW_QUESTIONS, Guest, INVALID, change, confirming, key, refused, scene, uid};
use crate::answer::{send, to};
use crate::challenges::Scene;
use crate::mailbox::Receiver;
use crate::server::{Server, Store};
use crate::visitor::{Landing, Page, Visitor};

const LATER: &str = "went wrong on our side";

/// Links are mailed.
pub async fn links(scene: &Scene) -> Receiver {
    let mails = Receiver::start().await;
    let on = json!({"enabled": true, "notificationServiceUri": mails.url});
    scene.option("notifications", on).await;
    let set = |path: &str| json!({"op": "replace", "path": path, "value": true});
    let paths = [
        "/pluginOptions/notification/enabled",
        "/config/passwordLessSupport",
    ];
    scene
        .tenant
        .patch(&scene.server, json!(paths.map(set)))
        .await;
    mails
}

pub async fn device_login(scene: &Scene, on: bool) {
    let patch = json!([{"op": "add", "path": "/config/mfaChallenge/noPassLogin", "value": on}]);
    scene.tenant.patch(&scene.server, patch).await;
}

impl Guest<'_> {
    /// Presses a button of the first step with this name.
    pub async fn chooses(&self, page: &Page, name: &str, action: &str) -> Landing {
        let form = page.form(|form| form.asks_for("email"));
        let fields = [("email", name), ("action", action)];
        self.visitor.submit(page, form, &fields, None).await
    }
}

/// What a page says, without what differs between two of the same kind.
pub fn shape(page: &Page, name: &str) -> String {
    let mut text = page.text.split("<main").nth(1).expect("a page").to_owned();
    let uid = uid(page);
    for own in [name, &uid] {
        text = text.replace(own, "*");
    }
    for form in &page.forms {
        for field in ["csrf", "providerKey", "accountId"] {
            let value = form.value(field);
            if !value.is_empty() {
                text = text.replace(&value, "*");
            }
        }
    }
    text
}

pub async fn state(scene: &Scene, page: &Page) -> Value {
    let (key, account) = (key(page), confirming(page).value("accountId"));
    let group = &scene.tenant.group;
    let uid = uid(page);
    let path = format!("/api/{group}/mfa/{key}/account/{account}/interaction/{uid}/status?wait=0");
    send(to(&scene.server, Method::GET, &path))
        .await
        .expect(206)
        .json()["state"]
        .clone()
}

on_both_stores! {
    /// The device alone signs in where the group allows it, once.
    async fn by_device(server: Server) {
        let scene = scene(server).await;
        let guest = Guest::new(&scene).await;
        let flow = guest.flow(&[]);
        let user = &scene.tenant.user;
        let first = guest.visitor.open(&flow.url).await.page();
        let page = guest.chooses(&first, &user.email, "magic").await.page();
        assert_eq!(confirming(&page).value("accountId"), user.id);
        scene.press(&key(&page), 0).await.expect(204);
        device_login(&scene, false).await;
        refused(guest.confirms(&page).await, "available here");
        refused(guest.chooses(&first, &user.email, "magic-device").await, "available here");
        device_login(&scene, true).await;
        let landing = guest.confirms(&page).await;
        let who = guest.arrives(&flow, landing).await;
        assert_eq!((&who["sub"], &who["amr"]), (&json!(user.id), &json!(["mca"])));

        let flow = guest.flow(&[("prompt", "login")]);
        let first = guest.visitor.open(&flow.url).await.page();
        let page = guest.chooses(&first, &user.email, "magic-device").await.page();
        scene.press(&key(&page), 0).await.expect(204);
        let off = |off: bool| json!([{"op": "replace", "path": "/mfa/enabled", "value": !off}]);
        change(&scene, user, off(true)).await;
        refused(guest.confirms(&page).await, INVALID);

        change(&scene, user, off(false)).await;
        let page = guest.chooses(&first, &user.email, "magic-device").await.page();
        scene.press(&key(&page), 1).await.expect(204);
        refused(guest.confirms(&page).await, DENIED);
    }

    /// Unknown names, locked accounts and those without a device look like everybody else.
    async fn nobody_looks_different(server: Server) {
        let mut scene = scene(server).await;
        let mut mails = links(&scene).await;
        let lee = scene.tenant.account(&scene.server, "lee@shop.test").await;
        let locked = scene.tenant.account(&scene.server, "max@shop.test").await;
        change(&scene, &locked, json!([
            {"op": "replace", "path": "/userLocked", "value": true},
            {"op": "add", "path": "/mfa", "value": {"enabled": true}},
        ])).await;
        let client = scene.tenant.web_client(json!({})).await;
        let user = scene.tenant.user.email.clone();
        {
            let guest = Guest::at(&scene, client);
            let flow = guest.flow(&[]);
            for action in ["magic", "magic-device", "magic-email"] {
                let first = guest.visitor.open(&flow.url).await.page();
                let known = guest.chooses(&first, &user, action).await.page();
                for name in ["nobody@shop.test", lee.email.as_str(), locked.email.as_str()] {
                    let first = guest.visitor.open(&flow.url).await.page();
                    let page = guest.chooses(&first, name, action).await.page();
                    assert_eq!(page.status, known.status);
                    assert_eq!(shape(&page, name), shape(&known, &user), "{action} {name}");
                    if action == "magic-device" {
                        assert!(key(&page).starts_with("request-"), "as the provider's: {}", key(&page));
                        assert_eq!(state(&scene, &page).await, "pending");
                        assert_eq!(state(&scene, &known).await, "pending");
                        let twice = guest.chooses(&first, name, action).await.page();
                        assert_eq!(confirming(&twice).value("accountId"), confirming(&page).value("accountId"));
                        assert_eq!(state(&scene, &page).await, "denied", "the newer takes its place");
                        assert!(guest.confirms(&twice).await.page().text.contains("has not answered yet"));
                    }
                }
            }
        }
        assert_eq!(scene.provider.rest("/challenge"), 1, "one device was asked");
        assert_eq!(mails.next().await.1["recipientEmail"], json!(user));
        assert_eq!(mails.next().await.1["recipientEmail"], json!(lee.email));
        assert_eq!(mails.rest(), 0);
    }

    /// That a provider fails shows in its own group alone, and that an account has no device nowhere.
    async fn failures_are_told_of_nobody_else(server: Server) {
        let mut scene = scene(server).await;
        let other = scene.tenant.another(&scene.server, "mall").await;
        scene.option("mfa-challenge", json!({"enabled": true, "type": "device"})).await;
        let kind = json!({"enable": true, "type": "device", "noPassLogin": true});
        other.patch(&scene.server, json!([{"op": "add", "path": "/config/mfaChallenge", "value": kind}])).await;
        let verified = json!([
            {"op": "replace", "path": "/verified", "value": true}, {"op": "add", "path": "/mfa", "value": {"enabled": true}},
        ]);
        let path = format!("account/{}", other.user.id);
        other.api(&scene.server, Method::PATCH, &path, Some(verified), 200).await;
        let theirs = other.web_client(json!({})).await;
        let ours = scene.tenant.web_client(json!({})).await;
        let user = scene.tenant.user.email.clone();
        scene.provider.fails();
        {
            let guest = Guest::at(&scene, ours);
            let flow = guest.flow(&[]);
            let first = guest.visitor.open(&flow.url).await.page();
            for name in [user.as_str(), "nobody@shop.test"] {
                refused(guest.chooses(&first, name, "magic-device").await, LATER);
            }
        }
        scene.tenant = other;
        let guest = Guest::at(&scene, theirs);
        let flow = guest.flow(&[]);
        let mut shapes = Vec::new();
        for name in ["nobody@mall.test", "uma@mall.test", "somebody@mall.test"] {
            let first = guest.visitor.open(&flow.url).await.page();
            let page = guest.chooses(&first, name, "magic-device").await.page();
            assert_eq!(state(&scene, &page).await, "pending", "{name}");
            assert_eq!(key(&page).len(), 36, "as the server's own");
            shapes.push(shape(&page, name));
        }
        assert!(shapes.iter().all(|shape| *shape == shapes[0]));
    }

    /// A mailed link signs in where it was asked for, once, and goes to no other address.
    async fn by_link(server: Server) {
        let scene = scene(server).await;
        let mut mails = links(&scene).await;
        device_login(&scene, false).await;
        let guest = Guest::new(&scene).await;
        let flow = guest.flow(&[]);
        let user = &scene.tenant.user;
        let first = guest.visitor.open(&flow.url).await.page();
        let form = first.form(|form| form.asks_for("email"));
        let fields = [("email", ""), ("accountId", user.id.as_str()), ("accountEmail", "thief@shop.test"), ("action", "magic-email")];
        let sent = guest.visitor.submit(&first, form, &fields, None).await.page();
        assert!(sent.text.contains("Look into your mailbox"), "{}", sent.text);
        let mail = mails.next().await.1;
        assert_eq!(mail["recipientEmail"], json!(user.email));
        assert_eq!(mail["type"], "passwordless");
        let link = |mail: &Value| Url::parse(mail["screenUrl"].as_str().expect("a link")).expect("an address");
        let url = link(&mail);
        assert_eq!(url.path(), format!("/{}/interaction/{}/passwordless", scene.tenant.group, uid(&first)));

        let elsewhere = Visitor::new(&scene.server);
        assert_eq!(elsewhere.open(&url).await.page().status, 400);
        let mut wrong = url.clone();
        wrong.query_pairs_mut().clear().append_pair("token", "x").append_pair("sub", &user.id);
        refused(guest.visitor.open(&wrong).await, "has expired, was already used");
        // the token of another sign-in of the same person
        let other = Guest::new(&scene).await;
        let others = other.flow(&[]);
        let page = other.visitor.open(&others.url).await.page();
        other.chooses(&page, &user.email, "magic-email").await.page();
        let mut foreign = url.clone();
        foreign.set_query(link(&mails.next().await.1).query());
        refused(guest.visitor.open(&foreign).await, "has expired, was already used");

        let block = |value: bool| json!([{"op": "replace", "path": "/blocked", "value": value}]);
        change(&scene, user, block(true)).await;
        refused(guest.visitor.open(&url).await, "has expired, was already used");
        change(&scene, user, block(false)).await;
        refused(guest.visitor.open(&url).await, "has expired, was already used");

        guest.chooses(&first, &user.email, "magic").await.page();
        let url = link(&mails.next().await.1);
        let landing = guest.visitor.open(&url).await;
        let who = guest.arrives(&flow, landing).await;
        assert_eq!((&who["sub"], who.get("amr")), (&json!(user.id), None));
        assert_eq!(guest.visitor.open(&url).await.page().status, 400);
        let flow = guest.flow(&[("prompt", "login")]);
        let page = guest.visitor.open(&flow.url).await.page();
        let used = format!("{}/passwordless?{}", page.url, url.query().expect("a token"));
        refused(guest.visitor.open(&Url::parse(&used).expect("an address")).await, "has expired, was already used");
    }

    /// Without leave of the group no link goes out, whatever is posted.
    async fn only_what_is_on(server: Server) {
        let scene = scene(server).await;
        let mut mails = links(&scene).await;
        let off = json!([{"op": "replace", "path": "/config/passwordLessSupport", "value": false}]);
        scene.tenant.patch(&scene.server, off).await;
        device_login(&scene, false).await;
        let guest = Guest::new(&scene).await;
        let flow = guest.flow(&[]);
        let first = guest.visitor.open(&flow.url).await.page();
        for action in ["magic", "magic-device", "magic-email", "magic-else"] {
            refused(guest.chooses(&first, &scene.tenant.user.email, action).await, "available here");
        }
        assert_eq!(mails.rest(), 0);
    }

    /// A client may want nobody to sign in with a password, as long as everybody has another way.
    async fn clients_without_passwords(server: Server) {
        let scene = scene(server).await;
        let _mails = links(&scene).await;
        let strict = json!({"client_only_passwordless": true});
        let guest = Guest::at(&scene, scene.tenant.web_client(strict).await);
        let flow = guest.flow(&[]);
        let user = &scene.tenant.user;
        let first = guest.visitor.open(&flow.url).await.page();
        let form = first.form(|form| form.asks_for("email"));
        let typed = [("email", user.email.as_str()), ("password", user.password.as_str())];
        refused(guest.visitor.submit(&first, form, &typed, None).await, "available here");
        let second = guest.chooses(&first, &user.email, "email").await.page();
        assert!(!second.forms.iter().any(|form| form.asks_for("password")));
        let off = json!([{"op": "replace", "path": "/config/passwordLessSupport", "value": false}]);
        scene.tenant.patch(&scene.server, off).await;
        let page = guest.waits(&flow).await;
        scene.press(&key(&page), 0).await.expect(204);
        let landing = guest.confirms(&page).await;
        assert_eq!(guest.arrives(&flow, landing).await["sub"], user.id);
    }
}

/// Names are counted alike, whether or not there is somebody and whatever the provider does.
#[tokio::test]
async fn limits_tell_nobody_apart() {
    let Some(server) = Server::start_with(Store::Embedded, &FEW_QUESTIONS).await else {
        return;
    };
    let scene = scene(server).await;
    scene.provider.fails();
    let guest = Guest::new(&scene).await;
    let flow = guest.flow(&[]);
    let first = guest.visitor.open(&flow.url).await.page();
    let mut told = Vec::new();
    for name in [scene.tenant.user.email.as_str(), "nobody@shop.test"] {
        let mut pages = Vec::new();
        for _ in 0..3 {
            let page = guest.chooses(&first, name, "magic-device").await.page();
            pages.push((page.status, page.text.contains(LATER)));
        }
        told.push(pages);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].iter().filter(|(_, later)| *later).count(), 2);
}
