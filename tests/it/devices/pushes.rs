//! Waking a device whose page is closed.

use std::io::ErrorKind;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use ueauth::jose::{Alg, Jwk, verify_with_jwks};
use web_push_native::p256::SecretKey;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint;

use super::phone::{Phone, SUBSCRIPTION, both, code_in, once};
use super::{api, asked, tenant};
use crate::answer::{Answer, send, to};
use crate::flow::text;
use crate::receive;
use crate::server::Server;
use crate::tenant::Tenant;

/// Head and body of the next request, which is answered with that status.
async fn next(service: &TcpListener, status: u16) -> (String, Vec<u8>) {
    let (mut stream, _) = service.accept().await.expect("a request");
    let (mut bytes, mut part) = (Vec::new(), [0_u8; 4096]);
    loop {
        let count = stream.read(&mut part).await.expect("a part");
        assert!(count > 0, "the request ends early");
        bytes.extend_from_slice(&part[..count]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).expect("a length");
        let length: usize = length.lines().next().unwrap().parse().expect("a number");
        if bytes.len() >= end + 4 + length {
            let answer =
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("sent");
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            return (head, bytes[end + 4..].to_vec());
        }
    }
}

async fn subscribe(server: &Server, tenant: &Tenant, phone: &Phone, to_where: Value) -> Answer {
    let claims = both(once(), json!({"subscription": to_where}));
    let token = phone.sign(SUBSCRIPTION, Some(&phone.id), &claims);
    let request = to(server, Method::PUT, &api(tenant, "devices/subscription"));
    send(request.json(&json!({"signed": token}))).await
}

async fn deny(server: &Server, tenant: &Tenant, phone: &Phone) {
    let shown = phone.only(server, tenant).await;
    let denied = json!({"answer": "deny"});
    phone
        .answer(server, tenant, &shown, denied)
        .await
        .expect(204);
}

async fn takes_pushes(server: &Server, tenant: &Tenant) -> bool {
    let path = format!("account/{}/devices", tenant.user.id);
    let listed = tenant.api(server, Method::GET, &path, None, 200).await;
    listed["data"][0]["push"] == true
}

/// Subscribes the phone to pushes at that service, as a browser with this key.
async fn subscribed(
    server: &Server,
    tenant: &Tenant,
    phone: &Phone,
    service: &TcpListener,
    browser: &SecretKey,
) {
    let endpoint = format!("http://{}/push/1", service.local_addr().unwrap());
    let point = browser.public_key().to_encoded_point(false);
    let keys = json!({"p256dh": URL_SAFE_NO_PAD.encode(point.as_bytes()), "auth": URL_SAFE_NO_PAD.encode([9; 16])});
    let wanted = json!({"endpoint": endpoint, "keys": keys});
    subscribe(server, tenant, phone, wanted).await.expect(204);
}

on_both_stores! {
    /// The push is encrypted for the browser, signed by the server, and says nothing.
    async fn a_challenge_wakes_the_device(server: Server) {
        let tenant = tenant(&server, "device", json!({})).await;
        let phone = Phone::enrolled(&server, &tenant, &tenant.user).await;
        let service = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}/push/1", service.local_addr().unwrap());
        let browser = SecretKey::from_slice(&[7; 32]).expect("a key");
        let point = browser.public_key().to_encoded_point(false);
        let auth = [9_u8; 16];
        let keys = json!({"p256dh": URL_SAFE_NO_PAD.encode(point.as_bytes()), "auth": URL_SAFE_NO_PAD.encode(auth)});
        for (endpoint, keys) in [
            ("http://10.0.0.1/push", keys.clone()), ("file:///etc/passwd", keys.clone()),
            (endpoint.as_str(), json!({"p256dh": "AAAA", "auth": keys["auth"]})),
            (endpoint.as_str(), json!({"p256dh": keys["p256dh"], "auth": "AAAA"})),
        ] {
            let wrong = json!({"endpoint": endpoint, "keys": keys});
            subscribe(&server, &tenant, &phone, wrong).await.expect(400);
        }
        assert!(!takes_pushes(&server, &tenant).await);
        let wanted = json!({"endpoint": endpoint, "keys": keys});
        subscribe(&server, &tenant, &phone, wanted).await.expect(204);
        assert!(takes_pushes(&server, &tenant).await);

        let (pushed, _) = tokio::join!(next(&service, 201), asked(&server, &tenant, "s-1"));
        let (head, body) = pushed;
        deny(&server, &tenant, &phone).await;
        let plain = web_push_native::decrypt(body, &browser, &auth.into()).expect("encrypted for the browser");
        assert_eq!(plain, b"challenge");
        let header = |name: &str| {
            let line = head.lines().find(|l| l.to_ascii_lowercase().starts_with(&format!("{name}: ")));
            line.unwrap_or_else(|| panic!("no {name}")).split_once(": ").unwrap().1.to_owned()
        };
        assert_eq!((header("content-encoding").as_str(), header("ttl").as_str()), ("aes128gcm", "300"));
        let proof = header("authorization");
        let (token, point) = proof.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        let point = URL_SAFE_NO_PAD.decode(point).unwrap();
        let key: Jwk = serde_json::from_value(json!({
            "kty": "EC", "crv": "P-256",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        })).unwrap();
        // the key has no name here, the token names it
        let named = Jwk { kid: Some(key.thumbprint().unwrap()), ..key };
        let claims = verify_with_jwks(token, &[named], &[Alg::ES256]).expect("signed").claims;
        assert_eq!(claims["aud"], format!("http://{}", service.local_addr().unwrap()));
        assert_eq!(text(&claims["sub"]), server.url);

        // a browser that has given it up is not asked again
        let (_, _) = tokio::join!(next(&service, 410), asked(&server, &tenant, "s-2"));
        deny(&server, &tenant, &phone).await;
        for _ in 0..600 {
            if !takes_pushes(&server, &tenant).await {
                return;
            }
        }
        panic!("the subscription stays");
    }

    /// Devices are woken at the same time, so that a dead push service costs others nothing.
    async fn no_device_waits_for_the_push_service_of_another(server: Server) {
        let tenant = tenant(&server, "device", json!({})).await;
        let first = Phone::enrolled(&server, &tenant, &tenant.user).await;
        let added = first.request(&server, &tenant, Method::POST, "devices/enrolments", "").await.expect(201);
        let code = code_in(&tenant, &server, text(&added.json()["data"]["uri"]));
        let mut second = Phone::new();
        second.enrol(&server, &tenant, &code).await.expect(201);
        let browser = SecretKey::from_slice(&[7; 32]).expect("a key");
        let mut services = Vec::new();
        for phone in [&first, &second] {
            let service = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            subscribed(&server, &tenant, phone, &service, &browser).await;
            services.push(service);
        }
        let ((one, other), _) = tokio::join!(
            async { tokio::join!(receive::taken(&services[0]), receive::taken(&services[1])) },
            asked(&server, &tenant, "s-1"),
        );
        for (_, stream) in [one, other] {
            let more = stream.try_read(&mut [0]);
            assert!(more.is_err_and(|e| e.kind() == ErrorKind::WouldBlock), "one was given up before the other began");
        }
    }
}
