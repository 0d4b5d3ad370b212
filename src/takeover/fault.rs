//! Which field keeps a document from being read.
//!
//! A decoder names the form it expected but not the place, and quotes the value, which may be
//! secret. So the place is found by trying: a field is at fault if the document can be read
//! without it or with another value in it.

use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use serde::Serialize;

use super::kinds::Decode;
use crate::store::StoreError;

/// Most faults named for one document.
const MOST: usize = 8;
const DEPTH: usize = 6;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The path of the field; absent if no single field is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    pub expected: String,
    pub found: String,
}

/// Why the document cannot be read; none if it can.
pub fn faults(document: &RawDocument, decode: Decode) -> Vec<Fault> {
    let Err(error) = decode(document) else {
        return Vec::new();
    };
    let Ok(mut members) = Document::try_from(document) else {
        return vec![Fault {
            field: None,
            expected: "well-formed BSON".to_owned(),
            found: "damaged bytes".to_owned(),
        }];
    };
    let mut faults = Vec::new();
    let mut message = said(&error);
    while faults.len() < MOST {
        let test = |members: &Document| attempt(members, decode);
        let Some((path, good)) = locate(&members, &message, &test, DEPTH) else {
            break;
        };
        faults.push(Fault {
            field: Some(path.join(".")),
            expected: expected(&message),
            found: kind(at(&members, &path)).to_owned(),
        });
        members = good;
        match attempt(&members, decode) {
            Ok(()) => return faults,
            Err(next) => message = next,
        }
    }
    if faults.is_empty() {
        faults.push(Fault {
            field: missing(&message).map(str::to_owned),
            expected: expected(&message),
            found: if missing(&message).is_some() {
                "nothing".to_owned()
            } else {
                "another form".to_owned()
            },
        });
    }
    faults
}

fn attempt(members: &Document, decode: Decode) -> Result<(), String> {
    let raw = RawDocumentBuf::try_from(members).map_err(|error| error.to_string())?;
    decode(&raw).map_err(|error| said(&error))
}

