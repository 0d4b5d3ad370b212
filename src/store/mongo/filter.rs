//! Filters in `MongoDB`'s query language.

use bson::{Bson, Document, doc};

use super::super::matching::{speaks_of_values, words};
use super::super::{Collection, Date, Filter, Order, StoreError};

/// What a translation needs to know besides the filter.
pub struct Translation<'a> {
    pub collection: &'a Collection,
    /// Whether the server has the collection's text index.
    pub text_index: bool,
    /// Whether to leave out conditions with [`Filter::Elem`], which are then checked here.
    pub without_elem: bool,
}

impl Translation<'_> {
    pub fn filter(&self, filter: &Filter) -> Result<Document, StoreError> {
        let mut conjuncts = Vec::new();
        flatten(filter, &mut conjuncts);
        // A server allows one text search, and only as a condition of the whole query.
        let searches = conjuncts
            .iter()
            .filter(|part| matches!(part, Filter::Text(_)))
            .count();
        let mut parts = Vec::new();
        for part in conjuncts {
            if self.without_elem && has_elem(part) {
                continue;
            }
            parts.push(match part {
                Filter::Text(text) if self.text_index && searches == 1 => {
                    let terms: Vec<String> = words(text).collect();
                    doc! { "$text": { "$search": terms.join(" ") } }
                }
                other => self.part(other)?,
            });
        }
        Ok(all(parts))
    }

    fn part(&self, filter: &Filter) -> Result<Document, StoreError> {
        let list = |filters: &[Filter]| -> Result<Vec<Document>, StoreError> {
            filters.iter().map(|filter| self.part(filter)).collect()
        };
        match filter {
            Filter::All => Ok(Document::new()),
            Filter::And(filters) => Ok(all(list(filters)?)),
            Filter::Or(filters) if filters.is_empty() => Ok(nothing()),
            Filter::Or(filters) => Ok(doc! { "$or": list(filters)? }),
            Filter::Not(filter) => Ok(doc! { "$nor": [self.part(filter)?] }),
            Filter::Text(text) => Ok(self.search(text)),
            Filter::Elem(path, inner) => {
                let inner = if speaks_of_values(inner) {
                    of_value(inner)?
                } else {
                    self.part(inner)?
                };
                Ok(doc! { path.as_ref(): { "$elemMatch": inner } })
            }
            // $ne says the same, but FerretDB applies it to each element of an array on its own.
            Filter::Ne(path, value) => {
                Ok(doc! { "$nor": [{ path.as_ref(): { "$eq": value.clone() } }] })
            }
            leaf => {
                let (path, condition) = condition(leaf)?;
                Ok(doc! { path: condition })
            }
        }
    }

    /// Word search without a text index.
    fn search(&self, text: &str) -> Document {
        let words: Vec<String> = words(text).map(|word| regex::escape(&word)).collect();
        let paths: Vec<_> = self.collection.text_paths().collect();
        if words.is_empty() || paths.is_empty() {
            return nothing();
        }
        let pattern = format!(
            r"(^|[^\p{{L}}\p{{N}}])({})($|[^\p{{L}}\p{{N}}])",
            words.join("|")
        );
        let parts: Vec<Document> = paths
            .into_iter()
            .map(|path| doc! { path: { "$regex": &pattern, "$options": "i" } })
            .collect();
        doc! { "$or": parts }
    }
}

/// Whether the filter looks into single elements of an array.
pub fn has_elem(filter: &Filter) -> bool {
    match filter {
        Filter::Elem(..) => true,
        Filter::And(filters) | Filter::Or(filters) => filters.iter().any(has_elem),
        Filter::Not(filter) => has_elem(filter),
        _ => false,
    }
}

fn flatten<'a>(filter: &'a Filter, conjuncts: &mut Vec<&'a Filter>) {
    match filter {
        Filter::All => {}
        Filter::And(filters) => filters.iter().for_each(|part| flatten(part, conjuncts)),
        other => conjuncts.push(other),
    }
}

