use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Random, ct_eq};

/// After twice this time without a hash the memory for hashing is given back.
const IDLE: Duration = Duration::from_secs(2);
/// A stored hash may not ask for more memory than this, whatever the settings: 256 MiB.
const MAX_STORED_MEMORY_KIB: u32 = 256 * 1024;
const MAX_STORED_ITERATIONS: u32 = 16;
/// 2¹⁴ rounds, about a second.
const MAX_STORED_BCRYPT_COST: u32 = 14;
const HASH_BYTES: usize = 32;

/// How new passwords are hashed, and how many at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HashSettings {
    /// argon2id memory in KiB.
    pub memory_kib: u32,
    /// argon2id passes.
    pub iterations: u32,
    /// argon2id lanes; they are computed one after another.
    pub parallelism: u32,
    /// Hashes computed at the same time; 0 means one per core.
    pub permits: usize,
    /// Callers that may wait; one more is told to come back later.
    pub queue: usize,
}

impl Default for HashSettings {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            permits: 0,
            queue: 512,
        }
    }
}

/// What became of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right. With `rehash` the stored form is weaker than the settings ask
    /// for: hash the password again and store that.
    Match {
        /// Whether to replace the stored hash.
        rehash: bool,
    },
    /// The password is wrong.
    NoMatch,
    /// What is stored is no hash this server accepts, such as clear text: no password ever matches.
    Unusable,
}

impl Verdict {
    /// Whether the password is right.
    pub fn is_match(self) -> bool {
        matches!(self, Self::Match { .. })
    }
}

/// Why no answer was given.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many callers wait already; answer 503 with `Retry-After`.
    #[error("too many passwords are being hashed; try again in {} s", retry_after.as_secs())]
    Busy {
        /// When a place is likely to be free, whole seconds, at least one.
        retry_after: Duration,
    },
    /// The settings are outside what argon2id allows.
    #[error("the password hashing settings are not valid argon2id parameters: {0}")]
    Settings(argon2::Error),
    /// Not enough memory, or the hashing thread died.
    #[error("the password could not be hashed: {0}")]
    Failed(&'static str),
}

/// Numbers for the metrics endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashStats {
    /// Being computed now.
    pub in_flight: usize,
    /// Waiting now.
    pub queued: usize,
    /// Computed since the start.
    pub completed: u64,
    /// Turned away since the start.
    pub rejected: u64,
}

/// Hashes and verifies passwords, first come first served, at most one per permit at a time.
/// Cheap to clone; all clones share one queue.
#[derive(Clone)]
pub struct PasswordHasher {
    inner: Arc<Inner>,
}

struct Inner {
    params: Params,
    permits: Arc<Semaphore>,
    permit_count: usize,
    queue: usize,
    random: Random,
    queued: AtomicUsize,
    in_flight: AtomicUsize,
    completed: AtomicU64,
    rejected: AtomicU64,
    /// Moving average of the time one hash takes.
    micros: AtomicU64,
    /// Work areas that wait for the next hash, so that their pages need not be mapped anew.
    areas: Mutex<Vec<Vec<Block>>>,
    /// Whether somebody will give them back once nobody hashes any more.
    tidying: AtomicBool,
}

