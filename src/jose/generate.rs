use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _, Curve25519SeedBin, EcPrivateKeyBin};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pkcs1::RsaPrivateKeyRef;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::Decode as _;

use super::{JoseError, Jwk, PrivateMember};

/// The five private keys of a new group: RSA-2048 `sig`, RSA-2048 `enc`, EC P-256 `sig`,
/// EC P-256 `enc`, Ed25519 `sig`; `kid` is the RFC 7638 thumbprint, `alg` is left out.
///
/// Finding RSA primes takes from a tenth of a second to over a second of one core:
/// asynchronous callers run this in `spawn_blocking`.
///
/// # Errors
/// [`JoseError::Generation`] when the cryptographic library fails.
pub fn generate_group_keys() -> Result<Vec<Jwk>, JoseError> {
    Ok(vec![
        finish(rsa_2048()?, "sig")?,
        finish(rsa_2048()?, "enc")?,
        finish(ec_p256()?, "sig")?,
        finish(ec_p256()?, "enc")?,
        finish(ed25519()?, "sig")?,
    ])
}

/// A private EC P-256 key for signing; `kid` is the thumbprint.
///
/// # Errors
/// [`JoseError::Generation`] when the cryptographic library fails.
pub fn generate_ec_key() -> Result<Jwk, JoseError> {
    finish(ec_p256()?, "sig")
}

fn finish(mut key: Jwk, key_use: &str) -> Result<Jwk, JoseError> {
    key.use_ = Some(key_use.to_owned());
    key.kid = Some(key.thumbprint()?);
    Ok(key)
}

fn public(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn private(bytes: &[u8]) -> PrivateMember {
    PrivateMember::new(URL_SAFE_NO_PAD.encode(bytes))
}

fn rsa_2048() -> Result<Jwk, JoseError> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| JoseError::Generation)?;
    let document = pair.as_der().map_err(|_| JoseError::Generation)?;
    let info = PrivateKeyInfoRef::from_der(document.as_ref()).map_err(|_| JoseError::Generation)?;
    let key = RsaPrivateKeyRef::from_der(info.private_key.as_bytes())
        .map_err(|_| JoseError::Generation)?;
    Ok(Jwk {
        kty: "RSA".to_owned(),
        n: Some(public(key.modulus.as_bytes())),
        e: Some(public(key.public_exponent.as_bytes())),
        d: Some(private(key.private_exponent.as_bytes())),
        p: Some(private(key.prime1.as_bytes())),
        q: Some(private(key.prime2.as_bytes())),
        dp: Some(private(key.exponent1.as_bytes())),
        dq: Some(private(key.exponent2.as_bytes())),
        qi: Some(private(key.coefficient.as_bytes())),
        ..Jwk::default()
    })
}

fn ec_p256() -> Result<Jwk, JoseError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
        .map_err(|_| JoseError::Generation)?;
    let scalar: EcPrivateKeyBin<'_> = pair
        .private_key()
        .as_be_bytes()
        .map_err(|_| JoseError::Generation)?;
    // Uncompressed SEC 1 point: 0x04, x, y.
    let (x, y) = pair
        .public_key()
        .as_ref()
        .strip_prefix(&[4])
        .and_then(|point| point.split_at_checked(32))
        .ok_or(JoseError::Generation)?;
    Ok(Jwk {
        kty: "EC".to_owned(),
        crv: Some("P-256".to_owned()),
        x: Some(public(x)),
        y: Some(public(y)),
        d: Some(private(scalar.as_ref())),
        ..Jwk::default()
    })
}

fn ed25519() -> Result<Jwk, JoseError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| JoseError::Generation)?;
    let seed = pair.seed().map_err(|_| JoseError::Generation)?;
    let seed: Curve25519SeedBin<'_> = seed.as_be_bytes().map_err(|_| JoseError::Generation)?;
    Ok(Jwk {
        kty: "OKP".to_owned(),
        crv: Some("Ed25519".to_owned()),
        x: Some(public(pair.public_key().as_ref())),
        d: Some(private(seed.as_ref())),
        ..Jwk::default()
    })
}
