//! JSON Patch (RFC 6902) on documents, with each room's protected paths.
//!
//! A patch is checked as a whole, then applied operation by operation to a copy; the first failure
//! leaves the original as it was. Documents can not grow without bound: copies are charged to a
//! budget before they are made, and nesting is limited.

use std::borrow::Cow;

use json_patch::{Patch, PatchErrorKind, PatchOperation, jsonptr::Pointer};
use serde::Serialize;
use serde_json::Value;

use crate::http::validate::TEXT_LIMIT;

/// Most operations in one patch.
pub const MAX_OPERATIONS: usize = 1000;
/// Most bytes (roughly) that the copies of one patch may add.
const MAX_COPIED: usize = 1 << 20;
/// Deepest nesting of a patched document; the store allows 100 levels.
const MAX_DEPTH: usize = 64;

/// What a patch must leave alone. Names are dotted paths such as `meta.core`.
#[derive(Debug, Clone, Copy, Default)]
pub struct PatchRules<'a> {
    /// Must keep their values; a field that was absent must stay absent.
    pub protected: &'a [&'a str],
    /// Must be there afterwards.
    pub required: &'a [&'a str],
    /// Neither changed, copied, moved nor tested: [`PatchError::Forbidden`].
    pub frozen: &'a [&'a str],
    /// May be set, but neither copied, moved nor tested, which would reveal them.
    pub write_only: &'a [&'a str],
    /// Lets the patch change `_id` and `id`.
    pub allow_ids: bool,
}

/// Why a patch was not applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PatchError {
    /// The body is not a list of operations.
    #[error("Error while validating request: {}", joined(.0))]
    Shape(Vec<Violation>),
    /// An operation could not be carried out.
    #[error("{0}")]
    Failed(String),
    /// A protected field would get another value; `original` is the one it has, if any.
    #[error("{}", must_be(.field, .original.as_ref()))]
    Protected {
        field: String,
        original: Option<Value>,
    },
    /// A field that must be there would be missing.
    #[error("\"{field}\" is required")]
    Required { field: String },
    /// The patch reaches for something that this way of access never shows or changes.
    #[error("{path} can not be patched")]
    Forbidden { path: String },
}

/// One fault of a request body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// JSON Pointer from the request, such as `/body/0/op`.
    pub instance_path: String,
    /// The rule that was broken, in the words of JSON Schema.
    pub keyword: &'static str,
    pub message: String,
}

fn joined(violations: &[Violation]) -> String {
    let show = |v: &Violation| format!("request{} {}", v.instance_path, v.message);
    violations.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn must_be(field: &str, original: Option<&Value>) -> String {
    match original {
        None => format!("\"{field}\" is not allowed"),
        Some(Value::String(text)) => format!("\"{field}\" must be [{text}]"),
        Some(value) => format!("\"{field}\" must be [{value}]"),
    }
}

/// Applies the patch to a copy of the document and enforces the rules on the outcome.
///
/// `test` compares deeply; the order of keys does not matter. Dates take part as their ISO texts.
pub fn apply(original: &Value, patch: &Value, rules: &PatchRules<'_>) -> Result<Value, PatchError> {
    let patch = check_shape(patch).map_err(PatchError::Shape)?;
    let mut document = original.clone();
    let mut copied = 0;
    for operation in &patch.0 {
        check_reach(operation, rules)?;
        check_growth(&document, operation, &mut copied)?;
        json_patch::patch_unsafe(&mut document, std::slice::from_ref(operation))
            .map_err(|e| PatchError::Failed(explain(&document, operation, &e.kind)))?;
    }
    check_outcome(original, &document, rules)?;
    Ok(document)
}

/// Checks the form of a patch without a document to apply it to.
pub fn check(patch: &Value) -> Result<(), PatchError> {
    check_shape(patch).map(drop).map_err(PatchError::Shape)
}

/// The value at a dotted path.
fn dotted<'v>(document: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.')
        .try_fold(document, |value, name| value.get(name))
}

