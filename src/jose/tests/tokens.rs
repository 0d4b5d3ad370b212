use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk as ForeignJwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use serde_json::{Value, json};

use super::super::{
    Alg, Claims, ClientKeys, JoseError, Jwk, MAX_TOKEN_BYTES, check_times, check_times_if_present,
    decode_unverified, sign_hmac, verify_hmac, verify_with_jwks,
};
use super::{ALL_KEYS, ASYMMETRIC, GROUP_KEYS, HMAC, OTHER_GROUP_KEYS, claims, key_set, unsigned};

fn all_algs() -> Vec<Alg> {
    ASYMMETRIC.into_iter().chain(HMAC).collect()
}

#[test]
fn every_algorithm_round_trips() {
    let set = key_set(&ALL_KEYS);
    for alg in ASYMMETRIC {
        for typ in [
            None,
            Some("JWT"),
            Some("at+jwt"),
            Some("logout+jwt"),
            Some("rare+jwt"),
        ] {
            let signer = set.signer(alg).unwrap();
            let token = signer.sign(typ, &claims()).unwrap();
            let verified = set.verify(&token, &[alg]).unwrap();
            assert_eq!(Value::Object(verified.claims), claims());
            assert_eq!(verified.alg, alg);
            assert_eq!(verified.header.alg, alg.as_str());
            assert_eq!(verified.header.typ.as_deref(), typ);
            assert_eq!(verified.header.kid.as_deref(), Some(signer.kid()));
            verify_with_jwks(&token, &ALL_KEYS, &[alg]).unwrap();
        }
    }
    for alg in HMAC {
        let token = sign_hmac(alg, b"secret", Some("JWT"), &claims()).unwrap();
        let verified = verify_hmac(&token, b"secret", &[alg]).unwrap();
        assert_eq!(Value::Object(verified.claims), claims());
    }
}

#[test]
fn names_round_trip_and_none_is_unknown() {
    for alg in all_algs() {
        assert_eq!(alg.as_str().parse::<Alg>().unwrap(), alg);
        assert_eq!(serde_json::to_value(alg).unwrap(), alg.as_str());
    }
    for name in ["none", "None", "", "rs256", "HS1", "ES256K"] {
        assert!(matches!(
            name.parse::<Alg>(),
            Err(JoseError::UnsupportedAlg)
        ));
    }
}

#[test]
fn an_independent_library_accepts_our_signatures() {
    let set = key_set(&ALL_KEYS);
    for (alg, foreign) in [
        (Alg::RS256, Algorithm::RS256),
        (Alg::RS384, Algorithm::RS384),
        (Alg::RS512, Algorithm::RS512),
        (Alg::PS256, Algorithm::PS256),
        (Alg::PS384, Algorithm::PS384),
        (Alg::PS512, Algorithm::PS512),
        (Alg::ES256, Algorithm::ES256),
        (Alg::ES384, Algorithm::ES384),
        (Alg::EdDSA, Algorithm::EdDSA),
    ] {
        let signer = set.signer(alg).unwrap();
        let published: Value = serde_json::from_str(set.jwks()).unwrap();
        let key = published["keys"]
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["kid"] == signer.kid())
            .unwrap();
        let key: ForeignJwk = serde_json::from_value(key.clone()).unwrap();
        let key = DecodingKey::from_jwk(&key).unwrap();
        let token = signer.sign(Some("at+jwt"), &claims()).unwrap();
        let mut validation = Validation::new(foreign);
        validation.validate_exp = false;
        let decoded = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
        assert_eq!(decoded.claims, claims(), "{alg}");
        assert_eq!(decoded.header.typ.as_deref(), Some("at+jwt"));
        assert_eq!(decoded.header.kid.as_deref(), Some(signer.kid()));
    }
}

#[test]
fn signatures_of_an_independent_library_are_accepted() {
    let header = jsonwebtoken::Header::new(Algorithm::HS256);
    let key = EncodingKey::from_secret(b"secret");
    let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
    verify_hmac(&token, b"secret", &[Alg::HS256]).unwrap();

    let pair = aws_lc_rs::signature::EcdsaKeyPair::generate(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    )
    .unwrap();
    let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
    let public = ForeignJwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    let public: Jwk = serde_json::from_value(serde_json::to_value(public).unwrap()).unwrap();
    let header = jsonwebtoken::Header::new(Algorithm::ES256);
    let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
    verify_with_jwks(&token, &[public], &[Alg::ES256]).unwrap();
}