fn said(error: &StoreError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Values of every form that a field may have to have.
fn samples() -> [Bson; 8] {
    [
        Bson::String(String::new()),
        Bson::Int32(0),
        Bson::Boolean(false),
        Bson::Array(Vec::new()),
        Bson::Document(doc! {}),
        Bson::DateTime(bson::DateTime::from_millis(0)),
        Bson::Array(vec![Bson::String(String::new())]),
        Bson::Null,
    ]
}

type Test<'t> = &'t dyn Fn(&Document) -> Result<(), String>;

/// The path of a field at fault, and the document without that fault.
fn locate(
    members: &Document,
    message: &str,
    test: Test<'_>,
    depth: usize,
) -> Option<(Vec<String>, Document)> {
    if let Some(name) = missing(message)
        && !members.contains_key(name)
    {
        for sample in samples() {
            let mut changed = members.clone();
            changed.insert(name, sample);
            // what leaves another fault, or none, has removed this one
            if !test(&changed).is_err_and(|other| other == message) {
                return Some((vec![name.to_owned()], changed));
            }
        }
    }
    let removes_all = |changed: &Document| test(changed).is_ok();
    let without = |members: &Document, name: &str| {
        let mut changed = members.clone();
        changed.remove(name);
        changed
    };
    let found = |name: &str, changed: Document| {
        let inside = inside(members, name, message, test, depth);
        Some(inside.unwrap_or((vec![name.to_owned()], changed)))
    };
    for name in members.keys() {
        let mut changes = vec![without(members, name)];
        for sample in samples() {
            let mut changed = members.clone();
            changed.insert(name, sample);
            changes.push(changed);
        }
        if let Some(good) = changes.into_iter().find(|changed| removes_all(changed)) {
            return found(name, good);
        }
    }
    // Several are at fault. Those that say the same hide each other: of these the last is found.
    let mut rest = members.clone();
    for name in members.keys() {
        let changed = without(&rest, name);
        match test(&changed) {
            Err(same) if same == message => rest = changed,
            // it is needed, which says nothing about its form
            Err(other) if missing(&other) == Some(name) => {}
            _ => return found(name, without(members, name)),
        }
    }
    // a member that is missing inside others
    for name in members.keys() {
        if missing(message).is_some()
            && let Some(found) = inside(members, name, message, test, depth)
        {
            return Some(found);
        }
    }
    None
}

/// The same below one field.
fn inside(
    members: &Document,
    name: &str,
    message: &str,
    test: Test<'_>,
    depth: usize,
) -> Option<(Vec<String>, Document)> {
    if depth == 0 {
        return None;
    }
    let put = |value: Bson| {
        let mut changed = members.clone();
        changed.insert(name, value);
        changed
    };
    let prefixed = |mut path: Vec<String>, good: Document| {
        path.insert(0, name.to_owned());
        Some((path, good))
    };
    match members.get(name)? {
        Bson::Document(inner) => {
            let below = |changed: &Document| test(&put(Bson::Document(changed.clone())));
            let (path, good) = locate(inner, message, &below, depth - 1)?;
            prefixed(path, put(Bson::Document(good)))
        }
        Bson::Array(items) => {
            // an array is looked at as a document with numbers for names
            let of = |items: &[Bson]| -> Document {
                items
                    .iter()
                    .enumerate()
                    .map(|(position, item)| (position.to_string(), item.clone()))
                    .collect()
            };
            let back = |numbered: &Document| Bson::Array(numbered.values().cloned().collect());
            let below = |changed: &Document| test(&put(back(changed)));
            let (path, good) = locate(&of(items), message, &below, depth - 1)?;
            prefixed(path, put(back(&good)))
        }
        _ => None,
    }
}

fn at<'a>(members: &'a Document, path: &[String]) -> Option<&'a Bson> {
    let (first, rest) = path.split_first()?;
    let mut value = members.get(first)?;
    for name in rest {
        value = match value {
            Bson::Document(inner) => inner.get(name)?,
            Bson::Array(items) => items.get(name.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// The field that a decoder misses.
fn missing(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("missing field `")?;
    rest.split('`').next()
}

/// What a decoder wanted, without the value that it quotes before that.
fn expected(message: &str) -> String {
    if missing(message).is_some() {
        return "a value".to_owned();
    }
    message.rsplit_once("expected ").map_or_else(
        || "a value of another form".to_owned(),
        |(_, wanted)| wanted.trim_end_matches('.').to_owned(),
    )
}

fn kind(value: Option<&Bson>) -> &'static str {
    match value {
        None => "nothing",
        Some(Bson::Null) => "null",
        Some(Bson::String(_)) => "a text",
        Some(Bson::Boolean(_)) => "a boolean",
        Some(Bson::Int32(_)) => "a 32-bit integer",
        Some(Bson::Int64(_)) => "a 64-bit integer",
        Some(Bson::Double(_)) => "a double",
        Some(Bson::Decimal128(_)) => "a decimal",
        Some(Bson::DateTime(_)) => "a date",
        Some(Bson::ObjectId(_)) => "an object id",
        Some(Bson::Array(_)) => "an array",
        Some(Bson::Document(_)) => "an object",
        Some(Bson::Binary(_)) => "binary data",
        Some(_) => "a value of a rare type",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::takeover::kinds::decoder;

    fn of(collection: &str, document: &Document) -> Vec<(String, String, String)> {
        let raw = RawDocumentBuf::try_from(document).unwrap();
        faults(&raw, decoder(collection).unwrap())
            .into_iter()
            .map(|fault| (fault.field.unwrap_or_default(), fault.expected, fault.found))
            .collect()
    }

    fn fields(collection: &str, document: &Document) -> Vec<String> {
        of(collection, document)
            .into_iter()
            .map(|(field, ..)| field)
            .collect()
    }

    fn account() -> Document {
        doc! {
            "_id": "a", "username": "u", "email": "e", "authGroup": "g", "password": "s3cret",
            "access": [{ "organization": { "id": "o", "domains": [], "roles": [] } }],
        }
    }

    #[test]
    fn a_good_document_has_no_faults() {
        assert!(of("accounts", &account()).is_empty());
    }

    #[test]
    fn the_field_is_named_and_its_value_is_not() {
        let mut document = account();
        document.insert("verified", "s3cret");
        let found = of("accounts", &document);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "verified");
        assert_eq!(found[0].2, "a text");
        assert!(found[0].1.contains("boolean"), "{found:?}");
        assert!(!format!("{found:?}").contains("s3cret"));
    }

    #[test]
    fn missing_and_nested_fields_and_several_at_once_are_found() {
        let mut document = account();
        document.remove("email");
        assert_eq!(fields("accounts", &document), ["email"]);
        document.insert("email", doc! { "a": 1 });
        assert_eq!(fields("accounts", &document), ["email"]);
        document.insert("email", "e");
        document.insert(
            "access",
            vec![doc! { "organization": { "id": "o", "roles": [7] } }],
        );
        assert_eq!(
            fields("accounts", &document),
            ["access.0.organization.roles.0"]
        );
        document.insert("active", "perhaps");
        document.insert("blocked", "perhaps");
        let mut found = fields("accounts", &document);
        found.sort_unstable();
        assert_eq!(
            found,
            ["access.0.organization.roles.0", "active", "blocked"]
        );
        let id = doc! { "_id": bson::oid::ObjectId::from_bytes([1; 12]), "payload": {} };
        assert_eq!(fields("session", &id), ["_id"]);
    }
}
