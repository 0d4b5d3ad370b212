//! Passwords, random identifiers, and the sealing and comparing of secrets.

mod cookies;
mod passwords;
mod random;
mod sealing;

pub use cookies::{cookie_signature, cookie_verify};
pub use passwords::{
    HashError, HashSettings, HashStats, PasswordHasher, Verdict, hash_prefixes, is_hash,
};
pub use random::{Random, RandomSource, ThreadSource};
pub use sealing::{SealError, Sealer};

use subtle::ConstantTimeEq as _;

/// Whether two secrets are equal, in a time that depends only on their lengths.
pub fn ct_eq(a: impl AsRef<[u8]>, b: impl AsRef<[u8]>) -> bool {
    a.as_ref().ct_eq(b.as_ref()).into()
}

#[cfg(test)]
mod tests {
    use super::ct_eq;

    #[test]
    fn equal_means_the_same_bytes() {
        assert!(ct_eq("secret", b"secret"));
        assert!(ct_eq("", ""));
        assert!(!ct_eq("secret", "secreT"));
        assert!(!ct_eq("secret", "secret "));
        assert!(!ct_eq("", "x"));
    }
}
