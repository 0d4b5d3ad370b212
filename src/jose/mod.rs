//! JSON Web Keys and signed tokens: keys are parsed once, then sign and verify without locks.
//!
//! This room knows nothing of groups, clients or HTTP: it is given keys and bytes.

mod alg;
mod generate;
mod jwk;
mod key;
mod key_set;
mod shared_secret;
#[cfg(test)]
mod tests;
mod token;

pub use alg::{Alg, left_half_hash, s256_challenge};
pub use generate::{generate_ec_key, generate_group_keys};
pub use jwk::{Jwk, PrivateMember};
pub use key_set::{ClientKeys, KeySet, Signer, verify_with_jwks};
pub use shared_secret::{sign_hmac, verify_hmac};
pub use token::{
    Claims, Header, MAX_TOKEN_BYTES, Verified, check_times, check_times_if_present,
    decode_unverified,
};

/// Why a key or a token was refused. No variant carries key material or token text.
#[derive(Debug, thiserror::Error)]
pub enum JoseError {
    /// The token is not a three-part compact JWS with JSON header and claims (RFC 7515 §7.1).
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// The token is longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLarge,
    /// The header has `crit`; no extension is understood here, so it must be refused (RFC 7515 §4.1.11).
    #[error("the token demands header extensions (`crit`) that are not supported")]
    CriticalHeader,
    /// The header names an algorithm this server does not know; `none` is one of those.
    #[error("the token's signing algorithm is not supported")]
    UnsupportedAlg,
    /// The algorithm is known but not acceptable here.
    #[error("the signing algorithm {0} is not allowed here")]
    AlgNotAllowed(Alg),
    /// No signing key with the token's `kid` fits its algorithm; a remote key set may need fetching again.
    #[error("no signing key matches the token's kid and algorithm")]
    UnknownKey,
    /// The signature does not match.
    #[error("the token's signature is not valid")]
    BadSignature,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` lies in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A claim that must be there is missing or not of the right type.
    #[error("the claim `{0}` is missing or of the wrong type")]
    BadClaim(&'static str),
    /// A JWK cannot be used for what was asked.
    #[error("the key cannot be used: {0}")]
    UnusableKey(&'static str),
    /// The claims could not be written as a JSON object.
    #[error("the claims are not a JSON object")]
    UnserializableClaims,
    /// The cryptographic library failed to make a key.
    #[error("key generation failed; try again, and check the machine's entropy source")]
    Generation,
    /// The cryptographic library failed to sign.
    #[error("signing failed")]
    Signing,
}
