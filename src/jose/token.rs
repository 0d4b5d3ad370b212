use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Alg, JoseError};

/// Longest accepted token. Real ones stay under 16 KiB; the limit bounds the work a stranger can cause.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// The claims of a token whose shape is not known beforehand.
pub type Claims = serde_json::Map<String, Value>;

/// The header members this server reads (RFC 7515 §4.1).
#[derive(Clone, Debug, Deserialize)]
pub struct Header {
    /// Signature algorithm as written; not necessarily one of [`Alg`].
    pub alg: String,
    /// Media type of the token, such as `at+jwt`.
    #[serde(default)]
    pub typ: Option<String>,
    /// Content type, `JWT` for nested tokens.
    #[serde(default)]
    pub cty: Option<String>,
    /// Which key signed.
    #[serde(default)]
    pub kid: Option<String>,
    #[serde(default, deserialize_with = "is_present")]
    crit: bool,
}

/// True even for `"crit": null`, which an `Option` would take for absent.
fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A token whose signature has been checked. Its times, issuer and audience have not.
#[derive(Clone, Debug)]
pub struct Verified<T = Claims> {
    /// The decoded header.
    pub header: Header,
    /// The decoded claims.
    pub claims: T,
    /// The algorithm that verified.
    pub alg: Alg,
}

/// A compact JWS taken apart, nothing verified.
pub(super) struct Parts<'a> {
    pub header: Header,
    /// Header and payload with the dot between them: what the signature covers.
    pub signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    pub fn split(token: &'a str) -> Result<Self, JoseError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(JoseError::TooLarge);
        }
        let three = || JoseError::Malformed("it does not have three parts");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(three)?;
        let (header, payload) = signed.split_once('.').ok_or_else(three)?;
        if payload.contains('.') {
            return Err(three());
        }
        // Known members that occur twice are refused by the derived deserialiser (RFC 7515 §4).
        let header: Header = json(header, "the header is not base64url JSON with an `alg`")?;
        if header.crit {
            return Err(JoseError::CriticalHeader);
        }
        Ok(Self {
            header,
            signed,
            payload,
            signature,
        })
    }

    /// The algorithm, if it is a known one and in `allowed`.
    pub fn alg(&self, allowed: &[Alg]) -> Result<Alg, JoseError> {
        let alg: Alg = self.header.alg.parse()?;
        if allowed.contains(&alg) {
            Ok(alg)
        } else {
            Err(JoseError::AlgNotAllowed(alg))
        }
    }

    pub fn signature(&self) -> Result<Vec<u8>, JoseError> {
        URL_SAFE_NO_PAD
            .decode(self.signature)
            .map_err(|_| JoseError::Malformed("the signature is not base64url"))
    }

    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, JoseError> {
        json(
            self.payload,
            "the claims are not the expected base64url JSON object",
        )
    }
}

fn json<T: DeserializeOwned>(part: &str, problem: &'static str) -> Result<T, JoseError> {
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| JoseError::Malformed(problem))?;
    serde_json::from_slice(&bytes).map_err(|_| JoseError::Malformed(problem))
}

/// Header and claims of a token **without** checking its signature, to find out whose it claims to be.
///
/// # Errors
/// Any structural fault, see [`JoseError`].
pub fn decode_unverified(token: &str) -> Result<(Header, Claims), JoseError> {
    let parts = Parts::split(token)?;
    let claims = parts.claims()?;
    Ok((parts.header, claims))
}

/// Checks `exp`, which must be there, and `nbf` if it is; all in seconds since the epoch (RFC 7519 §4.1.4–5).
///
/// # Errors
/// [`JoseError::BadClaim`], [`JoseError::Expired`], [`JoseError::NotYetValid`].
pub fn check_times(claims: &Claims, now_secs: i64, leeway: i64) -> Result<(), JoseError> {
    if !claims.contains_key("exp") {
        return Err(JoseError::BadClaim("exp"));
    }
    check_times_if_present(claims, now_secs, leeway)
}

/// Like [`check_times`] for tokens that may lack `exp`, such as request objects.
///
/// # Errors
/// [`JoseError::BadClaim`], [`JoseError::Expired`], [`JoseError::NotYetValid`].
#[allow(
    clippy::cast_precision_loss,
    reason = "seconds since 1970 fit a double exactly"
)]
pub fn check_times_if_present(
    claims: &Claims,
    now_secs: i64,
    leeway: i64,
) -> Result<(), JoseError> {
    // NumericDate may have a fraction (RFC 7519 §2).
    let time = |name: &'static str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(JoseError::BadClaim(name)),
    };
    let (now, leeway) = (now_secs as f64, leeway as f64);
    if time("exp")?.is_some_and(|exp| now >= exp + leeway) {
        return Err(JoseError::Expired);
    }
    if time("nbf")?.is_some_and(|nbf| now + leeway < nbf) {
        return Err(JoseError::NotYetValid);
    }
    Ok(())
}
