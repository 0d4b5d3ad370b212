use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

const FORMAT: &str = "s1.";
const SALT: &[u8] = b"ueauth sealing";
const MIN_KEY_BYTES: usize = 16;

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No key, or one that can be guessed.
    #[error(
        "sealing needs at least one key, and each of them {MIN_KEY_BYTES} bytes or more of random text"
    )]
    WeakKey,
    /// The text was not made by [`Sealer::seal`].
    #[error("the sealed text is malformed")]
    Malformed,
    /// Altered, sealed for another context, or with a key that is no longer there.
    #[error("the sealed text was altered, belongs elsewhere, or its key has been removed")]
    Refused,
    /// The cryptographic library failed.
    #[error("sealing failed")]
    Failed,
}

/// Encrypts small secrets for storage or cookies: AES-256-GCM with keys derived by
/// HKDF-SHA256. The context (for instance the record's identity) is bound in: a sealed text
/// moved elsewhere does not open.
pub struct Sealer {
    newest: RandomizedNonceKey,
    older: Vec<RandomizedNonceKey>,
}

impl Sealer {
    /// The first key seals, every key opens: to rotate, put the new key in front.
    ///
    /// # Errors
    /// [`SealError::WeakKey`] without keys or with one shorter than 16 bytes.
    pub fn new(keys: &[SecretString]) -> Result<Self, SealError> {
        let mut derived = keys.iter().map(derive);
        let newest = derived.next().ok_or(SealError::WeakKey)??;
        Ok(Self {
            newest,
            older: derived.collect::<Result<_, _>>()?,
        })
    }

    /// `s1.` and base64url of nonce, ciphertext and tag.
    ///
    /// # Errors
    /// [`SealError::Failed`] if the cryptographic library fails.
    pub fn seal(&self, context: &str, plaintext: &[u8]) -> Result<String, SealError> {
        let mut body = plaintext.to_vec();
        let nonce = self
            .newest
            .seal_in_place_append_tag(Aad::from(context), &mut body)
            .map_err(|_| SealError::Failed)?;
        let mut bytes = Vec::with_capacity(NONCE_LEN + body.len());
        bytes.extend_from_slice(nonce.as_ref());
        bytes.append(&mut body);
        let mut sealed = String::from(FORMAT);
        URL_SAFE_NO_PAD.encode_string(&bytes, &mut sealed);
        Ok(sealed)
    }

    /// The plaintext of a text sealed for the same context; it is erased when dropped.
    ///
    /// # Errors
    /// [`SealError::Malformed`], [`SealError::Refused`].
    pub fn open(&self, context: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let bytes = sealed
            .strip_prefix(FORMAT)
            .and_then(|body| URL_SAFE_NO_PAD.decode(body).ok())
            .ok_or(SealError::Malformed)?;
        let (nonce, body) = bytes
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealError::Malformed)?;
        for key in std::iter::once(&self.newest).chain(&self.older) {
            let mut buffer = Zeroizing::new(body.to_vec());
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let opened = key
                .open_in_place(nonce, Aad::from(context), &mut buffer)
                .map(|plaintext| plaintext.len());
            if let Ok(len) = opened {
                buffer.truncate(len);
                return Ok(buffer);
            }
        }
        Err(SealError::Refused)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("keys", &(1 + self.older.len()))
            .finish_non_exhaustive()
    }
}

fn derive(key: &SecretString) -> Result<RandomizedNonceKey, SealError> {
    let secret = key.expose_secret().as_bytes();
    if secret.len() < MIN_KEY_BYTES {
        return Err(SealError::WeakKey);
    }
    let mut derived = Zeroizing::new([0_u8; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
        .extract(secret)
        .expand(&[b"aes-256-gcm"], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(derived.as_mut_slice()))
        .map_err(|_| SealError::Failed)?;
    RandomizedNonceKey::new(&AES_256_GCM, derived.as_slice()).map_err(|_| SealError::Failed)
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::{SealError, Sealer};

    fn sealer(keys: &[&str]) -> Sealer {
        let keys: Vec<SecretString> = keys.iter().map(|key| SecretString::from(*key)).collect();
        Sealer::new(&keys).unwrap()
    }

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_was_sealed_opens_in_its_context_only() {
        let sealer = sealer(&[KEY]);
        for plaintext in [&b""[..], b"token", &[0, 255, 7]] {
            let sealed = sealer.seal("federated:42", plaintext).unwrap();
            assert_eq!(
                sealer.open("federated:42", &sealed).unwrap().as_slice(),
                plaintext
            );
            assert!(matches!(
                sealer.open("federated:43", &sealed),
                Err(SealError::Refused)
            ));
        }
    }

    #[test]
    fn sealing_twice_gives_different_texts_without_the_plaintext() {
        let sealer = sealer(&[KEY]);
        let first = sealer.seal("c", b"plain").unwrap();
        assert_ne!(first, sealer.seal("c", b"plain").unwrap());
        assert!(!first.contains("cGxhaW4"));
    }

    #[test]
    fn a_changed_character_is_noticed_wherever_it_is() {
        let sealer = sealer(&[KEY]);
        let sealed = sealer.seal("c", b"plain text").unwrap();
        for index in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(sealer.open("c", &changed).is_err(), "character {index}");
        }
        for bad in ["", "s1.", "s1.AAAA", "s2.AAAA", "s1.***"] {
            assert!(
                matches!(sealer.open("c", bad), Err(SealError::Malformed)),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_older_key_still_opens_and_a_removed_one_does_not() {
        let old = sealer(&[KEY]).seal("c", b"plain").unwrap();
        let rotated = sealer(&["fedcba9876543210fedcba9876543210", KEY]);
        assert_eq!(rotated.open("c", &old).unwrap().as_slice(), b"plain");
        let without = sealer(&["fedcba9876543210fedcba9876543210"]);
        assert!(matches!(without.open("c", &old), Err(SealError::Refused)));
        let new = rotated.seal("c", b"plain").unwrap();
        assert_eq!(without.open("c", &new).unwrap().as_slice(), b"plain");
    }

    #[test]
    fn weak_keys_are_refused() {
        assert!(matches!(Sealer::new(&[]), Err(SealError::WeakKey)));
        assert!(matches!(
            Sealer::new(&[SecretString::from(KEY), SecretString::from("short")]),
            Err(SealError::WeakKey)
        ));
    }
}
