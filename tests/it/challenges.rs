//! Questions to people on their devices.

use aws_lc_rs::hmac;
use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::{Answer, send, to};
use crate::flow::text;
use crate::mailbox::Receiver;
use crate::provider::Provider;
use crate::server::{Server, Store};
use crate::tenant::Tenant;

/// Lets the group use the provider of the whole server; its user has a device.
pub async fn switch_on(server: &Server, tenant: &Tenant) {
    let on = json!([{"op": "add", "path": "/config/mfaChallenge", "value": {"enable": true, "type": "http-proxy"}}]);
    tenant.patch(server, on).await;
    let verified = json!([
        {"op": "replace", "path": "/verified", "value": true},
        {"op": "add", "path": "/mfa", "value": {"enabled": true}},
    ]);
    let path = format!("account/{}", tenant.user.id);
    tenant
        .api(server, Method::PATCH, &path, Some(verified), 200)
        .await;
}

/// Asks the user something by the owner's client.
pub async fn custom(server: &Server, tenant: &Tenant, more: Value) -> Answer {
    let mut body = json!({
        "title": "Pay?", "header": "The shop", "message": "12 EUR", "lookup": tenant.user.email,
    });
    let members = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(members);
    let path = format!("/api/{}/device/challenge", tenant.group);
    let request = to(server, Method::PUT, &path);
    send(request.bearer_auth(&tenant.owner_token).json(&body)).await
}

/// A report is signed with the secret of the client that asked.
pub fn check_signature(tenant: &Tenant, header: &str, body: &str) {
    let (time, tag) = header.split_once(",v1=").expect("a signature");
    let time = time.strip_prefix("t=").expect("a time");
    let secret = text(&tenant.portal["client_secret"]);
    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let expected = hmac::sign(&secret, format!("{time}.{body}").as_bytes());
    let expected = expected
        .as_ref()
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    assert_eq!(tag, expected);
}

/// A group with device challenges; its user has a device.
pub struct Scene {
    pub server: Server,
    pub tenant: Tenant,
    pub provider: Provider,
}

impl Scene {
    pub async fn set(server: Server) -> Self {
        let tenant = Tenant::create(&server).await;
        let provider = Provider::start().await;
        let scene = Self {
            server,
            tenant,
            provider,
        };
        let body = json!({
            "enabled": true, "type": "http-proxy",
            "api": {
                "domain": scene.provider.url, "challenge": "/challenge", "validate": "/validate",
                "bind": "/bind", "devices": "/devices", "revoke": "/revoke",
            },
            "proxyEnableScreen": "https://mfa.test/setup",
            "proxyEnableInstructions": "One--Two <b>", "proxyEnableScreenButtonText": "Go",
        });
        scene.option("mfa-challenge", body).await;
        switch_on(&scene.server, &scene.tenant).await;
        scene
    }

    /// Changes an option of the whole server.
    pub async fn option(&self, name: &str, mut body: Value) {
        let global = "/api/plugins/global";
        let root = &self.tenant.root_token;
        let now = send(to(&self.server, Method::GET, global).bearer_auth(root)).await;
        body["currentVersion"] = now.expect(200).json()["data"]["version"].clone();
        let request = to(&self.server, Method::POST, &format!("{global}/{name}"));
        send(request.bearer_auth(root).json(&body))
            .await
            .expect(201);
    }

    pub fn path(&self, path: &str) -> String {
        format!("/api/{}/{path}", self.tenant.group)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(to(&self.server, Method::POST, &self.path(path)).json(body)).await
    }

    /// Asks something by the owner's client.
    pub async fn custom(&self, more: Value) -> Answer {
        custom(&self.server, &self.tenant, more).await
    }

    /// The key of a custom challenge with that state.
    pub async fn asked(&self, state: &str, more: Value) -> String {
        let mut body = more;
        body["state"] = json!(state);
        let answer = self.custom(body).await.expect(200).json();
        text(&answer["data"]["key"]).to_owned()
    }

