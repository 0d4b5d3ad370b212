//! The `MongoDB` engine: the official driver, majority writes, documents as raw BSON.
//!
//! Every write sets a private field, [`REVISION`], to a new random number. A change is written as
//! whole top-level fields, on the condition that the revision is the one that was read and that
//! the fields about to change still have the values that were read. The first keeps writers of
//! this server from overwriting each other, also for documents that never had a revision; the
//! second holds against writers that know nothing of it, and their changes to other fields stay.

pub mod bulk;
mod difference;
mod errors;
mod filter;
mod indexes;
mod names;

use std::collections::HashMap;

use async_trait::async_trait;
use bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use mongodb::options::{
    AuthMechanism, ClientOptions, ConnectionString, ReadPreference, WriteConcern,
};
use mongodb::{Client, Database};
use tokio::sync::{Mutex, MutexGuard};

use super::engine::{Change, Engine, Stored};
use super::matching::{self, Matcher};
use super::projection::project;
use super::{Clock, Collection, Filter, Query, StoreError, StoreOptions};
use difference::Difference;
use errors::{classify, duplicate_index};
use filter::{Translation, both, ended, live};
use names::Names;

/// The field that identifies a document's state; documents outside the store do not show it.
const REVISION: &str = "__rev";
pub struct Mongo {
    client: Client,
    database: Database,
    clock: Clock,
    /// The declared collections, and whether the server has their text index.
    collections: HashMap<&'static str, (&'static Collection, bool)>,
    /// `FerretDB` 1 does not make conditional writes atomic, so this process writes in turn.
    turns: Option<Mutex<()>>,
    names: Names,
}

impl Mongo {
    pub async fn open(
        options: &StoreOptions,
        collections: &[&'static Collection],
    ) -> Result<Self, StoreError> {
        let (client, database) = reach(options).await?;
        if bulk::note(&database).await?.is_some() {
            return Err(super::bulk::unfinished());
        }
        let names = Names::of(&database).await?;
        let ferret = names == Names::Encoded;
        if ferret {
            tracing::warn!(
                "FerretDB 1 does not write conditionally in one step: run a single node with it"
            );
        }
        let mut engine = Self {
            client,
            database,
            clock: std::sync::Arc::clone(&options.clock),
            collections: HashMap::new(),
            turns: ferret.then(Mutex::default),
            names,
        };
        for collection in collections {
            let text = indexes::build(&engine.documents(collection), collection).await?;
            engine
                .collections
                .insert(collection.name, (*collection, text));
        }
        Ok(engine)
    }

    fn documents(&self, of: &Collection) -> mongodb::Collection<RawDocumentBuf> {
        self.database.collection(of.name)
    }

    async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        match &self.turns {
            Some(turns) => Some(turns.lock().await),
            None => None,
        }
    }

    /// What the server cannot evaluate; what it finds must then be checked with this.
    fn remainder(
        &self,
        of: &'static Collection,
        filter: &Filter,
    ) -> Result<Option<Matcher>, StoreError> {
        if self.turns.is_some() && filter::has_elem(filter) {
            return Matcher::new(of, filter).map(Some);
        }
        Ok(None)
    }

    /// The filter in the server's language, with the condition that documents have not expired.
    fn condition(&self, of: &'static Collection, filter: &Filter) -> Result<Document, StoreError> {
        let Some((_, text_index)) = self.collections.get(of.name).copied() else {
            return Err(StoreError::config(format!(
                "the collection {} was not declared when the store was opened",
                of.name
            )));
        };
        let translation = Translation {
            collection: of,
            text_index,
            without_elem: self.turns.is_some(),
        };
        Ok(both(translation.filter(filter)?, live(of, (self.clock)())))
    }

    async fn sweep(&self, of: &'static Collection) -> Result<u64, StoreError> {
        if of.expiry.is_empty() {
            return Ok(0);
        }
        let swept = self
            .documents(of)
            .delete_many(ended(of, (self.clock)()))
            .await
            .map_err(classify)?;
        Ok(swept.deleted_count)
    }

    /// The index that `document` violates, where the server does not say.
    async fn violated(
        &self,
        of: &'static Collection,
        document: &RawDocument,
    ) -> Result<String, StoreError> {
        let id = document.get_str("_id").map_err(StoreError::engine)?;
        for index in of.indexes.iter().filter(|index| index.unique) {
            if !index.covers(document) {
                continue;
            }
            let mut same = doc! { "_id": { "$ne": id } };
            for (path, _) in index.paths().filter(|(path, _)| *path != "_id") {
                let mut value = Bson::Null;
                matching::leaves(document, path, &mut |found| {
                    if let Some(found) = found.and_then(|found| Bson::try_from(found).ok()) {
                        value = found;
                    }
                });
                same.insert(path, doc! { "$eq": value });
            }
            let holder = self.documents(of).find_one(same).await.map_err(classify)?;
            if holder.is_some() {
                return Ok(index.name());
            }
        }
        Ok("_id_".to_owned())
    }

