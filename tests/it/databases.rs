//! Databases as other programs leave them, and the commands that work on whole databases.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bson::{Bson, Document as Members};
use mongodb::Database;
use rusqlite::{Connection, OpenFlags};

use crate::ferretdb::FerretDb;
use crate::raw::extended;

/// An empty database over MongoDB's wire protocol.
pub struct Foreign {
    pub address: String,
    pub database: Database,
    ferretdb: Option<Arc<FerretDb>>,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Foreign {
    /// `None` when no server can be had.
    pub async fn new() -> Option<Self> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("whole{}x{number}", std::process::id());
        let (base, ferretdb) = if let Ok(uri) = std::env::var("UEAUTH_TEST_MONGODB_URI") {
            (uri, None)
        } else {
            let ferretdb = FerretDb::shared()?;
            (ferretdb.address.clone(), Some(ferretdb))
        };
        let (hosts, options) = base.split_once('?').unwrap_or((&base, ""));
        let address = format!("{}/{name}?{options}", hosts.trim_end_matches('/'));
        let client = mongodb::Client::with_uri_str(&address)
            .await
            .expect("a client");
        Some(Self {
            address,
            database: client.database(&name),
            ferretdb,
        })
    }

    /// Names as the server's own store writes them there.
    fn written(&self, document: Members) -> Members {
        match self.ferretdb {
            Some(_) => renamed(document, |name| {
                name.replace('%', "%25").replace('.', "%2E")
            }),
            None => document,
        }
    }

    fn read(&self, document: Members) -> Members {
        match self.ferretdb {
            Some(_) => renamed(document, |name| {
                name.replace("%2E", ".").replace("%25", "%")
            }),
            None => document,
        }
    }

    pub async fn add(&self, collection: &str, documents: Vec<Members>) {
        if documents.is_empty() {
            let created = self.database.create_collection(collection).await;
            created.expect("a collection");
            return;
        }
        let target = self.database.collection::<Members>(collection);
        let documents = documents.into_iter().map(|document| self.written(document));
        let inserted = target.insert_many(documents).await;
        inserted.unwrap_or_else(|e| panic!("{collection}: {e}"));
    }

    /// Every document of every collection, as bytes, by collection and id.
    pub async fn dump(&self) -> Dump {
        let mut dump = Dump::new();
        let names = self.database.list_collection_names().await.expect("names");
        for name in names {
            let found = self.database.collection::<Members>(&name);
            let mut cursor = found.find(Members::new()).await.expect("documents");
            let documents = dump.entry(name).or_default();
            while cursor.advance().await.expect("the next") {
                let document = cursor.deserialize_current().expect("a document");
                note(documents, self.read(document));
            }
        }
        dump
    }
}

/// The document with other names at every depth.
fn renamed(document: Members, name: fn(&str) -> String) -> Members {
    fn value(old: Bson, name: fn(&str) -> String) -> Bson {
        match old {
            Bson::Document(members) => Bson::Document(renamed(members, name)),
            Bson::Array(items) => items.into_iter().map(|item| value(item, name)).collect(),
            other => other,
        }
    }
    let members = document.into_iter();
    members
        .map(|(member, old)| (name(&member), value(old, name)))
        .collect()
}

pub type Dump = BTreeMap<String, BTreeMap<String, Members>>;

fn note(documents: &mut BTreeMap<String, Members>, document: Members) {
    let id = document.get("_id").cloned().unwrap_or(Bson::Null);
    documents.insert(id.into_canonical_extjson().to_string(), document);
}

