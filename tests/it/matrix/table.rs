//! The table of answers, as text that people can review.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::callers::COLUMNS;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/matrix/table.txt");

/// A route, and what is special about the request.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Row {
    pub path: String,
    pub method: String,
    /// Empty for the ordinary request.
    pub variant: String,
}

impl Row {
    pub fn new(method: &str, path: &str, variant: &str) -> Self {
        Self {
            path: path.to_owned(),
            method: method.to_owned(),
            variant: variant.to_owned(),
        }
    }

    pub fn route(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn name(&self) -> String {
        if self.variant.is_empty() {
            self.route()
        } else {
            format!("{} : {}", self.route(), self.variant)
        }
    }

    fn parse(name: &str) -> Self {
        let (route, variant) = name.split_once(" : ").unwrap_or((name, ""));
        let (method, path) = route.split_once(' ').expect("a method and a path");
        Self::new(method, path, variant)
    }
}

#[derive(Default, Debug)]
pub struct Table {
    pub rows: BTreeMap<Row, Vec<u16>>,
}

fn line(cells: impl Iterator<Item = String>, name: &str) -> String {
    let cells: Vec<_> = cells.map(|cell| format!("{cell:<4}")).collect();
    format!("{}  {name}", cells.join(" ")).trim_end().to_owned()
}

fn heading() -> String {
    line(COLUMNS.iter().map(|(code, _)| (*code).to_owned()), "")
}

impl Table {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(FILE).expect("tests/it/matrix/table.txt");
        let heading = heading();
        let mut rows = BTreeMap::new();
        for text in text.lines() {
            if text.is_empty() || text.starts_with('#') || text == heading {
                continue;
            }
            let at = text.find(char::is_alphabetic);
            let at = at.unwrap_or_else(|| panic!("no route in {text:?}"));
            let (cells, name) = text.split_at(at);
            let cells = cells
                .split_whitespace()
                .map(|cell| {
                    cell.parse()
                        .unwrap_or_else(|_| panic!("{cell} in {text:?}"))
                })
                .collect();
            let before = rows.insert(Row::parse(name), cells);
            assert!(before.is_none(), "{name} is there twice");
        }
        Self { rows }
    }

    pub fn write(&self) {
        let mut text = String::from(
            "# The answer of every route to every kind of caller. The test beside this file compares;\n\
             # UEAUTH_TEST_WRITE_MATRIX=1 writes it anew. Review every changed line against the contract.\n#\n",
        );
        for (code, about) in COLUMNS {
            writeln!(text, "# {code:<4} {about}").expect("written");
        }
        text.push_str(
            "#\n# A word after a colon says what is special about the request, see variants.rs.\n",
        );
        for (number, (row, cells)) in self.rows.iter().enumerate() {
            if number % 25 == 0 {
                writeln!(text, "\n{}", heading()).expect("written");
            }
            let cells = cells.iter().map(ToString::to_string);
            writeln!(text, "{}", line(cells, &row.name())).expect("written");
        }
        std::fs::write(FILE, text).expect("tests/it/matrix/table.txt can be written");
    }

    /// The columns of some callers.
    pub fn of(mut self, callers: &[&str]) -> Self {
        for (row, cells) in &mut self.rows {
            assert_eq!(cells.len(), COLUMNS.len(), "cells of {}", row.name());
            let mut columns = COLUMNS.iter();
            cells.retain(|_| {
                columns
                    .next()
                    .is_some_and(|(code, _)| callers.contains(code))
            });
        }
        self
    }

    /// What `observed` does otherwise than this table says, of these callers.
    pub fn differences(&self, observed: &Self, callers: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        let columns = || COLUMNS.iter().filter(|(code, _)| callers.contains(code));
        for (row, expected) in &self.rows {
            let name = row.name();
            let Some(seen) = observed.rows.get(row) else {
                out.push(format!(
                    "{name}: is in the file, but no request is made of it"
                ));
                continue;
            };
            for ((wanted, got), (code, about)) in expected.iter().zip(seen).zip(columns()) {
                if wanted != got {
                    out.push(format!(
                        "{name}: {code} ({about}): expected {wanted}, got {got}"
                    ));
                }
            }
        }
        for (row, seen) in &observed.rows {
            if !self.rows.contains_key(row) {
                out.push(format!(
                    "{}: is served, but not in the file; got {seen:?}",
                    row.name()
                ));
            }
        }
        out
    }
}
