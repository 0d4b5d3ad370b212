//! Whether a document satisfies a filter, by `MongoDB`'s rules.

use bson::{RawArray, RawBsonRef, RawDocument};

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

/// Whether a present value at the path satisfies the test.
pub fn any(document: &RawDocument, path: &str, test: impl Fn(RawBsonRef<'_>) -> bool) -> bool {
    let mut found = false;
    each(document, path, &mut |value| {
        found = found || value.is_some_and(&test);
    });
    found
}

pub(super) fn walk<'a>(
    document: &'a RawDocument,
    path: &str,
    expand: bool,
    visit: &mut dyn FnMut(Option<RawBsonRef<'a>>),
) {
    let (head, rest) = match path.split_once('.') {
        Some((head, rest)) => (head, Some(rest)),
        None => (path, None),
    };
    // Bytes that do not parse count as missing: the engine has already checked what it stores.
    let value = document.get(head).ok().flatten();
    step(value, rest, expand, visit);
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
    let (head, below) = match rest.split_once('.') {
        Some((head, below)) => (head, Some(below)),
        None => (rest, None),
    };
    if let Ok(position) = head.parse::<usize>()
        && let Ok(Some(item)) = array.get(position)
    {
        step(Some(item), below, expand, visit);
    }
}