    /// What a failed write means; `None` if it is worth trying once more, since an expired
    /// document stood in its way.
    async fn refused(
        &self,
        of: &'static Collection,
        error: mongodb::error::Error,
        document: &RawDocument,
        again: bool,
    ) -> Option<StoreError> {
        let Some(index) = duplicate_index(&error) else {
            return Some(classify(error));
        };
        if again {
            match self.sweep(of).await {
                Ok(0) => {}
                Ok(_) => return None,
                Err(error) => return Some(error),
            }
        }
        let index = if index.is_empty() {
            match self.violated(of, document).await {
                Ok(index) => index,
                Err(error) => return Some(error),
            }
        } else {
            index
        };
        Some(errors::duplicate(of, &index))
    }
}

/// The client and the database that the address names.
async fn reach(options: &StoreOptions) -> Result<(Client, Database), StoreError> {
    let settings = settings(options).await?;
    let name = settings
        .default_database
        .clone()
        .unwrap_or_else(|| "ueauth".to_owned());
    let client = Client::with_options(settings).map_err(classify)?;
    let database = client.database(&name);
    Ok((client, database))
}

async fn settings(options: &StoreOptions) -> Result<ClientOptions, StoreError> {
    let mut address = ConnectionString::parse(&options.url).map_err(classify)?;
    if let Some(credential) = &mut address.credential {
        let by_password = matches!(
            credential.mechanism,
            None | Some(AuthMechanism::ScramSha1 | AuthMechanism::ScramSha256)
        );
        if by_password && credential.username.is_some() && credential.source.is_none() {
            credential.source = Some("admin".to_owned());
        }
    }
    let mut settings = ClientOptions::parse(address).await.map_err(classify)?;
    settings
        .app_name
        .get_or_insert_with(|| options.app_name.clone());
    settings
        .min_pool_size
        .get_or_insert(options.min_connections);
    settings
        .max_pool_size
        .get_or_insert(options.max_connections);
    settings
        .server_selection_timeout
        .get_or_insert(options.timeout);
    settings.connect_timeout.get_or_insert(options.timeout);
    // A secondary may still show a token that has been revoked.
    let elsewhere = settings.selection_criteria.take();
    if elsewhere.is_some_and(|wanted| wanted != ReadPreference::Primary.into()) {
        tracing::warn!("the read preference of store.url is ignored: all is read from the primary");
    }
    // A single server acknowledges a majority write before its journal is on disk, also if the
    // address asks for a majority, as addresses of hosted servers do.
    settings
        .write_concern
        .get_or_insert_with(WriteConcern::majority)
        .journal
        .get_or_insert(true);
    Ok(settings)
}

/// The document without the store's own field, and its revision; 0 if it never had one.
fn incoming(raw: &RawDocument, names: Names) -> Result<Stored, StoreError> {
    let mut revision = 0;
    let mut document = RawDocumentBuf::new();
    for field in raw {
        let (name, value) = field.map_err(StoreError::engine)?;
        if name.as_str() == REVISION {
            revision = value.as_i64().unwrap_or_default();
        } else {
            document.append(name, value);
        }
    }
    Ok(Stored {
        document: names.incoming(&document)?.unwrap_or(document),
        revision,
    })
}

fn by_id(document: &RawDocument) -> Result<Document, StoreError> {
    let id = document.get_str("_id").map_err(StoreError::engine)?;
    Ok(doc! { "_id": { "$eq": id } })
}

fn outgoing(document: RawDocumentBuf, names: Names) -> Result<RawDocumentBuf, StoreError> {
    Ok(revised(names.outgoing(&document)?.unwrap_or(document)))
}

/// The document with a new revision.
fn revised(mut document: RawDocumentBuf) -> RawDocumentBuf {
    document.append(bson::cstr!("__rev"), revision());
    document
}

fn revision() -> i64 {
    rand::random_range(1..=i64::MAX)
}

#[async_trait]
impl Engine for Mongo {
    async fn get(&self, of: &'static Collection, id: &str) -> Result<Option<Stored>, StoreError> {
        let condition = self.condition(of, &super::eq("_id", id))?;
        let found = self
            .documents(of)
            .find_one(condition)
            .await
            .map_err(classify)?;
        found.map(|raw| incoming(&raw, self.names)).transpose()
    }

