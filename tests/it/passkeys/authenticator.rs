//! An authenticator made of code: it makes P-256 passkeys and signs with them as CTAP2 devices do.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};

use crate::flow::text;

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

pub struct Authenticator {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    handle: String,
    pub counter: u32,
    /// Whether it asks for a finger or a PIN.
    pub verifies: bool,
}

fn coded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

/// A text or a byte string of CBOR with its head.
fn cbor(major: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a short string");
    let mut out = match length {
        0..=23 => vec![major << 5 | u8::try_from(length).expect("a byte")],
        24..=255 => vec![major << 5 | 0x18, u8::try_from(length).expect("a byte")],
        _ => [vec![major << 5 | 0x19], length.to_be_bytes().to_vec()].concat(),
    };
    out.extend(bytes);
    out
}

impl Authenticator {
    pub fn new() -> Self {
        Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"),
            id: rand::random::<[u8; 32]>().to_vec(),
            handle: String::new(),
            counter: 0,
            verifies: true,
        }
    }

    fn data(&self, domain: &str, more: u8) -> Vec<u8> {
        let verified = if self.verifies { VERIFIED } else { 0 };
        let mut out = hash(domain.as_bytes());
        out.push(PRESENT | verified | more);
        out.extend(self.counter.to_be_bytes());
        out
    }

    fn client_data(kind: &str, origin: &str, challenge: &Value) -> Vec<u8> {
        let data =
            json!({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false});
        data.to_string().into_bytes()
    }

    /// What a browser answers to the options for making a passkey.
    pub fn create(&mut self, origin: &str, options: &Value) -> Value {
        text(&options["user"]["id"]).clone_into(&mut self.handle);
        self.counter += 1;
        let point = self.key.public_key().as_ref();
        let (x, y) = point.split_at_checked(33).expect("a point");
        let x = x.get(1..).expect("a coordinate");
        // {1: 2, 3: -7, -1: 1, -2: x, -3: y}
        let public = [
            vec![0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21],
            cbor(2, x),
            vec![0x22],
            cbor(2, y),
        ]
        .concat();
        let mut data = self.data(text(&options["rp"]["id"]), ATTESTED);
        data.extend([0; 16]);
        data.extend(
            u16::try_from(self.id.len())
                .expect("a short id")
                .to_be_bytes(),
        );
        data.extend(&self.id);
        data.extend(public);
        let attestation = [
            vec![0xa3],
            cbor(3, b"fmt"),
            cbor(3, b"none"),
            cbor(3, b"attStmt"),
            vec![0xa0],
            cbor(3, b"authData"),
            cbor(2, &data),
        ]
        .concat();
        let client = Self::client_data("webauthn.create", origin, &options["challenge"]);
        json!({
            "id": coded(&self.id), "rawId": coded(&self.id), "type": "public-key",
            "response": {"clientDataJSON": coded(client), "attestationObject": coded(attestation)},
            "clientExtensionResults": {"credProps": {"rk": true}},
        })
    }

    /// What a browser answers to the options for using the passkey.
    pub fn get(&mut self, origin: &str, options: &Value) -> Value {
        self.counter += 1;
        let client = Self::client_data("webauthn.get", origin, &options["challenge"]);
        let data = self.data(text(&options["rpId"]), 0);
        let signed = [data.clone(), hash(&client)].concat();
        let signature = self
            .key
            .sign(&SystemRandom::new(), &signed)
            .expect("a signature");
        json!({
            "id": coded(&self.id), "rawId": coded(&self.id), "type": "public-key",
            "response": {
                "clientDataJSON": coded(client), "authenticatorData": coded(data),
                "signature": coded(signature), "userHandle": self.handle,
            },
            "clientExtensionResults": {},
        })
    }

    /// Its id as servers write it.
    pub fn id(&self) -> String {
        coded(&self.id)
    }
}