/// Every document of every table of an embedded store's file.
pub fn dump_file(path: &Path) -> Dump {
    let file = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a file");
    let mut dump = Dump::new();
    let mut tables = file
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%.%' AND name NOT LIKE 'sqlite%'")
        .expect("tables");
    let names: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .expect("names")
        .map(|name| name.expect("a name"))
        .collect();
    for name in names {
        let sql = format!("SELECT doc FROM \"{name}\"");
        let mut rows = file.prepare(&sql).expect("a table");
        let mut rows = rows.query([]).expect("rows");
        let documents = dump.entry(name).or_default();
        while let Some(row) = rows.next().expect("a row") {
            let bytes: Vec<u8> = row.get(0).expect("bytes");
            note(
                documents,
                Members::from_reader(bytes.as_slice()).expect("BSON"),
            );
        }
    }
    dump
}

/// What a database of another system becomes: its accounts lose passwords that are in clear text. Tells how many.
pub fn blanked(mut dump: Dump) -> (Dump, usize) {
    let mut count = 0;
    for account in dump.get_mut("accounts").into_iter().flatten() {
        let password = account.1.get_str("password").unwrap_or_default();
        if !["$2a$", "$argon2id$", "unusable:"]
            .iter()
            .any(|known| password.starts_with(known))
        {
            account.1.insert("password", "unusable:was-clear-text");
            count += 1;
        }
    }
    (dump, count)
}

/// Fails with the first difference; types and the order of fields count, empty collections do not.
pub fn assert_same(left: &Dump, right: &Dump) {
    let names = |dump: &Dump| -> Vec<String> {
        let filled = dump.iter().filter(|(_, documents)| !documents.is_empty());
        filled.map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(left), names(right));
    for (name, documents) in left.iter().filter(|(_, documents)| !documents.is_empty()) {
        let others = &right[name];
        assert_eq!(documents.len(), others.len(), "{name}");
        for (id, document) in documents {
            let other = others
                .get(id)
                .unwrap_or_else(|| panic!("{name}: {id} is missing"));
            let bytes = |document| bson::serialize_to_vec(document).expect("bytes");
            assert_eq!(bytes(document), bytes(other), "{name}: {document}\n{other}");
        }
    }
}

/// The recorded collections of a database.
pub fn recorded(folder: &Path) -> Vec<(String, Vec<Members>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let file = entry.expect("a file").path();
        let name = file.file_stem().and_then(|name| name.to_str());
        let name = name.expect("a name").to_owned();
        if name.starts_with('_') || file.extension().is_none_or(|kind| kind != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("the recorded collection");
        found.push((name, extended(&text)));
    }
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

/// Whether the server used for tests stores arrays in arrays; `FerretDB` does not.
pub fn stores_nested_arrays() -> bool {
    std::env::var("UEAUTH_TEST_MONGODB_URI").is_ok()
}

/// How a command ended.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }
}

pub fn command(args: &[&str]) -> Command {
    let program = std::env::var_os("UEAUTH_BIN").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_ueauth")),
        PathBuf::from,
    );
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub fn run(args: &[&str]) -> Ran {
    let done = command(args).output().expect("the program");
    Ran {
        code: done.status.code(),
        out: String::from_utf8_lossy(&done.stdout).into_owned(),
        err: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// Starts a command and kills it without warning once `reached` says so after a line of its errors
/// that begins with `line`.
pub async fn kill_when(args: &[&str], line: &str, reached: impl AsyncFn() -> bool) {
    let mut process: Child = command(args).spawn().expect("the program");
    let mut lines = BufReader::new(process.stderr.take().expect("its errors")).lines();
    let mut seen = String::new();
    loop {
        let Some(Ok(next)) = lines.next() else {
            panic!("it ended first:\n{seen}");
        };
        if next.starts_with(line) {
            break;
        }
        seen = seen + &next + "\n";
    }
    while !reached().await {
        assert!(
            process.try_wait().expect("its state").is_none(),
            "it ended first"
        );
    }
    process.kill().expect("it runs");
    let mut rest = String::new();
    let _ = process
        .stdout
        .take()
        .expect("its output")
        .read_to_string(&mut rest);
    process.wait().expect("its end");
    assert!(rest.is_empty(), "it had copied everything already: {rest}");
}