    pub async fn press(&self, key: &str, button: i64) -> Answer {
        self.post("mfa/callback", &self.provider.press(key, button))
            .await
    }

    pub fn status_path(&self, key: &str, uid: &str) -> String {
        let user = &self.tenant.user.id;
        self.path(&format!(
            "mfa/{key}/account/{user}/interaction/{uid}/status"
        ))
    }

    pub async fn status(&self, key: &str, uid: &str) -> u16 {
        let path = self.status_path(key, uid);
        send(to(&self.server, Method::GET, &path)).await.status
    }

    /// A challenge of the pages for devices, with a state that the account has.
    async fn sign_in(&self, state: &str) -> Answer {
        let body = json!({ "lookup": self.tenant.user.email, "state": state });
        self.post("device/challenge", &body).await
    }

    async fn simple(&self, key: &str, state: &str) -> Answer {
        let path = format!("/{}/token/simple-iat", self.tenant.group);
        let account = &self.tenant.user.id;
        let body = json!({ "providerKey": key, "accountId": account, "state": state });
        send(to(&self.server, Method::POST, &path).json(&body)).await
    }

    async fn instructions(&self, body: Value) -> Answer {
        let request = to(&self.server, Method::POST, &self.path("mfa/instructions"));
        let user = &self.tenant.user;
        send(
            request
                .basic_auth(&user.email, Some(&user.password))
                .json(&body),
        )
        .await
    }

    async fn choose(&self, token: &str, body: Value) -> Answer {
        let request = to(&self.server, Method::POST, &self.path("mfa/safe-recovery"));
        send(request.bearer_auth(token).json(&body)).await
    }
}

