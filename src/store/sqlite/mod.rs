//! The embedded engine: one `SQLite` file, durable at every acknowledged write.
//!
//! One thread writes and flushes many writes at once; others read. Documents are BSON; index
//! entries are byte strings that sort as the values do, so plain `sqlite3` can check the file.

pub mod bulk;
mod read;
mod schema;
mod threads;
mod write;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bson::RawDocumentBuf;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::engine::{Change, Engine, Stored};
use super::recent::Recent;
use super::{Clock, Collection, Filter, Query, Source, StoreError, StoreOptions};
use schema::Table;
use threads::Threads;
use write::Edit;

/// How long to wait for another process that writes to the same file.
const PATIENCE: Duration = Duration::from_secs(5);

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        classify(error.sqlite_error_code(), error)
    }
}

fn classify(code: Option<ErrorCode>, source: impl Into<Source>) -> StoreError {
    let source = source.into();
    match code {
        Some(ErrorCode::DiskFull) => StoreError::Full { source },
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::SystemIoFailure,
        ) => StoreError::Unavailable { source },
        _ => StoreError::Engine { source },
    }
}

pub struct Sqlite {
    threads: Threads,
    tables: Arc<HashMap<&'static str, Table>>,
    clock: Clock,
    recent: Option<Arc<Recent>>,
    /// Held while the store is open, so that a second process is noticed.
    _lock: Option<fs::File>,
}

/// Where the store lives.
enum Place {
    Memory,
    File(PathBuf),
}

impl Place {
    fn of(url: &str) -> Result<Self, StoreError> {
        let rest = url.strip_prefix("sqlite:").unwrap_or(url);
        let path = rest.strip_prefix("//").unwrap_or(rest);
        match path {
            ":memory:" => Ok(Self::Memory),
            "" => Err(StoreError::config(
                "the address names no file; use sqlite:PATH or sqlite::memory:",
            )),
            path => Ok(Self::File(PathBuf::from(path))),
        }
    }
}

impl Sqlite {
    pub async fn open(
        options: &StoreOptions,
        collections: &[&'static Collection],
    ) -> Result<Self, StoreError> {
        let options = options.clone();
        let collections = collections.to_vec();
        tokio::task::spawn_blocking(move || Self::open_blocking(&options, &collections))
            .await
            .map_err(StoreError::engine)?
    }

    fn open_blocking(
        options: &StoreOptions,
        collections: &[&'static Collection],
    ) -> Result<Self, StoreError> {
        let place = Place::of(&options.url)?;
        let mut lock = None;
        if let Place::File(path) = &place {
            create(path)?;
            lock = hold(path);
        }
        let mut writer = connect(&place, PATIENCE)?;
        if bulk::note(&writer)?.is_some() {
            return Err(super::bulk::unfinished());
        }
        let tables = schema::prepare(&mut writer, collections)?;
        let (readers, at_hand) = match place {
            Place::Memory => (Vec::new(), Vec::new()),
            Place::File(_) => {
                let connections = |count: usize, patience| {
                    (0..count)
                        .map(|_| connect(&place, patience))
                        .collect::<Result<Vec<_>, _>>()
                };
                let threads = std::thread::available_parallelism().map_or(2, usize::from);
                (
                    connections(options.readers.max(1), PATIENCE)?,
                    connections(threads.min(8), Duration::ZERO)?,
                )
            }
        };
        // another process that writes would not say which documents are no longer as they were
        let alone = lock.is_some() || readers.is_empty();
        Ok(Self {
            recent: (alone && options.cache > 0).then(|| Arc::new(Recent::new(options.cache))),
            threads: Threads::start(writer, readers, at_hand)?,
            tables: Arc::new(tables),
            clock: Arc::clone(&options.clock),
            _lock: lock,
        })
    }

    fn now(&self) -> i64 {
        (self.clock)()
    }

    async fn reading<R: Send + 'static>(
        &self,
        of: &'static Collection,
        run: impl FnOnce(&Connection, &Table, i64) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let tables = Arc::clone(&self.tables);
        let now = self.now();
        self.threads
            .read(move |connection| run(connection, table(&tables, of)?, now))
            .await
    }

    async fn writing<R: Send + 'static>(
        &self,
        of: &'static Collection,
        run: impl FnOnce(&Edit, i64) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let tables = Arc::clone(&self.tables);
        let clock = Arc::clone(&self.clock);
        let recent = self.recent.clone();
        let write = move |connection: &Connection| {
            let edit = Edit::new(connection, table(&tables, of)?);
            let result = run(&edit, clock())?;
            Ok((result, edit.touched()))
        };
        let settle = move |touched: &[String]| {
            for id in touched {
                if let Some(recent) = &recent {
                    recent.forget(of.name, id);
                }
            }
        };
        self.threads.write(write, settle).await
    }
}

fn table<'a>(
    tables: &'a HashMap<&'static str, Table>,
    of: &'static Collection,
) -> Result<&'a Table, StoreError> {
    tables.get(of.name).ok_or_else(|| {
        StoreError::config(format!(
            "the collection {} was not declared when the store was opened",
            of.name
        ))
    })
}

