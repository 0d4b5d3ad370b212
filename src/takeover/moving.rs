//! Moving a whole database to another engine, byte for byte but for passwords in clear text.

use std::collections::HashMap;
use std::time::Instant;

use bson::{RawDocument, RawDocumentBuf};

use super::blanked::Blanked;
use super::digest::{Digest, canonical};
use super::progress::{Progress, rate};
use super::{Outcome, TakeoverError};
use crate::cli::say;
use crate::store::bulk::{self, BulkError, Depot, Found, Goal, shown_id_of};
use crate::store::{Collection, StoreOptions};

/// Most differences that are named for one collection.
const NAMED: usize = 20;

pub async fn run(from: &StoreOptions, to: &StoreOptions) -> Result<Outcome, TakeoverError> {
    let declared = crate::app::collections();
    let (origin, goal) = (
        bulk::public_address(&from.url),
        bulk::public_address(&to.url),
    );
    if origin == goal {
        return Err(TakeoverError::Refused(
            "--from and --to are the same database".to_owned(),
        ));
    }
    let source = Blanked::new(bulk::source(from, &declared, true).await?);
    if let Some(elsewhere) = source.note().await? {
        return Err(TakeoverError::Refused(format!(
            "{origin} is itself the target of an unfinished move from {elsewhere}; finish that first"
        )));
    }
    let target = bulk::target(to, &declared).await?;
    let resumed = may_fill(target.as_ref(), &origin, &goal).await?;
    target.set_note(&origin).await?;
    let moving = Moving {
        source: &source,
        target: target.as_ref(),
        declared,
        resumed,
    };
    say(
        &format!(
            "{} {origin} to {goal}",
            if resumed { "going on moving" } else { "moving" }
        ),
        true,
    );
    let begun = Instant::now();
    let mut all = 0;
    let collections = moving.source.collections().await?;
    for collection in &collections {
        all += moving.copy(collection).await?;
    }
    say(
        &format!(
            "{all} documents in {:.1} s, {} documents/s; comparing",
            begun.elapsed().as_secs_f64(),
            rate(all, begun)
        ),
        true,
    );
    let begun = Instant::now();
    if !moving.verify(&collections).await? {
        say(
            &format!(
                "\n{goal} does not hold what {origin} holds. Was something written meanwhile? Stop every server on {origin} and run the command again."
            ),
            true,
        );
        return Ok(Outcome::Hindered);
    }
    moving.target.finish().await?;
    let blanked = source.accounts();
    if blanked > 0 {
        say(
            &format!(
                "{blanked} accounts had passwords in clear text, which were not moved; they choose new ones by recovery. They are still in {origin}."
            ),
            false,
        );
    }
    say(
        &format!(
            "\nAll documents have arrived (compared in {:.1} s). Set store.url to the new address.",
            begun.elapsed().as_secs_f64()
        ),
        false,
    );
    Ok(Outcome::Good)
}

/// Whether the move was begun before; refuses a target that holds anything else.
async fn may_fill(target: &dyn Goal, origin: &str, goal: &str) -> Result<bool, TakeoverError> {
    match target.note().await? {
        Some(note) if note == origin => return Ok(true),
        Some(other) => {
            return Err(TakeoverError::Refused(format!(
                "{goal} holds an unfinished move from {other}; finish that one or empty it first"
            )));
        }
        None => {}
    }
    let filled: Vec<String> = target
        .collections()
        .await?
        .into_iter()
        .filter(|found| found.documents > 0)
        .map(|found| found.name)
        .collect();
    if filled.is_empty() {
        return Ok(false);
    }
    Err(TakeoverError::Refused(format!(
        "{goal} is not empty (it has documents in {}); name another target or empty it first",
        filled.join(", ")
    )))
}

struct Moving<'a> {
    source: &'a dyn Depot,
    target: &'a dyn Goal,
    declared: Vec<&'static Collection>,
    resumed: bool,
}