fn all(mut parts: Vec<Document>) -> Document {
    parts.retain(|part| !part.is_empty());
    match parts.len() {
        0 => Document::new(),
        1 => parts.remove(0),
        _ => doc! { "$and": parts },
    }
}

fn nothing() -> Document {
    doc! { "_id": { "$in": [] } }
}

fn condition(leaf: &Filter) -> Result<(&str, Document), StoreError> {
    let pattern = |pattern: String| doc! { "$regex": pattern, "$options": "i" };
    let (path, condition) = match leaf {
        Filter::Eq(path, value) => (path, doc! { "$eq": value.clone() }),
        Filter::Ne(path, value) => (path, doc! { "$not": { "$eq": value.clone() } }),
        Filter::Gt(path, value) => (path, doc! { "$gt": value.clone() }),
        Filter::Gte(path, value) => (path, doc! { "$gte": value.clone() }),
        Filter::Lt(path, value) => (path, doc! { "$lt": value.clone() }),
        Filter::Lte(path, value) => (path, doc! { "$lte": value.clone() }),
        Filter::In(path, values) => (path, doc! { "$in": values.clone() }),
        Filter::Exists(path, present) => (path, doc! { "$exists": *present }),
        Filter::Contains(path, text) => (path, pattern(literal(text))),
        Filter::StartsWith(path, text) => (path, pattern(format!("^{}", literal(text)))),
        Filter::EndsWith(path, text) => (path, pattern(format!(r"{}\z", literal(text)))),
        _ => {
            return Err(StoreError::config(
                "only comparisons of the element itself can be joined in such a filter",
            ));
        }
    };
    Ok((path, condition))
}

/// Patterns are sent as C strings, which cannot hold a zero character.
fn literal(text: &str) -> String {
    regex::escape(text).replace('\0', r"\x00")
}

/// Operators on the array element itself.
fn of_value(filter: &Filter) -> Result<Document, StoreError> {
    let mut conjuncts = Vec::new();
    flatten(filter, &mut conjuncts);
    let mut operators = Document::new();
    for part in conjuncts {
        let (path, condition) = condition(part)?;
        if !path.is_empty() {
            return Err(StoreError::config(
                "a filter speaks of an array element and of its fields at once",
            ));
        }
        for (operator, value) in condition {
            if operators.insert(operator, value).is_some() {
                return Err(StoreError::config(
                    "a filter uses one comparison twice on the same array element",
                ));
            }
        }
    }
    Ok(operators)
}

/// Documents whose time has not come.
pub fn live(collection: &Collection, now: i64) -> Document {
    all(collection
        .expiry
        .iter()
        .map(|rule| doc! { rule.field: { "$not": { "$lte": end(rule, now) } } })
        .collect())
}

/// Documents whose time has come.
pub fn ended(collection: &Collection, now: i64) -> Document {
    let parts: Vec<Document> = collection
        .expiry
        .iter()
        .map(|rule| doc! { rule.field: { "$lte": end(rule, now) } })
        .collect();
    if parts.is_empty() {
        nothing()
    } else {
        doc! { "$or": parts }
    }
}

fn end(rule: &super::super::Expiry, now: i64) -> Bson {
    Date::from_millis(now.saturating_sub(rule.millis())).into()
}

pub fn both(left: Document, right: Document) -> Document {
    all(vec![left, right])
}

pub fn sort(sort: &[(String, Order)]) -> Document {
    let mut keys = Document::new();
    for (path, order) in sort {
        let direction = match order {
            Order::Ascending => 1,
            Order::Descending => -1,
        };
        if !keys.contains_key(path) {
            keys.insert(path, direction);
        }
    }
    if !keys.is_empty() && !keys.contains_key("_id") {
        keys.insert("_id", 1);
    }
    keys
}

pub fn projection(paths: &[String]) -> Document {
    let mut fields = doc! { "_id": 1, super::REVISION: 1 };
    for path in paths {
        // A server refuses a path next to one that contains it.
        let contained = paths.iter().any(|other| {
            path.strip_prefix(other.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
        });
        if !contained {
            fields.insert(path, 1);
        }
    }
    fields
}
