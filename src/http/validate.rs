//! Checks of request bodies, reported the way JSON Schema validators do.

use serde::de::{self, DeserializeOwned};
use serde::ser::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::http::ApiError;

/// One broken rule of a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// JSON pointer below the body, empty for the body itself.
    pub at: String,
    pub keyword: &'static str,
    pub message: String,
}

impl Violation {
    pub fn new(at: impl Into<String>, keyword: &'static str, message: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            keyword,
            message: message.into(),
        }
    }

    pub fn text(&self) -> String {
        format!("request/body{} {}", self.at, self.message)
    }

    pub fn json(&self) -> Json {
        json!({ "instancePath": format!("/body{}", self.at), "keyword": self.keyword, "message": self.message })
    }
}

/// The type a member must have.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Text,
    /// At most so many characters.
    TextUpTo(usize),
    Boolean,
    Integer,
    Number,
    Object,
    Array,
    TextArray,
    /// A list whose items are objects of a shape.
    ListOf(&'static Shape),
    OneOf(&'static [&'static str]),
    /// Characters for which the function holds; the text names the rule.
    Matching(fn(&str) -> bool, &'static str),
    /// An object with members of its own.
    Nested(&'static Shape),
    Any,
}

/// What an object may hold. Members that are not listed are refused unless `open`.
#[derive(Debug)]
pub struct Shape {
    pub required: &'static [&'static str],
    pub members: &'static [(&'static str, Kind)],
    pub open: bool,
}

/// Longest text accepted where nothing narrower is said.
pub const TEXT_LIMIT: usize = 8192;

impl Shape {
    /// All violations of the body, or the body as an object.
    pub fn check<'a>(&self, body: &'a Json) -> Result<&'a Map<String, Json>, ApiError> {
        let mut found = Vec::new();
        self.walk(body, "", &mut found);
        match body.as_object() {
            Some(map) if found.is_empty() => Ok(map),
            _ => Err(ApiError::invalid(&found)),
        }
    }

    fn walk(&self, body: &Json, at: &str, found: &mut Vec<Violation>) {
        let Some(map) = body.as_object() else {
            found.push(Violation::new(at, "type", "must be object"));
            return;
        };
        for name in self.required {
            if !map.contains_key(*name) {
                found.push(Violation::new(
                    at,
                    "required",
                    format!("must have required property '{name}'"),
                ));
            }
        }
        for (name, value) in map {
            let here = format!("{at}/{}", escape(name));
            match self.members.iter().find(|(m, _)| m == name) {
                Some((_, kind)) => check_kind(*kind, value, &here, found),
                None if self.open => {}
                None => found.push(Violation::new(
                    at,
                    "additionalProperties",
                    "must NOT have additional properties",
                )),
            }
        }
    }
}

/// 400 if a body is a list and holds anything but texts; what it is instead of a list is for others to tell.
pub fn check_texts(body: &Json) -> Result<(), ApiError> {
    if !body.is_array() {
        return Ok(());
    }
    let mut found = Vec::new();
    check_kind(Kind::TextArray, body, "", &mut found);
    if found.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(&found))
    }
}

/// A name as a part of a JSON pointer (RFC 6901 §3), shortened.
fn escape(name: &str) -> String {
    name.chars()
        .take(80)
        .collect::<String>()
        .replace('~', "~0")
        .replace('/', "~1")
}

fn check_kind(kind: Kind, value: &Json, at: &str, found: &mut Vec<Violation>) {
    let mut wrong =
        |expected: &str| found.push(Violation::new(at, "type", format!("must be {expected}")));
    match kind {
        Kind::Any => {}
        Kind::Boolean => {
            if !value.is_boolean() {
                wrong("boolean");
            }
        }
        Kind::Integer => {
            if !(value.is_i64() || value.is_u64()) {
                wrong("integer");
            }
        }
        Kind::Number => {
            if !value.is_number() {
                wrong("number");
            }
        }
        Kind::Object => {
            if !value.is_object() {
                wrong("object");
            }
        }
        Kind::Array => {
            if !value.is_array() {
                wrong("array");
            }
        }
        Kind::TextArray => match value.as_array() {
            None => wrong("array"),
            Some(items) => {
                for (i, item) in items.iter().enumerate() {
                    check_kind(Kind::Text, item, &format!("{at}/{i}"), found);
                }
            }
        },
        Kind::ListOf(shape) => match value.as_array() {
            None => wrong("array"),
            Some(items) => {
                for (i, item) in items.iter().enumerate() {
                    shape.walk(item, &format!("{at}/{i}"), found);
                }
            }
        },
        Kind::Text => text(value, TEXT_LIMIT, at, found),
        Kind::TextUpTo(limit) => text(value, limit, at, found),
        Kind::OneOf(list) => match value.as_str() {
            None => wrong("string"),
            Some(s) if list.contains(&s) => {}
            Some(_) => found.push(Violation::new(
                at,
                "enum",
                "must be equal to one of the allowed values",
            )),
        },
        Kind::Matching(rule, name) => {
            text(value, TEXT_LIMIT, at, found);
            if value.as_str().is_some_and(|s| !rule(s)) {
                found.push(Violation::new(
                    at,
                    "pattern",
                    format!("must match pattern \"{name}\""),
                ));
            }
        }
        Kind::Nested(shape) => shape.walk(value, at, found),
    }
}

fn text(value: &Json, limit: usize, at: &str, found: &mut Vec<Violation>) {
    match value.as_str() {
        None => found.push(Violation::new(at, "type", "must be string")),
        Some(s) if s.len() > limit && s.chars().count() > limit => {
            found.push(Violation::new(
                at,
                "maxLength",
                format!("must NOT have more than {limit} characters"),
            ));
        }
        Some(s) if s.contains('\0') => {
            found.push(Violation::new(at, "pattern", "must NOT contain NUL"));
        }
        Some(_) => {}
    }
}

/// A value as a type. Unlike with serde alone, a list does not pass for an object with its items as members.
pub fn decode<T: DeserializeOwned + Serialize>(given: Json) -> Result<T, serde_json::Error> {
    let out: T = serde_json::from_value(given.clone())?;
    let taken = serde_json::to_value(&out)?;
    match list_for_object(&given, &taken) {
        None => Ok(out),
        Some(at) => Err(de::Error::custom(format!("{at} must be object"))),
    }
}

/// Where the one has a list and the other an object.
fn list_for_object(given: &Json, taken: &Json) -> Option<String> {
    match (given, taken) {
        (Json::Array(_), Json::Object(_)) => Some(String::new()),
        (Json::Object(given), Json::Object(taken)) => given.iter().find_map(|(name, value)| {
            let at = list_for_object(value, taken.get(name)?)?;
            Some(format!("/{}{at}", escape(name)))
        }),
        (Json::Array(given), Json::Array(taken)) => {
            let mut pairs = given.iter().zip(taken).enumerate();
            pairs.find_map(|(i, (given, taken))| {
                Some(format!("/{i}{}", list_for_object(given, taken)?))
            })
        }
        _ => None,
    }
}

/// An e-mail address as far as a server can tell without sending to it.
pub fn is_email(text: &str) -> bool {
    text.len() <= 254 && garde::rules::email::parse_email(text).is_ok()
}