    async fn find(&self, of: &'static Collection, query: Query) -> Result<Vec<Stored>, StoreError> {
        let condition = self.condition(of, &query.filter)?;
        let remainder = self.remainder(of, &query.filter)?;
        // For the server a limit of zero is none.
        if query.limit == Some(0) {
            return Ok(Vec::new());
        }
        let documents = self.documents(of);
        let mut find = documents.find(condition);
        let sort = filter::sort(&query.sort);
        if !sort.is_empty() {
            find = find.sort(sort);
        }
        if remainder.is_none() {
            if query.skip > 0 {
                find = find.skip(query.skip);
            }
            if let Some(limit) = query.limit {
                find = find.limit(i64::try_from(limit).unwrap_or(i64::MAX));
            }
            if let Some(paths) = &query.select {
                find = find.projection(filter::projection(paths));
            }
        }
        let mut cursor = find.await.map_err(classify)?;
        let mut found = Vec::new();
        let mut skip = query.skip;
        while cursor.advance().await.map_err(classify)? {
            let mut stored = incoming(cursor.current(), self.names)?;
            if let Some(matcher) = &remainder {
                if !matcher.matches(&stored.document) {
                    continue;
                }
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                if let Some(paths) = &query.select {
                    stored.document =
                        project(&stored.document, paths).map_err(StoreError::engine)?;
                }
            }
            found.push(stored);
            let full = query
                .limit
                .is_some_and(|limit| u64::try_from(found.len()).is_ok_and(|count| count >= limit));
            if full {
                break;
            }
        }
        Ok(found)
    }

    async fn count(&self, of: &'static Collection, filter: Filter) -> Result<u64, StoreError> {
        let condition = self.condition(of, &filter)?;
        if self.remainder(of, &filter)?.is_some() {
            let found = self.find(of, Query::new(filter)).await?;
            return Ok(u64::try_from(found.len()).unwrap_or(u64::MAX));
        }
        self.documents(of)
            .count_documents(condition)
            .await
            .map_err(classify)
    }

    async fn insert(
        &self,
        of: &'static Collection,
        documents: Vec<RawDocumentBuf>,
    ) -> Result<(), StoreError> {
        self.condition(of, &Filter::All)?;
        let target = self.documents(of);
        let documents: Vec<_> = documents
            .into_iter()
            .map(|document| outgoing(document, self.names))
            .collect::<Result<_, _>>()?;
        let _turn = self.turn().await;
        let mut rest = documents.as_slice();
        let mut again = true;
        while let Some(first) = rest.first() {
            let result = match rest {
                [one] => target.insert_one(one).await.map(drop),
                many => target.insert_many(many).await.map(drop),
            };
            let Err(error) = result else {
                return Ok(());
            };
            let at = errors::position(&error);
            let failed = rest.get(at).unwrap_or(first);
            let retried = at == 0 && !again;
            if let Some(error) = self.refused(of, error, failed, !retried).await {
                return Err(error);
            }
            // What stood in the way of this one is gone; those before it are written.
            rest = rest.get(at..).unwrap_or_default();
            again = false;
        }
        Ok(())
    }

    async fn put(
        &self,
        of: &'static Collection,
        id: &str,
        document: RawDocumentBuf,
    ) -> Result<(), StoreError> {
        self.condition(of, &Filter::All)?;
        let document = outgoing(document, self.names)?;
        let target = self.documents(of);
        let _turn = self.turn().await;
        let mut tries = 0;
        loop {
            let put = target
                .replace_one(doc! { "_id": { "$eq": id } }, &document)
                .upsert(true)
                .await;
            let Err(error) = put else {
                return Ok(());
            };
            tries += 1;
            // Two writers may both find the document missing; the second then replaces it.
            let raced = duplicate_index(&error).is_some_and(|index| index == "_id_");
            if raced && tries < 3 {
                continue;
            }
            if let Some(error) = self.refused(of, error, &document, tries == 1).await {
                return Err(error);
            }
        }
    }