fn check_shape(patch: &Value) -> Result<Patch, Vec<Violation>> {
    let Some(operations) = patch.as_array() else {
        return Err(vec![violation("/body", "type", "must be array")]);
    };
    if operations.len() > MAX_OPERATIONS {
        let message = format!("must NOT have more than {MAX_OPERATIONS} items");
        return Err(vec![violation("/body", "maxItems", &message)]);
    }
    let mut found = Vec::new();
    let mut parsed = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        match check_operation(&format!("/body/{index}"), operation) {
            Ok(operation) => parsed.push(operation),
            Err(violation) => found.push(violation),
        }
    }
    if found.is_empty() {
        Ok(Patch(parsed))
    } else {
        Err(found)
    }
}

fn violation(instance_path: &str, keyword: &'static str, message: &str) -> Violation {
    Violation {
        instance_path: instance_path.to_owned(),
        keyword,
        message: message.to_owned(),
    }
}

fn check_operation(at: &str, operation: &Value) -> Result<PatchOperation, Violation> {
    let Some(fields) = operation.as_object() else {
        return Err(violation(at, "type", "must be object"));
    };
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(violation(&format!("{at}/{name}"), "type", "must be string")),
        None => Err(violation(
            at,
            "required",
            &format!("must have required property '{name}'"),
        )),
    };
    let op = text("op")?;
    let needs_value = match op.as_str() {
        "add" | "replace" | "test" => true,
        "remove" | "move" | "copy" => false,
        _ => {
            let message = "must be equal to one of the allowed values: add, remove, replace, move, copy, test";
            return Err(violation(&format!("{at}/op"), "enum", message));
        }
    };
    let mut clean = serde_json::Map::new();
    clean.insert("path".to_owned(), pointer(at, "path", text("path")?)?);
    if matches!(op.as_str(), "move" | "copy") {
        clean.insert("from".to_owned(), pointer(at, "from", text("from")?)?);
    }
    if op == "remove" && fields.contains_key("value") {
        return Err(violation(
            &format!("{at}/value"),
            "not",
            "must NOT be there when op is remove",
        ));
    }
    if needs_value {
        let Some(value) = fields.get("value") else {
            return Err(violation(
                at,
                "required",
                "must have required property 'value'",
            ));
        };
        clean.insert(
            "value".to_owned(),
            check_value(&format!("{at}/value"), value)?,
        );
    }
    clean.insert("op".to_owned(), Value::String(op));
    // Everything the library would refuse has been checked, so its reason is of no use to a client.
    serde_json::from_value(Value::Object(clean))
        .map_err(|_| violation(at, "oneOf", "must be one operation"))
}

fn pointer(at: &str, name: &str, text: String) -> Result<Value, Violation> {
    let wrong = |message| violation(&format!("{at}/{name}"), "format", message);
    let Ok(parsed) = Pointer::parse(&text) else {
        return Err(wrong(
            "must be empty or start with a slash, with ~ only in ~0 and ~1",
        ));
    };
    for token in parsed.tokens() {
        let token = token.decoded();
        if token == "__proto__" || token.contains('\0') {
            return Err(wrong("must not name reserved properties"));
        }
    }
    Ok(Value::String(text))
}

/// The kinds of values a patch may carry; whole numbers written as fractions become whole.
fn check_value(at: &str, value: &Value) -> Result<Value, Violation> {
    let wrong = |keyword, message: &str| violation(at, keyword, message);
    let fits = match value {
        Value::String(_) | Value::Bool(_) | Value::Object(_) => true,
        Value::Number(number) => whole(number).is_some(),
        Value::Array(items) => items
            .iter()
            .all(|item| matches!(item, Value::String(_) | Value::Object(_) | Value::Number(_))),
        Value::Null => false,
    };
    if !fits {
        let message = "must be an object, a string, a boolean, an integer, or an array of strings, objects or numbers";
        return Err(wrong("oneOf", message));
    }
    if has_bad_key(value) {
        return Err(wrong("propertyNames", "must not name reserved properties"));
    }
    check_texts(at, value)?;
    Ok(match value {
        Value::Number(number) => whole(number).map_or_else(|| value.clone(), Value::from),
        other => other.clone(),
    })
}

