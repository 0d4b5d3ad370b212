//! The server under test: a process of its own with production settings on a store of its own.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::wire::{Connection, request};

pub struct Root {
    pub setup_code: String,
    pub email: String,
    pub password: String,
}

pub struct Server {
    pub url: String,
    pub root: Root,
    pub port: u16,
    process: Child,
    store: PathBuf,
}

/// A folder on the disk of the build, since a memory file system would make every write look durable.
pub fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder")
}

impl Server {
    /// Starts on a store, which may be there already, and waits for the first answer.
    pub async fn start(store: &Path) -> Self {
        Self::start_with(store, &[]).await
    }

    /// The same with further settings, as `section.key=value`.
    pub async fn start_with(store: &Path, settings: &[&str]) -> Self {
        Self::launch(store, "/api/version", settings).await.0
    }

    /// The same, and how long it took until `target` was answered.
    pub async fn timed(store: &Path, target: &str) -> (Self, Duration) {
        Self::launch(store, target, &[]).await
    }

    async fn launch(store: &Path, target: &str, settings: &[&str]) -> (Self, Duration) {
        let port = free_port();
        let root = Root {
            setup_code: "the-code-of-this-benchmark".to_owned(),
            email: "root@bench.test".to_owned(),
            password: "Passw0rd!x".to_owned(),
        };
        let began = Instant::now();
        let mut server = Self {
            url: format!("http://localhost:{port}"),
            process: spawn(store, port, &root, settings),
            root,
            port,
            store: store.to_owned(),
        };
        let first = request("GET", port, target, &[], "");
        let until = began + Duration::from_mins(1);
        let status = loop {
            if let Ok(mut http) = Connection::open(port).await {
                break http.send(&first).await.expect("an answer").status;
            }
            let ended = server.process.try_wait().expect("the server's state");
            assert!(
                ended.is_none() && Instant::now() < until,
                "the server does not start: {}",
                server.log()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let took = began.elapsed();
        assert_eq!(status, 200, "{target}");
        (server, took)
    }

    /// A client that follows no redirect and keeps cookies, for setting up.
    pub fn http() -> reqwest::Client {
        Self::http_with(std::sync::Arc::default())
    }

    /// The same with a jar that the caller can look into.
    pub fn http_with(jar: std::sync::Arc<reqwest::cookie::Jar>) -> reqwest::Client {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .cookie_provider(jar)
            .timeout(Duration::from_mins(1))
            .build()
            .expect("an HTTP client")
    }

    /// Memory in use (resident set), in MB.
    pub fn memory(&self) -> f64 {
        memory(self.process.id())
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(log(&self.store)).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}---", self.log());
        }
    }
}

/// The resident set of a process in MB.
pub fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn log(store: &Path) -> PathBuf {
    store.with_extension("log")
}

fn spawn(store: &Path, port: u16, root: &Root, more: &[&str]) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log(store))
        .expect("a log file");
    let settings = [
        format!("server.listen=127.0.0.1:{port}"),
        format!("server.public_host=localhost:{port}"),
        format!("store.url=sqlite:{}", store.display()),
        format!("bootstrap.setup_code={}", root.setup_code),
        format!("bootstrap.root_email={}", root.email),
        "bootstrap.allow_root_creation=true".to_owned(),
        "groups.open_registration=true".to_owned(),
        "rate_limits.enabled=false".to_owned(),
        "logging.level=warn".to_owned(),
    ];
    let program = std::env::var_os("UEAUTH_BIN").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_ueauth")),
        PathBuf::from,
    );
    Command::new(program)
        .arg("serve")
        .args(settings.iter().flat_map(|setting| ["--set", setting]))
        .args(more.iter().flat_map(|setting| ["--set", setting]))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("the server's program")
}
