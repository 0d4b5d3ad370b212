mod keys;
mod tokens;
mod vectors;

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::signature::{EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Alg, Jwk, KeySet, PrivateMember, generate_group_keys};

/// Made once: RSA primes take their time.
static GROUP_KEYS: LazyLock<Vec<Jwk>> = LazyLock::new(|| generate_group_keys().unwrap());
static OTHER_GROUP_KEYS: LazyLock<Vec<Jwk>> = LazyLock::new(|| generate_group_keys().unwrap());

/// The keys of a group and one for each further curve.
static ALL_KEYS: LazyLock<Vec<Jwk>> = LazyLock::new(|| {
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING};
    let mut keys = GROUP_KEYS.clone();
    keys.push(curve_key("P-384", &ECDSA_P384_SHA384_FIXED_SIGNING));
    keys.push(curve_key("P-521", &ECDSA_P521_SHA512_FIXED_SIGNING));
    keys
});

const ASYMMETRIC: [Alg; 10] = [
    Alg::RS256,
    Alg::RS384,
    Alg::RS512,
    Alg::PS256,
    Alg::PS384,
    Alg::PS512,
    Alg::ES256,
    Alg::ES384,
    Alg::ES512,
    Alg::EdDSA,
];

const HMAC: [Alg; 3] = [Alg::HS256, Alg::HS384, Alg::HS512];

fn curve_key(crv: &str, algorithm: &'static EcdsaSigningAlgorithm) -> Jwk {
    let pair = EcdsaKeyPair::generate(algorithm).unwrap();
    let scalar: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at(point.len() / 2);
    Jwk {
        kty: "EC".to_owned(),
        use_: Some("sig".to_owned()),
        kid: Some(crv.to_owned()),
        crv: Some(crv.to_owned()),
        x: Some(URL_SAFE_NO_PAD.encode(x)),
        y: Some(URL_SAFE_NO_PAD.encode(y)),
        d: Some(PrivateMember::new(URL_SAFE_NO_PAD.encode(scalar.as_ref()))),
        ..Jwk::default()
    }
}

fn jwk(value: Value) -> Jwk {
    serde_json::from_value(value).unwrap()
}

fn claims() -> Value {
    json!({ "sub": "someone", "exp": 2_000_000_000, "nested": { "list": [1, "two", null] } })
}

fn key_set(keys: &[Jwk]) -> KeySet {
    KeySet::new(keys).unwrap()
}

/// A token with any header and claims and a made-up signature.
fn unsigned(header: &str, claims: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        encode(header),
        encode(claims),
        encode("signature")
    )
}
