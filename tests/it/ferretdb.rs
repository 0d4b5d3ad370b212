//! One FerretDB (MongoDB's wire protocol over SQLite) for all tests of this process.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

use crate::skip::skip;

/// Stops with the last server that uses it.
pub struct FerretDb {
    pub address: String,
    process: Child,
    _folder: Arc<TempDir>,
}

static SHARED: Mutex<Weak<FerretDb>> = Mutex::new(Weak::new());

impl FerretDb {
    /// The running one, or a new one; `None` when it is not installed.
    pub fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let folder = Arc::new(TempDir::new().expect("a temporary folder"));
        let started = Arc::new(Self::start("127.0.0.1:0", folder)?);
        *shared = Arc::downgrade(&started);
        Some(started)
    }

    /// One that listens on the address (port 0: a free one) and keeps its files in the folder;
    /// `None` when it is not installed.
    pub fn start(listen: &str, folder: Arc<TempDir>) -> Option<Self> {
        let program = std::env::var_os("UEAUTH_TEST_FERRETDB").map_or_else(
            || {
                PathBuf::from(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/target/tools/ferretdb"
                ))
            },
            PathBuf::from,
        );
        if !program.exists() {
            skip(
                "tests on MongoDB's wire protocol",
                &format!("{} is not there; `make tools` builds it", program.display()),
            );
            return None;
        }
        Some(Self::run(&program, listen, folder))
    }

    fn run(program: &PathBuf, listen: &str, folder: Arc<TempDir>) -> Self {
        let path = folder.path().display();
        let mut process = Command::new(program)
            .args(["--handler=sqlite", "--debug-addr=-"])
            .arg(format!("--listen-addr={listen}"))
            .args(["--telemetry=disable", "--log-format=text"])
            .arg(format!("--sqlite-url=file:{path}/"))
            .arg(format!("--state-dir={path}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("FerretDB starts");
        let mut log = BufReader::new(process.stderr.take().expect("its log")).lines();
        let mut seen = String::new();
        let address = loop {
            let Some(Ok(line)) = log.next() else {
                panic!("FerretDB stopped before it listened:\n{seen}");
            };
            if let Some((_, rest)) = line.split_once("Listening on TCP ") {
                break rest.split("...").next().expect("an address").to_owned();
            }
            seen = seen + &line + "\n";
        };
        // a full pipe would stop it
        std::thread::spawn(move || log.for_each(drop));
        Self {
            address: format!("mongodb://{address}"),
            process,
            _folder: folder,
        }
    }
}

impl Drop for FerretDb {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
