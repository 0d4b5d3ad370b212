//! Setting up a device: the pages, the proofs they take, and what else devices are asked.

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::passwordless::links;
use super::{change, has_device, scene};
use crate::answer::{Answer, send, to};
use crate::challenges::Scene;
use crate::chromium::Chromium;
use crate::flow::{parameter, text};
use crate::passkeys;
use crate::server::Server;

async fn page(scene: &Scene, query: &str) -> Answer {
    let path = format!("/{}/recover-mfa{query}", scene.tenant.group);
    send(to(&scene.server, Method::GET, &path)).await
}

/// The state that a page has.
fn state(page: &Answer) -> String {
    let from = page.text.split("data-state=\"").nth(1).expect("a state");
    from.split('"').next().expect("its end").to_owned()
}

async fn mail_to(scene: &Scene, state: &str, lookup: &str) -> String {
    let path = format!("/{}/recover-mfa/email-verify", scene.tenant.group);
    let request =
        to(&scene.server, Method::GET, &path).query(&[("state", state), ("lookup", lookup)]);
    let page = send(request).await.expect(200).text;
    page.split("<main").nth(1).expect("a page").to_owned()
}

async fn instructions(scene: &Scene, token: &str, body: Value) -> Answer {
    let request = to(&scene.server, Method::POST, &scene.path("mfa/instructions")).json(&body);
    send(if token.is_empty() {
        request
    } else {
        request.bearer_auth(token)
    })
    .await
}

async fn reset(scene: &Scene) {
    let body = json!({"email": scene.tenant.user.email});
    scene
        .post("operations/reset-user-password", &body)
        .await
        .expect(204);
}

