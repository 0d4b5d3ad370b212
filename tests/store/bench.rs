//! A store to test, with a clock that the test moves.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use ueauth::store::{
    Clock, Collection, Date, Document, Expiry, Index, Object, Store, StoreOptions,
};

/// Where every test's clock starts: 2024-01-01T00:00:00Z.
pub const START: i64 = 1_704_067_200_000;

pub static ITEMS: Collection = Collection {
    name: "items",
    indexes: &[
        Index::unique(&["email", "group"]),
        Index::unique(&["group", "slug"]).when_set("slug"),
        Index::unique(&["group", "core"]).when_true("core"),
        Index::plain(&["group", "-rank"]),
        Index::plain(&["tags"]),
        Index::text(&["name", "labels"]),
    ],
    expiry: &[],
};

/// A document of which the type knows some fields and keeps the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    #[serde(rename = "_id")]
    pub id: String,
    pub email: String,
    #[serde(default)]
    pub group: String,
    #[serde(default)]
    pub rank: i64,
    #[serde(flatten)]
    pub extra: Object,
}

impl Document for Item {
    const COLLECTION: &'static Collection = &ITEMS;

    fn id(&self) -> &str {
        &self.id
    }
}

impl Item {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            email: format!("{id}@example.com"),
            group: "g".to_owned(),
            ..Self::default()
        }
    }

    pub fn with(mut self, key: &str, value: impl Into<ueauth::store::Value>) -> Self {
        self.extra.insert(key, value);
        self
    }
}

pub static PASSES: Collection = Collection {
    name: "passes",
    indexes: &[Index::unique(&["code"])],
    expiry: &[Expiry::at("expiresAt"), Expiry::after("createdAt", 3600)],
};

/// A document with two lifetimes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pass {
    #[serde(rename = "_id")]
    pub id: String,
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Date>,
}

impl Document for Pass {
    const COLLECTION: &'static Collection = &PASSES;

    fn id(&self) -> &str {
        &self.id
    }
}

pub static ANYTHING: Collection = Collection {
    name: "anything",
    indexes: &[Index::plain(&["n"]), Index::plain(&["a.b", "s"])],
    expiry: &[],
};

/// A document of any shape.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Anything {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(flatten)]
    pub fields: Object,
}

impl Document for Anything {
    const COLLECTION: &'static Collection = &ANYTHING;

    fn id(&self) -> &str {
        &self.id
    }
}

pub struct Bench {
    pub store: Store,
    pub url: String,
    time: Arc<AtomicI64>,
    /// The server lacks partial indexes, arrays in arrays, and some rarer comparisons.
    pub limited: bool,
    _directory: Option<TempDir>,
}

impl Bench {
    pub async fn embedded() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/store.db");
        Self::open(
            &format!("sqlite:{}", path.display()),
            false,
            Some(directory),
        )
        .await
    }

    pub async fn memory() -> Self {
        Self::open("sqlite::memory:", false, None).await
    }

    /// `None`, said on standard error, if there is no server to test with.
    pub async fn server() -> Option<Self> {
        let (address, limited) = server_address()?;
        Some(Self::open(&address, limited, None).await)
    }

    async fn open(url: &str, limited: bool, directory: Option<TempDir>) -> Self {
        let time = Arc::new(AtomicI64::new(START));
        let options = options(url, &time);
        let store = Store::open(&options, &[&ITEMS, &PASSES, &ANYTHING])
            .await
            .unwrap();
        Self {
            store,
            url: url.to_owned(),
            time,
            limited,
            _directory: directory,
        }
    }

    pub fn pass_time(&self, millis: i64) {
        self.time.fetch_add(millis, Ordering::SeqCst);
    }
}

pub fn options(url: &str, time: &Arc<AtomicI64>) -> StoreOptions {
    let time = Arc::clone(time);
    let clock: Clock = Arc::new(move || time.load(Ordering::SeqCst));
    let mut options = StoreOptions::new(url, clock);
    options.timeout = Duration::from_mins(1);
    options
}

/// A server of this test run; it ends with the process that holds its standard input.
pub struct Ferret {
    pub port: u16,
    process: Child,
    /// Kept so that the server's files last as long as the server.
    directory: Option<TempDir>,
}

impl Ferret {
    pub fn find() -> Option<PathBuf> {
        let named = std::env::var_os("UEAUTH_TEST_FERRETDB").map(PathBuf::from);
        let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools/ferretdb");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|directory| directory.join("ferretdb"));
        named
            .into_iter()
            .chain([built])
            .chain(on_path)
            .find(|path| path.is_file())
    }

    pub fn start(port: u16, directory: &std::path::Path) -> std::io::Result<Self> {
        let binary = Self::find().ok_or(std::io::ErrorKind::NotFound)?;
        // The shell ends the server when this process, and with it the pipe, is gone.
        let process = Command::new("sh")
            .arg("-c")
            .arg("\"$0\" \"$@\" >/dev/null 2>&1 & child=$!; cat >/dev/null; kill -9 $child; wait")
            .arg(binary)
            .arg("--handler=sqlite")
            .arg(format!("--sqlite-url=file:{}/", directory.display()))
            .arg(format!("--listen-addr=127.0.0.1:{port}"))
            .arg("--telemetry=disable")
            .arg("--debug-addr=-")
            .arg(format!("--state-dir={}", directory.display()))
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Self {
            port,
            process,
            directory: None,
        })
    }

    pub fn address(&self) -> String {
        format!("mongodb://127.0.0.1:{}/{}", self.port, database())
    }

    pub fn stop(mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port()
}

/// Says why a test cannot run; in continuous integration that is a failure.
pub fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "tests must not be skipped in continuous integration: {reason}"
    );
}

fn database() -> String {
    format!("test_{}", uuid::Uuid::new_v4().simple())
}

static SERVER: OnceLock<Option<Ferret>> = OnceLock::new();

fn server_address() -> Option<(String, bool)> {
    if let Ok(address) = std::env::var("UEAUTH_TEST_MONGODB_URI") {
        let (base, query) = address.split_once('?').unwrap_or((&address, ""));
        let (scheme, rest) = base.split_once("://").unwrap();
        let hosts = rest.split('/').next().unwrap();
        return Some((format!("{scheme}://{hosts}/{}?{query}", database()), false));
    }
    let server = SERVER.get_or_init(|| {
        let directory = tempfile::tempdir().ok()?;
        let mut server = Ferret::start(free_port(), directory.path()).ok()?;
        server.directory = Some(directory);
        Some(server)
    });
    let Some(server) = server else {
        skip("no MongoDB (UEAUTH_TEST_MONGODB_URI) and no FerretDB (UEAUTH_TEST_FERRETDB)");
        return None;
    };
    Some((server.address(), true))
}