impl Moving<'_> {
    async fn copy(&self, collection: &Found) -> Result<u64, BulkError> {
        let name = &collection.name;
        if collection.computed {
            say(
                &format!("{name}: holds no documents of its own and is not moved"),
                true,
            );
            return Ok(0);
        }
        let has_place = self.target.create(name).await?;
        if !has_place && collection.documents == 0 {
            say(
                &format!("{name}: is empty and cannot have this name in the target; left out"),
                true,
            );
            return Ok(0);
        }
        if !self.declared.iter().any(|known| known.name == *name) {
            say(
                &format!(
                    "{name}: not a collection of this server; its documents are moved, its indexes are not"
                ),
                true,
            );
        }
        let mut progress = Progress::begin(name.clone(), collection.documents);
        let mut scan = self.source.scan(name).await?;
        let mut batch = scan.next().await?;
        let mut count = 0;
        while !batch.is_empty() {
            let size = batch.len();
            // the next batch is read while this one is written
            let (next, put) = tokio::join!(scan.next(), self.put(name, batch));
            put?;
            batch = next?;
            count += u64::try_from(size).unwrap_or_default();
            progress.step(size);
        }
        progress.end();
        Ok(count)
    }

    async fn put(&self, name: &str, batch: Vec<RawDocumentBuf>) -> Result<(), BulkError> {
        if !self.resumed {
            return self.target.insert(name, batch).await;
        }
        let there = by_id(self.target.fetch(name, &batch).await?);
        let mut missing = Vec::new();
        for document in batch {
            match there.get(&id(&document)) {
                None => missing.push(document),
                Some(known) if canonical(known) == canonical(&document) => {}
                Some(_) => self.target.replace(name, &document).await?,
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.target.insert(name, missing).await
    }

    /// Compares all collections, those that only the target has included.
    async fn verify(&self, collections: &[Found]) -> Result<bool, BulkError> {
        let mut names: Vec<&str> = collections
            .iter()
            .filter(|found| !found.computed)
            .map(|found| found.name.as_str())
            .collect();
        let there = self.target.collections().await?;
        for found in &there {
            if !found.computed && !names.contains(&found.name.as_str()) {
                names.push(&found.name);
            }
        }
        let mut same = true;
        for name in names {
            let (before, after) =
                tokio::join!(digest(self.source, name), digest(self.target, name));
            let (before, after) = (before?, after?);
            if before.documents == 0 && after.documents == 0 {
                continue;
            }
            if before == after {
                say(
                    &format!("{name:30} {:>10} {after} equal", after.documents),
                    false,
                );
                continue;
            }
            let differences = self.differences(name).await?;
            say(
                &format!(
                    "{name:30} {:>10} {after} {}",
                    after.documents,
                    if differences.count == 0 {
                        "equal but for what has expired meanwhile".to_owned()
                    } else {
                        format!("DIFFERENT in {} documents", differences.count)
                    }
                ),
                false,
            );
            for line in &differences.named {
                say(&format!("  {line}"), false);
            }
            same = same && differences.count == 0;
        }
        Ok(same)
    }

    /// Looks up every document on the other side.
    async fn differences(&self, name: &str) -> Result<Differences, BulkError> {
        let mut differences = Differences::default();
        let target: &dyn Depot = self.target;
        for (one, other, only) in [
            (self.source, target, "is not in the target"),
            (target, self.source, "is only in the target"),
        ] {
            let mut scan = one.scan(name).await?;
            loop {
                let batch = scan.next().await?;
                if batch.is_empty() {
                    break;
                }
                let there = by_id(other.fetch(name, &batch).await?);
                for document in batch {
                    match there.get(&id(&document)) {
                        None if self.has_expired(name, &document) => {}
                        None => differences.note(&document, only),
                        Some(twin) => {
                            let differs = canonical(twin) != canonical(&document);
                            // once is enough
                            if differs && std::ptr::eq(one, self.source) {
                                differences.note(&document, "is different");
                            }
                        }
                    }
                }
            }
        }
        Ok(differences)
    }

    fn has_expired(&self, name: &str, document: &RawDocument) -> bool {
        use ueauth_actors::Clock as _;
        let known = self.declared.iter().find(|known| known.name == name);
        known
            .and_then(|known| known.end_of(document))
            .is_some_and(|end| end <= ueauth_actors::SystemClock.now())
    }
}

#[derive(Default)]
struct Differences {
    count: u64,
    named: Vec<String>,
}

impl Differences {
    fn note(&mut self, document: &RawDocument, what: &str) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("{} {what}", shown_id_of(document)));
        }
    }
}

async fn digest(depot: &dyn Depot, name: &str) -> Result<Digest, BulkError> {
    let mut digest = Digest::default();
    let mut scan = depot.scan(name).await?;
    loop {
        let batch = scan.next().await?;
        if batch.is_empty() {
            return Ok(digest);
        }
        for document in &batch {
            digest.add(document);
        }
    }
}

/// An `_id` as something to look up by.
fn id(document: &RawDocument) -> Vec<u8> {
    let mut alone = RawDocumentBuf::new();
    if let Ok(Some(id)) = document.get("_id") {
        alone.append(bson::cstr!(""), id);
    }
    alone.into_bytes()
}

fn by_id(documents: Vec<RawDocumentBuf>) -> HashMap<Vec<u8>, RawDocumentBuf> {
    documents
        .into_iter()
        .map(|document| (id(&document), document))
        .collect()
}
