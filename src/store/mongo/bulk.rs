//! A database on a server as a source or a target of whole databases.

use async_trait::async_trait;
use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use mongodb::{Cursor, Database};

use super::super::bulk::{
    BATCH, Batch, BulkError, Depot, Found, Goal, IndexFinding, Scan, shown_id_of,
};
use super::super::{Collection, StoreError, StoreOptions};
use super::errors::{self, classify};
use super::names::Names;
use super::{indexes, reach};

/// Holds one document while something is being moved to the database.
const NOTE: &str = "ueauth_move";

pub struct Server {
    database: Database,
    declared: Vec<&'static Collection>,
    names: Names,
}

/// What is noted about an unfinished move to this database.
pub async fn note(database: &Database) -> Result<Option<String>, StoreError> {
    let found = database
        .collection::<Document>(NOTE)
        .find_one(doc! { "_id": "note" })
        .await
        .map_err(classify)?;
    Ok(found.and_then(|note| note.get_str("from").map(str::to_owned).ok()))
}

impl Server {
    pub async fn open(
        options: &StoreOptions,
        declared: &[&'static Collection],
    ) -> Result<Self, BulkError> {
        let (_, database) = reach(options).await?;
        Ok(Self {
            names: Names::of(&database).await?,
            database,
            declared: declared.to_vec(),
        })
    }

    fn documents(&self, name: &str) -> mongodb::Collection<RawDocumentBuf> {
        self.database.collection(name)
    }

    /// Whether documents of the collection carry the store's own field.
    fn is_declared(&self, name: &str) -> bool {
        self.declared.iter().any(|known| known.name == name)
    }

    async fn listed(&self, command: Document) -> Result<Vec<Document>, StoreError> {
        let mut cursor: Cursor<Document> = self
            .database
            .run_cursor_command(command)
            .await
            .map_err(classify)?;
        let mut found = Vec::new();
        while cursor.advance().await.map_err(classify)? {
            found.push(cursor.deserialize_current().map_err(classify)?);
        }
        Ok(found)
    }

    /// Puts a document there whose names are as the server takes them.
    async fn write(&self, collection: &str, document: &RawDocument) -> Result<(), BulkError> {
        let id = document
            .get("_id")
            .ok()
            .flatten()
            .map(Bson::try_from)
            .transpose()
            .map_err(StoreError::engine)?;
        self.documents(collection)
            .replace_one(doc! { "_id": { "$eq": id } }, document.to_owned())
            .upsert(true)
            .await
            .map_err(|error| Self::refusal(collection, document, error))?;
        Ok(())
    }

    fn refusal(
        collection: &str,
        document: &RawDocument,
        error: mongodb::error::Error,
    ) -> BulkError {
        let reason = match errors::duplicate_index(&error) {
            Some(index) if index.is_empty() => {
                "it shares the values of a unique index with another".to_owned()
            }
            Some(index) => format!("it shares the values of the unique index {index} with another"),
            None => match classify(error) {
                error @ StoreError::Unavailable { .. } => return error.into(),
                error => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    cause.unwrap_or_else(|| error.to_string())
                }
            },
        };
        BulkError::Refused {
            collection: collection.to_owned(),
            id: shown_id_of(document),
            reason,
        }
    }
}

/// A document without the store's own field where it has one.
fn own(raw: &RawDocument, declared: bool, names: Names) -> Result<RawDocumentBuf, StoreError> {
    if declared && raw.get(super::REVISION).ok().flatten().is_some() {
        return super::incoming(raw, names).map(|stored| stored.document);
    }
    Ok(names.incoming(raw)?.unwrap_or_else(|| raw.to_owned()))
}

#[async_trait]
impl Depot for Server {
    async fn collections(&self) -> Result<Vec<Found>, BulkError> {
        let mut found = Vec::new();
        for listed in self.listed(doc! { "listCollections": 1 }).await? {
            let name = listed.get_str("name").map_err(StoreError::engine)?;
            if name == NOTE || name.starts_with("system.") {
                continue;
            }
            let computed = listed.get_str("type").is_ok_and(|kind| kind == "view");
            let documents = if computed {
                0
            } else {
                let counted = self
                    .database
                    .run_command(doc! { "count": name })
                    .await
                    .map_err(classify)?;
                match counted.get("n") {
                    Some(Bson::Int32(n)) => u64::try_from(*n).unwrap_or_default(),
                    Some(Bson::Int64(n)) => u64::try_from(*n).unwrap_or_default(),
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    Some(Bson::Double(n)) => *n as u64,
                    _ => 0,
                }
            };
            found.push(Found {
                name: name.to_owned(),
                documents,
                computed,
            });
        }
        found.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        Ok(found)
    }

