//! What a document type declares about where and how it is kept.

use bson::{RawBsonRef, RawDocument};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::matching;

/// A document type and its collection.
pub trait Document: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Where documents of this type are kept.
    const COLLECTION: &'static Collection;

    /// The document's `_id`, which must also be serialised as `_id`.
    fn id(&self) -> &str;
}

/// A named set of documents with its indexes and lifetimes.
#[derive(Debug, PartialEq, Eq)]
pub struct Collection {
    /// The name in the store.
    pub name: &'static str,
    /// Indexes besides the one on `_id`.
    pub indexes: &'static [Index],
    /// When documents end; the earliest applicable rule counts.
    pub expiry: &'static [Expiry],
}

/// An index over one or more fields.
#[derive(Debug, PartialEq, Eq)]
pub struct Index {
    /// Field paths; a leading `-` makes a key descending.
    pub keys: &'static [&'static str],
    /// Whether two documents may not share the combination of values; a missing field is a value.
    pub unique: bool,
    /// Whether it serves word search instead of comparisons.
    pub text: bool,
    /// Which documents take part.
    pub when: When,
}

/// Which documents take part in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// All of them.
    Always,
    /// Those whose field holds a text that is not empty.
    Set(&'static str),
    /// Those whose field is `true`.
    True(&'static str),
}

impl Index {
    /// No two documents share the values of these fields.
    pub const fn unique(keys: &'static [&'static str]) -> Self {
        Self {
            keys,
            unique: true,
            text: false,
            when: When::Always,
        }
    }

    /// Makes looking up and sorting by these fields fast.
    pub const fn plain(keys: &'static [&'static str]) -> Self {
        Self {
            keys,
            unique: false,
            text: false,
            when: When::Always,
        }
    }

    /// The fields that [`Filter::Text`](super::Filter::Text) searches; one per collection.
    pub const fn text(keys: &'static [&'static str]) -> Self {
        Self {
            keys,
            unique: false,
            text: true,
            when: When::Always,
        }
    }

    /// Only documents whose field holds a text that is not empty take part.
    pub const fn when_set(self, field: &'static str) -> Self {
        Self {
            when: When::Set(field),
            ..self
        }
    }

    /// Only documents whose field is `true` take part.
    pub const fn when_true(self, field: &'static str) -> Self {
        Self {
            when: When::True(field),
            ..self
        }
    }

    /// The paths with their direction: `true` is descending.
    pub fn paths(&self) -> impl Iterator<Item = (&'static str, bool)> + '_ {
        self.keys.iter().map(|key| match key.strip_prefix('-') {
            Some(path) => (path, true),
            None => (*key, false),
        })
    }

    /// `MongoDB`'s default name of the index, such as `email_1_authGroup_1`.
    pub fn name(&self) -> String {
        self.paths()
            .map(|(path, descending)| match (self.text, descending) {
                (true, _) => format!("{path}_text"),
                (false, true) => format!("{path}_-1"),
                (false, false) => format!("{path}_1"),
            })
            .collect::<Vec<_>>()
            .join("_")
    }

    pub(super) fn covers(&self, document: &RawDocument) -> bool {
        match self.when {
            When::Always => true,
            When::Set(path) => matching::any(
                document,
                path,
                |value| matches!(value, RawBsonRef::String(text) if !text.is_empty()),
            ),
            When::True(path) => matching::any(document, path, |value| {
                matches!(value, RawBsonRef::Boolean(true))
            }),
        }
    }
}

/// Documents end this long after the date in a field; without a date there they stay.
#[derive(Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The path of a date.
    pub field: &'static str,
    /// Seconds after that date.
    pub after_seconds: u32,
}

impl Expiry {
    /// Ends that many seconds after the date in the field.
    pub const fn after(field: &'static str, seconds: u32) -> Self {
        Self {
            field,
            after_seconds: seconds,
        }
    }

    /// Ends at the date in the field.
    pub const fn at(field: &'static str) -> Self {
        Self::after(field, 0)
    }

    pub(super) fn millis(&self) -> i64 {
        i64::from(self.after_seconds) * 1000
    }
}

impl Collection {
    /// When the document ends, in milliseconds since the epoch.
    pub fn end_of(&self, document: &RawDocument) -> Option<i64> {
        self.expiry
            .iter()
            .filter_map(|rule| {
                let mut earliest: Option<i64> = None;
                matching::each(document, rule.field, &mut |value| {
                    if let Some(RawBsonRef::DateTime(date)) = value {
                        let end = date.timestamp_millis().saturating_add(rule.millis());
                        earliest = Some(earliest.map_or(end, |known| known.min(end)));
                    }
                });
                earliest
            })
            .min()
    }

    pub(super) fn text_paths(&self) -> impl Iterator<Item = &'static str> {
        self.indexes
            .iter()
            .filter(|index| index.text)
            .flat_map(|index| index.paths().map(|(path, _)| path))
    }
}
