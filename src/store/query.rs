//! The small typed query language that every engine understands.

use std::borrow::Cow;
use std::ops::BitAnd;

use super::{StoreError, Value};

/// A field path; dots descend into objects and into the elements of arrays.
pub type Path = Cow<'static, str>;

/// A condition on documents.
///
/// An array field matches if one of its elements does (or if the whole array equals the value);
/// a missing field equals null; values compare only with values of their own kind, and all
/// numbers are of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Every document.
    All,
    /// The field equals the value.
    Eq(Path, Value),
    /// Not [`Filter::Eq`]: true of a missing field unless the value is null.
    Ne(Path, Value),
    /// Greater than.
    Gt(Path, Value),
    /// Greater than or equal.
    Gte(Path, Value),
    /// Less than.
    Lt(Path, Value),
    /// Less than or equal.
    Lte(Path, Value),
    /// Equal to one of the values.
    In(Path, Vec<Value>),
    /// The field is present (null counts as present), or absent.
    Exists(Path, bool),
    /// The text occurs in the field, in any letter case.
    Contains(Path, String),
    /// The field begins with the text, in any letter case.
    StartsWith(Path, String),
    /// The field ends with the text, in any letter case.
    EndsWith(Path, String),
    /// One element of the array field satisfies the whole filter; its paths start at the element.
    /// An empty path means the element itself and may be used in comparisons joined by `And`.
    Elem(Path, Box<Filter>),
    /// All of them.
    And(Vec<Filter>),
    /// At least one of them.
    Or(Vec<Filter>),
    /// The filter does not hold.
    Not(Box<Filter>),
    /// Any of the words occurs in a field of the collection's text index, in any letter case.
    Text(String),
}

/// The field equals the value.
pub fn eq(path: impl Into<Path>, value: impl Into<Value>) -> Filter {
    Filter::Eq(path.into(), value.into())
}

/// The field does not equal the value.
pub fn ne(path: impl Into<Path>, value: impl Into<Value>) -> Filter {
    Filter::Ne(path.into(), value.into())
}

/// The field is greater than the value.
pub fn gt(path: impl Into<Path>, value: impl Into<Value>) -> Filter {
    Filter::Gt(path.into(), value.into())
}

/// The field is greater than or equal to the value.
pub fn gte(path: impl Into<Path>, value: impl Into<Value>) -> Filter {
    Filter::Gte(path.into(), value.into())
}

/// The field is less than the value.
pub fn lt(path: impl Into<Path>, value: impl Into<Value>) -> Filter {
    Filter::Lt(path.into(), value.into())
}

/// The field is less than or equal to the value.
pub fn lte(path: impl Into<Path>, value: impl Into<Value>) -> Filter {
    Filter::Lte(path.into(), value.into())
}

/// The field equals one of the values.
pub fn any_of<V: Into<Value>>(
    path: impl Into<Path>,
    values: impl IntoIterator<Item = V>,
) -> Filter {
    Filter::In(path.into(), values.into_iter().map(Into::into).collect())
}

/// The field is present (or, with `false`, absent).
pub fn exists(path: impl Into<Path>, present: bool) -> Filter {
    Filter::Exists(path.into(), present)
}

/// The text occurs in the field, in any letter case.
pub fn contains(path: impl Into<Path>, text: impl Into<String>) -> Filter {
    Filter::Contains(path.into(), text.into())
}

/// The field begins with the text, in any letter case.
pub fn starts_with(path: impl Into<Path>, text: impl Into<String>) -> Filter {
    Filter::StartsWith(path.into(), text.into())
}

/// The field ends with the text, in any letter case.
pub fn ends_with(path: impl Into<Path>, text: impl Into<String>) -> Filter {
    Filter::EndsWith(path.into(), text.into())
}

/// One element of the array field satisfies the filter.
pub fn elem(path: impl Into<Path>, filter: Filter) -> Filter {
    Filter::Elem(path.into(), Box::new(filter))
}

/// All of the filters hold.
pub fn and(filters: impl IntoIterator<Item = Filter>) -> Filter {
    Filter::And(filters.into_iter().collect())
}

