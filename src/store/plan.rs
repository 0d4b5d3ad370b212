//! Which index entries of the embedded store answer a query.

use bson::{RawBson, RawBsonRef, RawDocument};

use super::compare;
use super::{Filter, Index, Order, Value, When, matching};

/// Most key ranges of one lookup; beyond that, fewer keys are used.
const MAX_RANGES: usize = 1000;

/// Where to look, and what is left to check.
pub struct Plan {
    pub source: Source,
    /// The part of the filter that the source does not guarantee.
    pub residual: Option<Filter>,
    /// Whether documents already come in the order asked for.
    pub sorted: bool,
}

pub enum Source {
    /// All documents; in the order of their ids if asked to.
    All(Option<Order>),
    Ids(Vec<String>),
    /// Entries of the index at `position`, within `ranges` (upper ends excluded).
    Entries {
        position: usize,
        ranges: Vec<(Vec<u8>, Vec<u8>)>,
        order: Option<Order>,
        /// Every key of the index has one of the values asked for.
        exact: bool,
    },
}

/// The index entries of a document: one, or one for each element of an array.
pub fn entries(index: &Index, document: &RawDocument) -> Vec<Vec<u8>> {
    if index.text || !index.covers(document) {
        return Vec::new();
    }
    let mut keys = vec![Vec::new()];
    for (path, descending) in index.paths() {
        let mut parts = Vec::new();
        matching::leaves(document, path, &mut |value| {
            parts.push(part(compare::key(value), descending));
        });
        if parts.is_empty() {
            parts.push(part(compare::nothing(), descending));
        }
        parts.sort_unstable();
        parts.dedup();
        keys = product(&keys, &parts);
    }
    keys
}

/// Bytes by which documents sort in the order asked for.
pub fn sort_key(document: &RawDocument, sort: &[(String, Order)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, order) in sort {
        let mut parts = Vec::new();
        matching::leaves(document, path, &mut |value| {
            parts.push(part(compare::key(value), *order == Order::Descending));
        });
        // An array counts as its least element, in either direction.
        let least = parts.into_iter().min();
        bytes
            .extend(least.unwrap_or_else(|| part(compare::nothing(), *order == Order::Descending)));
    }
    bytes
}

fn part(mut key: Vec<u8>, descending: bool) -> Vec<u8> {
    if descending {
        compare::invert(&mut key);
    }
    key
}

fn product(prefixes: &[Vec<u8>], parts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    prefixes
        .iter()
        .flat_map(|prefix| {
            parts
                .iter()
                .map(move |part| [prefix.as_slice(), part].concat())
        })
        .collect()
}

impl Plan {
    pub fn new(indexes: &[&Index], filter: &Filter, sort: &[(String, Order)]) -> Plan {
        let mut conjuncts = Vec::new();
        flatten(filter, &mut conjuncts);
        if let Some((used, ids)) = ids(&conjuncts) {
            return Plan {
                source: Source::Ids(ids),
                residual: residual(&conjuncts, &[used]),
                sorted: sort.is_empty(),
            };
        }
        indexes
            .iter()
            .enumerate()
            .filter_map(|(position, index)| Candidate::new(position, index, &conjuncts, sort))
            .max_by_key(|candidate| candidate.score)
            .map_or_else(
                || everything(&conjuncts, sort),
                |best| Plan {
                    residual: residual(&conjuncts, &best.used),
                    sorted: sort.is_empty() || best.order.is_some(),
                    source: Source::Entries {
                        position: best.position,
                        ranges: best.ranges,
                        order: best.order,
                        exact: best.exact,
                    },
                },
            )
    }
}

fn everything(conjuncts: &[&Filter], sort: &[(String, Order)]) -> Plan {
    let order = match sort {
        [(path, order), ..] if path == "_id" => Some(*order),
        _ => None,
    };
    Plan {
        source: Source::All(order),
        residual: residual(conjuncts, &[]),
        sorted: sort.is_empty() || order.is_some(),
    }
}

fn flatten<'a>(filter: &'a Filter, conjuncts: &mut Vec<&'a Filter>) {
    match filter {
        Filter::All => {}
        Filter::And(filters) => filters.iter().for_each(|part| flatten(part, conjuncts)),
        other => conjuncts.push(other),
    }
}

fn residual(conjuncts: &[&Filter], used: &[usize]) -> Option<Filter> {
    let mut left: Vec<Filter> = conjuncts
        .iter()
        .enumerate()
        .filter(|(position, _)| !used.contains(position))
        .map(|(_, filter)| (*filter).clone())
        .collect();
    match left.len() {
        0 | 1 => left.pop(),
        _ => Some(Filter::And(left)),
    }
}