impl fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHasher")
            .field("params", &self.inner.params)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl PasswordHasher {
    /// Checks the settings; no memory is taken before the first hash.
    ///
    /// # Errors
    /// [`HashError::Settings`].
    pub fn new(settings: &HashSettings, random: Random) -> Result<Self, HashError> {
        let params = Params::new(
            settings.memory_kib,
            settings.iterations,
            settings.parallelism,
            Some(HASH_BYTES),
        )
        .map_err(HashError::Settings)?;
        let permit_count = match settings.permits {
            0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            set => set.min(Semaphore::MAX_PERMITS),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                params,
                permits: Arc::new(Semaphore::new(permit_count)),
                permit_count,
                queue: settings.queue,
                random,
                queued: AtomicUsize::new(0),
                in_flight: AtomicUsize::new(0),
                completed: AtomicU64::new(0),
                rejected: AtomicU64::new(0),
                micros: AtomicU64::new(0),
                areas: Mutex::new(Vec::new()),
                tidying: AtomicBool::new(false),
            }),
        })
    }

    /// The argon2id hash of a password with a new salt, as a PHC string.
    ///
    /// # Errors
    /// [`HashError::Busy`], [`HashError::Failed`].
    pub async fn hash(&self, password: SecretString) -> Result<String, HashError> {
        let salt: [u8; Salt::RECOMMENDED_LENGTH] = self.inner.random.bytes();
        self.run(move |inner| {
            let hash = inner.argon2id(&inner.params, &password, &salt)?;
            let fault = |_| HashError::Failed("the hash cannot be written as a PHC string");
            Ok(PasswordHash {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(&inner.params)
                    .map_err(|_| HashError::Failed("the parameters cannot be written"))?,
                salt: Some(Salt::new(&salt).map_err(fault)?),
                hash: Some(Output::new(&hash).map_err(fault)?),
            }
            .to_string())
        })
        .await
    }

    /// Compares a password with what is stored: argon2id, or bcrypt (`$2a$`, `$2b$`, `$2y$`),
    /// of which only the first 72 bytes count. Whatever is stored, one hash worth of time passes.
    ///
    /// # Errors
    /// [`HashError::Busy`], [`HashError::Failed`].
    pub async fn verify(&self, password: SecretString, stored: &str) -> Result<Verdict, HashError> {
        let stored = Stored::parse(stored);
        self.run(move |inner| match stored {
            Stored::Argon2id {
                params,
                salt,
                output,
            } => {
                let hash = inner.argon2id(&params, &password, salt.as_ref())?;
                Ok(if ct_eq(hash.as_slice(), output.as_bytes()) {
                    Verdict::Match {
                        rehash: is_weaker(&params, &inner.params),
                    }
                } else {
                    Verdict::NoMatch
                })
            }
            Stored::Bcrypt(stored) => {
                let matches = bcrypt::verify(password.expose_secret(), &stored);
                Ok(match matches {
                    Ok(true) => Verdict::Match { rehash: true },
                    Ok(false) => Verdict::NoMatch,
                    Err(_) => Verdict::Unusable,
                })
            }
            Stored::Unusable => {
                inner.waste_time(&password)?;
                Ok(Verdict::Unusable)
            }
        })
        .await
    }

    /// Takes as long as [`Self::verify`] for a user who does not exist, so that the time of the
    /// answer does not tell.
    ///
    /// # Errors
    /// [`HashError::Busy`], [`HashError::Failed`].
    pub async fn verify_dummy(&self, password: SecretString) -> Result<(), HashError> {
        self.run(move |inner| inner.waste_time(&password)).await
    }

    /// The numbers of this moment.
    pub fn stats(&self) -> HashStats {
        HashStats {
            in_flight: self.inner.in_flight.load(Ordering::Relaxed),
            queued: self.inner.queued.load(Ordering::Relaxed),
            completed: self.inner.completed.load(Ordering::Relaxed),
            rejected: self.inner.rejected.load(Ordering::Relaxed),
        }
    }

    async fn run<T, F>(&self, work: F) -> Result<T, HashError>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> Result<T, HashError> + Send + 'static,
    {
        let permit = self.permit().await?;
        let inner = Arc::clone(&self.inner);
        if !inner.tidying.swap(true, Ordering::Relaxed) {
            tokio::spawn(tidy(Arc::downgrade(&inner)));
        }
        // The permit moves along: a caller that gives up must not let a second hash start beside this one.
        spawn_blocking(move || {
            let running = Counted::up(&inner.in_flight);
            let start = Instant::now();
            let result = work(&inner);
            inner.note_time(start.elapsed());
            inner.completed.fetch_add(1, Ordering::Relaxed);
            drop(running);
            drop(permit);
            result
        })
        .await
        .map_err(|_| HashError::Failed("the hashing thread stopped"))?
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, HashError> {
        let inner = &self.inner;
        // Tokio's semaphore refuses to let anyone overtake those who wait.
        if let Ok(permit) = Arc::clone(&inner.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = Counted::up(&inner.queued);
        if waiting.count > inner.queue {
            inner.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(HashError::Busy {
                retry_after: inner.retry_after(),
            });
        }
        Arc::clone(&inner.permits)
            .acquire_owned()
            .await
            .map_err(|_| HashError::Failed("the hashing queue is closed"))
    }
}

/// Gives the work areas back after a time without a hash.
async fn tidy(inner: Weak<Inner>) {
    let mut seen = None;
    loop {
        tokio::time::sleep(IDLE).await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        let completed = inner.completed.load(Ordering::Relaxed);
        let idle = seen == Some(completed) && inner.in_flight.load(Ordering::Relaxed) == 0;
        seen = Some(completed);
        if idle {
            inner.tidying.store(false, Ordering::Relaxed);
            inner.areas().clear();
            return;
        }
    }
}

impl Inner {
    fn areas(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.areas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn argon2id(
        &self,
        params: &Params,
        password: &SecretString,
        salt: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, HashError> {
        let mut hash = Zeroizing::new(vec![0; params.output_len().unwrap_or(HASH_BYTES)]);
        let mut area = self.take_area(params.block_count())?;
        let result = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
            .hash_password_into_with_memory(
                password.expose_secret().as_bytes(),
                salt,
                &mut hash,
                &mut area,
            );
        // After the second pass no block is left that is cheaper to test a guess against
        // than the stored hash itself; after a single pass there is.
        if params.t_cost() == 1 {
            for block in &mut area {
                block.as_mut().zeroize();
            }
        }
        self.return_area(area);
        result.map_err(|_| HashError::Failed("argon2id refused its input"))?;
        Ok(hash)
    }

    fn waste_time(&self, password: &SecretString) -> Result<(), HashError> {
        self.argon2id(&self.params, password, &[0; Salt::RECOMMENDED_LENGTH])
            .map(drop)
    }

    fn take_area(&self, blocks: usize) -> Result<Vec<Block>, HashError> {
        if blocks == self.params.block_count()
            && let Some(area) = self.areas().pop()
        {
            return Ok(area);
        }
        let mut area = Vec::new();
        area.try_reserve_exact(blocks)
            .map_err(|_| HashError::Failed("there is not enough memory"))?;
        area.resize(blocks, Block::new());
        Ok(area)
    }

    fn return_area(&self, area: Vec<Block>) {
        if area.len() != self.params.block_count() {
            return;
        }
        let mut areas = self.areas();
        if areas.len() < self.permit_count {
            areas.push(area);
        }
    }

    fn note_time(&self, taken: Duration) {
        let taken = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        let average = self.micros.load(Ordering::Relaxed);
        let next = if average == 0 {
            taken
        } else {
            average / 8 * 7 + taken / 8
        };
        self.micros.store(next, Ordering::Relaxed);
    }

    fn retry_after(&self) -> Duration {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let waiting = count(self.queue) / count(self.permit_count).max(1);
        let micros = self.micros.load(Ordering::Relaxed).saturating_mul(waiting);
        Duration::from_secs(micros.div_ceil(1_000_000).clamp(1, 60))
    }
}

/// Counts its own life time, also when the caller is cancelled.
struct Counted<'a> {
    counter: &'a AtomicUsize,
    /// The count including this one.
    count: usize,
}

impl<'a> Counted<'a> {
    fn up(counter: &'a AtomicUsize) -> Self {
        Self {
            counter,
            count: counter.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.counter.fetch_sub(1, Ordering::Relaxed);
    }
}

const ARGON2ID: &str = "$argon2id$";
const BCRYPT: [&str; 3] = ["$2a$", "$2b$", "$2y$"];

/// What stored hashes begin with.
pub fn hash_prefixes() -> impl Iterator<Item = &'static str> {
    BCRYPT.into_iter().chain([ARGON2ID])
}

/// Whether a stored password is a hash that some password can match.
pub fn is_hash(stored: &str) -> bool {
    !matches!(Stored::parse(stored), Stored::Unusable)
}

enum Stored {
    Argon2id {
        params: Params,
        salt: Salt,
        output: Output,
    },
    Bcrypt(String),
    Unusable,
}

impl Stored {
    fn parse(stored: &str) -> Self {
        if stored.starts_with(ARGON2ID) {
            return Self::argon2id(stored).unwrap_or(Self::Unusable);
        }
        if BCRYPT.iter().any(|prefix| stored.starts_with(prefix)) {
            let cost = stored
                .parse::<bcrypt::HashParts>()
                .map(|parts| parts.get_cost());
            if cost.is_ok_and(|cost| cost <= MAX_STORED_BCRYPT_COST) {
                return Self::Bcrypt(stored.to_owned());
            }
        }
        Self::Unusable
    }

    fn argon2id(stored: &str) -> Option<Self> {
        let parsed = PasswordHash::new(stored).ok()?;
        // Version 0x10 is the flawed one; nothing that is taken over has it.
        if parsed.version != Some(Version::V0x13.into()) {
            return None;
        }
        let params = Params::try_from(&parsed).ok()?;
        if params.m_cost() > MAX_STORED_MEMORY_KIB || params.t_cost() > MAX_STORED_ITERATIONS {
            return None;
        }
        Some(Self::Argon2id {
            params,
            salt: parsed.salt?,
            output: parsed.hash?,
        })
    }
}

fn is_weaker(stored: &Params, wanted: &Params) -> bool {
    stored.m_cost() < wanted.m_cost()
        || stored.t_cost() < wanted.t_cost()
        || stored.p_cost() < wanted.p_cost()
        || stored.output_len() < wanted.output_len()
}

#[cfg(test)]
mod tests;