/// A text that goes in by a patch is held to what a new document's texts are held to.
fn check_texts(at: &str, value: &Value) -> Result<(), Violation> {
    match value {
        Value::String(text) if text.len() > TEXT_LIMIT && text.chars().count() > TEXT_LIMIT => {
            let message = format!("must NOT have more than {TEXT_LIMIT} characters");
            Err(violation(at, "maxLength", &message))
        }
        Value::String(text) if text.contains('\0') => {
            Err(violation(at, "pattern", "must NOT contain NUL"))
        }
        Value::Object(fields) => fields.values().try_for_each(|value| check_texts(at, value)),
        Value::Array(items) => items.iter().try_for_each(|value| check_texts(at, value)),
        _ => Ok(()),
    }
}

#[allow(clippy::cast_possible_truncation)] // the range check keeps the cast exact
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let wide = number.as_f64()?;
        (wide.fract() == 0.0 && wide.abs() <= 9_007_199_254_740_992.0).then_some(wide as i64)
    })
}

/// The parser of the body has already limited the nesting.
fn has_bad_key(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| key == "__proto__" || key.contains('\0') || has_bad_key(value)),
        Value::Array(items) => items.iter().any(has_bad_key),
        _ => false,
    }
}

/// Whether one of the two paths lies within the other.
fn related(pointer: &Pointer, dotted: &str) -> bool {
    let mut names = dotted.split('.');
    pointer
        .tokens()
        .map(|token| token.decoded().into_owned())
        .all(|token| names.next().is_none_or(|name| name == token))
}

/// Whether the pointer is the path or lies below it.
fn within(pointer: &Pointer, dotted: &str) -> bool {
    let mut tokens = pointer.tokens();
    dotted
        .split('.')
        .all(|name| tokens.next().is_some_and(|token| token.decoded() == name))
}

fn check_reach(operation: &PatchOperation, rules: &PatchRules<'_>) -> Result<(), PatchError> {
    let forbidden = |pointer: &Pointer| {
        Err(PatchError::Forbidden {
            path: pointer.to_string(),
        })
    };
    let secret = || rules.frozen.iter().chain(rules.write_only);
    match operation {
        PatchOperation::Test(test) if secret().any(|path| related(&test.path, path)) => {
            forbidden(&test.path)
        }
        PatchOperation::Copy(copy) if secret().any(|path| related(&copy.from, path)) => {
            forbidden(&copy.from)
        }
        PatchOperation::Move(step) if secret().any(|path| related(&step.from, path)) => {
            forbidden(&step.from)
        }
        other if rules.frozen.iter().any(|path| within(other.path(), path)) => {
            forbidden(other.path())
        }
        _ => Ok(()),
    }
}

fn check_growth(
    document: &Value,
    operation: &PatchOperation,
    copied: &mut usize,
) -> Result<(), PatchError> {
    let (path, value) = match operation {
        PatchOperation::Add(add) => (&add.path, Some(&add.value)),
        PatchOperation::Replace(replace) => (&replace.path, Some(&replace.value)),
        PatchOperation::Move(step) => (&step.path, document.pointer(step.from.as_str())),
        PatchOperation::Copy(copy) => {
            let value = document.pointer(copy.from.as_str());
            *copied = copied.saturating_add(value.map_or(0, weight));
            (&copy.path, value)
        }
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(()),
    };
    if *copied > MAX_COPIED {
        return Err(PatchError::Failed(
            "The copies of this patch are too large; send the values instead".to_owned(),
        ));
    }
    let depth = path.tokens().count().saturating_add(value.map_or(0, depth));
    if depth > MAX_DEPTH {
        return Err(PatchError::Failed(format!(
            "The document would be nested deeper than {MAX_DEPTH} levels"
        )));
    }
    Ok(())
}