fn ids(conjuncts: &[&Filter]) -> Option<(usize, Vec<String>)> {
    conjuncts.iter().enumerate().find_map(|(position, filter)| {
        let ids = match filter {
            Filter::Eq(path, Value::String(id)) if path == "_id" => vec![id.clone()],
            Filter::In(path, values) if path == "_id" => {
                let mut ids = values
                    .iter()
                    .map(|value| value.as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()?;
                ids.sort_unstable();
                ids.dedup();
                ids
            }
            _ => return None,
        };
        Some((position, ids))
    })
}

struct Candidate {
    position: usize,
    score: usize,
    ranges: Vec<(Vec<u8>, Vec<u8>)>,
    order: Option<Order>,
    exact: bool,
    used: Vec<usize>,
}

impl Candidate {
    fn new(
        position: usize,
        index: &Index,
        conjuncts: &[&Filter],
        sort: &[(String, Order)],
    ) -> Option<Self> {
        if index.text || !applies(index, conjuncts) {
            return None;
        }
        let paths: Vec<(&str, bool)> = index.paths().collect();
        let mut prefixes = vec![Vec::new()];
        let mut used = Vec::new();
        let mut equal = 0;
        for (path, descending) in &paths {
            let Some((conjunct, keys)) = equals(path, conjuncts) else {
                break;
            };
            if prefixes.len() * keys.len() > MAX_RANGES {
                break;
            }
            let parts: Vec<_> = keys.into_iter().map(|key| part(key, *descending)).collect();
            prefixes = product(&prefixes, &parts);
            used.push(conjunct);
            equal += 1;
        }
        let rest = paths.get(equal..).unwrap_or_default();
        let order = if prefixes.len() == 1 {
            order(rest, sort)
        } else {
            None
        };
        let bound = match rest.first() {
            Some((path, false)) => range(path, conjuncts),
            _ => None,
        };
        let mut score = equal * 4;
        // A range narrows, but an array may be in it by another element than the one that sorts.
        let ranges = match (bound, order) {
            (Some((conjunct, low, high)), None) => {
                score += 2;
                used.push(conjunct);
                prefixes
                    .iter()
                    .map(|prefix| {
                        (
                            [prefix.as_slice(), &low].concat(),
                            [prefix.as_slice(), &high].concat(),
                        )
                    })
                    .collect()
            }
            _ => prefixes
                .into_iter()
                .map(|prefix| {
                    let high = compare::above(&prefix).unwrap_or_else(|| vec![0xff]);
                    (prefix, high)
                })
                .collect(),
        };
        if order.is_some() {
            score += 1;
        }
        (score > 0).then_some(Self {
            position,
            score,
            ranges,
            order,
            exact: rest.is_empty(),
            used,
        })
    }
}

/// Whether an index over some documents holds all that the filter can match.
fn applies(index: &Index, conjuncts: &[&Filter]) -> bool {
    let implied = |wanted: &str, test: &dyn Fn(&Value) -> bool| {
        conjuncts.iter().any(
            |filter| matches!(filter, Filter::Eq(path, value) if path == wanted && test(value)),
        )
    };
    match index.when {
        When::Always => true,
        When::Set(path) => implied(
            path,
            &|value| matches!(value, Value::String(text) if !text.is_empty()),
        ),
        When::True(path) => implied(path, &|value| *value == Value::Boolean(true)),
    }
}

/// The sortable bytes of a value whose entries are exactly the documents that equal it.
fn exact(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Double(number) if number.is_nan() => None,
        Value::Null
        | Value::String(_)
        | Value::Int32(_)
        | Value::Int64(_)
        | Value::Double(_)
        | Value::Boolean(_)
        | Value::DateTime(_)
        | Value::ObjectId(_) => {
            let raw = RawBson::try_from(value.clone()).ok()?;
            Some(compare::key(Some(raw.as_raw_bson_ref())))
        }
        _ => None,
    }
}

fn equals(wanted: &str, conjuncts: &[&Filter]) -> Option<(usize, Vec<Vec<u8>>)> {
    conjuncts.iter().enumerate().find_map(|(position, filter)| {
        let mut keys = match filter {
            Filter::Eq(path, value) if path == wanted => vec![exact(value)?],
            Filter::In(path, values) if path == wanted => {
                values.iter().map(exact).collect::<Option<Vec<_>>>()?
            }
            _ => return None,
        };
        keys.sort_unstable();
        keys.dedup();
        Some((position, keys))
    })
}

