//! Everything a store holds, read beside the server.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, Document};
use ueauth::store::{StoreOptions, bulk};
use ueauth_actors::{Clock, SystemClock};

/// Documents by collection and id.
#[derive(PartialEq)]
pub struct State(BTreeMap<(String, String), Document>);

impl State {
    /// All but what has this id.
    pub async fn read(address: &str, but: &str) -> Self {
        let options = StoreOptions::new(address, Arc::new(|| SystemClock.now()));
        let depot = bulk::source(&options, &ueauth::app::collections(), false)
            .await
            .expect("the store");
        let mut out = BTreeMap::new();
        for collection in depot.collections().await.expect("collections") {
            let mut scan = depot.scan(&collection.name).await.expect("a scan");
            loop {
                let documents = scan.next().await.expect("documents");
                if documents.is_empty() {
                    break;
                }
                for document in documents {
                    let document = Document::try_from(document).expect("a document");
                    if document.get_str("_id").is_ok_and(|id| id == but) {
                        continue;
                    }
                    let id = document.get("_id").map(Bson::to_string).unwrap_or_default();
                    out.insert((collection.name.clone(), id), document);
                }
            }
        }
        Self(out)
    }

    /// What is otherwise later. Sessions and states begin with any visit of a page that needs one.
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let mut out = Vec::new();
        for (place, document) in &later.0 {
            match self.0.get(place) {
                None if matches!(place.0.as_str(), "session" | "challenge-state-checks") => {}
                None => out.push(format!("new: {place:?} {document}")),
                Some(before) if before != document => {
                    out.push(format!("changed: {place:?} {before} -> {document}"));
                }
                Some(_) => {}
            }
        }
        let gone = self.0.keys().filter(|place| !later.0.contains_key(place));
        out.extend(gone.map(|place| format!("gone: {place:?}")));
        out
    }
}