/// At least one of the filters holds; none of an empty list does.
pub fn or(filters: impl IntoIterator<Item = Filter>) -> Filter {
    Filter::Or(filters.into_iter().collect())
}

/// The filter does not hold.
pub fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

/// Any of the words occurs in a text-indexed field.
pub fn text(words: impl Into<String>) -> Filter {
    Filter::Text(words.into())
}

impl Filter {
    /// Both filters hold.
    pub fn and(self, other: Filter) -> Filter {
        match (self, other) {
            (Filter::All, filter) | (filter, Filter::All) => filter,
            (Filter::And(mut left), Filter::And(right)) => {
                left.extend(right);
                Filter::And(left)
            }
            (Filter::And(mut left), right) => {
                left.push(right);
                Filter::And(left)
            }
            (left, right) => Filter::And(vec![left, right]),
        }
    }

    /// At least one of the two filters holds.
    pub fn or(self, other: Filter) -> Filter {
        match self {
            Filter::Or(mut left) => {
                left.push(other);
                Filter::Or(left)
            }
            left => Filter::Or(vec![left, other]),
        }
    }
}

impl Filter {
    /// Refuses paths that an engine could take for something else than fields.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.check_below(false)
    }

    fn check_below(&self, an_element: bool) -> Result<(), StoreError> {
        match self {
            Filter::All | Filter::Text(_) => Ok(()),
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
            | Filter::EndsWith(path, _) => {
                if an_element && path.is_empty() {
                    return Ok(());
                }
                check_path(path)
            }
            Filter::Elem(path, inner) => {
                check_path(path)?;
                inner.check_below(true)
            }
            Filter::And(filters) | Filter::Or(filters) => filters
                .iter()
                .try_for_each(|filter| filter.check_below(an_element)),
            Filter::Not(filter) => filter.check_below(an_element),
        }
    }
}

fn check_path(path: &str) -> Result<(), StoreError> {
    let sound = path
        .split('.')
        .all(|name| !name.is_empty() && !name.starts_with('$') && !name.contains('\0'));
    if sound {
        Ok(())
    } else {
        Err(StoreError::config(
            "a field path of the query has an empty or reserved name",
        ))
    }
}

impl BitAnd for Filter {
    type Output = Filter;

    fn bitand(self, other: Filter) -> Filter {
        self.and(other)
    }
}

/// The direction of a sort key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest first; documents without the field come first.
    Ascending,
    /// Largest first.
    Descending,
}

/// Which documents, in which order, how many, and which of their fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The condition.
    pub filter: Filter,
    /// Sort keys in order of weight; ties are ordered by `_id`, ascending.
    pub sort: Vec<(String, Order)>,
    /// How many matching documents to pass over.
    pub skip: u64,
    /// At most how many to return.
    pub limit: Option<u64>,
    /// Fields to return besides `_id`; `find_objects` alone honours it.
    pub select: Option<Vec<String>>,
}

impl Query {
    /// Every document that the filter matches.
    pub fn new(filter: Filter) -> Self {
        Self {
            filter,
            sort: Vec::new(),
            skip: 0,
            limit: None,
            select: None,
        }
    }

    /// Adds a sort key after those already given.
    pub fn sort(mut self, path: impl Into<String>, order: Order) -> Self {
        self.sort.push((path.into(), order));
        self
    }

    /// Passes over that many documents.
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Returns at most that many documents.
    pub fn limit(mut self, count: u64) -> Self {
        self.limit = Some(count);
        self
    }

    /// Returns only these fields and `_id`.
    pub fn select<S: Into<String>>(mut self, paths: impl IntoIterator<Item = S>) -> Self {
        self.select = Some(paths.into_iter().map(Into::into).collect());
        self
    }
}

impl Query {
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.filter.check()?;
        let sorted = self.sort.iter().map(|(path, _)| path);
        let selected = self.select.iter().flatten();
        sorted.chain(selected).try_for_each(|path| check_path(path))
    }
}

impl Default for Query {
    fn default() -> Self {
        Self::new(Filter::All)
    }
}

impl From<Filter> for Query {
    fn from(filter: Filter) -> Self {
        Self::new(filter)
    }
}
