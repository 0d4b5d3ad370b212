//! Enrolling, and answering challenges.

use reqwest::Method;
use serde_json::json;
use ueauth_actors::{Clock, SystemClock};

use super::phone::{ANSWER, ENROLMENT, Phone, REQUEST, both, code, code_in, once, sent, with};
use super::{api, ask, asked, challenge, custom, has_mfa, listens, set_mfa, state, tenant};
use crate::answer::{send, to};
use crate::flow::text;
use crate::server::Server;

on_both_stores! {
    /// From the code to an answer. Whoever waits hears of a challenge at once.
    async fn a_device_approves_and_denies(server: Server) {
        let tenant = tenant(&server, "device", json!({})).await;
        set_mfa(&server, &tenant, true).await;
        ask(&server, &tenant, "s-0").await.expect(424);
        set_mfa(&server, &tenant, false).await;
        let code = code(&server, &tenant, &tenant.user).await;
        set_mfa(&server, &tenant, false).await;
        let mut phone = Phone::new();
        let made = phone.enrol(&server, &tenant, &code).await.expect(201).json();
        assert_eq!((&made["data"]["name"], &made["data"]["account"]), (&json!("Phone"), &json!(tenant.user.email)));
        assert!(has_mfa(&server, &tenant).await, "its signature is the proof");

        let none = phone.open(&server, &tenant, "?wait=0").await;
        assert_eq!(none["challenges"], json!([]));
        let known = format!("?wait=60&known={}", text(&none["tag"]));
        let (heard, key) = tokio::join!(phone.open(&server, &tenant, &known), async {
            listens(&server).await;
            asked(&server, &tenant, "s-1").await
        });
        let shown = &heard["challenges"][0];
        assert_eq!(shown["key"], key);
        for (name, value) in [("title", "Pay?"), ("header", "The shop"), ("message", "12 EUR")] {
            assert_eq!(shown[name], value);
        }
        assert_eq!(shown["asksForNumber"], false);
        assert_eq!(shown.as_object().unwrap().len(), 7, "no more than that: {shown}");
        assert_eq!(state(&server, &tenant, &key, "s-1").await, "pending");

        let known = format!("?wait=60&known={}", text(&heard["tag"]));
        let (rest, ()) = tokio::join!(phone.open(&server, &tenant, &known), async {
            listens(&server).await;
            phone.answer(&server, &tenant, shown, json!({})).await.expect(204);
        });
        assert_eq!(rest["challenges"], json!([]));
        assert_eq!(state(&server, &tenant, &key, "s-1").await, "approved");
        let key = asked(&server, &tenant, "s-2").await;
        let shown = phone.only(&server, &tenant).await;
        phone.answer(&server, &tenant, &shown, json!({"answer": "deny"})).await.expect(204);
        assert_eq!(state(&server, &tenant, &key, "s-2").await, "denied");
    }

    /// Replayed, altered, late and foreign answers change nothing.
    async fn answers_that_do_not_count(server: Server) {
        let tenant = tenant(&server, "device", json!({})).await;
        let phone = Phone::enrolled(&server, &tenant, &tenant.user).await;
        let foreign = Phone::enrolled(&server, &tenant, &tenant.owner).await;
        let key = asked(&server, &tenant, "s-1").await;
        let shown = phone.only(&server, &tenant).await;
        assert_eq!(foreign.open(&server, &tenant, "").await["challenges"], json!([]));

        let other = json!({"key": "other"});
        for altered in [json!({"nonce": "other"}), json!({"exp": shown["exp"].as_i64().unwrap() + 1}), other] {
            let claims = both(Phone::claims(&shown, "approve"), altered);
            let token = phone.sign(ANSWER, Some(&phone.id), &claims);
            sent(&server, &tenant, &key, &token).await.expect(401);
        }
        let claims = Phone::claims(&shown, "approve");
        let denial = phone.sign(ANSWER, Some(&phone.id), &Phone::claims(&shown, "deny"));
        let token = phone.sign(ANSWER, Some(&phone.id), &claims);
        let (signed, _) = token.rsplit_once('.').unwrap();
        let (_, signature) = denial.rsplit_once('.').unwrap();
        sent(&server, &tenant, &key, &format!("{signed}.{signature}")).await.expect(401);
        let kind = phone.sign(REQUEST, Some(&phone.id), &claims);
        sent(&server, &tenant, &key, &kind).await.expect(401);
        let lies = foreign.sign(ANSWER, Some(&phone.id), &claims);
        sent(&server, &tenant, &key, &lies).await.expect(401);
        let stranger = Phone::new().sign(ANSWER, None, &claims);
        sent(&server, &tenant, &key, &stranger).await.expect(401);
        foreign.answer(&server, &tenant, &shown, json!({})).await.expect(410);
        let word = both(claims.clone(), json!({"answer": "yes"}));
        let word = phone.sign(ANSWER, Some(&phone.id), &word);
        sent(&server, &tenant, &key, &word).await.expect(401);
        assert_eq!(state(&server, &tenant, &key, "s-1").await, "pending");

        sent(&server, &tenant, &key, &denial).await.expect(204);
        for replayed in [&denial, &token] {
            sent(&server, &tenant, &key, replayed).await.expect(410);
        }
        assert_eq!(state(&server, &tenant, &key, "s-1").await, "denied");
        let second = asked(&server, &tenant, "s-2").await;
        sent(&server, &tenant, &second, &token).await.expect(401);
        let shown = phone.only(&server, &tenant).await;
        phone.answer(&server, &tenant, &shown, json!({})).await.expect(204);

        let brief = json!({"state": "s-3", "duration": "1s"});
        let brief = custom(&server, &tenant, brief).await.expect(200).json();
        let brief = text(&brief["data"]["key"]);
        let shown = phone.only(&server, &tenant).await;
        // until it ends
        let path = format!("{}/status?wait=30", challenge(&tenant, brief, "s-3"));
        let ended = send(to(&server, Method::GET, &path)).await.expect(206).json();
        assert_eq!(ended["state"], "expired");
        phone.answer(&server, &tenant, &shown, json!({})).await.expect(410);
        assert_eq!(state(&server, &tenant, brief, "s-3").await, "expired");
    }

    /// The device has to be told the number that only whoever waits is shown.
    async fn numbers_are_matched(server: Server) {
        let tenant = tenant(&server, "device", json!({"numberMatching": true})).await;
        let phone = Phone::enrolled(&server, &tenant, &tenant.user).await;
        let mut wrong = 0;
        for (uid, right) in [("n-1", false), ("n-2", true), ("n-3", false)] {
            let asked = ask(&server, &tenant, uid).await.expect(200).json();
            let (key, number) = (text(&asked["data"]["key"]), text(&asked["data"]["number"]));
            assert!(number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit()));
            let shown = phone.only(&server, &tenant).await;
            assert_eq!(shown["asksForNumber"], true);
            assert!(!shown.as_object().unwrap().contains_key("number"));
            let more = if right {
                json!({"number": number})
            } else if wrong == 0 {
                json!({"number": if number == "10" { "11" } else { "10" }})
            } else {
                json!({})
            };
            let answer = phone.answer(&server, &tenant, &shown, more).await;
            if right {
                answer.expect(204);
                assert_eq!(state(&server, &tenant, key, uid).await, "approved");
            } else {
                wrong += 1;
                answer.expect(403);
                assert_eq!(state(&server, &tenant, key, uid).await, "denied");
                phone.answer(&server, &tenant, &shown, json!({"number": number})).await.expect(410);
            }
        }
    }

    /// A code makes one device, for its group, and only the newest code of an account does.
    async fn codes_count_once(server: Server) {
        let tenant = tenant(&server, "device", json!({})).await;
        let old = code(&server, &tenant, &tenant.user).await;
        set_mfa(&server, &tenant, false).await;
        let code = code(&server, &tenant, &tenant.user).await;
        let mut phone = Phone::new();
        phone.enrol(&server, &tenant, &old).await.expect(401);
        let path = api(&tenant, "devices/enrol");
        let tries = [
            (json!({"aud": "other", "code": code}), phone.jwk(), 401),
            (json!({"aud": tenant.group, "code": old}), phone.jwk(), 401),
            (json!({"aud": tenant.group, "code": code}), Phone::new().jwk(), 401),
            (json!({"aud": tenant.group, "code": code}), both(phone.jwk(), json!({"d": "AAAA"})), 400),
            (json!({"aud": tenant.group, "code": code}), json!({"kty": "oct", "k": "AAAA"}), 400),
        ];
        for (claims, key, status) in tries {
            let signed = phone.sign(ENROLMENT, None, &claims);
            let body = json!({"code": code, "key": key, "signed": signed});
            send(to(&server, Method::POST, &path).json(&body)).await.expect(status);
        }
        let (mut one, mut two) = (Phone::new(), Phone::new());
        let (a, b) = tokio::join!(one.enrol(&server, &tenant, &code), two.enrol(&server, &tenant, &code));
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 401], "of two at once one gets it");
        phone.enrol(&server, &tenant, &code).await.expect(401);

        let first = if a.status == 201 { one } else { two };
        let added = first.request(&server, &tenant, Method::POST, "devices/enrolments", "").await;
        let added = code_in(&tenant, &server, text(&added.expect(201).json()["data"]["uri"]));
        phone.enrol(&server, &tenant, &added).await.expect(201);
        let key = asked(&server, &tenant, "e-1").await;
        let shown = phone.only(&server, &tenant).await;
        phone.answer(&server, &tenant, &shown, json!({})).await.expect(204);
        assert_eq!(state(&server, &tenant, &key, "e-1").await, "approved");
    }

    /// What a device signs is good for one request, to that path, at that time.
    async fn requests_count_once(server: Server) {
        let tenant = tenant(&server, "device", json!({})).await;
        let phone = Phone::enrolled(&server, &tenant, &tenant.user).await;
        let path = api(&tenant, "devices/challenges");
        let claims = both(once(), json!({"method": "GET", "path": path}));
        let token = phone.sign(REQUEST, Some(&phone.id), &claims);
        with(&server, Method::GET, &path, &token).await.expect(200);
        with(&server, Method::GET, &path, &token).await.expect(401);
        let now = SystemClock.now() / 1000;
        for altered in [
            json!({"path": "/api/other/devices/challenges"}), json!({"method": "POST"}),
            json!({"iat": now - 400}), json!({"iat": now + 400}), json!({"jti": ""}),
        ] {
            let claims = both(both(claims.clone(), once()), altered);
            let token = phone.sign(REQUEST, Some(&phone.id), &claims);
            with(&server, Method::GET, &path, &token).await.expect(401);
        }
        send(to(&server, Method::GET, &path)).await.expect(401);
        let bearer = to(&server, Method::GET, &path).bearer_auth(&tenant.owner_token);
        send(bearer).await.expect(401);
        let other = tenant.another(&server, "other").await;
        let there = api(&other, "devices/challenges");
        let claims = both(once(), json!({"method": "GET", "path": there}));
        let token = phone.sign(REQUEST, Some(&phone.id), &claims);
        with(&server, Method::GET, &there, &token).await.expect(401);
    }
}
