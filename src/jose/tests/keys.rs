use std::path::PathBuf;

use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::super::{Alg, Jwk, KeySet};
use super::{ALL_KEYS, GROUP_KEYS, HMAC, OTHER_GROUP_KEYS, claims, jwk, key_set};

const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];

#[test]
fn a_new_group_gets_five_complete_keys_in_order() {
    let shape: Vec<_> = GROUP_KEYS
        .iter()
        .map(|key| (key.kty.as_str(), key.crv.as_deref(), key.use_.as_deref()))
        .collect();
    assert_eq!(
        shape,
        [
            ("RSA", None, Some("sig")),
            ("RSA", None, Some("enc")),
            ("EC", Some("P-256"), Some("sig")),
            ("EC", Some("P-256"), Some("enc")),
            ("OKP", Some("Ed25519"), Some("sig")),
        ]
    );
    for key in GROUP_KEYS.iter() {
        assert_eq!(key.kid, key.thumbprint().ok());
        assert_eq!(key.kid.as_ref().map(String::len), Some(43));
        let mut members: Vec<_> = serde_json::to_value(key)
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        members.sort_unstable();
        let expected: &[&str] = match key.kty.as_str() {
            "RSA" => &[
                "d", "dp", "dq", "e", "kid", "kty", "n", "p", "q", "qi", "use",
            ],
            "EC" => &["crv", "d", "kid", "kty", "use", "x", "y"],
            _ => &["crv", "d", "kid", "kty", "use", "x"],
        };
        assert_eq!(members, expected);
    }
    assert_eq!(GROUP_KEYS[0].n.as_ref().map(String::len), Some(342));
    assert_eq!(GROUP_KEYS[0].e.as_deref(), Some("AQAB"));
}

#[test]
fn stored_keys_survive_a_round_trip_with_unknown_members() {
    let mut stored = serde_json::to_value(&GROUP_KEYS[0]).unwrap();
    stored["x-note"] = json!({ "kept": true });
    let read: Jwk = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), stored);
}

#[test]
fn nothing_private_is_published_or_printed() {
    let mut keys = GROUP_KEYS.clone();
    keys[0]
        .other
        .insert("oth".to_owned(), json!([{ "r": "PRIVATE-PRIME" }]));
    keys.push(jwk(
        json!({ "kty": "oct", "use": "sig", "kid": "shared", "k": "U0hBUkVE" }),
    ));
    let set = key_set(&keys);
    let published: Value = serde_json::from_str(set.jwks()).unwrap();
    let published = published["keys"].as_array().unwrap();
    assert_eq!(
        published.len(),
        5,
        "the shared secret must not be published at all"
    );

    let mut secrets = vec!["PRIVATE-PRIME".to_owned(), "U0hBUkVE".to_owned()];
    for key in &keys {
        let value = serde_json::to_value(key).unwrap();
        secrets.extend(
            PRIVATE
                .iter()
                .filter_map(|name| value[*name].as_str())
                .map(String::from),
        );
    }
    assert_eq!(secrets.len(), 2 + 2 * 6 + 3 + 1);
    let mut shown = format!(
        "{set:?} {:?} {keys:?} {:?}",
        set.signer(Alg::RS256),
        keys[0].d
    );
    for key in published {
        for name in PRIVATE {
            assert!(key.get(name).is_none(), "{name} is published");
        }
        shown.push_str(&key.to_string());
    }
    for key in &keys {
        shown.push_str(&serde_json::to_string(&key.public()).unwrap());
    }
    for secret in secrets {
        assert!(!shown.contains(&secret));
    }
}

