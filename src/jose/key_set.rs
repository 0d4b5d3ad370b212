use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

use super::key::{PrivateKey, PublicKey};
use super::token::Parts;
use super::{Alg, JoseError, Jwk, Verified};

/// How many keys are tried for a token without `kid`.
const MAX_TRIES: usize = 16;

/// How many keys of a client's set are read.
const MAX_CLIENT_KEYS: usize = 64;

/// Token types whose headers are encoded beforehand.
const COMMON_TYPES: [&str; 3] = ["JWT", "at+jwt", "logout+jwt"];

/// The keys of one group, immutable and parsed once; share it in an `Arc`.
pub struct KeySet {
    keys: Vec<VerifyKey>,
    signers: Vec<Signer>,
    /// What the signers sign with, for those who need no signer.
    algs: Algs,
    jwks: Arc<str>,
}

/// A set of algorithms.
#[derive(Debug, Clone, Copy, Default)]
struct Algs(u16);

impl Algs {
    fn contains(self, alg: Alg) -> bool {
        self.0 & (1 << alg as u16) != 0
    }
}

impl FromIterator<Alg> for Algs {
    fn from_iter<I: IntoIterator<Item = Alg>>(algs: I) -> Self {
        Self(algs.into_iter().fold(0, |set, alg| set | (1 << alg as u16)))
    }
}

impl KeySet {
    /// Parses the keys of a group, in order of preference. Keys that cannot be used are
    /// skipped with a warning. A public key verifies and is published, but never signs:
    /// append the public halves of retired keys to keep their tokens valid.
    ///
    /// Each RSA private key costs some tenths of a millisecond.
    ///
    /// # Errors
    /// None at present for any list of keys; the `Result` leaves room for it.
    pub fn new(jwks: &[Jwk]) -> Result<Self, JoseError> {
        #[derive(Serialize)]
        struct Published {
            keys: Vec<Jwk>,
        }
        let mut published = Vec::with_capacity(jwks.len());
        let mut keys = Vec::with_capacity(jwks.len());
        let mut signers: Vec<Signer> = Vec::new();
        for (index, jwk) in jwks.iter().enumerate() {
            match GroupKey::parse(jwk) {
                Err(error) => warn!(index, kid = ?jwk.kid, %error, "group key skipped"),
                Ok(GroupKey {
                    shown,
                    verify,
                    sign,
                }) => {
                    published.push(shown);
                    keys.extend(verify);
                    for signer in sign {
                        if signers.iter().all(|known| known.alg != signer.alg) {
                            signers.push(signer);
                        }
                    }
                }
            }
        }
        let jwks = serde_json::to_string(&Published { keys: published })
            .map_err(|_| JoseError::UnusableKey("the public keys cannot be written as JSON"))?;
        Ok(Self {
            keys,
            algs: signers.iter().map(|signer| signer.alg).collect(),
            signers,
            jwks: jwks.into(),
        })
    }

    /// Can a key of the group sign with `alg`?
    pub fn signs(&self, alg: Alg) -> bool {
        self.algs.contains(alg)
    }

    /// The body of the JWKS endpoint: public members only, every usable key, `sig` and `enc`.
    pub fn jwks(&self) -> &Arc<str> {
        &self.jwks
    }

    /// The first `sig` key that can sign with `alg`.
    pub fn signer(&self, alg: Alg) -> Option<&Signer> {
        self.signers.iter().find(|signer| signer.alg == alg)
    }

    /// Verifies a token of this group with the `sig` key its `kid` names. Only the
    /// signature is checked: follow with [`super::check_times`], issuer and audience.
    ///
    /// # Errors
    /// Any fault of structure, algorithm, key or signature, see [`JoseError`].
    pub fn verify(&self, token: &str, allowed: &[Alg]) -> Result<Verified, JoseError> {
        self.verify_as(token, allowed)
    }

    /// [`Self::verify`] with claims of a known shape, which spares building a map.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_as<T: DeserializeOwned>(
        &self,
        token: &str,
        allowed: &[Alg],
    ) -> Result<Verified<T>, JoseError> {
        let parts = Parts::split(token)?;
        let alg = parts.alg(allowed)?;
        let kid = parts.header.kid.as_deref().ok_or(JoseError::UnknownKey)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.kid == kid && key.suits(alg))
            .ok_or(JoseError::UnknownKey)?;
        key.public
            .verify(alg, parts.signed.as_bytes(), &parts.signature()?)?;
        let claims = parts.claims()?;
        Ok(Verified {
            header: parts.header,
            claims,
            alg,
        })
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("jwks", &self.jwks)
            .finish_non_exhaustive()
    }
}

/// The public signing keys of a client, parsed once (`private_key_jwt`, request objects).
pub struct ClientKeys {
    keys: Vec<VerifyKey>,
}