#[test]
fn any_change_breaks_the_signature() {
    let set = key_set(&ALL_KEYS);
    for alg in [Alg::RS256, Alg::PS256, Alg::ES256, Alg::EdDSA] {
        let token = set
            .signer(alg)
            .unwrap()
            .sign(None, &json!({ "sub": "a" }))
            .unwrap();
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(
                set.verify(&changed, &ASYMMETRIC).is_err(),
                "{alg}, character {index}"
            );
        }
        assert!(set.verify(&format!("{token}A"), &ASYMMETRIC).is_err());
        assert!(set.verify(&token[..token.len() - 1], &ASYMMETRIC).is_err());
    }
    let token = sign_hmac(Alg::HS256, b"secret", None, &claims()).unwrap();
    assert!(matches!(
        verify_hmac(&token, b"secre", &[Alg::HS256]),
        Err(JoseError::BadSignature)
    ));
}

#[test]
fn a_public_key_cannot_be_passed_off_as_a_shared_secret() {
    let set = key_set(&GROUP_KEYS);
    let key = &GROUP_KEYS[0];
    let kid = key.kid.clone().unwrap();
    for secret in [
        key.n.as_ref().unwrap().as_bytes(),
        set.jwks().as_bytes(),
        kid.as_bytes(),
    ] {
        let token = sign_hmac(Alg::HS256, secret, None, &claims()).unwrap();
        let (_, rest) = token.split_once('.').unwrap();
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#));
        let token = format!("{header}.{rest}");
        assert!(matches!(
            set.verify(&token, &ASYMMETRIC),
            Err(JoseError::AlgNotAllowed(Alg::HS256))
        ));
        assert!(matches!(
            set.verify(&token, &all_algs()),
            Err(JoseError::UnknownKey)
        ));
        assert!(matches!(
            verify_with_jwks(&token, &GROUP_KEYS, &all_algs()),
            Err(JoseError::UnknownKey)
        ));
    }
}

#[test]
fn hmac_verification_accepts_nothing_but_hmac() {
    let set = key_set(&GROUP_KEYS);
    let token = set
        .signer(Alg::RS256)
        .unwrap()
        .sign(None, &claims())
        .unwrap();
    assert!(matches!(
        verify_hmac(&token, b"secret", &all_algs()),
        Err(JoseError::AlgNotAllowed(Alg::RS256))
    ));
    let token = sign_hmac(Alg::HS384, b"secret", None, &claims()).unwrap();
    assert!(matches!(
        verify_hmac(&token, b"secret", &[Alg::HS256]),
        Err(JoseError::AlgNotAllowed(Alg::HS384))
    ));
    assert!(matches!(
        verify_hmac(&token, b"", &[Alg::HS384]),
        Err(JoseError::UnusableKey(_))
    ));
    assert!(sign_hmac(Alg::RS256, b"secret", None, &claims()).is_err());
}

#[test]
fn unsigned_tokens_are_refused() {
    let set = key_set(&GROUP_KEYS);
    let kid = GROUP_KEYS[0].kid.clone().unwrap();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({ "alg": alg, "kid": kid }).to_string();
        let token = unsigned(&header, r#"{"sub":"a"}"#);
        let bare = format!("{}.", token.rsplit_once('.').unwrap().0);
        for token in [token, bare] {
            assert!(matches!(
                set.verify(&token, &all_algs()),
                Err(JoseError::UnsupportedAlg)
            ));
            assert!(matches!(
                verify_hmac(&token, b"secret", &all_algs()),
                Err(JoseError::UnsupportedAlg)
            ));
            assert!(verify_with_jwks(&token, &GROUP_KEYS, &all_algs()).is_err());
        }
    }
    let token = set
        .signer(Alg::RS256)
        .unwrap()
        .sign(None, &claims())
        .unwrap();
    assert!(matches!(
        set.verify(&token, &[]),
        Err(JoseError::AlgNotAllowed(Alg::RS256))
    ));
}