    async fn indexes(&self, of: &'static Collection) -> Result<Vec<IndexFinding>, BulkError> {
        let there = match self.listed(doc! { "listIndexes": of.name }).await {
            Ok(there) => there,
            Err(error @ StoreError::Unavailable { .. }) => return Err(error.into()),
            // no such collection
            Err(_) => Vec::new(),
        };
        Ok(indexes::compare(of, there))
    }

    async fn scan(&self, collection: &str) -> Result<Box<dyn Scan>, BulkError> {
        let size = u32::try_from(BATCH).unwrap_or(u32::MAX);
        let cursor = self
            .documents(collection)
            .find(Document::new())
            .batch_size(size)
            .no_cursor_timeout(false)
            .await
            .map_err(classify)?;
        Ok(Box::new(Pages {
            cursor,
            declared: self.is_declared(collection),
            names: self.names,
        }))
    }

    async fn fetch(
        &self,
        collection: &str,
        like: &[RawDocumentBuf],
    ) -> Result<Vec<RawDocumentBuf>, BulkError> {
        let ids: Vec<Bson> = like
            .iter()
            .filter_map(|document| document.get("_id").ok().flatten())
            .map(Bson::try_from)
            .collect::<Result<_, _>>()
            .map_err(StoreError::engine)?;
        let declared = self.is_declared(collection);
        let mut cursor = self
            .documents(collection)
            .find(doc! { "_id": { "$in": ids } })
            .await
            .map_err(classify)?;
        let mut found = Vec::new();
        while cursor.advance().await.map_err(classify)? {
            found.push(own(cursor.current(), declared, self.names)?);
        }
        Ok(found)
    }

    async fn note(&self) -> Result<Option<String>, BulkError> {
        Ok(note(&self.database).await?)
    }
}

#[async_trait]
impl Goal for Server {
    async fn create(&self, collection: &str) -> Result<bool, BulkError> {
        let there = self
            .listed(doc! { "listCollections": 1, "filter": { "name": collection } })
            .await?;
        if there.is_empty() {
            self.database
                .create_collection(collection)
                .await
                .map_err(classify)?;
        }
        Ok(true)
    }

    async fn insert(
        &self,
        collection: &str,
        documents: Vec<RawDocumentBuf>,
    ) -> Result<(), BulkError> {
        let target = self.documents(collection);
        let documents: Vec<_> = documents
            .into_iter()
            .map(|document| Ok(self.names.outgoing(&document)?.unwrap_or(document)))
            .collect::<Result<_, StoreError>>()?;
        let Err(error) = target.insert_many(&documents).ordered(false).await else {
            return Ok(());
        };
        if let error @ StoreError::Unavailable { .. } = classify(error) {
            return Err(error.into());
        }
        // one by one, to learn which document it is about
        for document in &documents {
            self.write(collection, document).await?;
        }
        Ok(())
    }

    async fn replace(&self, collection: &str, document: &RawDocument) -> Result<(), BulkError> {
        let renamed = self.names.outgoing(document)?;
        self.write(collection, renamed.as_deref().unwrap_or(document))
            .await
    }

    async fn set_note(&self, note: &str) -> Result<(), BulkError> {
        self.database
            .collection::<Document>(NOTE)
            .replace_one(doc! { "_id": "note" }, doc! { "_id": "note", "from": note })
            .upsert(true)
            .await
            .map_err(classify)?;
        Ok(())
    }

    async fn finish(&self) -> Result<(), BulkError> {
        for collection in &self.declared {
            indexes::build(&self.documents(collection.name), collection).await?;
        }
        self.database
            .collection::<Document>(NOTE)
            .drop()
            .await
            .map_err(classify)?;
        Ok(())
    }
}

struct Pages {
    cursor: Cursor<RawDocumentBuf>,
    declared: bool,
    names: Names,
}

#[async_trait]
impl Scan for Pages {
    async fn next(&mut self) -> Result<Vec<RawDocumentBuf>, BulkError> {
        let mut batch = Batch::default();
        while !batch.is_full() && self.cursor.advance().await.map_err(classify)? {
            batch.push(own(self.cursor.current(), self.declared, self.names)?);
        }
        Ok(batch.documents)
    }
}