impl ClientKeys {
    /// Parses what can verify; everything else is skipped. Keys may lack `use` and `kid`.
    pub fn new(jwks: &[Jwk]) -> Self {
        let keys = jwks
            .iter()
            .take(MAX_CLIENT_KEYS)
            .filter(|jwk| jwk.use_.as_deref().is_none_or(|key_use| key_use == "sig"))
            .filter(|jwk| may(jwk, "verify"))
            .filter_map(|jwk| VerifyKey::parse(jwk).ok())
            .collect();
        Self { keys }
    }

    /// Verifies a token. Without `kid` in its header every fitting key is tried.
    /// [`JoseError::UnknownKey`] means that a remote set may be out of date.
    ///
    /// # Errors
    /// Any fault of structure, algorithm, key or signature, see [`JoseError`].
    pub fn verify(&self, token: &str, allowed: &[Alg]) -> Result<Verified, JoseError> {
        self.verify_as(token, allowed)
    }

    /// [`Self::verify`] with claims of a known shape, which spares building a map.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_as<T: DeserializeOwned>(
        &self,
        token: &str,
        allowed: &[Alg],
    ) -> Result<Verified<T>, JoseError> {
        let parts = Parts::split(token)?;
        let alg = parts.alg(allowed)?;
        let signature = parts.signature()?;
        let mut outcome = Err(JoseError::UnknownKey);
        let fitting = self
            .keys
            .iter()
            .filter(|key| parts.header.kid.as_ref().is_none_or(|kid| *kid == key.kid))
            .filter(|key| key.suits(alg));
        for key in fitting.take(MAX_TRIES) {
            outcome = key.public.verify(alg, parts.signed.as_bytes(), &signature);
            if outcome.is_ok() {
                break;
            }
        }
        outcome?;
        let claims = parts.claims()?;
        Ok(Verified {
            header: parts.header,
            claims,
            alg,
        })
    }

    /// How many keys can verify.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can verify.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKeys")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// [`ClientKeys::verify`] for keys that are used only once.
///
/// # Errors
/// As [`ClientKeys::verify`].
pub fn verify_with_jwks(token: &str, jwks: &[Jwk], allowed: &[Alg]) -> Result<Verified, JoseError> {
    ClientKeys::new(jwks).verify(token, allowed)
}

/// One private key bound to one algorithm.
pub struct Signer {
    alg: Alg,
    kid: Arc<str>,
    key: Arc<SigningKey>,
    headers: OnceLock<Headers>,
}

/// A private key. RSA keys are large, and take room once they sign: of many groups most do not
/// for a long time.
enum SigningKey {
    Ready(PrivateKey),
    Later(Box<(Jwk, OnceLock<PrivateKey>)>),
}

impl SigningKey {
    fn new(jwk: &Jwk, key: PrivateKey) -> Self {
        match key {
            PrivateKey::Rsa(_) => Self::Later(Box::new((jwk.clone(), OnceLock::new()))),
            small => Self::Ready(small),
        }
    }

    fn ready(&self) -> Result<&PrivateKey, JoseError> {
        match self {
            Self::Ready(key) => Ok(key),
            Self::Later(later) => {
                let (jwk, parsed) = &**later;
                if let Some(key) = parsed.get() {
                    return Ok(key);
                }
                let key = PrivateKey::parse(jwk)?;
                Ok(parsed.get_or_init(|| key))
            }
        }
    }
}

/// Encoded headers of one key and algorithm.
struct Headers {
    untyped: String,
    typed: Vec<(&'static str, String)>,
}

impl Headers {
    fn new(alg: Alg, kid: &str) -> Result<Self, JoseError> {
        let typed = COMMON_TYPES
            .into_iter()
            .map(|typ| Ok((typ, encode_header(alg, Some(typ), Some(kid))?)))
            .collect::<Result<_, JoseError>>()?;
        Ok(Self {
            untyped: encode_header(alg, None, Some(kid))?,
            typed,
        })
    }
}

impl Signer {
    fn new(alg: Alg, kid: Arc<str>, key: Arc<SigningKey>) -> Self {
        Self {
            alg,
            kid,
            key,
            headers: OnceLock::new(),
        }
    }

    fn headers(&self) -> Result<&Headers, JoseError> {
        if let Some(headers) = self.headers.get() {
            return Ok(headers);
        }
        let headers = Headers::new(self.alg, &self.kid)?;
        Ok(self.headers.get_or_init(|| headers))
    }

    /// The algorithm of the signatures.
    pub fn alg(&self) -> Alg {
        self.alg
    }