on_both_stores! {
    /// The mailed way to a first device, and no way to another one by mail alone.
    async fn by_mail(server: Server) {
        let scene = scene(server).await;
        let mut mails = links(&scene).await;
        let user = &scene.tenant.user;
        change(&scene, user, json!([{"op": "replace", "path": "/mfa/enabled", "value": false}])).await;
        let first = page(&scene, "").await.expect(200);
        let known = state(&first);
        assert_eq!(state(&page(&scene, &format!("?state={known}")).await.expect(200)), known);
        let unknown = mail_to(&scene, &known, "nobody@shop.test").await;
        assert_eq!(mail_to(&scene, &known, &user.email).await, unknown);
        assert!(mail_to(&scene, "another", &user.email).await.contains("No link could be sent"));
        let mail = mails.next().await.1;
        assert_eq!(mail["recipientEmail"], json!(user.email));
        let link = Url::parse(text(&mail["screenUrl"])).expect("an address");
        assert_eq!(link.path(), format!("/{}/recover-mfa", scene.tenant.group));
        assert_eq!(parameter(&link, "state").as_deref(), Some(known.as_str()));
        assert_eq!(parameter(&link, "accountId").as_deref(), Some(user.id.as_str()));
        let opened = page(&scene, &format!("?{}", link.query().expect("a query"))).await.expect(200);
        assert!(opened.text.contains(&user.email) && opened.text.contains("It is confirmed"));
        let token = parameter(&link, "token").expect("a token");
        instructions(&scene, &token, json!({"state": "other"})).await.expect(401);
        let done = instructions(&scene, &token, json!({"state": known, "svg": true})).await.expect(200).json();
        assert_eq!(done["data"]["instructions"][0], "One");
        assert!(has_device(&scene, user).await);
        instructions(&scene, &token, json!({"state": known})).await.expect(202);
        assert_eq!(mails.rest(), 2, "the owner was warned twice");
    }

    /// A passkey proves who it is, and goes on proving it for the second request.
    async fn by_passkey(server: Server) {
        let scene = scene(server).await;
        passkeys::switch_on(&scene.server, &scene.tenant.root_token).await;
        passkeys::allow(&scene.server, &scene.tenant).await;
        let (server, tenant) = (&scene.server, &scene.tenant);
        let mut device = passkeys::Authenticator::new();
        let mfa = |on: bool| json!([{"op": "replace", "path": "/mfa/enabled", "value": on}]);
        change(&scene, &tenant.user, mfa(false)).await;
        passkeys::enrol(server, tenant, &tenant.user, &mut device).await;
        change(&scene, &tenant.user, mfa(true)).await;
        let answer = async |device: &mut passkeys::Authenticator| {
            let begun = passkeys::begin(server, tenant, &tenant.user.email).await.expect(200).json();
            let credential = device.get(&server.url, &begun["data"]["assertionOptions"]);
            json!({"accountId": begun["data"]["accountId"], "credential": credential})
        };
        let mut wrong = answer(&mut device).await;
        wrong["accountId"] = json!(tenant.owner.id);
        instructions(&scene, "", json!({"state": "p", "passkey": wrong})).await.expect(401);
        instructions(&scene, "", json!({"state": "p", "passkey": {"credential": {}}})).await.expect(401);
        let proof = answer(&mut device).await;
        let begun = instructions(&scene, "", json!({"state": "p", "passkey": proof.clone()})).await.expect(202).json();
        instructions(&scene, "", json!({"state": "p", "passkey": proof})).await.expect(401);
        let lasting = text(&begun["data"]["passkeyToken"]);
        let choice = to(server, Method::POST, &scene.path("mfa/safe-recovery"));
        let body = json!({"state": "p", "selection": "device"});
        let asked = send(choice.bearer_auth(text(&begun["data"]["token"])).json(&body)).await.expect(200).json();
        let key = text(&asked["data"]["id"]);
        let proved = json!({"state": "p", "method": "device", "providerKey": key});
        instructions(&scene, lasting, proved.clone()).await.expect(401);
        scene.press(key, 0).await.expect(204);
        instructions(&scene, lasting, proved).await.expect(200);
    }

    /// One of the codes that somebody has kept stands for a lost device, once.
    async fn by_recovery_code(server: Server) {
        let scene = scene(server).await;
        let user = &scene.tenant.user;
        let mfa = |on: bool| json!([{"op": "replace", "path": "/mfa/enabled", "value": on}]);
        change(&scene, user, mfa(false)).await;
        let token = scene.tenant.token_of(&scene.server, user).await;
        let made = to(&scene.server, Method::PUT, &scene.path("account/codes")).bearer_auth(token);
        let made = send(made.json(&json!({}))).await.expect(200).json();
        let codes = made["data"]["codes"].as_array().or(made["data"].as_array()).expect("codes").clone();
        change(&scene, user, mfa(true)).await;
        let ask = async |code: &str| {
            let request = to(&scene.server, Method::POST, &scene.path("mfa/instructions"));
            let request = request.basic_auth(&user.email, Some(&user.password));
            let body = json!({"state": "r", "method": "recovery", "code": code});
            send(request.json(&body)).await
        };
        ask("").await.expect(401);
        ask("wrong").await.expect(401);
        ask(text(&codes[3])).await.expect(200);
        ask(text(&codes[3])).await.expect(401);
        ask(&format!(" {} ", text(&codes[9]))).await.expect(200);
        assert!(page(&scene, "").await.expect(200).text.contains("use a recovery code"));
    }

    /// A passkey counts for two factors, so an account that has two takes both to get one.
    async fn one_factor_makes_no_passkey(server: Server) {
        let scene = scene(server).await;
        passkeys::switch_on(&scene.server, &scene.tenant.root_token).await;
        passkeys::allow(&scene.server, &scene.tenant).await;
        let user = &scene.tenant.user;
        let strict = json!([{"op": "add", "path": "/config/mfaChallenge/noPassLogin", "value": false}]);
        let approved = async |state: &str| {
            let options = format!("{}?lookup={}&state={state}", scene.path("account/login/options"), user.email);
            let saved = page(&scene, "").await.expect(200);
            let options = options.replace(&format!("state={state}"), &format!("state={}", self::state(&saved)));
            send(to(&scene.server, Method::GET, &options)).await.expect(200);
            let state = self::state(&saved);
            let asked = scene.post("device/challenge", &json!({"lookup": user.email, "state": state})).await;
            let key = text(&asked.expect(200).json()["data"]["id"]).to_owned();
            scene.press(&key, 0).await.expect(204);
            json!({"state": state, "providerKey": key, "accountId": user.id})
        };
        let prove = async |password: Option<&str>, body: &Value| {
            let path = format!("/{}/token/simple-iat", scene.tenant.group);
            let mut request = to(&scene.server, Method::POST, &path);
            if let Some(password) = password {
                request = request.basic_auth(&user.email, Some(password));
            }
            send(request.json(body)).await
        };
        let bind = async |made: Answer| {
            let data = made.expect(201).json()["data"].clone();
            let request = to(&scene.server, Method::POST, &scene.path("webauthn/bind"));
            let request = request.bearer_auth(text(&data["jti"]));
            send(request.json(&json!({"state": data["state"]}))).await.status
        };
        let password = Some(user.password.as_str());
        let alone = json!({"state": "p"});
        assert_eq!(bind(prove(password, &alone).await).await, 403);
        // where devices sign people in by themselves they also do here
        assert_eq!(bind(prove(None, &approved("d").await).await).await, 200);
        scene.tenant.patch(&scene.server, strict).await;
        assert_eq!(bind(prove(None, &approved("d").await).await).await, 403);
        prove(Some("wrong"), &approved("d").await).await.expect(401);
        assert_eq!(bind(prove(password, &approved("d").await).await).await, 200);
        change(&scene, user, json!([{"op": "replace", "path": "/mfa/enabled", "value": false}])).await;
        assert_eq!(bind(prove(password, &alone).await).await, 200);
    }

    /// A stolen access token does not switch the second factor off.
    async fn nobody_drops_their_own_second_factor(server: Server) {
        let mut scene = scene(server).await;
        let mfa = |on: bool| json!([{"op": "replace", "path": "/mfa/enabled", "value": on}]);
        change(&scene, &scene.tenant.user, mfa(false)).await;
        let token = scene.tenant.token_of(&scene.server, &scene.tenant.user).await;
        change(&scene, &scene.tenant.user, mfa(true)).await;
        let own = scene.path(&format!("account/{}", scene.tenant.user.id));
        for off in [mfa(false), json!([{"op": "remove", "path": "/mfa"}]), json!([{"op": "remove", "path": "/mfa/enabled"}])] {
            let request = to(&scene.server, Method::PATCH, &own).bearer_auth(&token);
            send(request.json(&off)).await.expect(403);
        }
        scene.provider.has_devices(&["old"]);
        change(&scene, &scene.tenant.user, mfa(false)).await;
        assert_eq!(scene.provider.next("/revoke").await.json()["deviceId"], "old");
    }

    /// Where devices are off there is nothing to set up.
    async fn switched_off(server: Server) {
        let scene = scene(server).await;
        scene.option("mfa-challenge", json!({"enabled": false})).await;
        page(&scene, "").await.expect(403);
        let path = format!("/{}/recover-mfa/email-verify?state=x&lookup=y", scene.tenant.group);
        send(to(&scene.server, Method::GET, &path)).await.expect(403);
    }

    /// Whoever only reads the mail of a person with a device gets no new password.
    async fn passwords_are_reset_by_device(server: Server) {
        let mut scene = scene(server).await;
        let mut mails = links(&scene).await;
        let on = json!([{"op": "replace", "path": "/config/centralPasswordReset", "value": true}]);
        scene.tenant.patch(&scene.server, on).await;
        reset(&scene).await;
        let warning = mails.next().await.1;
        assert!(text(&warning["screenUrl"]).contains("/lockaccount?code="));
        let asked = scene.provider.next("/challenge").await.json();
        assert_eq!(asked["content"]["title"], "Password Reset");
        assert_eq!(mails.rest(), 0);
        scene.press("request-1", 0).await.expect(204);
        let mail = mails.next().await.1;
        assert_eq!(mail["type"], "forgotPassword");
        assert!(text(&mail["screenUrl"]).contains("/forgotpassword?code="));
        assert_eq!(mail["createdBy"], json!(format!("proxy_{}", scene.tenant.user.id)));
        reset(&scene).await;
        mails.next().await;
        scene.provider.next("/challenge").await;
        scene.press("request-2", 1).await.expect(204);
        // whoever has refused is warned still, and asked no more
        reset(&scene).await;
        mails.next().await;
        assert_eq!(scene.provider.rest("/challenge"), 0);
        assert_eq!(mails.rest(), 0, "refused is refused");

        scene.option("mfa-challenge", json!({"enabled": false})).await;
        reset(&scene).await;
        mails.next().await;
        assert_eq!(mails.next().await.1["type"], "forgotPassword", "no device can be asked");
    }

    /// Requests for a profile can be answered on the device.
    async fn profiles_are_given_by_device(server: Server) {
        let mut scene = scene(server).await;
        let user = scene.tenant.user.id.clone();
        let ask = async |scene: &Scene| {
            let body = json!({"type": "access", "requestDetails": "for the shop"});
            let path = format!("profile/request/{user}");
            let made = scene.tenant.api(&scene.server, Method::POST, &path, Some(body), 201).await;
            text(&made["data"]["id"]).to_owned()
        };
        let first = ask(&scene).await;
        let sent = scene.provider.next("/challenge").await.json();
        assert_eq!(sent["interactionDetails"]["uid"], json!(first));
        assert_eq!(sent["content"]["title"], "Personal Profile Data Request");
        // another request takes the question's place, not the request's
        let second = ask(&scene).await;
        scene.provider.next("/challenge").await;
        let now = async |scene: &Scene, id: &str| {
            let path = format!("profile/request/{id}");
            scene.tenant.api(&scene.server, Method::GET, &path, None, 200).await["data"]["state"].clone()
        };
        scene.press("request-2", 0).await.expect(204);
        for _ in 0..600 {
            if now(&scene, &second).await == json!("approved") {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(now(&scene, &second).await, "approved");
        assert_eq!(now(&scene, &first).await, "new");
    }

    /// From the page to the instructions for somebody who has lost the device.
    async fn lost_device_in_a_browser(server: Server) {
        let scene = scene(server).await;
        let mut mails = links(&scene).await;
        let Some(browser) = Chromium::open().await else { return };
        let user = &scene.tenant.user;
        let start = Url::parse(&format!("{}/recover-mfa", scene.tenant.issuer)).unwrap();
        browser.goto(&start).await;
        browser.fill("#email", &user.email).await;
        browser.fill("#password", "wrong").await;
        browser.click("[data-device=password] button[type=submit]").await;
        assert!(browser.shown("[data-error]").await.contains("match"));
        browser.fill("#password", &user.password).await;
        browser.click("[data-device=password] button[type=submit]").await;
        browser.shown("[data-selection=email] button").await;
        browser.click("[data-selection=email] button").await;
        browser.shown("[data-step=code] .lead").await;
        mails.next().await;
        let mail = mails.next().await.1;
        let code = text(&mail["message"]).lines().last().expect("a code").to_owned();
        browser.fill("#code", &code).await;
        browser.click("[data-device=code] button").await;
        let steps = browser.shown("[data-steps]").await;
        assert!(steps.contains("One") && steps.contains("Two <b>"), "{steps}");
        assert_eq!(browser.shown("[data-screen]").await, "Go");
    }

    /// The device proves whose passkey is made.
    async fn passkey_by_device_in_a_browser(server: Server) {
        let mut scene = scene(server).await;
        passkeys::switch_on(&scene.server, &scene.tenant.root_token).await;
        passkeys::allow(&scene.server, &scene.tenant).await;
        let Some(browser) = Chromium::open().await else { return };
        let start = Url::parse(&format!("{}/set-passkey", scene.tenant.issuer)).unwrap();
        browser.goto(&start).await;
        browser.fill("#asked", &scene.tenant.user.email).await;
        browser.click("form[data-passkey=device] button").await;
        scene.provider.next("/challenge").await;
        browser.shown("[data-device-note]").await;
        scene.press("request-1", 0).await.expect(204);
        browser.find("form[data-passkey=make]").await;
        assert!(browser.text().await.contains(&scene.tenant.user.email));
    }
}
