//! List options of OData: `$filter`, `$select`, `$orderby`, `$skip` and `$top`.
//!
//! Each option is parsed on its own, bound to the fields of its room, and ends as a store query.
//! What is not understood is refused: a condition that fell away would widen the result.

mod bind;
mod fields;
mod syntax;

use crate::store::{Filter, Order, Query, Value};

pub use fields::{FieldType, Fields};

/// What clients are told about bad options; the error itself says more.
pub const BAD_OPTIONS: &str = "Check your oData inputs";

/// Longest `$filter`, in bytes.
pub const MAX_FILTER: usize = 16_384;
/// Most conditions in one `$filter`.
pub const MAX_TERMS: usize = 500;
/// Deepest nesting of parentheses and `not`.
pub const MAX_DEPTH: usize = 32;
/// Most names in `$select` and `$orderby`.
pub const MAX_NAMES: usize = 100;

/// Why the options can not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ODataError {
    #[error("{0} occurs more than once; send it once")]
    Repeated(&'static str),
    #[error("{0} can not be understood; check its syntax")]
    Syntax(&'static str),
    #[error("{0} is too long or nested too deeply; split the request")]
    TooLarge(&'static str),
    #[error("{option} names `{field}`, which does not exist or can not be used there")]
    Field { option: &'static str, field: String },
    #[error("`{field}` can not be compared with that value; it takes {expected}")]
    Value {
        field: String,
        expected: &'static str,
    },
}

/// List options, bound to the fields of a room.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    /// The client's condition.
    pub filter: Filter,
    /// The fields asked for; an empty list asks for the id alone.
    pub select: Option<Vec<String>>,
    /// Sort keys in order of weight; the id decides ties.
    pub order: Vec<(String, Order)>,
    /// How many results to pass over.
    pub skip: u64,
    /// At most how many results.
    pub top: Option<u64>,
}

/// Reads the list options among the decoded pairs of a query string; other pairs are ignored.
pub fn parse(pairs: &[(String, String)], fields: &Fields) -> Result<ListQuery, ODataError> {
    let option = |name: &'static str| {
        let mut values = pairs
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str());
        let first = values.next().filter(|value| !value.is_empty());
        if values.next().is_some() {
            Err(ODataError::Repeated(name))
        } else {
            Ok(first)
        }
    };
    let filter = option("$filter")?.map_or(Ok(Filter::All), |text| parse_filter(text, fields))?;
    let select = option("$select")?
        .map(|text| parse_select(text, fields))
        .transpose()?;
    let order = match option("$orderby")? {
        Some(text) => parse_order(text, fields)?,
        None => fields.default_order(),
    };
    let skip = option("$skip")?.map_or(Ok(0), |text| parse_count("$skip", text))?;
    let top = option("$top")?.map_or(Ok(0), |text| parse_count("$top", text))?;
    Ok(ListQuery {
        filter,
        select,
        order,
        skip,
        top: (top > 0).then_some(top),
    })
}

impl ListQuery {
    /// The store's query for documents that satisfy both the server's and the client's condition.
    pub fn into_query(self, base: Filter) -> Query {
        Query {
            filter: base.and(self.filter),
            sort: self.order,
            skip: self.skip,
            limit: self.top,
            select: self.select,
        }
    }

    /// Lowers the number of results to a configured maximum; 0 is no maximum.
    pub fn cap(mut self, maximum: u64) -> Self {
        if maximum > 0 {
            self.top = Some(self.top.map_or(maximum, |top| top.min(maximum)));
        }
        self
    }

    /// The value that every result must have in this (stored) field, if the condition says so.
    pub fn equality(&self, path: &str) -> Option<&Value> {
        conjuncts(&self.filter)
            .iter()
            .find_map(|filter| match filter {
                Filter::Eq(field, value) if field == path => Some(value),
                _ => None,
            })
    }

    /// Takes that condition out, for a room that gives the field a meaning of its own.
    pub fn take_equality(&mut self, path: &str) -> Option<Value> {
        let mut parts = match std::mem::replace(&mut self.filter, Filter::All) {
            Filter::And(parts) => parts,
            single => vec![single],
        };
        let at = parts
            .iter()
            .position(|filter| matches!(filter, Filter::Eq(field, _) if field == path));
        let taken = at.map(|at| parts.remove(at));
        self.filter = match parts.len() {
            0 => Filter::All,
            1 => parts.remove(0),
            _ => Filter::And(parts),
        };
        match taken {
            Some(Filter::Eq(_, value)) => Some(value),
            _ => None,
        }
    }
}

fn conjuncts(filter: &Filter) -> &[Filter] {
    match filter {
        Filter::And(parts) => parts,
        single => std::slice::from_ref(single),
    }
}

fn parse_filter(text: &str, fields: &Fields) -> Result<Filter, ODataError> {
    if text.len() > MAX_FILTER {
        return Err(ODataError::TooLarge("$filter"));
    }
    let expression = syntax::filter(text)?;
    if expression.terms() > MAX_TERMS {
        return Err(ODataError::TooLarge("$filter"));
    }
    bind::filter(expression, fields)
}

/// Names that do not exist are passed over, as an inclusion list does.
fn parse_select(text: &str, fields: &Fields) -> Result<Vec<String>, ODataError> {
    if text == "*" {
        return Ok(Vec::new());
    }
    let names = syntax::select(text)?;
    if names.len() > MAX_NAMES {
        return Err(ODataError::TooLarge("$select"));
    }
    let mut selected = Vec::new();
    for name in names {
        if fields.is_hidden(&name) {
            return Err(ODataError::Field {
                option: "$select",
                field: name,
            });
        }
        for path in fields.selectable(&name) {
            if !selected.contains(&path) {
                selected.push(path);
            }
        }
    }
    Ok(selected)
}

/// Names that do not exist do not sort.
fn parse_order(text: &str, fields: &Fields) -> Result<Vec<(String, Order)>, ODataError> {
    let keys = syntax::order(text)?;
    if keys.len() > MAX_NAMES {
        return Err(ODataError::TooLarge("$orderby"));
    }
    let mut order: Vec<(String, Order)> = Vec::new();
    for (name, direction) in keys {
        // The order of a whole object would reveal the hidden values inside it.
        if fields.is_hidden(&name) || fields.covers_hidden(&name) {
            return Err(ODataError::Field {
                option: "$orderby",
                field: name,
            });
        }
        let Some((path, _)) = fields.resolve(&name) else {
            continue;
        };
        if !order.iter().any(|(known, _)| *known == path) {
            order.push((path, direction));
        }
    }
    Ok(order)
}

fn parse_count(option: &'static str, text: &str) -> Result<u64, ODataError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    // The stores count with signed 64-bit numbers.
    match text.parse::<i64>() {
        Ok(count) if digits => Ok(count.unsigned_abs()),
        _ => Err(ODataError::Syntax(option)),
    }
}

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
