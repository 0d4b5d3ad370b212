//! Ids for questions that are put to nobody, shaped like those that the group's provider gives.

use moka::sync::Cache;
use uuid::Uuid;

use crate::app::App;
use crate::challenges::providers::Provider;
use crate::groups::Tenant;
use crate::secrets::Random;

/// Groups whose providers' ids are remembered.
const GROUPS: u64 = 10_000;
/// Longest id that is imitated.
const LONGEST: usize = 128;

/// The last two ids of each group's provider, as this server has got them.
#[derive(Debug)]
pub struct Seen(Cache<(String, &'static str), Vec<String>>);

impl Default for Seen {
    fn default() -> Self {
        Self(Cache::new(GROUPS))
    }
}

/// Notes what an id looks like.
pub fn note(app: &App, tenant: &Tenant, provider: &dyn Provider, key: &str) {
    if key.len() > LONGEST {
        return;
    }
    let name = (tenant.id().to_owned(), provider.name());
    let mut keys = app.keys.0.get(&name).unwrap_or_default();
    keys.insert(0, key.to_owned());
    keys.truncate(2);
    app.keys.0.insert(name, keys);
}

pub fn key(app: &App, tenant: &Tenant, provider: &dyn Provider) -> String {
    let name = (tenant.id().to_owned(), provider.name());
    let seen = app.keys.0.get(&name).unwrap_or_default();
    provider.decoy_key(&app.random, &seen)
}

/// An id like those: of the same length, and the same where two of them are. A UUID as long as none
/// is known.
pub fn like(random: &Random, seen: &[String]) -> String {
    let Some(last) = seen.first() else {
        return random.uuid();
    };
    if Uuid::parse_str(last).is_ok() && last.len() == random.uuid().len() {
        let fresh = random.uuid();
        let upper = last.contains(|c: char| c.is_ascii_uppercase());
        return if upper { fresh.to_uppercase() } else { fresh };
    }
    let before = seen.get(1).filter(|before| before.len() == last.len());
    let stays = |at: usize, c: char| match before {
        Some(before) => before.get(at..).is_some_and(|rest| rest.starts_with(c)),
        // letters beside others than hexadecimal ones are likely a name for the kind of thing
        None => !c.is_ascii_digit() && !is_hex(last),
    };
    last.char_indices()
        .map(|(at, c)| {
            if stays(at, c) {
                c
            } else {
                other(random, c, is_hex(last))
            }
        })
        .collect()
}

fn is_hex(key: &str) -> bool {
    let mut letters = key.chars().filter(char::is_ascii_alphanumeric);
    letters.all(|c| c.is_ascii_hexdigit())
}

/// A character of the same kind.
fn other(random: &Random, c: char, hex: bool) -> char {
    let (first, count) = match c {
        '0'..='9' => (b'0', 10),
        'a'..='z' => (b'a', if hex { 6 } else { 26 }),
        'A'..='Z' => (b'A', if hex { 6 } else { 26 }),
        _ => return c,
    };
    let [chosen] = random.bytes::<1>();
    char::from(first + chosen % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seen: &[&str]) -> String {
        let seen: Vec<String> = seen.iter().map(|s| (*s).to_owned()).collect();
        like(&Random::default(), &seen)
    }

    #[test]
    fn what_is_known_of_ids_is_imitated() {
        assert!(Uuid::parse_str(&of(&[])).is_ok());
        let uuid = "0C1A2B3D-1111-4222-8333-444455556666";
        let like = of(&[uuid]);
        assert!(Uuid::parse_str(&like).is_ok() && like != uuid);
        assert_eq!(like, like.to_uppercase());
        let named = of(&["request-41"]);
        let (name, number) = named.split_once('-').unwrap();
        assert_eq!((name, number.len()), ("request", 2));
        assert!(number.chars().all(|c| c.is_ascii_digit()), "{named}");
        let prefixed = of(&["req_9fKq2", "req_7aTx3"]);
        assert!(
            prefixed.starts_with("req_") && prefixed.len() == 9,
            "{prefixed}"
        );
        assert!(prefixed.as_bytes()[4].is_ascii_digit() && prefixed.as_bytes()[8].is_ascii_digit());
        let hex = of(&["deadbeefdeadbeefdeadbeef"]);
        assert!(
            hex.len() == 24 && hex.chars().all(|c| ('a'..='f').contains(&c)),
            "{hex}"
        );
        // bytes need not be characters
        assert_eq!(of(&["\u{e4}1", "1\u{e4}"]).chars().count(), 2);
    }
}
