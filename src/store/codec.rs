//! Between document types and stored bytes, so that a change touches only what it changes.

use bson::{Bson, RawArray, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};

use super::error::MAX_DOCUMENT;
use super::{Collection, Document, StoreError};

/// Room left below the limit for fields that an engine adds.
const RESERVE: usize = 64;

pub fn decode<T: Document>(document: &RawDocument) -> Result<T, StoreError> {
    bson::deserialize_from_slice(document.as_bytes()).or_else(|error| {
        // Other writers leave null for "not set" and doubles for whole numbers.
        bson::Document::try_from(document)
            .and_then(|document| bson::deserialize_from_document(plain(document)))
            .map_err(|_| StoreError::Decode {
                collection: T::COLLECTION.name,
                id: document.get_str("_id").unwrap_or_default().to_owned(),
                source: error.into(),
            })
    })
}

/// The same document without null members and with integers for whole numbers.
fn plain(document: bson::Document) -> bson::Document {
    document
        .into_iter()
        .filter(|(_, value)| *value != Bson::Null)
        .map(|(name, value)| (name, plain_value(value)))
        .collect()
}

fn plain_value(value: Bson) -> Bson {
    match value {
        Bson::Document(members) => Bson::Document(plain(members)),
        Bson::Array(items) => Bson::Array(items.into_iter().map(plain_value).collect()),
        Bson::Double(number) => match super::value::whole(number) {
            Some(n) => i32::try_from(n).map_or(Bson::Int64(n), Bson::Int32),
            None => value,
        },
        other => other,
    }
}

pub fn encode<T: Document>(value: &T) -> Result<RawDocumentBuf, StoreError> {
    let document =
        bson::serialize_to_raw_document_buf(value).map_err(|error| StoreError::Encode {
            collection: T::COLLECTION.name,
            source: error.into(),
        })?;
    if document.get_str("_id").ok() != Some(value.id()) {
        return Err(StoreError::Encode {
            collection: T::COLLECTION.name,
            source: "the field _id must hold the text that id() returns".into(),
        });
    }
    Ok(document)
}

/// A new document's stored form: every document carries the version key `__v`.
pub fn fresh<T: Document>(value: &T) -> Result<RawDocumentBuf, StoreError> {
    let mut document = encode(value)?;
    if document.get("__v").ok().flatten().is_none() {
        document.append(bson::cstr!("__v"), 0_i32);
    }
    fits(T::COLLECTION, &document)?;
    Ok(document)
}

pub fn fits(collection: &Collection, document: &RawDocument) -> Result<(), StoreError> {
    let size = document.as_bytes().len();
    let limit = MAX_DOCUMENT - RESERVE;
    if size > limit {
        return Err(StoreError::TooLarge {
            collection: collection.name,
            size,
            limit,
        });
    }
    Ok(())
}

/// Applies the difference between `before` and `after` to the stored document.
///
/// Fields that the type does not know, and the exact types of fields that did not change, stay.
pub fn merge(
    stored: &RawDocument,
    before: &RawDocument,
    after: &RawDocument,
) -> bson::error::Result<RawDocumentBuf> {
    let mut merged = RawDocumentBuf::new();
    for field in stored {
        let (key, old) = field?;
        match (lookup(before, key.as_str())?, lookup(after, key.as_str())?) {
            (None, None) => merged.append(key, old),
            (_, Some(new)) => {
                let known = lookup(before, key.as_str())?;
                merged.append(key, merge_value(old, known, new)?);
            }
            (Some(_), None) => {}
        }
    }
    for field in after {
        let (key, new) = field?;
        if lookup(stored, key.as_str())?.is_none() {
            // A default that was only filled in on reading is written with the change.
            merged.append(key, new);
        }
    }
    Ok(merged)
}

fn lookup<'a>(document: &'a RawDocument, key: &str) -> bson::error::Result<Option<RawBsonRef<'a>>> {
    document.get(key)
}

fn merge_value(
    old: RawBsonRef<'_>,
    before: Option<RawBsonRef<'_>>,
    after: RawBsonRef<'_>,
) -> bson::error::Result<RawBson> {
    let Some(before) = before else {
        return Ok(after.into());
    };
    if same(before, after) {
        return Ok(old.into());
    }
    match (old, before, after) {
        (RawBsonRef::Document(old), RawBsonRef::Document(before), RawBsonRef::Document(after)) => {
            merge(old, before, after).map(RawBson::Document)
        }
        (RawBsonRef::Array(old), RawBsonRef::Array(before), RawBsonRef::Array(after)) => {
            merge_array(old, before, after).map(RawBson::Array)
        }
        _ => Ok(after.into()),
    }
}

/// Elements that did not change keep their stored form, wherever they have moved to.
fn merge_array(
    old: &RawArray,
    before: &RawArray,
    after: &RawArray,
) -> bson::error::Result<RawArrayBuf> {
    let old: Vec<_> = old.into_iter().collect::<Result<_, _>>()?;
    let before: Vec<_> = before.into_iter().collect::<Result<_, _>>()?;
    let after: Vec<_> = after.into_iter().collect::<Result<_, _>>()?;
    let paired = old.len() == before.len();
    let mut used = vec![false; old.len()];
    let mut merged = RawArrayBuf::new();
    for (position, new) in after.iter().enumerate() {
        // Most elements stay in place, so look there before searching.
        let unchanged = |index: &usize| {
            before.get(*index).is_some_and(|known| same(*known, *new))
                && used.get(*index) == Some(&false)
        };
        let source = if paired {
            Some(position)
                .filter(unchanged)
                .or_else(|| (0..before.len()).find(unchanged))
        } else {
            None
        };
        if let Some((kept, used)) =
            source.and_then(|index| Some((old.get(index)?, used.get_mut(index)?)))
        {
            *used = true;
            merged.push(*kept);
            continue;
        }
        let item = match (old.get(position), before.get(position)) {
            // With as many elements as before, a changed one is the one in its place.
            (Some(old), Some(known)) if paired && after.len() == before.len() => {
                merge_value(*old, Some(*known), *new)?
            }
            _ => (*new).into(),
        };
        merged.push(item);
    }
    Ok(merged)
}

/// Are they the same to the bit?
pub(super) fn same(left: RawBsonRef<'_>, right: RawBsonRef<'_>) -> bool {
    match (left, right) {
        (RawBsonRef::Document(left), RawBsonRef::Document(right)) => {
            left.as_bytes() == right.as_bytes()
        }
        (RawBsonRef::Array(left), RawBsonRef::Array(right)) => left.as_bytes() == right.as_bytes(),
        (RawBsonRef::Double(left), RawBsonRef::Double(right)) => left.to_bits() == right.to_bits(),
        (left, right) => left == right,
    }
}