    /// The `kid` in the headers.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Signs claims as a compact JWS with the header `alg`, `typ` if given, `kid`.
    /// RSA-2048 takes about 0.3 ms, the first time about twice that.
    ///
    /// # Errors
    /// [`JoseError::UnserializableClaims`] if the claims are no JSON object; [`JoseError::Signing`].
    pub fn sign<T: Serialize>(
        &self,
        header_typ: Option<&str>,
        claims: &T,
    ) -> Result<String, JoseError> {
        let (key, headers) = (self.key.ready()?, self.headers()?);
        let known = match header_typ {
            None => Some(&headers.untyped),
            Some(typ) => headers
                .typed
                .iter()
                .find_map(|(common, header)| (*common == typ).then_some(header)),
        };
        let header = match known {
            Some(header) => Cow::Borrowed(header.as_str()),
            None => Cow::Owned(encode_header(self.alg, header_typ, Some(&self.kid))?),
        };
        let mut token = encode_claims(&header, claims, key.signature_len())?;
        key.append_signature(self.alg, &mut token)?;
        Ok(token)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("alg", &self.alg)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

struct VerifyKey {
    kid: String,
    /// The key's own `alg`, which binds it to that one.
    only: Option<String>,
    public: PublicKey,
}

impl VerifyKey {
    fn parse(jwk: &Jwk) -> Result<Self, JoseError> {
        Ok(Self {
            kid: jwk.kid.clone().map_or_else(|| jwk.thumbprint(), Ok)?,
            only: jwk.alg.clone(),
            public: PublicKey::parse(jwk)?,
        })
    }

    fn suits(&self, alg: Alg) -> bool {
        self.public.suits(alg) && self.only.as_ref().is_none_or(|only| only == alg.as_str())
    }
}

/// What one JWK of a group is good for.
struct GroupKey {
    shown: Jwk,
    verify: Option<VerifyKey>,
    sign: Vec<Signer>,
}

impl GroupKey {
    fn parse(jwk: &Jwk) -> Result<Self, JoseError> {
        let mut shown = jwk.public();
        let kid = jwk.kid.clone().map_or_else(|| jwk.thumbprint(), Ok)?;
        shown.kid = Some(kid.clone());
        if jwk.use_.as_deref() != Some("sig") {
            // X25519 only agrees on keys, so there is nothing here that could parse it.
            if jwk.crv.as_deref() != Some("X25519") {
                PublicKey::parse(jwk)?;
            }
            return Ok(Self {
                shown,
                verify: None,
                sign: Vec::new(),
            });
        }
        let key = VerifyKey::parse(jwk)?;
        let mut sign = Vec::new();
        if jwk.d.is_some() && may(jwk, "sign") {
            // whether it can be used has to be known now
            let private = PrivateKey::parse(jwk)?;
            let algs: Vec<Alg> = private.algs().to_vec();
            let private = Arc::new(SigningKey::new(jwk, private));
            let kid: Arc<str> = kid.into();
            for alg in algs.into_iter().filter(|alg| key.suits(*alg)) {
                sign.push(Signer::new(alg, Arc::clone(&kid), Arc::clone(&private)));
            }
        }
        if shown.alg.is_none() {
            shown.alg = match &key.public {
                PublicKey::Rsa { .. } => None,
                PublicKey::Ec { alg, .. } => Some(alg.as_str().to_owned()),
                PublicKey::Ed25519(_) => Some(Alg::EdDSA.as_str().to_owned()),
            };
        }
        Ok(Self {
            shown,
            verify: Some(key),
            sign,
        })
    }
}

/// Whether `key_ops`, if there, lets the key do this (RFC 7517 §4.3).
fn may(jwk: &Jwk, operation: &str) -> bool {
    jwk.key_ops
        .as_ref()
        .is_none_or(|list| list.iter().any(|allowed| allowed == operation))
}

pub(super) fn encode_header(
    alg: Alg,
    typ: Option<&str>,
    kid: Option<&str>,
) -> Result<String, JoseError> {
    #[derive(Serialize)]
    struct Written<'a> {
        alg: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        typ: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kid: Option<&'a str>,
    }
    let json = serde_json::to_vec(&Written {
        alg: alg.as_str(),
        typ,
        kid,
    })
    .map_err(|_| JoseError::Signing)?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// `header.claims`, with room for the signature.
pub(super) fn encode_claims<T: Serialize>(
    header: &str,
    claims: &T,
    signature_len: usize,
) -> Result<String, JoseError> {
    let json = serde_json::to_vec(claims).map_err(|_| JoseError::UnserializableClaims)?;
    if json.first() != Some(&b'{') {
        return Err(JoseError::UnserializableClaims);
    }
    let bytes = header.len() + (json.len() + signature_len).div_ceil(3) * 4 + 8;
    let mut token = String::with_capacity(bytes);
    token.push_str(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(&json, &mut token);
    Ok(token)
}
