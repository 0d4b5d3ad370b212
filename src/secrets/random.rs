use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;

/// Where random bytes come from. Outside tests it must be a cryptographic generator.
pub trait RandomSource: Send + Sync {
    /// Overwrites the whole buffer.
    fn fill(&self, out: &mut [u8]);
}

/// The generator of the running thread, seeded and regularly reseeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadSource;

impl RandomSource for ThreadSource {
    fn fill(&self, out: &mut [u8]) {
        rand::rng().fill_bytes(out);
    }
}

const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";
/// Neither word characters nor space, and unreserved in URLs.
const SPECIAL: &[u8] = b"-.~";
const PASSWORD: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

/// Maker of identifiers and secrets. Cheap to clone; tests inject their own source.
#[derive(Clone)]
pub struct Random {
    source: Arc<dyn RandomSource>,
}

impl Default for Random {
    fn default() -> Self {
        Self::new(Arc::new(ThreadSource))
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

impl Random {
    /// Draws from the given source; [`Random::default`] is the one for production.
    pub fn new(source: Arc<dyn RandomSource>) -> Self {
        Self { source }
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.source.fill(&mut bytes);
        bytes
    }

    /// A token of 256 bits: 43 characters `A-Za-z0-9_-`.
    pub fn token43(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<32>())
    }

    /// A client secret of 512 bits: 86 characters `A-Za-z0-9_-`.
    pub fn client_secret86(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<64>())
    }

    /// An identifier of 126 bits: 21 characters `A-Za-z0-9_-`.
    pub fn id21(&self) -> String {
        self.url_safe::<21>()
    }

    /// The short code of a product or role: 10 characters `A-Za-z0-9_-`, 60 bits. Not a secret.
    pub fn coded10(&self) -> String {
        self.url_safe::<10>()
    }

    /// A version 4 UUID in lower case with hyphens.
    pub fn uuid(&self) -> String {
        uuid::Builder::from_random_bytes(self.bytes())
            .into_uuid()
            .hyphenated()
            .to_string()
    }

    /// `chars` lower-case hexadecimal characters, 4 bits each.
    pub fn hex(&self, chars: usize) -> String {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = vec![0; chars];
        self.source.fill(&mut bytes);
        bytes
            .iter()
            .map(|byte| symbol(HEX, usize::from(byte & 15)))
            .collect()
    }

    /// A password of 16 characters that need no escaping in a URL, with at least one each of
    /// upper case, lower case, digit and special character; over 85 bits.
    pub fn password16(&self) -> String {
        let mut password: [char; 16] = std::array::from_fn(|index| {
            let set = match index {
                0 => UPPER,
                1 => LOWER,
                2 => DIGITS,
                3 => SPECIAL,
                _ => PASSWORD,
            };
            symbol(set, self.below(set.len()))
        });
        // Fisher–Yates: the required characters may end up anywhere.
        for index in (1..password.len()).rev() {
            password.swap(index, self.below(index + 1));
        }
        password.iter().collect()
    }

    fn url_safe<const N: usize>(&self) -> String {
        // 64 divides 256, so masking is uniform.
        self.bytes::<N>()
            .iter()
            .map(|byte| symbol(URL_SAFE, usize::from(byte & 63)))
            .collect()
    }

    /// A number in `0..limit`, for limits far below 2⁶⁴, where the bias of the remainder vanishes.
    fn below(&self, limit: usize) -> usize {
        let draw = u64::from_le_bytes(self.bytes());
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).max(1);
        usize::try_from(draw % limit).unwrap_or(0)
    }
}

/// The character at an index that the callers keep inside the set.
fn symbol(set: &[u8], index: usize) -> char {
    set.get(index).copied().map_or('0', char::from)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::{Random, RandomSource};

    struct Counting(AtomicU8);

    impl RandomSource for Counting {
        fn fill(&self, out: &mut [u8]) {
            for byte in out {
                *byte = self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn is_url_safe(text: &str) -> bool {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    }

    #[test]
    fn every_kind_has_its_length_and_alphabet() {
        let random = Random::default();
        for (text, len) in [
            (random.token43(), 43),
            (random.client_secret86(), 86),
            (random.id21(), 21),
            (random.coded10(), 10),
        ] {
            assert_eq!(text.len(), len);
            assert!(is_url_safe(&text), "{text}");
        }
        for len in [0, 1, 10, 33] {
            let hex = random.hex(len);
            assert_eq!(hex.len(), len);
            assert!(hex.bytes().all(|byte| b"0123456789abcdef".contains(&byte)));
        }
        let uuid = random.uuid();
        let parsed = uuid::Uuid::parse_str(&uuid).unwrap();
        assert_eq!(parsed.get_version_num(), 4);
        assert_eq!(uuid, parsed.to_string());
    }

    #[test]
    fn the_source_alone_decides() {
        let make = || Random::new(Arc::new(Counting(AtomicU8::new(0))));
        assert_eq!(make().id21(), "ABCDEFGHIJKLMNOPQRSTU");
        assert_eq!(make().uuid(), "00010203-0405-4607-8809-0a0b0c0d0e0f");
        assert_eq!(make().hex(10), "0123456789");
        assert_eq!(make().password16(), make().password16());
    }

    #[test]
    fn no_two_are_alike_and_every_symbol_occurs() {
        let random = Random::default();
        let ids: HashSet<String> = (0..2000).map(|_| random.id21()).collect();
        assert_eq!(ids.len(), 2000);
        let symbols: HashSet<char> = ids.iter().flat_map(|id| id.chars()).collect();
        assert_eq!(symbols.len(), 64);
    }

    #[test]
    fn passwords_satisfy_every_rule() {
        let random = Random::default();
        let mut first_is_not_upper = false;
        for _ in 0..500 {
            let password = random.password16();
            assert_eq!(password.len(), 16);
            assert!(
                password.bytes().any(|byte| byte.is_ascii_uppercase()),
                "{password}"
            );
            assert!(
                password.bytes().any(|byte| byte.is_ascii_lowercase()),
                "{password}"
            );
            assert!(
                password.bytes().any(|byte| byte.is_ascii_digit()),
                "{password}"
            );
            assert!(
                password.bytes().any(|byte| b"-.~".contains(&byte)),
                "{password}"
            );
            assert!(
                password
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
                "{password}"
            );
            first_is_not_upper |= !password.starts_with(|c: char| c.is_ascii_uppercase());
        }
        assert!(
            first_is_not_upper,
            "the required characters stand in fixed places"
        );
    }
}
