use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::tests::{filter, list};
use crate::store::Filter;

/// Whatever comes in, the answer is a condition or an error.
#[test]
fn random_filters_never_panic() {
    const PIECES: &[&str] = &[
        "name",
        "name eq ",
        " eq 'a'",
        " and ",
        " or ",
        "not ",
        "count gt 5",
        "metadata/a",
        "count",
        "'a'",
        "'",
        "''",
        "5",
        "-5.5e1",
        "1e5",
        "eq",
        "ne",
        "gt",
        "le",
        "and",
        "or",
        "not",
        "(",
        ")",
        ",",
        " ",
        " ",
        " ",
        "\t",
        "contains",
        "startswith",
        "true",
        "null",
        "2020-01-01",
        "T10:00:00Z",
        "12:00",
        "%",
        "%00",
        "%ff",
        "é",
        "$",
        "/",
        ".",
        "\0",
        "😀",
        "6f9619ff-8b86-d011-b42d-00c04fc964ff",
        "any(",
        "password",
        "id",
    ];
    let mut random = SmallRng::seed_from_u64(7);
    let mut accepted = 0;
    for _ in 0..30_000 {
        let length = random.random_range(0..14);
        let text: String = (0..length)
            .filter_map(|_| PIECES.choose(&mut random).copied())
            .collect();
        for option in ["$filter", "$select", "$orderby", "$skip", "$top"] {
            let _ = list(&[(option, text.as_str())]);
        }
        if filter(&text).is_ok_and(|filter| filter != Filter::All) {
            accepted += 1;
        }
    }
    for _ in 0..20_000 {
        let length = random.random_range(0..40);
        let bytes: Vec<u8> = (0..length).map(|_| random.random()).collect();
        let _ = filter(&String::from_utf8_lossy(&bytes));
    }
    assert!(accepted > 0, "the pieces never made a filter");
}

#[test]
fn random_conditions_keep_all_their_terms() {
    fn write(random: &mut SmallRng, depth: u32) -> (String, usize) {
        match random.random_range(0..if depth == 0 { 3 } else { 6 }) {
            0 => ("name eq 'x'".into(), 1),
            1 => ("contains(name,'y')".into(), 1),
            2 => ("5 lt count".into(), 1),
            3 => {
                let (inner, terms) = write(random, depth - 1);
                (format!("not ({inner})"), terms)
            }
            joint => {
                let ((left, a), (right, b)) = (write(random, depth - 1), write(random, depth - 1));
                let joint = if joint == 4 { "and" } else { "or" };
                (format!("({left} {joint} {right})"), a + b)
            }
        }
    }
    fn count(filter: &Filter) -> usize {
        match filter {
            Filter::And(parts) | Filter::Or(parts) => parts.iter().map(count).sum(),
            Filter::Not(inner) => count(inner),
            _ => 1,
        }
    }
    let mut random = SmallRng::seed_from_u64(11);
    for _ in 0..5_000 {
        let (text, terms) = write(&mut random, 5);
        assert_eq!(count(&filter(&text).unwrap()), terms, "{text}");
    }
}
