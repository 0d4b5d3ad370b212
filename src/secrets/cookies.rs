use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::ct_eq;

/// The value of a `.sig` cookie: HMAC-SHA1 of `name=value`, base64url, 27 characters.
/// SHA-1 is what existing login cookies carry; as an HMAC it is not broken.
pub fn cookie_signature(name_eq_value: &str, key: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, name_eq_value.as_bytes()))
}

/// Index of the key that made the signature, or `None` for a forged cookie. An index
/// above 0 means that the cookie should be signed again with the newest key. Empty keys never match.
pub fn cookie_verify(name_eq_value: &str, signature: &str, keys: &[String]) -> Option<usize> {
    keys.iter()
        .position(|key| !key.is_empty() && ct_eq(cookie_signature(name_eq_value, key), signature))
}

#[cfg(test)]
mod tests {
    use super::{cookie_signature, cookie_verify};

    #[test]
    fn signatures_match_an_independent_implementation() {
        // printf '_session=abc' | openssl dgst -sha1 -hmac 0123456789 -binary | basenc --base64url
        assert_eq!(
            cookie_signature("_session=abc", "0123456789"),
            "vxDDD599AKf3PK9Whvaz-e5Eixo"
        );
    }

    #[test]
    fn any_current_key_verifies_and_says_which() {
        let keys = ["newest".to_owned(), "older".to_owned()];
        let old = cookie_signature("_session=abc", "older");
        assert_eq!(cookie_verify("_session=abc", &old, &keys), Some(1));
        assert_eq!(cookie_verify("_session=abd", &old, &keys), None);
        assert_eq!(cookie_verify("_session=abc", "", &keys), None);
        let empty = cookie_signature("_session=abc", "");
        assert_eq!(
            cookie_verify("_session=abc", &empty, &[String::new()]),
            None
        );
    }
}