#[test]
fn the_published_keys_name_their_algorithm_where_there_is_only_one() {
    let set = key_set(&GROUP_KEYS);
    let published: Value = serde_json::from_str(set.jwks()).unwrap();
    let algs: Vec<_> = published["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|k| &k["alg"])
        .collect();
    assert_eq!(
        algs,
        [
            &json!(null),
            &json!(null),
            &json!("ES256"),
            &json!(null),
            &json!("EdDSA")
        ]
    );
}

#[test]
fn unusable_keys_are_skipped_and_the_rest_still_works() {
    let mut broken_rsa = GROUP_KEYS[0].clone();
    broken_rsa.p = ALL_KEYS[1].p.clone();
    broken_rsa.kid = Some("broken".to_owned());
    let mut foreign_half = GROUP_KEYS[2].clone();
    foreign_half.d = GROUP_KEYS[3].d.clone();
    foreign_half.kid = Some("foreign".to_owned());
    let small = json!({ "kty": "RSA", "use": "sig", "n": "sXch", "e": "AQAB" });
    let keys = [
        Jwk::default(),
        broken_rsa,
        foreign_half,
        jwk(small),
        jwk(json!({ "kty": "EC", "crv": "P-256", "use": "enc", "x": "AAAA", "y": "AAAA" })),
        GROUP_KEYS[0].clone(),
        GROUP_KEYS[4].clone(),
    ];
    let set = key_set(&keys);
    assert_eq!(
        Some(set.signer(Alg::RS256).unwrap().kid()),
        GROUP_KEYS[0].kid.as_deref()
    );
    assert!(set.signer(Alg::ES256).is_none());
    let published: Value = serde_json::from_str(set.jwks()).unwrap();
    assert_eq!(published["keys"].as_array().unwrap().len(), 2);
    assert!(key_set(&[]).signer(Alg::RS256).is_none());
    assert_eq!(&**key_set(&[]).jwks(), r#"{"keys":[]}"#);
}

#[test]
fn the_first_fitting_key_signs_and_an_alg_member_binds_a_key() {
    let mut bound = GROUP_KEYS[1].clone();
    bound.use_ = Some("sig".to_owned());
    bound.alg = Some("PS256".to_owned());
    let set = key_set(&[bound.clone(), GROUP_KEYS[0].clone()]);
    assert_eq!(
        Some(set.signer(Alg::PS256).unwrap().kid()),
        bound.kid.as_deref()
    );
    assert_eq!(
        Some(set.signer(Alg::RS256).unwrap().kid()),
        GROUP_KEYS[0].kid.as_deref()
    );
    assert!(HMAC.iter().all(|alg| set.signer(*alg).is_none()));
}

#[test]
fn a_missing_kid_becomes_the_thumbprint() {
    let mut key = GROUP_KEYS[2].clone();
    let kid = key.kid.take().unwrap();
    let set = key_set(std::slice::from_ref(&key));
    assert_eq!(set.signer(Alg::ES256).unwrap().kid(), kid);
    assert!(set.jwks().contains(&kid));
    let token = set
        .signer(Alg::ES256)
        .unwrap()
        .sign(None, &claims())
        .unwrap();
    set.verify(&token, &[Alg::ES256]).unwrap();
}

#[test]
fn a_retired_public_key_verifies_but_does_not_sign() {
    let before = key_set(&OTHER_GROUP_KEYS);
    let token = before
        .signer(Alg::RS256)
        .unwrap()
        .sign(None, &claims())
        .unwrap();
    let mut keys = GROUP_KEYS.clone();
    keys.push(OTHER_GROUP_KEYS[0].public());
    let after = key_set(&keys);
    after.verify(&token, &[Alg::RS256]).unwrap();
    assert_eq!(
        Some(after.signer(Alg::RS256).unwrap().kid()),
        GROUP_KEYS[0].kid.as_deref()
    );
    let only_public = key_set(&[OTHER_GROUP_KEYS[0].public()]);
    assert!(only_public.signer(Alg::RS256).is_none());
}

#[test]
fn members_with_padding_or_without_leading_zeros_are_accepted() {
    // One key in 256 has such a coordinate.
    let (key, x) = loop {
        let key = super::curve_key("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING);
        let x = URL_SAFE_NO_PAD.decode(key.x.as_ref().unwrap()).unwrap();
        if x[0] == 0 {
            break (key, x);
        }
    };
    let mut odd = key.clone();
    let first = x.iter().position(|byte| *byte != 0).unwrap();
    odd.x = Some(URL_SAFE.encode(&x[first..]));
    let token = key_set(&[odd])
        .signer(Alg::ES256)
        .unwrap()
        .sign(None, &claims())
        .unwrap();
    key_set(&[key]).verify(&token, &[Alg::ES256]).unwrap();
}

/// Where keys made by another server may be found; the test falls back on generated ones.
fn foreign_groups() -> Option<Vec<Vec<Jwk>>> {
    let shared = std::env::var_os("UEAUTH_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(shared.join("golden/db/auth_groups.json")).ok()?;
    let groups: Vec<Value> = serde_json::from_str(&text).unwrap();
    let keys = |group: &Value| serde_json::from_value(group["config"]["keys"].clone()).ok();
    Some(
        groups
            .iter()
            .filter_map(keys)
            .filter(|keys: &Vec<Jwk>| !keys.is_empty())
            .collect(),
    )
}

#[test]
fn keys_of_an_existing_database_are_usable() {
    let groups = foreign_groups().unwrap_or_else(|| vec![GROUP_KEYS.clone()]);
    assert!(!groups.is_empty());
    for keys in groups {
        let set = KeySet::new(&keys).unwrap();
        let published: Value = serde_json::from_str(set.jwks()).unwrap();
        assert_eq!(published["keys"].as_array().unwrap().len(), keys.len());
        for key in &keys {
            assert_eq!(key.kid, key.thumbprint().ok());
        }
        for alg in [Alg::RS256, Alg::PS256, Alg::ES256, Alg::EdDSA] {
            let token = set.signer(alg).unwrap().sign(None, &claims()).unwrap();
            set.verify(&token, &[alg]).unwrap();
        }
    }
}