#[test]
fn only_signing_keys_verify() {
    let set = key_set(&GROUP_KEYS);
    let mut encryption = GROUP_KEYS[1].clone();
    encryption.use_ = Some("sig".to_owned());
    let misused = key_set(&[encryption]);
    let token = misused
        .signer(Alg::RS256)
        .unwrap()
        .sign(None, &claims())
        .unwrap();
    misused.verify(&token, &[Alg::RS256]).unwrap();
    assert!(matches!(
        set.verify(&token, &[Alg::RS256]),
        Err(JoseError::UnknownKey)
    ));
    assert!(matches!(
        verify_with_jwks(&token, &GROUP_KEYS, &[Alg::RS256]),
        Err(JoseError::UnknownKey)
    ));
}

#[test]
fn another_groups_token_is_unknown_even_under_our_kid() {
    let set = key_set(&GROUP_KEYS);
    let other = key_set(&OTHER_GROUP_KEYS);
    let token = other
        .signer(Alg::RS256)
        .unwrap()
        .sign(None, &claims())
        .unwrap();
    assert!(matches!(
        set.verify(&token, &[Alg::RS256]),
        Err(JoseError::UnknownKey)
    ));

    let mut disguised = OTHER_GROUP_KEYS[0].clone();
    disguised.kid.clone_from(&GROUP_KEYS[0].kid);
    let disguised = key_set(&[disguised]);
    let token = disguised
        .signer(Alg::RS256)
        .unwrap()
        .sign(None, &claims())
        .unwrap();
    assert!(matches!(
        set.verify(&token, &[Alg::RS256]),
        Err(JoseError::BadSignature)
    ));
}