/// Creates the directory and, readable by its owner alone, the file.
fn create(path: &Path) -> Result<(), StoreError> {
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        fs::create_dir_all(parent).map_err(StoreError::unavailable)?;
    }
    let mut file = fs::OpenOptions::new();
    file.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    let fresh = !path.exists();
    file.open(path).map_err(StoreError::unavailable)?;
    #[cfg(unix)]
    if fresh {
        // or a power cut may take the new file's name away with everything written to it
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        fs::File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(StoreError::unavailable)?;
    }
    Ok(())
}

fn lock_file(path: &Path) -> std::io::Result<fs::File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    fs::OpenOptions::new().create(true).append(true).open(name)
}

fn hold(path: &Path) -> Option<fs::File> {
    let file = lock_file(path).ok()?;
    if file.try_lock().is_err() {
        tracing::warn!("another process has the store's file open; writes will take turns");
        return None;
    }
    Some(file)
}

fn connect(place: &Place, patience: Duration) -> Result<Connection, StoreError> {
    let connection = match place {
        Place::Memory => Connection::open_in_memory()?,
        Place::File(path) => Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?,
    };
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(512);
    // FULL flushes at every commit: an acknowledged write survives a power cut. On macOS that takes
    // another call than elsewhere, which fullfsync asks for.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -8192;
         PRAGMA mmap_size = 268435456;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;",
    )?;
    // Otherwise every use of a statement whose plan could depend on its values prepares it anew.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.busy_timeout(patience)?;
    Ok(connection)
}

#[async_trait]
impl Engine for Sqlite {
    async fn get(&self, of: &'static Collection, id: &str) -> Result<Option<Stored>, StoreError> {
        let table = table(&self.tables, of)?;
        let now = self.now();
        if let Some(found) = self
            .threads
            .glance(|connection| read::get(connection, table, id, now))
        {
            return found;
        }
        let id = id.to_owned();
        self.reading(of, move |connection, table, now| {
            read::get(connection, table, &id, now)
        })
        .await
    }

    async fn find(&self, of: &'static Collection, query: Query) -> Result<Vec<Stored>, StoreError> {
        let table = table(&self.tables, of)?;
        let plan = read::plan(table, &query.filter, &query.sort);
        if read::is_short(table, &plan) {
            let now = self.now();
            let found = self
                .threads
                .glance(|connection| read::find(connection, table, &query, &plan, now));
            if let Some(found) = found {
                return found;
            }
        }
        self.reading(of, move |connection, table, now| {
            read::find(connection, table, &query, &plan, now)
        })
        .await
    }

    async fn count(&self, of: &'static Collection, filter: Filter) -> Result<u64, StoreError> {
        self.reading(of, move |connection, table, now| {
            read::count(connection, table, &filter, now)
        })
        .await
    }

    async fn insert(
        &self,
        of: &'static Collection,
        documents: Vec<RawDocumentBuf>,
    ) -> Result<(), StoreError> {
        self.writing(of, move |edit, now| {
            let many = documents.len() > 1;
            for document in &documents {
                if many {
                    edit.run("SAVEPOINT each")?;
                }
                if let Err(error) = edit.insert(document, now) {
                    if !many {
                        return Err(error);
                    }
                    edit.run("ROLLBACK TO each")?;
                    edit.run("RELEASE each")?;
                    // Ok, so that the documents before this one stay.
                    return Ok(Err(error));
                }
                if many {
                    edit.run("RELEASE each")?;
                }
            }
            Ok(Ok(()))
        })
        .await?
    }

    async fn put(
        &self,
        of: &'static Collection,
        _id: &str,
        document: RawDocumentBuf,
    ) -> Result<(), StoreError> {
        self.writing(of, move |edit, now| edit.put(&document, now))
            .await
    }

    async fn replace(
        &self,
        of: &'static Collection,
        change: Change<'_>,
    ) -> Result<bool, StoreError> {
        let document = change.new.to_owned();
        let seen = change.seen.revision;
        self.writing(of, move |edit, now| edit.replace(&document, seen, now))
            .await
    }

    async fn take(
        &self,
        of: &'static Collection,
        filter: Filter,
    ) -> Result<Option<RawDocumentBuf>, StoreError> {
        self.writing(of, move |edit, now| edit.take(&filter, now))
            .await
    }

    async fn delete(&self, of: &'static Collection, filter: Filter) -> Result<u64, StoreError> {
        self.writing(of, move |edit, now| edit.delete(&filter, now))
            .await
    }

    async fn purge(&self) -> Result<u64, StoreError> {
        let mut total = 0;
        for table in self.tables.values() {
            if table.collection.expiry.is_empty() {
                continue;
            }
            loop {
                let purge = |edit: &Edit, now| edit.purge(now);
                let count = self.writing(table.collection, purge).await?;
                total += count.unsigned_abs();
                if count < write::PURGE_BATCH {
                    break;
                }
            }
        }
        Ok(total)
    }

    fn recent(&self) -> Option<&Recent> {
        self.recent.as_deref()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.threads
            .read(|connection| {
                connection
                    .prepare_cached("SELECT 1")?
                    .query_row([], |_| Ok(()))?;
                Ok(())
            })
            .await
    }

    async fn close(&self) {
        self.threads.close().await;
    }
}
