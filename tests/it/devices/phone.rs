//! A device made of code.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use ueauth_actors::{Clock, SystemClock};

use super::{api, instructions};
use crate::answer::{Answer, send, to};
use crate::flow::text;
use crate::server::Server;
use crate::tenant::{Person, Tenant};

pub const ENROLMENT: &str = "device-enrolment+jwt";
pub const REQUEST: &str = "device-request+jwt";
pub const ANSWER: &str = "device-answer+jwt";
pub const SUBSCRIPTION: &str = "device-subscription+jwt";

static NEXT: AtomicU64 = AtomicU64::new(0);

pub struct Phone {
    key: EcdsaKeyPair,
    /// Its id at the server, once it has one.
    pub id: String,
}

pub fn once() -> Value {
    let jti = format!("jti-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    json!({"iat": SystemClock.now() / 1000, "jti": jti})
}

/// One object with the members of both.
pub fn both(mut one: Value, other: Value) -> Value {
    let other = other.as_object().expect("an object").clone();
    one.as_object_mut().expect("an object").extend(other);
    one
}

/// A code for a device of that person.
pub async fn code(server: &Server, tenant: &Tenant, person: &Person) -> String {
    let told = instructions(server, tenant, person)
        .await
        .expect(200)
        .json();
    let data = &told["data"];
    assert_eq!(data["qrCode"], data["setupScreen"]);
    code_in(tenant, server, text(&data["qrCode"]))
}

pub fn code_in(tenant: &Tenant, server: &Server, address: &str) -> String {
    let start = format!("{}/{}/device-app#enrol=", server.url, tenant.group);
    let code = address.strip_prefix(&start).expect("the page's address");
    assert_eq!(code.len(), 43);
    code.to_owned()
}

impl Phone {
    pub fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self {
            key,
            id: String::new(),
        }
    }

    /// Enrolled for that person.
    pub async fn enrolled(server: &Server, tenant: &Tenant, person: &Person) -> Self {
        let code = code(server, tenant, person).await;
        let mut phone = Self::new();
        phone.enrol(server, tenant, &code).await.expect(201);
        phone
    }

    pub fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let part = |range| URL_SAFE_NO_PAD.encode(&point[range]);
        json!({"kty": "EC", "crv": "P-256", "x": part(1..33), "y": part(33..65)})
    }

    pub fn sign(&self, typ: &str, kid: Option<&str>, claims: &Value) -> String {
        let mut header = json!({"alg": "ES256", "typ": typ});
        if let Some(kid) = kid {
            header["kid"] = json!(kid);
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let random = SystemRandom::new();
        let signature = self.key.sign(&random, signed.as_bytes());
        let signature = signature.expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub async fn enrol(&mut self, server: &Server, tenant: &Tenant, code: &str) -> Answer {
        let claims = json!({"aud": tenant.group, "code": code});
        let signed = self.sign(ENROLMENT, None, &claims);
        let body = json!({"code": code, "key": self.jwk(), "name": "Phone", "signed": signed});
        let answer =
            send(to(server, Method::POST, &api(tenant, "devices/enrol")).json(&body)).await;
        if answer.status == 201 {
            text(&answer.json()["data"]["id"]).clone_into(&mut self.id);
        }
        answer
    }

    /// A request as the device signs it, to a path with a query.
    pub async fn request(
        &self,
        server: &Server,
        tenant: &Tenant,
        method: Method,
        path: &str,
        query: &str,
    ) -> Answer {
        let path = api(tenant, path);
        let claims = json!({"method": method.as_str(), "path": path});
        let token = self.sign(REQUEST, Some(&self.id), &both(once(), claims));
        with(server, method, &format!("{path}{query}"), &token).await
    }

    /// What there is to answer.
    pub async fn open(&self, server: &Server, tenant: &Tenant, query: &str) -> Value {
        let path = "devices/challenges";
        let answer = self.request(server, tenant, Method::GET, path, query).await;
        answer.expect(200).json()["data"].clone()
    }

    /// The only challenge there is.
    pub async fn only(&self, server: &Server, tenant: &Tenant) -> Value {
        let mut open = self.open(server, tenant, "").await;
        let list = open["challenges"].as_array_mut().expect("a list");
        assert_eq!(list.len(), 1);
        list.remove(0)
    }

    /// What is signed for an answer.
    pub fn claims(challenge: &Value, word: &str) -> Value {
        let mut claims = json!({"answer": word});
        for name in ["key", "nonce", "exp"] {
            claims[name] = challenge[name].clone();
        }
        claims
    }

    pub async fn answer(
        &self,
        server: &Server,
        tenant: &Tenant,
        challenge: &Value,
        more: Value,
    ) -> Answer {
        let claims = both(Self::claims(challenge, "approve"), more);
        let token = self.sign(ANSWER, Some(&self.id), &claims);
        sent(server, tenant, text(&challenge["key"]), &token).await
    }
}

/// Sends a signed answer.
pub async fn sent(server: &Server, tenant: &Tenant, key: &str, token: &str) -> Answer {
    let path = api(tenant, &format!("devices/challenges/{key}"));
    send(to(server, Method::POST, &path).json(&json!({"signed": token}))).await
}

/// A request with what a device has signed for it.
pub async fn with(server: &Server, method: Method, path: &str, token: &str) -> Answer {
    let request = to(server, method, path);
    send(request.header("authorization", format!("Device {token}"))).await
}
