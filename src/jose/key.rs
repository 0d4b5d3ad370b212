use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair,
    ParsedPublicKey, RsaEncoding, RsaParameters,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::{Alg, JoseError, Jwk, PrivateMember};

/// Largest signature: RSA with 8192 bits.
const MAX_SIGNATURE: usize = 1024;

/// A public key ready to verify, parsed once.
pub(super) enum PublicKey {
    /// RSA keys serve six algorithms; each parsed form is made at first use, since most stay unused.
    Rsa {
        components: PublicKeyComponents<Vec<u8>>,
        parsed: Box<[OnceLock<ParsedPublicKey>; 6]>,
    },
    Ec {
        alg: Alg,
        key: ParsedPublicKey,
    },
    Ed25519(ParsedPublicKey),
}

impl PublicKey {
    pub fn parse(jwk: &Jwk) -> Result<Self, JoseError> {
        match jwk.kty.as_str() {
            "RSA" => {
                let components = rsa_public(jwk)?;
                let key = Self::Rsa {
                    components,
                    parsed: Box::default(),
                };
                key.parsed(Alg::RS256)?;
                Ok(key)
            }
            "EC" => {
                let curve = Curve::of(jwk)?;
                let key = ParsedPublicKey::new(curve.verification, curve.point(jwk)?)
                    .map_err(|_| JoseError::UnusableKey("the point is not on the curve"))?;
                Ok(Self::Ec {
                    alg: curve.alg,
                    key,
                })
            }
            "OKP" => {
                let key = ParsedPublicKey::new(&signature::ED25519, ed25519_public(jwk)?)
                    .map_err(|_| JoseError::UnusableKey("the Ed25519 key is not valid"))?;
                Ok(Self::Ed25519(key))
            }
            _ => Err(JoseError::UnusableKey("the key type is not supported")),
        }
    }

    pub fn suits(&self, alg: Alg) -> bool {
        match self {
            Self::Rsa { .. } => Alg::RSA.contains(&alg),
            Self::Ec { alg: own, .. } => *own == alg,
            Self::Ed25519(_) => alg == Alg::EdDSA,
        }
    }

    pub fn verify(&self, alg: Alg, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        self.parsed(alg)?
            .verify_sig(message, signature)
            .map_err(|_| JoseError::BadSignature)
    }

    fn parsed(&self, alg: Alg) -> Result<&ParsedPublicKey, JoseError> {
        match self {
            Self::Rsa { components, parsed } => {
                let slot = Alg::RSA
                    .iter()
                    .zip(parsed.iter())
                    .find_map(|(of, slot)| (*of == alg).then_some(slot))
                    .ok_or(JoseError::AlgNotAllowed(alg))?;
                if let Some(key) = slot.get() {
                    return Ok(key);
                }
                let (parameters, _) = rsa_parameters(alg)?;
                let key = components
                    .to_parsed_public_key(parameters)
                    .map_err(|_| JoseError::UnusableKey("the RSA public key is not valid"))?;
                Ok(slot.get_or_init(|| key))
            }
            Self::Ec { alg: own, key } if *own == alg => Ok(key),
            Self::Ed25519(key) if alg == Alg::EdDSA => Ok(key),
            _ => Err(JoseError::AlgNotAllowed(alg)),
        }
    }
}