/// About how many bytes the value takes.
fn weight(value: &Value) -> usize {
    const NODE: usize = 32;
    match value {
        Value::String(text) => NODE + text.len(),
        Value::Array(items) => items.iter().map(weight).fold(NODE, usize::saturating_add),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| key.len() + NODE + weight(value))
            .fold(NODE, usize::saturating_add),
        _ => NODE,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Says what stopped an operation; the document is in the state the operation met.
fn explain(document: &Value, operation: &PatchOperation, kind: &PatchErrorKind) -> String {
    let path = operation.path();
    match kind {
        PatchErrorKind::TestFailed => format!("The value at \"{path}\" is not the tested one"),
        PatchErrorKind::CannotMoveInsideItself => {
            format!("A value can not be moved into itself (\"{path}\")")
        }
        PatchErrorKind::InvalidFromPointer => {
            let from = match operation {
                PatchOperation::Move(step) => &step.from,
                PatchOperation::Copy(copy) => &copy.from,
                _ => path,
            };
            format!("There is nothing at \"{from}\" to copy or move")
        }
        _ => explain_path(document, operation),
    }
}

fn explain_path(document: &Value, operation: &PatchOperation) -> String {
    let path = operation.path();
    let missing = match operation {
        PatchOperation::Replace(_) => "There is nothing at that path to replace",
        PatchOperation::Remove(_) => "There is nothing at that path to remove",
        PatchOperation::Test(_) => "There is nothing at that path to test",
        _ => "The path does not lead to an object or array",
    };
    let parent = path
        .parent()
        .and_then(|parent| document.pointer(parent.as_str()));
    let Some(Value::Array(items)) = parent else {
        return format!("{missing}: \"{path}\"");
    };
    let last = path
        .back()
        .map(|token| token.decoded().into_owned())
        .unwrap_or_default();
    let digits = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = last.len() > 1 && last.starts_with('0');
    if last != "-" && (!digits || leading_zero) {
        return format!("An element of an array is addressed by its number: \"{path}\"");
    }
    if matches!(
        operation,
        PatchOperation::Add(_) | PatchOperation::Move(_) | PatchOperation::Copy(_)
    ) {
        return format!(
            "The array has only {} elements, so nothing can be put at \"{path}\"",
            items.len()
        );
    }
    format!("{missing}: \"{path}\"")
}

fn check_outcome(
    original: &Value,
    outcome: &Value,
    rules: &PatchRules<'_>,
) -> Result<(), PatchError> {
    if !outcome.is_object() && original.is_object() {
        return Err(PatchError::Failed(
            "The document must stay an object".to_owned(),
        ));
    }
    let changed = |path: &str| dotted(original, path) != dotted(outcome, path);
    if let Some(path) = rules.frozen.iter().find(|path| changed(path)) {
        return Err(PatchError::Forbidden {
            path: format!("/{}", path.replace('.', "/")),
        });
    }
    let ids: &[&str] = if rules.allow_ids { &[] } else { &["_id", "id"] };
    for field in ids.iter().chain(rules.protected) {
        if !changed(field) {
            continue;
        }
        let field: Cow<'_, str> = (*field).into();
        let before = dotted(original, &field);
        return Err(match (before, dotted(outcome, &field)) {
            (Some(_), None) => PatchError::Required {
                field: field.into_owned(),
            },
            _ => PatchError::Protected {
                original: before.cloned(),
                field: field.into_owned(),
            },
        });
    }
    let present = |path: &str| dotted(outcome, path).is_some_and(|value| !value.is_null());
    match rules.required.iter().find(|path| !present(path)) {
        Some(field) => Err(PatchError::Required {
            field: (*field).to_owned(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
