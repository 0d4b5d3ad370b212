//! Reading from the embedded store.

use std::collections::HashSet;
use std::ops::ControlFlow;

use bson::RawDocument;
use rusqlite::{Connection, Params, params};

use super::super::engine::Stored;
use super::super::matching::Matcher;
use super::super::plan::{Plan, Source, sort_key};
use super::super::projection::project;
use super::super::{Filter, Order, Query, StoreError};
use super::schema::{Table, stored};

/// A row on its way through a query.
struct Row<'a> {
    id: &'a str,
    revision: i64,
    document: &'a RawDocument,
}

impl Row<'_> {
    fn keep(&self, select: Option<&[String]>) -> Result<Stored, StoreError> {
        let document = match select {
            Some(paths) => project(self.document, paths).map_err(StoreError::engine)?,
            None => self.document.to_owned(),
        };
        Ok(Stored {
            document,
            revision: self.revision,
        })
    }
}

pub fn get(
    connection: &Connection,
    table: &Table,
    id: &str,
    now: i64,
) -> Result<Option<Stored>, StoreError> {
    let mut found = None;
    let _ = rows(connection, &table.sql.get, params![now, id], &mut |row| {
        found = Some(row.keep(None)?);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

pub fn find(
    connection: &Connection,
    table: &Table,
    query: &Query,
    plan: &Plan,
    now: i64,
) -> Result<Vec<Stored>, StoreError> {
    let matcher = residual(table, plan)?;
    let skip = usize::try_from(query.skip).unwrap_or(usize::MAX);
    let limit = query.limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let select = query.select.as_deref();
    if limit == 0 {
        return Ok(Vec::new());
    }
    if plan.sorted {
        let mut passed = 0;
        let mut found = Vec::new();
        scan(connection, table, &plan.source, now, &mut |row| {
            if !matcher
                .as_ref()
                .is_none_or(|matcher| matcher.matches(row.document))
            {
                return Ok(ControlFlow::Continue(()));
            }
            if passed < skip {
                passed += 1;
                return Ok(ControlFlow::Continue(()));
            }
            found.push(row.keep(select)?);
            Ok(if found.len() >= limit {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        return Ok(found);
    }
    let wanted = skip.saturating_add(limit);
    let mut found: Vec<(Vec<u8>, String, Stored)> = Vec::new();
    scan(connection, table, &plan.source, now, &mut |row| {
        if matcher
            .as_ref()
            .is_none_or(|matcher| matcher.matches(row.document))
        {
            let key = sort_key(row.document, &query.sort);
            found.push((key, row.id.to_owned(), row.keep(select)?));
            // A page of a large collection must not hold the whole of it.
            if found.len() / 2 > wanted.max(512) {
                put_in_order(&mut found);
                found.truncate(wanted);
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    put_in_order(&mut found);
    Ok(found
        .into_iter()
        .skip(skip)
        .take(limit)
        .map(|(_, _, stored)| stored)
        .collect())
}

fn put_in_order(found: &mut [(Vec<u8>, String, Stored)]) {
    found.sort_unstable_by(|left, right| (&left.0, &left.1).cmp(&(&right.0, &right.1)));
}

pub fn count(
    connection: &Connection,
    table: &Table,
    filter: &Filter,
    now: i64,
) -> Result<u64, StoreError> {
    let plan = plan(table, filter, &[]);
    if matches!((&plan.source, &plan.residual), (Source::All(_), None)) {
        let count: i64 = connection
            .prepare_cached(&table.sql.count)?
            .query_row([now], |row| row.get(0))?;
        return Ok(count.unsigned_abs());
    }
    let matcher = residual(table, &plan)?;
    let mut count = 0;
    scan(connection, table, &plan.source, now, &mut |row| {
        if matcher
            .as_ref()
            .is_none_or(|matcher| matcher.matches(row.document))
        {
            count += 1;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(count)
}

pub fn plan(table: &Table, filter: &Filter, sort: &[(String, Order)]) -> Plan {
    let indexes: Vec<_> = table
        .indexes
        .iter()
        .map(|numbered| numbered.index)
        .collect();
    Plan::new(&indexes, filter, sort)
}

/// Whether the plan leads to a handful of documents.
pub fn is_short(table: &Table, plan: &Plan) -> bool {
    const FEW: usize = 4;
    match &plan.source {
        Source::All(_) => false,
        Source::Ids(ids) => ids.len() <= FEW,
        Source::Entries {
            position,
            ranges,
            exact,
            ..
        } => {
            let unique = table
                .indexes
                .get(*position)
                .is_some_and(|numbered| numbered.index.unique);
            unique && *exact && ranges.len() <= FEW
        }
    }
}

fn residual(table: &Table, plan: &Plan) -> Result<Option<Matcher>, StoreError> {
    plan.residual
        .as_ref()
        .map(|filter| Matcher::new(table.collection, filter))
        .transpose()
}

type Visit<'v> = &'v mut dyn FnMut(Row<'_>) -> Result<ControlFlow<()>, StoreError>;

fn scan(
    connection: &Connection,
    table: &Table,
    source: &Source,
    now: i64,
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    match source {
        Source::All(order) => {
            let sql = match order {
                None => &table.sql.all,
                Some(Order::Ascending) => &table.sql.all_ascending,
                Some(Order::Descending) => &table.sql.all_descending,
            };
            let _ = rows(connection, sql, params![now], visit)?;
        }
        Source::Ids(ids) => {
            for id in ids {
                if rows(connection, &table.sql.get, params![now, id], visit)?.is_break() {
                    break;
                }
            }
        }
        Source::Entries {
            position,
            ranges,
            order,
            ..
        } => {
            let Some(numbered) = table.indexes.get(*position) else {
                return Err(StoreError::config("the plan names an unknown index"));
            };
            let sql = table.sql.entries(numbered.index.unique, *order);
            // An array has several entries; the first one decides the document's place.
            let mut seen = HashSet::new();
            for (low, high) in ranges {
                let bounds = params![now, numbered.number, low, high];
                let flow = rows(connection, &sql, bounds, &mut |row| {
                    if seen.insert(row.id.to_owned()) {
                        visit(row)
                    } else {
                        Ok(ControlFlow::Continue(()))
                    }
                })?;
                if flow.is_break() {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn rows(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    visit: Visit<'_>,
) -> Result<ControlFlow<()>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        let found = Row {
            id: row.get_ref(0)?.as_str().map_err(StoreError::engine)?,
            revision: row.get(1)?,
            document: stored(row.get_ref(2)?)?,
        };
        if visit(found)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}