/// Waits until somebody waits for a challenge.
pub async fn somebody_waits(server: &Server) {
    for _ in 0..600 {
        let metrics = send(to(server, Method::GET, "/metrics")).await;
        let waiting = metrics
            .text
            .lines()
            .any(|line| line.contains("waiters") && line.ends_with(" 1"));
        if waiting {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("nobody waits");
}

on_both_stores! {
    /// The first answer counts and is reported once, signed; what comes later changes nothing.
    async fn an_application_asks_and_is_told(server: Server) {
        let mut scene = Scene::set(server).await;
        let hook = format!("{}/hook", scene.provider.url);
        scene.provider.refuses(&[500]);
        let key = scene.asked("s-1", json!({"callback": hook, "duration": "10m"})).await;
        let sent = scene.provider.next("/challenge").await;
        assert!(sent.header("authorization").starts_with("Bearer ey"));
        let body = sent.json();
        let group = &scene.tenant.group;
        let user = scene.tenant.user.id.clone();
        assert_eq!(body["callback"], format!("{}/api/{group}/mfa/callback", scene.server.url));
        assert_eq!(body["duration"], "10m");
        assert_eq!(body["interactionDetails"], json!({"uid": "s-1", "accountId": user, "event": "ue.challenge.callback"}));
        assert_eq!(body["content"], json!({"title": "Pay?", "header": "The shop", "body": "12 EUR"}));

        assert_eq!(scene.status(&key, "s-1").await, 206);
        assert_eq!(scene.status(&key, "s-2").await, 206);
        let mut lie = scene.provider.press(&key, 1);
        lie["action"] = json!(0);
        scene.post("mfa/callback", &lie).await.expect(400);
        assert_eq!(scene.status(&key, "s-1").await, 206, "the provider does not say so");
        scene.press(&key, 0).await.expect(204);
        assert_eq!(scene.status(&key, "s-1").await, 204);
        assert_eq!(scene.status(&key, "s-2").await, 206);

        let refused = scene.provider.next("/hook").await;
        let report = scene.provider.next("/hook").await;
        assert_eq!(refused.text, report.text);
        let told = report.json();
        for (name, value) in [("accountId", user.as_str()), ("event", "ue.challenge.callback"), ("cb", &hook),
            ("state", "s-1"), ("key", &key), ("authGroup", group), ("response", "approved")] {
            assert_eq!(told[name], value, "{name}");
        }
        check_signature(&scene.tenant, report.header("x-signature"), &report.text);

        scene.press(&key, 1).await.expect(204);
        scene.press(&key, 0).await.expect(204);
        assert_eq!(scene.status(&key, "s-1").await, 204, "the first answer stays");
        let second = scene.asked("s-2", json!({"callback": hook})).await;
        scene.press(&second, 1).await.expect(204);
        assert_eq!(scene.provider.next("/hook").await.json()["response"], "denied");
        assert_eq!(scene.provider.rest("/hook"), 0, "each is reported once");
        assert_eq!(scene.status(&second, "s-2").await, 206);
        scene.custom(json!({"state": "s-2"})).await.expect(409);
    }

    /// Neither redirects nor refusals are tried again.
    async fn a_report_follows_no_redirect(server: Server) {
        let mut scene = Scene::set(server).await;
        let hook = format!("{}/hook", scene.provider.url);
        scene.provider.refuses(&[302]);
        let key = scene.asked("r-1", json!({"callback": hook})).await;
        scene.press(&key, 0).await.expect(204);
        scene.provider.next("/hook").await;
        let key = scene.asked("r-2", json!({"callback": hook})).await;
        scene.press(&key, 0).await.expect(204);
        assert_eq!(scene.provider.next("/hook").await.json()["state"], "r-2");
        assert_eq!(scene.provider.rest("/elsewhere"), 0);
        for callback in ["ftp://a.test/", "http://10.0.0.1/", "http://169.254.169.254/latest", "nothing"] {
            scene.custom(json!({"callback": callback})).await.expect(400);
        }
        scene.custom(json!({"duration": "soon"})).await.expect(400);
    }

    /// Whoever waits hears at once, and is told when there is nothing to hear.
    async fn a_waiting_client_is_answered(server: Server) {
        let scene = Scene::set(server).await;
        let key = scene.asked("w-1", json!({})).await;
        let path = scene.status_path(&key, "w-1");
        let none = send(to(&scene.server, Method::GET, &path).header("prefer", "respond-async, wait=0")).await.expect(206);
        assert_eq!(none.header("preference-applied"), "wait=0");
        assert_eq!(none.json(), json!({"type": "object", "data": "Partial Content", "state": "pending"}));
        let plain = send(to(&scene.server, Method::GET, &format!("{path}?wait=0"))).await.expect(206);
        assert_eq!(plain.header("preference-applied"), "");
        let at_once = send(to(&scene.server, Method::GET, &path)).await.expect(206);
        assert_eq!(at_once.json(), json!({"type": "object", "data": "Partial Content"}));

        let (heard, ()) = tokio::join!(
            send(to(&scene.server, Method::GET, &path).header("Prefer", "wait=600")),
            async {
                somebody_waits(&scene.server).await;
                scene.press(&key, 1).await.expect(204);
            },
        );
        assert_eq!(heard.header("preference-applied"), "wait=60");
        assert_eq!(heard.expect(206).json()["state"], "denied");

        let key = scene.asked("w-2", json!({})).await;
        let path = format!("{}?wait=60", scene.status_path(&key, "w-2"));
        let (heard, ()) = tokio::join!(send(to(&scene.server, Method::GET, &path)), async {
            somebody_waits(&scene.server).await;
            scene.press(&key, 0).await.expect(204);
        });
        heard.expect(204);
        let known = send(to(&scene.server, Method::GET, &path)).await;
        known.expect(204);
        let unknown = send(to(&scene.server, Method::GET, &format!("{}?wait=60", scene.status_path("other", "w-2")))).await;
        assert_eq!(unknown.expect(206).json()["state"], "unknown");
    }

    /// A wait ends with its own time, and with that of its challenge.
    async fn a_wait_comes_to_an_end(server: Server) {
        let scene = Scene::set(server).await;
        let in_time = async |path: &str| {
            let waiting = send(to(&scene.server, Method::GET, path));
            let answer = tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await;
            answer.expect("an answer in time").expect(206).json()["state"].clone()
        };
        let key = scene.asked("w-1", json!({})).await;
        assert_eq!(in_time(&format!("{}?wait=1", scene.status_path(&key, "w-1"))).await, "pending");
        scene.press(&key, 1).await.expect(204);
        let key = scene.asked("w-2", json!({"duration": "1s"})).await;
        assert_eq!(in_time(&format!("{}?wait=60", scene.status_path(&key, "w-2"))).await, "expired");
    }

    async fn challenges_survive_a_restart(server: Server) {
        let mut scene = Scene::set(server).await;
        let key = scene.asked("k-1", json!({})).await;
        scene.server.restart().await;
        assert_eq!(scene.status(&key, "k-1").await, 206);
        scene.press(&key, 0).await.expect(204);
        assert_eq!(scene.status(&key, "k-1").await, 204);
        scene.server.restart().await;
        assert_eq!(scene.status(&key, "k-1").await, 204);
        scene.custom(json!({"state": "k-1"})).await.expect(409);
    }

    /// An approval proves an account once, with the state it was asked for and to nobody else.
    async fn an_approval_signs_in_once(server: Server) {
        let scene = Scene::set(server).await;
        let custom = scene.asked("page-state", json!({})).await;
        scene.press(&custom, 0).await.expect(204);
        scene.simple(&custom, "page-state").await.expect(401);
        scene.sign_in("page-stat").await.expect(403);
        scene.sign_in("page-state.").await.expect(403);
        scene.sign_in("").await.expect(403);
        let other = json!({"lookup": scene.tenant.owner.email, "state": "page-state"});
        scene.post("device/challenge", &other).await.expect_any(&[400, 403]);

        let asked = scene.sign_in("page-state").await.expect(200).json()["data"].clone();
        assert_eq!(asked["provider"], "http-proxy");
        assert_eq!(asked["accountId"], json!(scene.tenant.user.id));
        assert_eq!(asked["response"]["id"], asked["id"]);
        let first = text(&asked["id"]).to_owned();
        scene.simple(&first, "page-state").await.expect(401);
        let again = scene.sign_in("page-state").await.expect(200).json();
        let key = text(&again["data"]["id"]).to_owned();
        scene.press(&first, 0).await.expect(204);
        scene.simple(&first, "page-state").await.expect(401);
        scene.press(&key, 0).await.expect(204);
        scene.simple(&key, "page-state.").await.expect(401);
        let token = scene.simple(&key, "page-state").await.expect(201).json();
        assert_eq!(token["data"]["sub"], json!(scene.tenant.user.id));
        assert_eq!(token["data"]["state"], "page-state");
        scene.simple(&key, "page-state").await.expect(401);
        assert_eq!(scene.status(&key, "page-state").await, 206);
    }

    /// A password alone sets up the first device, and no other.
    async fn another_device_takes_more_than_a_password(server: Server) {
        let mut scene = Scene::set(server).await;
        let mut mails = Receiver::start().await;
        scene.option("notifications", json!({"enabled": true, "notificationServiceUri": mails.url})).await;
        let on = json!([{"op": "replace", "path": "/pluginOptions/notification/enabled", "value": true}]);
        scene.tenant.patch(&scene.server, on).await;
        scene.provider.has_devices(&["old-1", "old-2"]);
        scene.instructions(json!({})).await.expect(400);
        scene.instructions(json!({"state": "x", "method": "device", "providerKey": "y"})).await.expect(401);
        let begun = scene.instructions(json!({"state": "rec"})).await.expect(202).json()["data"].clone();
        assert!(mails.next().await.1["screenUrl"].as_str().is_some_and(|url| url.contains("/lockaccount?code=")));
        let token = text(&begun["token"]);
        assert_eq!(begun["uri"], format!("{}{}", scene.server.url, scene.path("mfa/safe-recovery")));
        // what the password yielded is no proof of anything else
        scene.instructions(json!({"state": "rec", "method": "email", "code": token})).await.expect(401);
        scene.choose(token, json!({"state": "other", "selection": "device"})).await.expect(401);
        scene.choose(token, json!({"state": "rec", "selection": "pigeon"})).await.expect(400);
        scene.choose(token, json!({"state": "rec"})).await.expect(400);

        let asked = scene.choose(token, json!({"state": "rec", "selection": "device"})).await.expect(200).json();
        let key = text(&asked["data"]["id"]).to_owned();
        let proved = json!({"state": "rec", "method": "device", "providerKey": key});
        scene.instructions(proved.clone()).await.expect(401);
        scene.press(&key, 0).await.expect(204);
        scene.simple(&key, "rec").await.expect(401);
        let data = scene.instructions(proved.clone()).await.expect(200).json()["data"].clone();
        assert_eq!(data, json!({
            "instructions": ["One", "Two &lt;b&gt;"], "displayName": scene.tenant.user.email, "qrCode": false,
            "setupScreen": "https://mfa.test/setup?id=bind-1&more=a%26b&", "setupScreenButtonText": "Go", "warnings": [],
        }));
        for device in ["old-1", "old-2"] {
            assert_eq!(scene.provider.next("/revoke").await.json()["deviceId"], device);
        }
        scene.instructions(proved).await.expect(401);

        scene.choose(token, json!({"state": "rec", "selection": "email"})).await.expect(200);
        let mail = mails.next().await.1;
        let code = text(&mail["message"]).lines().last().expect("a code").to_owned();
        let with = |state: &str| json!({"state": state, "method": "email", "code": code});
        scene.instructions(with("rec2")).await.expect(401);
        scene.choose(&code, json!({"state": "rec", "selection": "device"})).await.expect(401);
        scene.instructions(with("rec")).await.expect(200);
        scene.instructions(with("rec")).await.expect(401);
    }
}

/// One that has never seen a challenge knows what was stored about it.
#[tokio::test]
async fn another_node_knows_the_answer() {
    let Some(server) = Server::start(Store::Mongo).await else {
        return;
    };
    let mut scene = Scene::set(server).await;
    let key = scene.asked("n-1", json!({})).await;
    let other = Server::start_at(&scene.server.store, &[]).await;
    let path = scene.status_path(&key, "n-1");
    send(to(&other, Method::GET, &path)).await.expect(206);
    let third = Server::start_at(&scene.server.store, &[]).await;
    let body = scene.provider.press(&key, 0);
    let callback = to(&third, Method::POST, &scene.path("mfa/callback"));
    send(callback.json(&body)).await.expect(204);
    let fourth = Server::start_at(&scene.server.store, &[]).await;
    send(to(&fourth, Method::GET, &path)).await.expect(204);
    scene.server.kill();
}

/// Nobody is asked again and again until they give in.
#[tokio::test]
async fn pushes_are_limited() {
    let settings = [
        ("rate_limits.enabled", "true"),
        ("rate_limits.challenges.burst", "3"),
        ("rate_limits.challenges.per_minute", "1"),
    ];
    let Some(server) = Server::start_with(Store::Embedded, &settings).await else {
        return;
    };
    let scene = Scene::set(server).await;
    let key = scene.asked("l-1", json!({})).await;
    let busy = scene.custom(json!({"state": "l-2"})).await.expect(429);
    let wait: u64 = busy.header("retry-after").parse().expect("seconds");
    assert!((200..=301).contains(&wait), "{wait}");
    scene.press(&key, 1).await.expect(204);
    for _ in 0..3 {
        scene.sign_in("l-1").await.expect(200);
    }
    scene.sign_in("l-1").await.expect(429);
    // what anybody can ask for uses up the share of no application
    scene.custom(json!({"state": "l-2"})).await.expect(200);
}