/// A private key ready to sign, parsed once.
pub(super) enum PrivateKey {
    Rsa(Box<RsaKeyPair>),
    Ec { alg: Alg, key: EcdsaKeyPair },
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// Parses the private half and checks that it belongs to the public half.
    pub fn parse(jwk: &Jwk) -> Result<Self, JoseError> {
        match jwk.kty.as_str() {
            "RSA" => {
                let pair = RsaKeyPair::from_components(&KeyPairComponents {
                    public_key: rsa_public(jwk)?,
                    d: secret(jwk.d.as_ref())?,
                    p: secret(jwk.p.as_ref())?,
                    q: secret(jwk.q.as_ref())?,
                    dP: secret(jwk.dp.as_ref())?,
                    dQ: secret(jwk.dq.as_ref())?,
                    qInv: secret(jwk.qi.as_ref())?,
                })
                .map_err(|_| JoseError::UnusableKey("the RSA private key is not consistent"))?;
                Ok(Self::Rsa(Box::new(pair)))
            }
            "EC" => {
                let curve = Curve::of(jwk)?;
                let scalar = Zeroizing::new(pad_left(&secret(jwk.d.as_ref())?, curve.bytes)?);
                let key = EcdsaKeyPair::from_private_key_and_public_key(
                    curve.signing,
                    &scalar,
                    &curve.point(jwk)?,
                )
                .map_err(|_| JoseError::UnusableKey("the EC private key is not consistent"))?;
                Ok(Self::Ec {
                    alg: curve.alg,
                    key,
                })
            }
            "OKP" => {
                let public = ed25519_public(jwk)?;
                let seed = secret(jwk.d.as_ref())?;
                let key =
                    Ed25519KeyPair::from_seed_and_public_key(&seed, &public).map_err(|_| {
                        JoseError::UnusableKey("the Ed25519 private key is not consistent")
                    })?;
                Ok(Self::Ed25519(key))
            }
            _ => Err(JoseError::UnusableKey("the key type is not supported")),
        }
    }

    /// Every algorithm this key can sign with, the usual one first.
    pub fn algs(&self) -> &[Alg] {
        match self {
            Self::Rsa(_) => &Alg::RSA,
            Self::Ec { alg, .. } => std::slice::from_ref(alg),
            Self::Ed25519(_) => &[Alg::EdDSA],
        }
    }

    pub fn signature_len(&self) -> usize {
        match self {
            Self::Rsa(pair) => pair.public_modulus_len(),
            Self::Ec { .. } => 132,
            Self::Ed25519(_) => 64,
        }
    }

    /// Signs the token so far and appends the signature with its dot.
    pub fn append_signature(&self, alg: Alg, token: &mut String) -> Result<(), JoseError> {
        let rng = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let (_, encoding) = rsa_parameters(alg)?;
                let mut buffer = [0_u8; MAX_SIGNATURE];
                let signature = buffer
                    .get_mut(..pair.public_modulus_len())
                    .ok_or(JoseError::Signing)?;
                pair.sign(encoding, &rng, token.as_bytes(), signature)
                    .map_err(|_| JoseError::Signing)?;
                push_signature(token, signature);
            }
            Self::Ec { alg: own, key } if *own == alg => {
                let signature = key
                    .sign(&rng, token.as_bytes())
                    .map_err(|_| JoseError::Signing)?;
                push_signature(token, signature.as_ref());
            }
            Self::Ed25519(key) if alg == Alg::EdDSA => {
                let signature = key
                    .try_sign(token.as_bytes())
                    .map_err(|_| JoseError::Signing)?;
                push_signature(token, signature.as_ref());
            }
            _ => return Err(JoseError::AlgNotAllowed(alg)),
        }
        Ok(())
    }
}

fn push_signature(token: &mut String, signature: &[u8]) {
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, token);
}

struct Curve {
    alg: Alg,
    bytes: usize,
    signing: &'static EcdsaSigningAlgorithm,
    verification: &'static EcdsaVerificationAlgorithm,
}

impl Curve {
    fn of(jwk: &Jwk) -> Result<Self, JoseError> {
        Ok(match jwk.crv.as_deref() {
            Some("P-256") => Self {
                alg: Alg::ES256,
                bytes: 32,
                signing: &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                verification: &signature::ECDSA_P256_SHA256_FIXED,
            },
            Some("P-384") => Self {
                alg: Alg::ES384,
                bytes: 48,
                signing: &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
                verification: &signature::ECDSA_P384_SHA384_FIXED,
            },
            Some("P-521") => Self {
                alg: Alg::ES512,
                bytes: 66,
                signing: &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
                verification: &signature::ECDSA_P521_SHA512_FIXED,
            },
            _ => return Err(JoseError::UnusableKey("the curve is not supported")),
        })
    }

