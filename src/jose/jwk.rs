use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::JoseError;

/// A private JWK member, base64url: erased from memory when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateMember(Zeroizing<String>);

impl PrivateMember {
    /// Takes the base64url text.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The base64url text. It must not reach a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

impl Serialize for PrivateMember {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PrivateMember {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// A JSON Web Key (RFC 7517), public or private, exactly as stored; binary members are base64url.
#[allow(missing_docs)]
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Jwk {
    pub kty: String,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub use_: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x5c: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_ops: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d: Option<PrivateMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p: Option<PrivateMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<PrivateMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dp: Option<PrivateMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dq: Option<PrivateMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qi: Option<PrivateMember>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<PrivateMember>,
    /// Members this server does not know. They may be private, so they are never shown.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwk")
            .field("kty", &self.kty)
            .field("use", &self.use_)
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .field("crv", &self.crv)
            .field("private", &self.is_private())
            .finish_non_exhaustive()
    }
}

impl Jwk {
    /// The key without private members, and without unknown ones, which might be private.
    pub fn public(&self) -> Self {
        Self {
            kty: self.kty.clone(),
            use_: self.use_.clone(),
            kid: self.kid.clone(),
            alg: self.alg.clone(),
            crv: self.crv.clone(),
            e: self.e.clone(),
            n: self.n.clone(),
            x: self.x.clone(),
            y: self.y.clone(),
            x5c: self.x5c.clone(),
            key_ops: self.key_ops.clone(),
            ..Self::default()
        }
    }

    /// Whether the key holds a private exponent, scalar or shared secret.
    pub fn is_private(&self) -> bool {
        self.d.is_some() || self.k.is_some()
    }

    /// The SHA-256 thumbprint, base64url, 43 characters (RFC 7638).
    ///
    /// # Errors
    /// [`JoseError::UnusableKey`] when a required public member is missing or the type is unknown.
    pub fn thumbprint(&self) -> Result<String, JoseError> {
        let missing = || JoseError::UnusableKey("a public member is missing");
        let members: &[(&str, &Option<String>)] = match self.kty.as_str() {
            "RSA" => &[("e", &self.e), ("n", &self.n)],
            "EC" => &[("crv", &self.crv), ("x", &self.x), ("y", &self.y)],
            "OKP" => &[("crv", &self.crv), ("x", &self.x)],
            _ => return Err(JoseError::UnusableKey("the key type is not supported")),
        };
        // A BTreeMap serialises in the lexicographic order that RFC 7638 §3.3 wants.
        let mut canonical = BTreeMap::from([("kty", self.kty.as_str())]);
        for (name, value) in members {
            canonical.insert(name, value.as_deref().ok_or_else(missing)?);
        }
        let json = serde_json::to_vec(&canonical)
            .map_err(|_| JoseError::UnusableKey("a public member is not text"))?;
        Ok(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &json)))
    }
}
