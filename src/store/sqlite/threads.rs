//! The threads that own the connections: one writes, several read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::super::StoreError;

/// Writes that wait for the writer; callers beyond that wait for a place.
const QUEUE: usize = 1024;
/// Most writes in one transaction.
const BATCH: usize = 512;

type Failure = Arc<rusqlite::Error>;
type Finish = Box<dyn FnOnce(Result<(), Failure>) + Send>;
/// Runs in the open transaction, if there is one; `false` asks for what it wrote to be undone.
type Write = Box<dyn FnOnce(Option<&Connection>) -> (bool, Finish) + Send>;
type Read = Box<dyn FnOnce(&Connection) + Send>;

enum Job {
    Write(Write),
    Read(Read),
    Close(oneshot::Sender<()>),
}

pub struct Threads {
    writer: mpsc::Sender<Job>,
    /// None for a store in memory, which has a single connection.
    readers: Option<crossbeam_channel::Sender<Option<Read>>>,
    /// For reads too short to be worth a change of thread; emptied on close.
    at_hand: Vec<std::sync::Mutex<Option<Connection>>>,
    handles: std::sync::Mutex<Vec<thread::JoinHandle<()>>>,
}

fn closed<E>(_: E) -> StoreError {
    StoreError::unavailable("the store is closed")
}