    /// The uncompressed SEC 1 point.
    fn point(&self, jwk: &Jwk) -> Result<Vec<u8>, JoseError> {
        let mut point = Vec::with_capacity(1 + 2 * self.bytes);
        point.push(4);
        point.extend(pad_left(&member(jwk.x.as_deref())?, self.bytes)?);
        point.extend(pad_left(&member(jwk.y.as_deref())?, self.bytes)?);
        Ok(point)
    }
}

fn rsa_parameters(
    alg: Alg,
) -> Result<(&'static RsaParameters, &'static dyn RsaEncoding), JoseError> {
    Ok(match alg {
        Alg::RS256 => (
            &signature::RSA_PKCS1_2048_8192_SHA256,
            &signature::RSA_PKCS1_SHA256,
        ),
        Alg::RS384 => (
            &signature::RSA_PKCS1_2048_8192_SHA384,
            &signature::RSA_PKCS1_SHA384,
        ),
        Alg::RS512 => (
            &signature::RSA_PKCS1_2048_8192_SHA512,
            &signature::RSA_PKCS1_SHA512,
        ),
        Alg::PS256 => (
            &signature::RSA_PSS_2048_8192_SHA256,
            &signature::RSA_PSS_SHA256,
        ),
        Alg::PS384 => (
            &signature::RSA_PSS_2048_8192_SHA384,
            &signature::RSA_PSS_SHA384,
        ),
        Alg::PS512 => (
            &signature::RSA_PSS_2048_8192_SHA512,
            &signature::RSA_PSS_SHA512,
        ),
        other => return Err(JoseError::AlgNotAllowed(other)),
    })
}

fn rsa_public(jwk: &Jwk) -> Result<PublicKeyComponents<Vec<u8>>, JoseError> {
    let unsigned = |text: Option<&str>| {
        let bytes = member(text)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Ok::<_, JoseError>(bytes.into_iter().skip(zeros).collect::<Vec<u8>>())
    };
    let n = unsigned(jwk.n.as_deref())?;
    // Also keeps a stranger's key set from making verification slow.
    if !(2048 / 8..=8192 / 8).contains(&n.len()) {
        return Err(JoseError::UnusableKey(
            "the RSA modulus must have 2048 to 8192 bits",
        ));
    }
    Ok(PublicKeyComponents {
        n,
        e: unsigned(jwk.e.as_deref())?,
    })
}

fn ed25519_public(jwk: &Jwk) -> Result<Vec<u8>, JoseError> {
    if jwk.crv.as_deref() != Some("Ed25519") {
        return Err(JoseError::UnusableKey("the curve is not supported"));
    }
    let bytes = member(jwk.x.as_deref())?;
    if bytes.len() == 32 {
        Ok(bytes)
    } else {
        Err(JoseError::UnusableKey("an Ed25519 key has 32 bytes"))
    }
}

/// Decodes a base64url member; padding, which some key makers leave in, is ignored.
fn member(text: Option<&str>) -> Result<Vec<u8>, JoseError> {
    let text = text.ok_or(JoseError::UnusableKey("a member is missing"))?;
    URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| JoseError::UnusableKey("a member is not base64url"))
}

fn secret(value: Option<&PrivateMember>) -> Result<Zeroizing<Vec<u8>>, JoseError> {
    member(value.map(PrivateMember::expose)).map(Zeroizing::new)
}

/// Some key makers drop leading zeros of curve numbers, against RFC 7518 §6.2.1.2.
fn pad_left(bytes: &[u8], len: usize) -> Result<Vec<u8>, JoseError> {
    let missing = len
        .checked_sub(bytes.len())
        .ok_or(JoseError::UnusableKey("a curve number is too long"))?;
    let mut padded = Vec::with_capacity(len);
    padded.resize(missing, 0);
    padded.extend_from_slice(bytes);
    Ok(padded)
}
