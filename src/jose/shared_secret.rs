use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::key_set::{encode_claims, encode_header};
use super::token::Parts;
use super::{Alg, JoseError, Verified};

fn key(alg: Alg, secret: &[u8]) -> Result<hmac::Key, JoseError> {
    let algorithm = match alg {
        Alg::HS256 => hmac::HMAC_SHA256,
        Alg::HS384 => hmac::HMAC_SHA384,
        Alg::HS512 => hmac::HMAC_SHA512,
        other => return Err(JoseError::AlgNotAllowed(other)),
    };
    if secret.is_empty() {
        return Err(JoseError::UnusableKey("the shared secret is empty"));
    }
    Ok(hmac::Key::new(algorithm, secret))
}

/// Verifies a token signed with a shared secret (`client_secret_jwt`, signed request objects).
/// Only HS algorithms in `allowed` are ever accepted. Times are not checked.
///
/// # Errors
/// Any fault of structure, algorithm or signature, see [`JoseError`].
pub fn verify_hmac(token: &str, secret: &[u8], allowed: &[Alg]) -> Result<Verified, JoseError> {
    let parts = Parts::split(token)?;
    let alg = parts.alg(allowed)?;
    let key = key(alg, secret)?;
    hmac::verify(&key, parts.signed.as_bytes(), &parts.signature()?)
        .map_err(|_| JoseError::BadSignature)?;
    let claims = parts.claims()?;
    Ok(Verified {
        header: parts.header,
        claims,
        alg,
    })
}

/// Signs claims with a shared secret.
///
/// # Errors
/// [`JoseError::AlgNotAllowed`] for a non-HS algorithm; [`JoseError::UnusableKey`] for an empty secret.
pub fn sign_hmac<T: Serialize>(
    alg: Alg,
    secret: &[u8],
    header_typ: Option<&str>,
    claims: &T,
) -> Result<String, JoseError> {
    let key = key(alg, secret)?;
    let mut token = encode_claims(&encode_header(alg, header_typ, None)?, claims, 64)?;
    let tag = hmac::sign(&key, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(tag, &mut token);
    Ok(token)
}
