//! A server of its own for each test: free port, empty store, the settings of `tests/server.json`.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::cookie::Jar;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::ferretdb::FerretDb;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Embedded,
    /// FerretDB, or the MongoDB that `UEAUTH_TEST_MONGODB_URI` names.
    Mongo,
}

#[derive(Deserialize)]
struct Description {
    args: Vec<String>,
    store: Vec<String>,
    env: BTreeMap<String, String>,
    root: Root,
}

/// How the first account of the root group comes to be.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Root {
    pub setup_code: String,
    pub email: String,
    pub password: String,
}

pub struct Server {
    pub url: String,
    pub root: Root,
    process: Child,
    description: Description,
    port: u16,
    /// Address of the store.
    pub store: String,
    folder: TempDir,
    _ferretdb: Option<Arc<FerretDb>>,
}

static DATABASES: AtomicU32 = AtomicU32::new(0);

impl Server {
    /// Starts a server and waits until it is ready; `None` when the store's program is missing.
    pub async fn start(store: Store) -> Option<Self> {
        Self::start_with(store, &[]).await
    }

    /// The same with further settings, as `("section.key", "value")`.
    pub async fn start_with(store: Store, settings: &[(&str, &str)]) -> Option<Self> {
        Self::start_on(store, settings, async |_| {}).await
    }

    /// The same on a store that `fill` has filled, given its address.
    pub async fn start_on(
        store: Store,
        settings: &[(&str, &str)],
        fill: impl AsyncFnOnce(&str),
    ) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let (address, ferretdb) = match store {
            Store::Embedded => {
                let file = folder.path().join("ueauth.db");
                (format!("sqlite:{}", file.display()), None)
            }
            Store::Mongo => {
                let number = DATABASES.fetch_add(1, Ordering::Relaxed);
                let database = format!("it{}x{number}", std::process::id());
                if let Ok(uri) = std::env::var("UEAUTH_TEST_MONGODB_URI") {
                    (with_database(&uri, &database), None)
                } else {
                    let ferretdb = FerretDb::shared()?;
                    (with_database(&ferretdb.address, &database), Some(ferretdb))
                }
            }
        };
        fill(&address).await;
        Some(Self::launch(address, ferretdb, folder, settings).await)
    }

    /// The same on whatever the address names.
    pub async fn start_at(address: &str, settings: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        Self::launch(address.to_owned(), None, folder, settings).await
    }

    /// Starts a server that is expected to give up: its exit code and what it printed.
    pub fn fail(settings: &[(&str, &str)]) -> (Option<i32>, String) {
        let folder = TempDir::new().expect("a temporary folder");
        let mut description = describe(settings);
        description.store.clear();
        let mut process = spawn(&description, free_port(), "", &folder);
        let code = process.wait().expect("its end").code();
        let log = std::fs::read_to_string(folder.path().join("server.log"));
        (code, log.unwrap_or_default())
    }

    async fn launch(
        address: String,
        ferretdb: Option<Arc<FerretDb>>,
        folder: TempDir,
        settings: &[(&str, &str)],
    ) -> Self {
        let description = describe(settings);
        let port = free_port();
        let scheme = if settings.iter().any(|(name, _)| *name == "tls.certificate") {
            "https"
        } else {
            "http"
        };
        let mut server = Self {
            url: format!("{scheme}://localhost:{port}"),
            root: description.root.clone(),
            process: spawn(&description, port, &address, &folder),
            description,
            port,
            store: address,
            folder,
            _ferretdb: ferretdb,
        };
        // between choosing a port and listening on it another program may have taken it
        for _ in 0..3 {
            if server.ready().await {
                return server;
            }
            server.port = free_port();
            server.url = format!("{scheme}://localhost:{}", server.port);
            server.process = server.spawn();
        }
        panic!("the server does not start");
    }

    /// Kills the server without warning.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Asks the server to stop.
    pub fn terminate(&self) {
        let told = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status();
        assert!(told.expect("kill runs").success());
    }

    /// Waits for its end, which must be a regular one.
    pub fn ended(&mut self) {
        let status = self.process.wait().expect("its end");
        assert!(status.success(), "{status}");
    }

    /// Kills the server without warning and starts it again on the same store.
    pub async fn restart(&mut self) {
        self.kill();
        self.process = self.spawn();
        assert!(self.ready().await, "the server does not start again");
    }

    /// A client that follows no redirect and keeps cookies.
    pub fn http() -> reqwest::Client {
        Self::http_with(Arc::default())
    }

    /// The same with a jar that the caller can look into.
    pub fn http_with(jar: Arc<Jar>) -> reqwest::Client {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .cookie_provider(jar)
            // tests make certificates of their own
            .danger_accept_invalid_certs(true)
            .timeout(Duration::from_secs(30))
            .build()
            .expect("an HTTP client")
    }

    /// Everything the server has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    fn spawn(&self) -> Child {
        spawn(&self.description, self.port, &self.store, &self.folder)
    }

    /// `false` when the process ended first.
    async fn ready(&mut self) -> bool {
        let http = Self::http();
        for _ in 0..600 {
            if self.process.try_wait().expect("its state").is_some() {
                return false;
            }
            if let Ok(answer) = http.get(format!("{}/ready-check", self.url)).send().await
                && answer.status().is_success()
                && let Ok(body) = answer.json::<Value>().await
                && body["db"] == "connected"
            {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server was not ready within half a minute");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}---", self.log());
        }
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn with_database(uri: &str, database: &str) -> String {
    let (hosts, options) = uri.split_once('?').unwrap_or((uri, ""));
    format!("{}/{database}?{options}", hosts.trim_end_matches('/'))
}

fn describe(settings: &[(&str, &str)]) -> Description {
    let mut description: Description =
        serde_json::from_str(include_str!("../server.json")).expect("tests/server.json");
    for (setting, value) in settings {
        description.args.push("--set".to_owned());
        description.args.push(format!("{setting}={value}"));
    }
    description
}

fn spawn(description: &Description, port: u16, store: &str, folder: &TempDir) -> Child {
    let fill = |text: &String| {
        text.replace("{port}", &port.to_string())
            .replace("{store}", store)
    };
    let program = std::env::var_os("UEAUTH_BIN").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_ueauth")),
        PathBuf::from,
    );
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.path().join("server.log"))
        .expect("a log file");
    Command::new(program)
        .args(description.args.iter().map(fill))
        .args(description.store.iter().map(fill))
        .envs(
            description
                .env
                .iter()
                .map(|(name, value)| (name, fill(value))),
        )
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("the server's program")
}