    async fn replace(
        &self,
        of: &'static Collection,
        change: Change<'_>,
    ) -> Result<bool, StoreError> {
        let seen = self.names.outgoing(&change.seen.document)?;
        let seen = seen.as_deref().unwrap_or(&change.seen.document);
        let new = self.names.outgoing(change.new)?;
        let new = new.as_deref().unwrap_or(change.new);
        let difference = Difference::between(seen, new).map_err(StoreError::engine)?;
        let mut condition = doc! { "_id": { "$eq": change.id } };
        match change.seen.revision {
            0 => condition.insert(REVISION, doc! { "$exists": false }),
            seen => condition.insert(REVISION, doc! { "$eq": seen }),
        };
        condition.extend(difference.unchanged);
        let condition = both(condition, live(of, (self.clock)()));
        let target = self.documents(of);
        let _turn = self.turn().await;
        let mut tries = 0;
        loop {
            let result = if difference.whole {
                let whole = revised(new.to_owned());
                target.replace_one(condition.clone(), whole).await
            } else {
                let mut set = difference.set.clone();
                set.insert(REVISION, revision());
                let mut update = doc! { "$set": set };
                if !difference.unset.is_empty() {
                    update.insert("$unset", difference.unset.clone());
                }
                target.update_one(condition.clone(), update).await
            };
            let error = match result {
                Ok(result) => return Ok(result.matched_count > 0),
                Err(error) => error,
            };
            tries += 1;
            if let Some(error) = self.refused(of, error, new, tries == 1).await {
                return Err(error);
            }
        }
    }

    async fn take(
        &self,
        of: &'static Collection,
        filter: Filter,
    ) -> Result<Option<RawDocumentBuf>, StoreError> {
        let mut condition = self.condition(of, &filter)?;
        let _turn = self.turn().await;
        if self.remainder(of, &filter)?.is_some() {
            match self.find(of, Query::new(filter).limit(1)).await?.pop() {
                Some(found) => condition = by_id(&found.document)?,
                None => return Ok(None),
            }
        }
        let taken = self
            .documents(of)
            .find_one_and_delete(condition)
            .await
            .map_err(classify)?;
        taken
            .map(|raw| incoming(&raw, self.names).map(|stored| stored.document))
            .transpose()
    }

    async fn delete(&self, of: &'static Collection, filter: Filter) -> Result<u64, StoreError> {
        let mut condition = self.condition(of, &filter)?;
        let _turn = self.turn().await;
        if self.remainder(of, &filter)?.is_some() {
            let found = self.find(of, Query::new(filter)).await?;
            let ids: Vec<_> = found
                .iter()
                .filter_map(|found| found.document.get_str("_id").ok())
                .collect();
            condition = doc! { "_id": { "$in": ids } };
        }
        let deleted = self
            .documents(of)
            .delete_many(condition)
            .await
            .map_err(classify)?;
        Ok(deleted.deleted_count)
    }

    async fn purge(&self) -> Result<u64, StoreError> {
        let mut total = 0;
        for (collection, _) in self.collections.values() {
            // or FerretDB may delete what was given a longer life meanwhile
            let _turn = self.turn().await;
            total += self.sweep(collection).await?;
        }
        Ok(total)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.database
            .run_command(doc! { "ping": 1 })
            .await
            .map_err(classify)?;
        Ok(())
    }

    async fn close(&self) {
        self.client.clone().shutdown().immediate(true).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_is_read_from_the_primary() {
        for query in ["", "?readPreference=secondary", "?readPreference=nearest"] {
            let clock: Clock = std::sync::Arc::new(|| 0);
            let options = StoreOptions::new(format!("mongodb://localhost/x{query}"), clock);
            let settings = settings(&options).await.unwrap();
            assert!(settings.selection_criteria.is_none(), "{query}");
        }
    }

    #[tokio::test]
    async fn writes_are_journaled_unless_the_address_says_otherwise() {
        for (query, wanted) in [
            ("", Some(true)),
            ("?w=majority", Some(true)),
            ("?w=2&wtimeoutMS=5", Some(true)),
            ("?w=1&journal=false", Some(false)),
        ] {
            let clock: Clock = std::sync::Arc::new(|| 0);
            let options = StoreOptions::new(format!("mongodb://localhost/x{query}"), clock);
            let concern = settings(&options).await.unwrap().write_concern;
            assert_eq!(
                concern.and_then(|concern| concern.journal),
                wanted,
                "{query}"
            );
        }
    }

    #[tokio::test]
    async fn credentials_are_looked_up_where_accounts_are_kept_unless_the_address_says_where() {
        for (address, wanted) in [
            ("mongodb://u:p@localhost/x", Some("admin")),
            ("mongodb://u:p@localhost/x?authSource=other", Some("other")),
            ("mongodb://localhost/x", None),
        ] {
            let clock: Clock = std::sync::Arc::new(|| 0);
            let options = StoreOptions::new(address, clock);
            let credential = settings(&options).await.unwrap().credential;
            let source = credential.and_then(|credential| credential.source);
            assert_eq!(source.as_deref(), wanted, "{address}");
        }
    }
}
