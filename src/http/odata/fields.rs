//! Which fields of a room clients may name, and what they hold.

use crate::store::Order;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    Text,
    Bool,
    /// Whole or fractional.
    Number,
    Date,
    /// An object without fixed fields: every path below it may be named, values keep their own type.
    Open,
    /// An array; a condition holds when one element satisfies it.
    List(&'static FieldType),
}

/// Names, at any depth, that no client may filter, sort or select by.
const NEVER: &[&str] = &[
    "password",
    "recoverCodes",
    "client_secret",
    "clientSecret",
    "cookieKeys",
];

/// The fields of one room, by dotted stored path. `_id` (also called `id`) is always there.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    known: &'static [(&'static str, FieldType)],
    more: &'static [(&'static str, FieldType)],
    hidden: &'static [&'static str],
    select_only: &'static [&'static str],
    prefix: &'static str,
}

/// What a name stands for in a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Leaf(FieldType),
    /// An object with fixed fields; only its presence can be asked for.
    Parent,
}

impl Fields {
    pub const fn new(known: &'static [(&'static str, FieldType)]) -> Self {
        Self {
            known,
            more: &[],
            hidden: &[],
            select_only: &[],
            prefix: "",
        }
    }

    /// Further names, with a meaning that the room gives them.
    pub const fn also(mut self, more: &'static [(&'static str, FieldType)]) -> Self {
        self.more = more;
        self
    }

    fn all(&self) -> impl Iterator<Item = &'static (&'static str, FieldType)> {
        self.known.iter().chain(self.more)
    }

    /// Names (and everything below them) that are refused.
    pub const fn hidden(mut self, hidden: &'static [&'static str]) -> Self {
        self.hidden = hidden;
        self
    }

    /// Fields that are answered but no condition or order may name, lest it reveal what the
    /// answer leaves out of them.
    pub const fn select_only(mut self, names: &'static [&'static str]) -> Self {
        self.select_only = names;
        self
    }

    /// The stored path under which all fields but `_id` live, with its dot, such as `payload.`.
    pub const fn prefix(mut self, prefix: &'static str) -> Self {
        self.prefix = prefix;
        self
    }

    /// Oldest first, where documents have an age.
    pub(super) fn default_order(&self) -> Vec<(String, Order)> {
        let created = self
            .resolve("createdAt")
            .map(|(path, _)| (path, Order::Ascending));
        created.into_iter().collect()
    }

    /// Whether the name, or an object that it lies in, is hidden.
    pub(super) fn is_hidden(&self, name: &str) -> bool {
        name.split('.').any(|part| NEVER.contains(&part))
            || self.hidden.iter().any(|hidden| below(name, hidden))
    }

    /// Whether a hidden field lies below the name.
    pub(super) fn covers_hidden(&self, name: &str) -> bool {
        self.hidden.iter().any(|hidden| below(hidden, name))
    }

    /// The stored path and the meaning of a name.
    pub(super) fn resolve(&self, name: &str) -> Option<(String, Meaning)> {
        if matches!(name, "id" | "_id") {
            return Some(("_id".to_owned(), Meaning::Leaf(FieldType::Text)));
        }
        let meaning = self.all().find_map(|(known, kind)| match kind {
            _ if *known == name => Some(Meaning::Leaf(*kind)),
            FieldType::Open | FieldType::List(FieldType::Open) if below(name, known) => {
                Some(Meaning::Leaf(FieldType::Open))
            }
            _ => None,
        });
        let parent = || {
            self.all()
                .any(|(known, _)| below(known, name))
                .then_some(Meaning::Parent)
        };
        let meaning = meaning.or_else(parent)?;
        Some((format!("{}{name}", self.prefix), meaning))
    }

    /// The stored paths to select for a name: of an object with fixed fields, those not hidden.
    pub(super) fn selectable(&self, name: &str) -> Vec<String> {
        match self.resolve(name) {
            Some((_, Meaning::Parent)) if self.covers_hidden(name) => {
                let visible = |known: &&str| below(known, name) && !self.is_hidden(known);
                let names = self.all().map(|(known, _)| *known).filter(visible);
                names
                    .map(|known| format!("{}{known}", self.prefix))
                    .collect()
            }
            Some((path, _)) => vec![path],
            None if self.select_only.iter().any(|known| below(name, known)) => {
                vec![format!("{}{name}", self.prefix)]
            }
            None => Vec::new(),
        }
    }
}

/// Whether the path is the other one or lies below it.
fn below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