#[test]
fn an_algorithm_must_fit_the_key_its_kid_names() {
    let set = key_set(&GROUP_KEYS);
    let kid = GROUP_KEYS[0].kid.clone().unwrap();
    for alg in ["ES256", "EdDSA", "ES384"] {
        let header = json!({ "alg": alg, "kid": kid }).to_string();
        let token = unsigned(&header, "{}");
        assert!(matches!(
            set.verify(&token, &ASYMMETRIC),
            Err(JoseError::UnknownKey)
        ));
    }
    let no_kid = unsigned(r#"{"alg":"RS256"}"#, "{}");
    assert!(matches!(
        set.verify(&no_kid, &ASYMMETRIC),
        Err(JoseError::UnknownKey)
    ));
}

#[test]
fn client_tokens_without_kid_are_tried_against_every_fitting_key() {
    let keys: Vec<Jwk> = [&OTHER_GROUP_KEYS[0], &OTHER_GROUP_KEYS[2], &GROUP_KEYS[0]]
        .into_iter()
        .map(|key| Jwk {
            use_: None,
            kid: None,
            ..key.public()
        })
        .collect();
    let client = ClientKeys::new(&keys);
    assert_eq!(client.len(), 3);
    let private = super::super::key::PrivateKey::parse(&GROUP_KEYS[0]).unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"PS256"}"#);
    let mut token = format!("{header}.{}", URL_SAFE_NO_PAD.encode(r#"{"sub":"c"}"#));
    private.append_signature(Alg::PS256, &mut token).unwrap();
    assert_eq!(
        client.verify(&token, &[Alg::PS256]).unwrap().claims["sub"],
        "c"
    );
    assert!(matches!(
        ClientKeys::new(&keys[..2]).verify(&token, &[Alg::PS256]),
        Err(JoseError::BadSignature)
    ));
    assert!(matches!(
        ClientKeys::new(&[]).verify(&token, &[Alg::PS256]),
        Err(JoseError::UnknownKey)
    ));
}

#[test]
fn key_operations_are_respected() {
    let mut key = GROUP_KEYS[0].public();
    key.key_ops = Some(vec!["encrypt".to_owned()]);
    assert!(ClientKeys::new(std::slice::from_ref(&key)).is_empty());
    key.key_ops = Some(vec!["verify".to_owned()]);
    assert!(!ClientKeys::new(&[key]).is_empty());
}

#[test]
fn malformed_tokens_are_refused_before_any_key_is_used() {
    let set = key_set(&GROUP_KEYS);
    let good = set
        .signer(Alg::EdDSA)
        .unwrap()
        .sign(None, &claims())
        .unwrap();
    let kid = GROUP_KEYS[4].kid.clone().unwrap();
    let malformed = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b".to_owned(),
        "a.b.c.d".to_owned(),
        format!("{good}.x"),
        format!("{good}="),
        format!(" {good}"),
        unsigned("[]", "{}"),
        unsigned(r#"{"typ":"JWT"}"#, "{}"),
        unsigned(r#"{"alg":"EdDSA","alg":"none"}"#, "{}"),
        unsigned(
            &format!(r#"{{"alg":"EdDSA","kid":"x","kid":"{kid}"}}"#),
            "{}",
        ),
        unsigned(r#"{"alg":"EdDSA"}x"#, "{}"),
    ];
    for token in malformed {
        assert!(
            matches!(
                set.verify(&token, &ASYMMETRIC),
                Err(JoseError::Malformed(_))
            ),
            "{token}"
        );
    }
    for crit in [r#"["exp"]"#, "null", "[]"] {
        let token = unsigned(&format!(r#"{{"alg":"EdDSA","crit":{crit}}}"#), "{}");
        assert!(matches!(
            decode_unverified(&token),
            Err(JoseError::CriticalHeader)
        ));
    }
    let long = format!("{good}{}", "A".repeat(MAX_TOKEN_BYTES));
    assert!(matches!(
        set.verify(&long, &ASYMMETRIC),
        Err(JoseError::TooLarge)
    ));
}

#[test]
fn signed_text_that_is_no_claims_object_is_refused() {
    #[derive(serde::Deserialize)]
    struct Typed {
        sub: String,
    }

    let set = key_set(&GROUP_KEYS);
    let signer = set.signer(Alg::EdDSA).unwrap();
    for bad in [json!([1]), json!("text"), json!(null)] {
        assert!(matches!(
            signer.sign(None, &bad),
            Err(JoseError::UnserializableClaims)
        ));
    }
    let token = signer.sign(None, &claims()).unwrap();
    let typed = set.verify_as::<Typed>(&token, &[Alg::EdDSA]).unwrap();
    assert_eq!(typed.claims.sub, "someone");
    let token = signer.sign(None, &json!({ "sub": 1 })).unwrap();
    assert!(matches!(
        set.verify_as::<Typed>(&token, &[Alg::EdDSA]),
        Err(JoseError::Malformed(_))
    ));
}

#[test]
fn decoding_without_verifying_shows_header_and_claims() {
    let (header, claims) = decode_unverified(&unsigned(
        r#"{"alg":"none","typ":"x","cty":"y"}"#,
        r#"{"iss":"z"}"#,
    ))
    .unwrap();
    assert_eq!(
        (header.alg.as_str(), header.typ.as_deref()),
        ("none", Some("x"))
    );
    assert_eq!(header.cty.as_deref(), Some("y"));
    assert_eq!(claims["iss"], "z");
}

#[test]
fn times_are_checked_to_the_second() {
    let of = |value: Value| -> Claims { serde_json::from_value(value).unwrap() };
    let exp = of(json!({ "exp": 100 }));
    check_times(&exp, 99, 0).unwrap();
    assert!(matches!(check_times(&exp, 100, 0), Err(JoseError::Expired)));
    check_times(&exp, 104, 5).unwrap();
    assert!(matches!(check_times(&exp, 105, 5), Err(JoseError::Expired)));
    let both = of(json!({ "exp": 100, "nbf": 50.5 }));
    assert!(matches!(
        check_times(&both, 50, 0),
        Err(JoseError::NotYetValid)
    ));
    check_times(&both, 51, 0).unwrap();
    check_times(&both, 50, 1).unwrap();
    assert!(matches!(
        check_times(&of(json!({})), 1, 0),
        Err(JoseError::BadClaim("exp"))
    ));
    check_times_if_present(&of(json!({})), 1, 0).unwrap();
    for bad in [json!("100"), json!(null), json!(true)] {
        let claims = of(json!({ "exp": bad }));
        assert!(matches!(
            check_times(&claims, 1, 0),
            Err(JoseError::BadClaim("exp"))
        ));
    }
    let bad_nbf = of(json!({ "exp": 100, "nbf": "soon" }));
    assert!(matches!(
        check_times(&bad_nbf, 1, 0),
        Err(JoseError::BadClaim("nbf"))
    ));
}
