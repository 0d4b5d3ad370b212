//! What stands in the way of running on an existing database.

use bson::RawDocument;
use serde::Serialize;

use super::TakeoverError;
use super::fault::{Fault, faults};
use super::kinds::decoder;
use super::progress::Progress;
use crate::accounts::clear_text::is_clear;
use crate::store::bulk::{self, Depot, Found, IndexFinding, IndexKind, Twins, shown_id_of};
use crate::store::{Collection, Index, StoreOptions};

/// Most entries of each list; what is beyond is only counted.
pub const LISTED: usize = 10_000;

/// Entries, of which only the first are kept.
#[derive(Debug, Serialize)]
pub struct Listed<T> {
    pub count: u64,
    pub list: Vec<T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self {
            count: 0,
            list: Vec::new(),
        }
    }
}

impl<T> Listed<T> {
    fn is_full(&self) -> bool {
        self.list.len() >= LISTED
    }

    fn push(&mut self, entry: T) {
        self.count += 1;
        if !self.is_full() {
            self.list.push(entry);
        }
    }
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub database: String,
    /// Whether nothing stands in the way.
    pub ready: bool,
    /// A move to this database was begun and not finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished_move_from: Option<String>,
    pub collections: Vec<CollectionReport>,
    pub unreadable: Listed<Unreadable>,
    pub same_keys: Listed<SameKeys>,
    /// Ids of accounts whose stored password is no hash.
    pub clear_text_passwords: Listed<String>,
    pub indexes: Vec<IndexReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectionReport {
    pub name: String,
    pub documents: u64,
    /// Whether the server uses it.
    pub known: bool,
    /// A view or the like, which holds no documents of its own.
    pub computed: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unreadable {
    pub collection: String,
    pub id: String,
    pub faults: Vec<Fault>,
}

/// Two documents where the server allows one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SameKeys {
    pub collection: String,
    pub index: String,
    pub ids: [String; 2],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexReport {
    pub collection: String,
    pub index: String,
    pub state: IndexState,
    /// What it means and what to do.
    pub remark: String,
    pub hinders: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexState {
    Missing,
    Different,
    Unknown,
    Retired,
}

pub async fn check(options: &StoreOptions) -> Result<Report, TakeoverError> {
    let declared = crate::app::collections();
    let depot = bulk::source(options, &declared, false).await?;
    let mut report = Report {
        database: bulk::public_address(&options.url),
        unfinished_move_from: depot.note().await?,
        ..Report::default()
    };
    let mut twins = Twins::new()?;
    let found = depot.collections().await?;
    for collection in &found {
        let known = declared.iter().find(|known| known.name == collection.name);
        let mut documents = collection.documents;
        if let Some(known) = known.filter(|_| !collection.computed) {
            documents = look(depot.as_ref(), known, collection, &mut twins, &mut report).await?;
        }
        report.collections.push(CollectionReport {
            name: collection.name.clone(),
            documents,
            known: known.is_some(),
            computed: collection.computed,
        });
    }
    for missing in declared
        .iter()
        .filter(|known| !found.iter().any(|there| there.name == known.name))
    {
        report.collections.push(CollectionReport {
            name: missing.name.to_owned(),
            documents: 0,
            known: true,
            computed: false,
        });
    }
    report
        .collections
        .sort_by(|left, right| left.name.cmp(&right.name));
    report.ready = report.unfinished_move_from.is_none()
        && report.unreadable.count == 0
        && report.same_keys.count == 0
        && !report.indexes.iter().any(|index| index.hinders);
    Ok(report)
}

/// Reads all documents of one collection and returns how many there are.
async fn look(
    depot: &dyn Depot,
    known: &'static Collection,
    found: &Found,
    twins: &mut Twins,
    report: &mut Report,
) -> Result<u64, TakeoverError> {
    let findings = depot.indexes(known).await?;
    let suspicious: Vec<&'static Index> = findings
        .iter()
        .filter_map(|finding| finding.declared)
        .filter(|index| index.unique)
        .collect();
    for finding in findings {
        let index = describe(known, finding);
        report.indexes.push(index);
    }
    let mut progress = Progress::begin(found.name.clone(), found.documents);
    let mut scan = depot.scan(known.name).await?;
    let mut count = 0;
    // positions tell the indexes of all collections apart
    let base = i64::try_from(report.collections.len()).unwrap_or_default() * 64;
    loop {
        let batch = scan.next().await?;
        if batch.is_empty() {
            break;
        }
        for document in &batch {
            count += 1;
            examine(known, document, report);
            for (number, index) in (base..).zip(&suspicious) {
                if let Some(other) = twins.of(number, index, document)? {
                    report.same_keys.push(SameKeys {
                        collection: known.name.to_owned(),
                        index: index.name(),
                        ids: [other, shown_id_of(document)],
                    });
                }
            }
        }
        progress.step(batch.len());
    }
    progress.end();
    Ok(count)
}

fn examine(known: &Collection, document: &RawDocument, report: &mut Report) {
    let faults = match decoder(known.name) {
        // looking for the place takes many attempts, so it ends with the list
        Some(decode) if report.unreadable.is_full() => {
            report.unreadable.count += u64::from(decode(document).is_err());
            Vec::new()
        }
        Some(decode) => faults(document, decode),
        None if document.get_str("_id").is_ok() => Vec::new(),
        None => vec![Fault {
            field: Some("_id".to_owned()),
            expected: "a string".to_owned(),
            found: "a value of another type".to_owned(),
        }],
    };
    if !faults.is_empty() {
        report.unreadable.push(Unreadable {
            collection: known.name.to_owned(),
            id: shown_id_of(document),
            faults,
        });
    }
    let is_account = known.name == crate::accounts::model::ACCOUNTS.name;
    let clear = document.get_str("password").is_ok_and(is_clear);
    if is_account && clear {
        report.clear_text_passwords.push(shown_id_of(document));
    }
}

fn describe(known: &Collection, finding: IndexFinding) -> IndexReport {
    let unique = finding.declared.is_some_and(|index| index.unique);
    let (state, remark, hinders) = match finding.kind {
        IndexKind::Missing => (
            IndexState::Missing,
            "the server builds it at its start, if the database can".to_owned(),
            false,
        ),
        IndexKind::Different(how) if unique => (
            IndexState::Different,
            format!("{how}; drop it, so that the server can build its own"),
            true,
        ),
        IndexKind::Different(how) => (
            IndexState::Different,
            format!("{how}; the server leaves it as it is"),
            false,
        ),
        IndexKind::Unknown { unique: true } => (
            IndexState::Unknown,
            "the server does not know it; being unique, it may refuse documents that the server writes"
                .to_owned(),
            false,
        ),
        IndexKind::Unknown { unique: false } => (
            IndexState::Unknown,
            "the server does not need it and leaves it".to_owned(),
            false,
        ),
        IndexKind::Retired => (
            IndexState::Retired,
            "the server drops it at its start".to_owned(),
            false,
        ),
    };
    IndexReport {
        collection: known.name.to_owned(),
        index: finding.name,
        state,
        remark,
        hinders,
    }
}