impl Threads {
    pub fn start(
        writer: Connection,
        readers: Vec<Connection>,
        at_hand: Vec<Connection>,
    ) -> Result<Self, StoreError> {
        let spawn = |name: String, body: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(name)
                .spawn(body)
                .map_err(StoreError::engine)
        };
        let (jobs, queue) = mpsc::channel(QUEUE);
        spawn(
            "store-writer".to_owned(),
            Box::new(move || write_all(writer, queue)),
        )?;
        let mut handles = Vec::new();
        let mut pool = None;
        if !readers.is_empty() {
            let (reads, queue) = crossbeam_channel::unbounded::<Option<Read>>();
            for (number, connection) in readers.into_iter().enumerate() {
                let queue = queue.clone();
                let body = move || {
                    while let Ok(Some(read)) = queue.recv() {
                        contained(|| read(&connection));
                    }
                };
                handles.push(spawn(format!("store-reader-{number}"), Box::new(body))?);
            }
            pool = Some(reads);
        }
        Ok(Self {
            writer: jobs,
            readers: pool,
            at_hand: at_hand
                .into_iter()
                .map(|connection| std::sync::Mutex::new(Some(connection)))
                .collect(),
            handles: std::sync::Mutex::new(handles),
        })
    }

    /// Runs on the writer's connection and returns when the change is on disk.
    ///
    /// A caller that goes away does not undo what it has handed over. `settle` learns what `run`
    /// has touched once that is visible to others, and before it is answered.
    pub async fn write<R: Send + 'static>(
        &self,
        run: impl FnOnce(&Connection) -> Result<(R, Vec<String>), StoreError> + Send + 'static,
        settle: impl FnOnce(&[String]) + Send + 'static,
    ) -> Result<R, StoreError> {
        let (answer, wait) = oneshot::channel();
        let job: Write = Box::new(move |connection| {
            let result = connection.map(run);
            let keep = matches!(result, Some(Ok(_)));
            let finish: Finish = Box::new(move |committed| {
                // also after a failed commit, which may have got as far as the disk
                if let Some(Ok((_, touched))) = &result {
                    settle(touched);
                }
                let outcome = match (result, committed) {
                    (Some(Err(error)), _) => Err(error),
                    (_, Err(cause)) => Err(super::classify(cause.sqlite_error_code(), cause)),
                    (Some(Ok((value, _))), Ok(())) => Ok(value),
                    (None, Ok(())) => Err(StoreError::engine("the write was passed over")),
                };
                // The caller may have gone away.
                let _ = answer.send(outcome);
            });
            (keep, finish)
        });
        self.writer.send(Job::Write(job)).await.map_err(closed)?;
        wait.await.map_err(closed)?
    }

    pub async fn read<R: Send + 'static>(
        &self,
        run: impl FnOnce(&Connection) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (answer, wait) = oneshot::channel();
        let job: Read = Box::new(move |connection| {
            if !answer.is_closed() {
                let _ = answer.send(run(connection));
            }
        });
        match &self.readers {
            Some(readers) => readers.send(Some(job)).map_err(closed)?,
            None => self.writer.send(Job::Read(job)).await.map_err(closed)?,
        }
        wait.await.map_err(closed)?
    }

    /// Runs on the calling thread if a connection is free; for single documents only, whose
    /// pages are nearly always in memory.
    pub fn glance<R>(
        &self,
        run: impl FnOnce(&Connection) -> Result<R, StoreError>,
    ) -> Option<Result<R, StoreError>> {
        let place = self.at_hand.iter().find_map(|place| {
            let place = place.try_lock().ok()?;
            place.is_some().then_some(place)
        })?;
        match place.as_ref().map(run)? {
            // A reader thread can wait for the lock; this one cannot.
            Err(StoreError::Unavailable { .. }) => None,
            result => Some(result),
        }
    }

    /// Finishes what was handed over and closes all connections, the writer's last.
    pub async fn close(&self) {
        let handles: Vec<_> = match self.handles.lock() {
            Ok(mut handles) => handles.drain(..).collect(),
            Err(poisoned) => poisoned.into_inner().drain(..).collect(),
        };
        if let Some(readers) = &self.readers {
            for _ in &handles {
                let _ = readers.send(None);
            }
        }
        for place in &self.at_hand {
            match place.lock() {
                Ok(mut place) => drop(place.take()),
                Err(poisoned) => drop(poisoned.into_inner().take()),
            }
        }
        let _ = tokio::task::spawn_blocking(move || {
            for handle in handles {
                let _ = handle.join();
            }
        })
        .await;
        let (done, wait) = oneshot::channel();
        if self.writer.send(Job::Close(done)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

/// Runs a job whose panic must cost its caller the answer, not everybody the thread.
fn contained<R>(job: impl FnOnce() -> R) -> Option<R> {
    let done = catch_unwind(AssertUnwindSafe(job)).ok();
    if done.is_none() {
        tracing::error!("an operation on the store panicked; it was undone");
    }
    done
}

fn write_all(connection: Connection, mut queue: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        let mut writes = Vec::with_capacity(batch.len());
        let mut last = None;
        for job in batch.drain(..) {
            match job {
                Job::Read(read) => {
                    contained(|| read(&connection));
                }
                Job::Write(write) => writes.push(write),
                Job::Close(done) => last = Some(done),
            }
        }
        if !writes.is_empty() {
            commit(&connection, writes);
        }
        if let Some(done) = last {
            queue.close();
            if let Err((_, error)) = connection.close() {
                tracing::warn!(%error, "the store's file could not be closed cleanly");
            }
            let _ = done.send(());
            return;
        }
    }
}

/// Runs the writes in one transaction, so that they share one flush to disk, and answers them.
fn commit(connection: &Connection, writes: Vec<Write>) {
    let mut answers = Vec::with_capacity(writes.len());
    let outcome = transact(connection, writes, &mut answers).map_err(Arc::new);
    if outcome.is_err() && !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    for answer in answers {
        answer(outcome.clone());
    }
}

fn transact(
    connection: &Connection,
    writes: Vec<Write>,
    answers: &mut Vec<Finish>,
) -> Result<(), rusqlite::Error> {
    let run = |sql: &str| connection.prepare_cached(sql)?.execute([]);
    let mut begun = run("BEGIN IMMEDIATE").and_then(|_| run("SAVEPOINT one"));
    for write in writes {
        let open = begun.is_ok().then_some(connection);
        let (keep, finish) = contained(|| write(open)).unzip();
        answers.extend(finish);
        let keep = keep.unwrap_or(false);
        // After a serious failure the transaction is gone, and these statements say so.
        begun = begun
            .and_then(|done| {
                if keep {
                    Ok(done)
                } else {
                    run("ROLLBACK TO one")
                }
            })
            .and_then(|_| run("RELEASE one"))
            .and_then(|_| run("SAVEPOINT one"));
    }
    begun.and_then(|_| run("COMMIT")).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_only_its_own_write() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (n)").unwrap();
        let threads = Threads::start(connection, Vec::new(), Vec::new()).unwrap();
        let add = |n: i64, fail: bool| {
            let write = move |connection: &Connection| {
                connection.execute("INSERT INTO t VALUES (?1)", [n])?;
                assert!(!fail, "on purpose");
                Ok(((), Vec::new()))
            };
            threads.write(write, |_| {})
        };
        let (first, torn, last) = tokio::join!(add(1, false), add(2, true), add(3, false));
        assert!(first.is_ok() && torn.is_err() && last.is_ok());
        add(4, false).await.unwrap();
        let sum = threads.read(|connection| {
            Ok(connection.query_row("SELECT sum(n) FROM t", [], |row| row.get::<_, i64>(0))?)
        });
        assert_eq!(sum.await.unwrap(), 8);
    }
}
