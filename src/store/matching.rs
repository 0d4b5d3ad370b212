//! Whether a document satisfies a filter, by `MongoDB`'s rules.

use std::cmp::Ordering;
use std::collections::HashSet;

use bson::{RawArray, RawBson, RawBsonRef, RawDocument};
use regex::{Regex, RegexBuilder};

use super::compare::{NULL, compare, is_nan, kind};
use super::{Collection, Filter, StoreError, Value};

/// A filter made ready to be applied to many documents.
pub struct Matcher(Test);

enum Test {
    All,
    Compare(String, Relation, RawBson),
    In(String, Vec<RawBson>),
    Exists(String, bool),
    Pattern(String, Regex),
    Elem {
        path: String,
        inner: Box<Test>,
        /// The inner filter speaks of the elements themselves, not of their fields.
        of_values: bool,
    },
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Words(Vec<&'static str>, HashSet<String>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Matcher {
    pub fn new(collection: &Collection, filter: &Filter) -> Result<Self, StoreError> {
        compile(collection, filter).map(Self)
    }

    pub fn matches(&self, document: &RawDocument) -> bool {
        holds(&self.0, RawBsonRef::Document(document))
    }
}

fn compile(collection: &Collection, filter: &Filter) -> Result<Test, StoreError> {
    let compare = |path: &super::Path, relation, value: &Value| {
        Ok(Test::Compare(path.to_string(), relation, raw(value)?))
    };
    let pattern = |path: &super::Path, pattern: String| {
        RegexBuilder::new(&pattern)
            .case_insensitive(true)
            .size_limit(64 << 20)
            .build()
            .map(|regex| Test::Pattern(path.to_string(), regex))
            .map_err(|_| StoreError::config("the text to search for is too long"))
    };
    let list = |filters: &[Filter]| -> Result<Vec<Test>, StoreError> {
        filters
            .iter()
            .map(|filter| compile(collection, filter))
            .collect()
    };
    match filter {
        Filter::All => Ok(Test::All),
        Filter::Eq(path, value) => compare(path, Relation::Equal, value),
        Filter::Ne(path, value) => Ok(Test::Not(Box::new(compare(path, Relation::Equal, value)?))),
        Filter::Gt(path, value) => compare(path, Relation::Greater, value),
        Filter::Gte(path, value) => compare(path, Relation::GreaterOrEqual, value),
        Filter::Lt(path, value) => compare(path, Relation::Less, value),
        Filter::Lte(path, value) => compare(path, Relation::LessOrEqual, value),
        Filter::In(path, values) => Ok(Test::In(
            path.to_string(),
            values.iter().map(raw).collect::<Result<_, _>>()?,
        )),
        Filter::Exists(path, present) => Ok(Test::Exists(path.to_string(), *present)),
        Filter::Contains(path, text) => pattern(path, regex::escape(text)),
        Filter::StartsWith(path, text) => pattern(path, format!(r"\A{}", regex::escape(text))),
        Filter::EndsWith(path, text) => pattern(path, format!(r"{}\z", regex::escape(text))),
        Filter::Elem(path, inner) => Ok(Test::Elem {
            path: path.to_string(),
            of_values: speaks_of_values(inner),
            inner: Box::new(compile(collection, inner)?),
        }),
        Filter::And(filters) => Ok(Test::And(list(filters)?)),
        Filter::Or(filters) => Ok(Test::Or(list(filters)?)),
        Filter::Not(filter) => Ok(Test::Not(Box::new(compile(collection, filter)?))),
        Filter::Text(text) => Ok(Test::Words(
            collection.text_paths().collect(),
            words(text).collect(),
        )),
    }
}

fn raw(value: &Value) -> Result<RawBson, StoreError> {
    RawBson::try_from(value.clone()).map_err(|_| {
        StoreError::config("a value of the filter cannot be stored and so not compared")
    })
}

/// Whether the filter uses the empty path, which names an array element itself.
pub fn speaks_of_values(filter: &Filter) -> bool {
    match filter {
        Filter::Eq(path, _)
        | Filter::Ne(path, _)
        | Filter::Gt(path, _)
        | Filter::Gte(path, _)
        | Filter::Lt(path, _)
        | Filter::Lte(path, _)
        | Filter::In(path, _)
        | Filter::Exists(path, _)
        | Filter::Contains(path, _)
        | Filter::StartsWith(path, _)
        | Filter::EndsWith(path, _)
        | Filter::Elem(path, _) => path.is_empty(),
        Filter::And(filters) | Filter::Or(filters) => filters.iter().any(speaks_of_values),
        Filter::Not(filter) => speaks_of_values(filter),
        Filter::All | Filter::Text(_) => false,
    }
}

/// The words of a text in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

fn holds(test: &Test, subject: RawBsonRef<'_>) -> bool {
    match test {
        Test::All => true,
        Test::Compare(path, relation, value) => {
            let value = value.as_raw_bson_ref();
            some(subject, path, |found| related(found, *relation, value))
        }
        Test::In(path, values) => some(subject, path, |found| {
            values
                .iter()
                .any(|value| related(found, Relation::Equal, value.as_raw_bson_ref()))
        }),
        Test::Exists(path, present) => some(subject, path, |found| found.is_some()) == *present,
        Test::Pattern(path, regex) => some(
            subject,
            path,
            |found| matches!(found, Some(RawBsonRef::String(text)) if regex.is_match(text)),
        ),
        Test::Elem {
            path,
            inner,
            of_values,
        } => {
            let mut found = false;
            visit(subject, path, false, &mut |value| {
                if let Some(RawBsonRef::Array(array)) = value {
                    found = found
                        || array.into_iter().flatten().any(|item| {
                            (*of_values || matches!(item, RawBsonRef::Document(_)))
                                && holds(inner, item)
                        });
                }
            });
            found
        }
        Test::And(tests) => tests.iter().all(|test| holds(test, subject)),
        Test::Or(tests) => tests.iter().any(|test| holds(test, subject)),
        Test::Not(test) => !holds(test, subject),
        Test::Words(paths, wanted) => paths.iter().any(|path| {
            some(subject, path, |found| {
                matches!(found, Some(RawBsonRef::String(text))
                    if words(text).any(|word| wanted.contains(&word)))
            })
        }),
    }
}

fn some(
    subject: RawBsonRef<'_>,
    path: &str,
    test: impl Fn(Option<RawBsonRef<'_>>) -> bool,
) -> bool {
    let mut found = false;
    visit(subject, path, true, &mut |value| {
        found = found || test(value);
    });
    found
}

fn visit<'a>(
    subject: RawBsonRef<'a>,
    path: &str,
    expand: bool,
    visit: &mut dyn FnMut(Option<RawBsonRef<'a>>),
) {
    match subject {
        value if path.is_empty() => visit(Some(value)),
        RawBsonRef::Document(document) => walk(document, path, expand, visit),
        _ => visit(None),
    }
}

fn related(found: Option<RawBsonRef<'_>>, relation: Relation, value: RawBsonRef<'_>) -> bool {
    let found = found.unwrap_or(RawBsonRef::Null);
    if kind(found) != kind(value) {
        return false;
    }
    if kind(value) != NULL && is_nan(found) != is_nan(value) {
        return false;
    }
    let order = compare(found, value);
    match relation {
        Relation::Equal => order == Ordering::Equal,
        Relation::Greater => order == Ordering::Greater,
        Relation::GreaterOrEqual => order != Ordering::Less,
        Relation::Less => order == Ordering::Less,
        Relation::LessOrEqual => order != Ordering::Greater,
    }
}

/// Calls `visit` with each value that a path leads to: `None` where a field is missing.
///
/// Arrays on the way are descended into; an array at the end is visited whole and by element.
pub fn each<'a>(
    document: &'a RawDocument,
    path: &str,
    visit: &mut dyn FnMut(Option<RawBsonRef<'a>>),
) {
    walk(document, path, true, visit);
}

/// As [`each`], but an array at the end is visited by element only, and an empty one not at all.
pub fn leaves<'a>(
    document: &'a RawDocument,
    path: &str,
    visit: &mut dyn FnMut(Option<RawBsonRef<'a>>),
) {
    walk(document, path, false, &mut |value| match value {
        Some(RawBsonRef::Array(array)) => {
            for item in array.into_iter().flatten() {
                visit(Some(item));
            }
        }
        other => visit(other),
    });
}

/// Whether a present value at the path satisfies the test.
pub fn any(document: &RawDocument, path: &str, test: impl Fn(RawBsonRef<'_>) -> bool) -> bool {
    some(RawBsonRef::Document(document), path, |value| {
        value.is_some_and(&test)
    })
}

fn walk<'a>(
    document: &'a RawDocument,
    path: &str,
    expand: bool,
    visit: &mut dyn FnMut(Option<RawBsonRef<'a>>),
) {
    let (head, rest) = split(path);
    // Bytes that do not parse count as missing: what the store holds was checked on the way in.
    let value = document.get(head).ok().flatten();
    step(value, rest, expand, visit);
}

fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('.') {
        Some((head, rest)) => (head, Some(rest)),
        None => (path, None),
    }
}

fn step<'a>(
    value: Option<RawBsonRef<'a>>,
    rest: Option<&str>,
    expand: bool,
    visit: &mut dyn FnMut(Option<RawBsonRef<'a>>),
) {
    match (value, rest) {
        (Some(RawBsonRef::Array(array)), None) => {
            visit(value);
            if expand {
                for item in array.into_iter().flatten() {
                    visit(Some(item));
                }
            }
        }
        (_, None) => visit(value),
        (Some(RawBsonRef::Document(inner)), Some(rest)) => walk(inner, rest, expand, visit),
        (Some(RawBsonRef::Array(array)), Some(rest)) => through(array, rest, expand, visit),
        // The path goes on below a value that has no fields.
        (_, Some(_)) => visit(None),
    }
}

fn through<'a>(
    array: &'a RawArray,
    rest: &str,
    expand: bool,
    visit: &mut dyn FnMut(Option<RawBsonRef<'a>>),
) {
    for item in array.into_iter().flatten() {
        if let RawBsonRef::Document(inner) = item {
            walk(inner, rest, expand, visit);
        }
    }
    let (head, below) = split(rest);
    if let Ok(position) = head.parse::<usize>()
        && let Ok(Some(item)) = array.get(position)
    {
        step(Some(item), below, expand, visit);
    }
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, doc};

    use super::super::{Collection, eq, exists, gte, ne};
    use super::*;

    const NONE: Collection = Collection {
        name: "none",
        indexes: &[],
        expiry: &[],
    };

    fn matches(document: bson::Document, filter: &Filter) -> bool {
        let document = RawDocumentBuf::try_from(document).unwrap();
        Matcher::new(&NONE, filter).unwrap().matches(&document)
    }

    #[test]
    fn null_below_arrays() {
        let filter = eq("a.b", Value::Null);
        assert!(matches(doc! { "a": 1 }, &filter));
        assert!(matches(doc! { "a": [{ "c": 1 }] }, &filter));
        assert!(!matches(doc! { "a": [] }, &filter));
        assert!(!matches(doc! { "a": [1] }, &filter));
        assert!(!matches(doc! { "a": [[{ "c": 1 }]] }, &filter));
        assert!(!matches(doc! { "a": [] }, &exists("a.b", true)));
    }

    #[test]
    fn positions_in_arrays() {
        let document = doc! { "a": [{ "b": 1 }, { "b": 2 }], "n": [5, 6] };
        assert!(matches(document.clone(), &eq("a.1.b", 2)));
        assert!(!matches(document.clone(), &eq("a.1.b", 1)));
        assert!(matches(document.clone(), &eq("n.0", 5)));
        assert!(ne("n.0", 6) != eq("n.0", 5) && matches(document, &ne("n.0", 6)));
    }

    #[test]
    fn no_number_compares_with_what_is_none() {
        let document = doc! { "a": f64::NAN };
        assert!(matches(document.clone(), &eq("a", f64::NAN)));
        assert!(!matches(document.clone(), &gte("a", 0)));
        assert!(!matches(document, &super::super::lt("a", 0)));
    }
}