/// One bound only: the elements of an array may satisfy two bounds separately.
fn range(wanted: &str, conjuncts: &[&Filter]) -> Option<(usize, Vec<u8>, Vec<u8>)> {
    conjuncts.iter().enumerate().find_map(|(position, filter)| {
        let (Filter::Gt(path, value)
        | Filter::Gte(path, value)
        | Filter::Lt(path, value)
        | Filter::Lte(path, value)) = filter
        else {
            return None;
        };
        if path != wanted || matches!(value, Value::Null) {
            return None;
        }
        let key = exact(value)?;
        let kind = *key.first()?;
        let (mut least, most) = (vec![kind], vec![kind.checked_add(1)?]);
        if matches!(value, Value::Int32(_) | Value::Int64(_) | Value::Double(_)) {
            // Not a number sorts below all numbers but is in no range.
            let nan = compare::key(Some(RawBsonRef::Double(f64::NAN)));
            least = compare::above(&nan)?;
        }
        let (low, high) = match filter {
            Filter::Gt(..) => (compare::above(&key)?, most),
            Filter::Gte(..) => (key, most),
            Filter::Lt(..) => (least, key),
            _ => (least, compare::above(&key)?),
        };
        Some((position, low, high))
    })
}

/// The direction in which entries come in the order asked for, ties by id included.
fn order(rest: &[(&str, bool)], sort: &[(String, Order)]) -> Option<Order> {
    // Sorting by `_id` needs nothing more, since entries with equal keys are in that order.
    let (sort, by_id) = match sort.split_last() {
        Some(((path, order), before)) if path == "_id" => (before, Some(*order)),
        _ => (sort, None),
    };
    if rest.len() != sort.len() || by_id == Some(Order::Descending) {
        return None;
    }
    if sort.is_empty() {
        return by_id;
    }
    let same = |wanted: Order| {
        rest.iter()
            .zip(sort)
            .all(|((path, descending), (sorted, order))| {
                let runs = if *descending == (wanted == Order::Descending) {
                    Order::Ascending
                } else {
                    Order::Descending
                };
                path == sorted && *order == runs
            })
    };
    [Order::Ascending, Order::Descending]
        .into_iter()
        .find(|wanted| same(*wanted))
}

#[cfg(test)]
mod tests {
    use super::super::{and, any_of, eq, gt, lt};
    use super::*;

    const BY_MAIL: Index = Index::unique(&["email", "group"]);
    const BY_RANK: Index = Index::plain(&["group", "-rank"]);
    const BY_SLUG: Index = Index::unique(&["group", "slug"]).when_set("slug");

    fn plan(filter: &Filter, sort: &[(&str, Order)]) -> (String, bool, bool) {
        let sort: Vec<_> = sort
            .iter()
            .map(|(path, order)| ((*path).to_owned(), *order))
            .collect();
        let plan = Plan::new(&[&BY_MAIL, &BY_RANK, &BY_SLUG], filter, &sort);
        let source = match plan.source {
            Source::All(_) => "all".to_owned(),
            Source::Ids(ids) => ids.join(" "),
            Source::Entries {
                position, ranges, ..
            } => format!("{position} in {}", ranges.len()),
        };
        (source, plan.residual.is_some(), plan.sorted)
    }

    #[test]
    fn the_best_index_is_used() {
        let said = |source: &str, residual, sorted| (source.to_owned(), residual, sorted);
        let group = eq("group", "g");
        assert_eq!(plan(&Filter::All, &[]), said("all", false, true));
        assert_eq!(plan(&eq("rank", 1), &[]), said("all", true, true));
        let both = group.clone() & eq("email", "e");
        assert_eq!(plan(&both, &[]), said("0 in 1", false, true));
        let three = any_of("email", ["a", "b", "c"]) & group.clone();
        assert_eq!(plan(&three, &[]), said("0 in 3", false, true));
        assert_eq!(
            plan(&group, &[("rank", Order::Descending)]),
            said("1 in 1", false, true)
        );
        assert_eq!(
            plan(&group, &[("rank", Order::Ascending)]),
            said("1 in 1", false, true)
        );
        assert!(!plan(&group, &[("name", Order::Ascending)]).2);
        let slug = group.clone() & eq("slug", "s");
        assert_eq!(plan(&slug, &[]), said("2 in 1", false, true));
        let no_slug = group.clone() & eq("slug", Value::Null);
        assert_eq!(plan(&no_slug, &[]), said("1 in 1", true, true));
        let id = and([eq("_id", "x"), group]);
        assert_eq!(
            plan(&id, &[("rank", Order::Ascending)]),
            said("x", true, false)
        );
        assert_eq!(
            plan(&(gt("email", "a") & lt("email", "c")), &[]),
            said("0 in 1", true, true)
        );
    }

    #[test]
    fn an_array_has_an_entry_for_each_element() {
        let document = bson::rawdoc! { "a": [1, 2, 2], "b": "x" };
        assert_eq!(entries(&Index::plain(&["a", "b"]), &document).len(), 2);
        let document = bson::rawdoc! { "a": [], "b": "x" };
        assert_eq!(entries(&Index::plain(&["a", "b"]), &document).len(), 1);
        assert_eq!(entries(&Index::text(&["b"]), &document).len(), 0);
    }
}
