//! Thousands of clients waiting for answers at once: how soon each hears, and what waiting costs.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use ueauth::challenges::model::StoredChallenge;
use ueauth::clients::Client;
use ueauth::groups::AuthGroup;
use ueauth::jose::generate_group_keys;
use ueauth::organizations::Organization;
use ueauth::plugins::Plugins;
use ueauth_actors::{Challenge, ChallengeId, Clock, State, SystemClock};

use crate::drive::processor_time;
use crate::groups::{fill, store};
use crate::options::{Kind, Options};
use crate::report;
use crate::server::{Server, folder};
use crate::wire::{Connection, request};

const GROUPS: usize = 100;
/// Time (ms) there is to answer.
const LIFE: i64 = 1_000_000;
/// Answers a second.
const PACE: usize = 2_000;
/// Connections that answers are sent on.
const PHONES: usize = 32;
/// How long nothing happens, to see what that costs.
const REST: Duration = Duration::from_secs(10);
/// Longest time a poll may ask for.
const WAIT: u64 = 60;
/// Connections opened at the same time by one process.
const AT_ONCE: usize = 64;

/// One challenge of many; all about it follows from its number.
#[derive(Clone, Copy)]
struct Asked(usize);

impl Asked {
    fn group(self) -> String {
        format!("waiting-group-{:03}", self.0 % GROUPS)
    }

    fn key(self) -> String {
        format!("key-{}", self.0)
    }

    fn account(self) -> String {
        format!("account-{}", self.0)
    }

    fn uid(self) -> String {
        format!("uid-{}", self.0)
    }

    fn address(self, what: &str) -> String {
        let (group, key, account, uid) = (self.group(), self.key(), self.account(), self.uid());
        format!("/api/{group}/mfa/{key}/account/{account}/interaction/{uid}/{what}")
    }

    fn stored(self) -> StoredChallenge {
        let now = SystemClock.now();
        let (deadline, keep_until) = (now + LIFE, now + LIFE);
        let id = ChallengeId::new(self.key(), self.account(), self.uid());
        let challenge = Challenge {
            id,
            purpose: "custom".to_owned(),
            state: State::Pending,
            created_at: now,
            deadline,
            keep_until,
            decided_at: None,
            decided_by: None,
            data: json!({}),
        };
        StoredChallenge::of(&self.group(), &challenge, Some(keep_until)).expect("JSON")
    }

    /// What a device says, and the provider says too.
    fn answer(self) -> String {
        let details = json!({"uid": self.uid(), "accountId": self.account()});
        json!({"id": self.key(), "action": 0, "interactionDetails": details}).to_string()
    }
}

fn now() -> Duration {
    #[allow(clippy::disallowed_methods, reason = "several processes share it")]
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970")
}

fn micros() -> u64 {
    u64::try_from(now().as_micros()).expect("a time before the year 500,000")
}

async fn seed(file: &Path, provider: u16, count: usize) {
    let store = store(file).await;
    let keys = generate_group_keys().expect("keys");
    let group = |id: &str, name: &str, mfa: bool| {
        let group = json!({
            "_id": id, "owner": "nobody", "name": id, "prettyName": name, "active": true,
            "config": {"keys": keys, "cookieKeys": ["a-key"], "mfaChallenge": {"enable": mfa, "type": "http-proxy"}},
        });
        serde_json::from_value::<AuthGroup>(group).expect("a group")
    };
    let mut groups = vec![group("root-of-all", "root", false)];
    groups.extend((0..GROUPS).map(|n| {
        let id = Asked(n).group();
        group(&id, &format!("{id}-alias"), true)
    }));
    let organizations: Vec<Organization> = groups
        .iter()
        .map(|group| {
            let id = &group.id;
            let organization = json!({
                "_id": format!("organization-of-{id}"), "authGroup": id, "name": id, "core": true,
            });
            serde_json::from_value(organization).expect("an organization")
        })
        .collect();
    let client: Client = serde_json::from_value(json!({
        "_id": "proxy", "payload": {
            "auth_group": "root-of-all", "client_id": "proxy", "client_name": "proxy", "client_secret": "a-long-secret-of-it",
            "grant_types": ["client_credentials"], "response_types": [], "redirect_uris": [],
        },
    }))
    .expect("a client");
    let domain = format!("http://127.0.0.1:{provider}");
    let plugins: Plugins = serde_json::from_value(json!({
        "_id": "settings", "createdBy": "nobody", "version": 1,
        "mfaChallenge": {"enabled": true, "providers": [{
            "type": "http-proxy", "proxyClientId": "proxy", "proxyEnableScreen": "https://mfa.test",
            "api": {"domain": domain, "challenge": "/challenge", "validate": "/validate"},
        }]},
    }))
    .expect("settings");
    fill(&store, &groups).await;
    fill(&store, &organizations).await;
    fill(&store, &[client]).await;
    fill(&store, &[plugins]).await;
    let all: Vec<_> = (0..count).map(|n| Asked(n).stored()).collect();
    fill(&store, &all).await;
    store.close().await;
}

/// The provider, which confirms whatever it is asked about.
async fn confirm(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::task::spawn_local(async move {
            let (read, mut write) = stream.into_split();
            let mut lines = tokio::io::BufReader::new(read).lines();
            let mut number = None;
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, rest)) = line.split_once("requestId=key-") {
                    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
                    number = digits.and_then(|n| n.parse().ok());
                }
                if line.is_empty() {
                    let body = Asked(number.expect("a request about a challenge")).answer();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    if write.write_all((head + &body).as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

/// A process that waits for the challenges of a range.
struct Crowd {
    process: Child,
    stdin: ChildStdin,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Crowd {
    fn start(kind: Kind, port: u16, first: usize, count: usize) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--wait",
                if kind == Kind::Sockets {
                    "sockets"
                } else {
                    "polls"
                },
            ])
            .args(["--port", &port.to_string(), "--first", &first.to_string()])
            .args(["--count", &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("another process");
        let stdout = BufReader::new(process.stdout.take().expect("its output"));
        let (send, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = process.stdin.take().expect("its input");
        Self {
            process,
            stdin,
            lines,
        }
    }

    /// Waits until everybody is connected.
    async fn ready(&self) {
        loop {
            match self.lines.try_recv() {
                Ok(line) if line == "ready" => return,
                Ok(other) => panic!("{other}"),
                Err(std::sync::mpsc::TryRecvError::Empty) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(e) => panic!("the crowd went away: {e}"),
            }
        }
    }

    /// When each heard (us), by number; the rest were not told.
    fn heard(mut self) -> (HashMap<usize, Vec<u64>>, HashMap<String, usize>) {
        // the end of its input tells it to leave
        drop(self.stdin);
        let (mut heard, mut other) = (HashMap::<_, Vec<u64>>::new(), HashMap::new());
        for line in self.lines {
            let parts: Vec<&str> = line.split(' ').collect();
            match parts[..] {
                ["approved", number, time] => heard
                    .entry(number.parse().expect("a number"))
                    .or_default()
                    .push(time.parse().expect("a time")),
                _ => *other.entry(line).or_default() += 1,
            }
        }
        self.process.wait().expect("its end");
        (heard, other)
    }
}

pub async fn run(options: &Options) {
    report::section("Clients that wait");
    LocalSet::new().run_until(measure(options.waiters)).await;
}

async fn measure(count: usize) {
    let folder = folder();
    let file = folder.path().join("waiters.db");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let provider = listener.local_addr().expect("its address").port();
    tokio::task::spawn_local(confirm(listener));
    seed(&file, provider, count).await;
    let settings = [
        "limits.polls_per_address=100000",
        "limits.sockets_per_address=100000",
        "outgoing.allow_loopback=true",
    ];
    let server = Server::start_with(&file, &settings).await;
    let half = count / 2;
    // every group is awake before anything is counted
    let mut http = Connection::open(server.port).await.expect("a connection");
    for n in 0..GROUPS {
        let target = Asked(n).address("status");
        let asked = http
            .send(&request("GET", server.port, &target, &[], ""))
            .await;
        assert_eq!(asked.expect("an answer").status, 206);
    }
    let before = server.memory();
    let sockets = Crowd::start(Kind::Sockets, server.port, 0, half);
    sockets.ready().await;
    let with_sockets = server.memory();
    let polls = Crowd::start(Kind::Polls, server.port, half, count - half);
    polls.ready().await;
    gauge(server.port, "waiters", count - half).await;
    let with_all = server.memory();
    let each = |more: f64, number: usize| more * 1024.0 / number_of(number);
    report::fact(
        &format!("{half} sockets and {} polls wait", count - half),
        &format!(
            "{before:.0} MB before, {with_all:.0} MB with all; {:.1} KB for each poll",
            each(with_all - with_sockets, count - half)
        ),
    );
    report::most(
        each(with_sockets - before, half),
        12.0,
        "KB for each socket",
    );

    let worked = processor_time(server.pid());
    tokio::time::sleep(REST).await;
    let idle = processor_time(server.pid()).saturating_sub(worked);
    let share = idle.as_secs_f64() / REST.as_secs_f64() * 100.0;
    report::fact(
        "while nothing happens",
        &format!("{share:.1} % of one core"),
    );

    let sent = answer_all(server.port, count).await;
    // long enough for whoever is late, and for those who hear twice
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (mut lost, mut twice, mut times) = (0, 0, Vec::new());
    for (crowd, range) in [(sockets, 0..half), (polls, half..count)] {
        let (heard, other) = crowd.heard();
        for number in range {
            match heard.get(&number).map(Vec::as_slice) {
                None | Some([]) => lost += 1,
                Some([first, more @ ..]) => {
                    twice += more.len();
                    times.push(first.saturating_sub(sent[number]));
                }
            }
        }
        for (line, number) in other {
            report::fact(&line, &format!("{number} times"));
        }
    }
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get(times.len().saturating_sub(1) * share / 100)
            .map_or(f64::NAN, |us| {
                number_of(usize::try_from(*us).unwrap_or(usize::MAX)) / 1000.0
            })
    };
    report::fact(
        "from the device's request to whoever waits",
        &format!(
            "p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
            at(50),
            at(99),
            at(100)
        ),
    );
    report::most(at(99), 100.0, "ms at p99");
    report::verdict(
        &format!("{lost} lost, {twice} twice"),
        "none",
        lost + twice == 0,
    );
    let metrics = metrics(server.port).await;
    for name in ["waiters", "subscriptions", "sockets", "pending_challenges"] {
        let line = format!("ueauth_{name} 0");
        let zero = metrics.lines().any(|l| l == line);
        report::verdict(name, "0 at the end", zero);
    }
}

/// Waits until the server says that so many are there.
async fn gauge(port: u16, name: &str, value: usize) {
    let line = format!("ueauth_{name} {value}");
    while !metrics(port).await.lines().any(|l| l == line) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// On a connection of its own, since one without requests is closed after a while.
async fn metrics(port: u16) -> String {
    let mut http = Connection::open(port).await.expect("a connection");
    let metrics = http.send(&request("GET", port, "/metrics", &[], "")).await;
    metrics.expect("the metrics").text()
}

#[allow(clippy::cast_precision_loss, reason = "counts are small")]
fn number_of(count: usize) -> f64 {
    count as f64
}

/// Answers all, so many a second; when each was sent (us).
async fn answer_all(port: u16, count: usize) -> Vec<u64> {
    let began = tokio::time::Instant::now();
    let next = Rc::new(Cell::new(0));
    let phones = (0..PHONES).map(|_| {
        let next = Rc::clone(&next);
        async move {
            let mut http = Connection::open(port).await.expect("a connection");
            let mut sent = Vec::new();
            loop {
                let number = next.get();
                if number >= count {
                    return sent;
                }
                next.set(number + 1);
                // one of each half in turn
                let number = if number.is_multiple_of(2) { number / 2 } else { count / 2 + number / 2 };
                let due = Duration::from_micros(u64::try_from(next.get() * 1_000_000 / PACE).unwrap_or(u64::MAX));
                tokio::time::sleep_until(began + due).await;
                let asked = Asked(number);
                let body = asked.answer();
                let head = format!(
                    "POST /api/{}/mfa/callback HTTP/1.1\r\nhost: localhost:{port}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    asked.group(), body.len()
                );
                sent.push((number, micros()));
                let answer = http.send((head + &body).as_bytes()).await.expect("an answer");
                assert_eq!(answer.status, 204, "{}", answer.text());
            }
        }
    });
    let mut all = vec![0; count];
    for (number, time) in join_all(phones).await.into_iter().flatten() {
        all[number] = time;
    }
    let took = began.elapsed();
    report::fact(
        "answers",
        &format!("{:.0}/s", number_of(count) / took.as_secs_f64()),
    );
    all
}

/// The other process: waits for a range of challenges and says when it hears.
pub async fn wait(kind: Kind, options: &Options) {
    let (port, first, count) = (options.port, options.first, options.count);
    let gate = Rc::new(tokio::sync::Semaphore::new(AT_ONCE));
    let ready = Rc::new(Cell::new(0));
    let everybody = async {
        let clients = (first..first + count).map(|number| {
            let (gate, ready) = (Rc::clone(&gate), Rc::clone(&ready));
            async move {
                let permit = gate.acquire().await.expect("a permit");
                let stream = TcpStream::connect(("127.0.0.1", port))
                    .await
                    .expect("a connection");
                let arrived = || {
                    drop(permit);
                    ready.set(ready.get() + 1);
                    if ready.get() == count {
                        println!("ready");
                    }
                };
                match kind {
                    Kind::Sockets => listen(Asked(number), stream, port, arrived).await,
                    Kind::Polls => poll(Asked(number), stream, port, arrived).await,
                }
            }
        });
        join_all(clients).await;
    };
    let told_to_leave = tokio::task::spawn_blocking(|| {
        let _ = std::io::stdin().read_line(&mut String::new());
    });
    let everybody = async {
        everybody.await;
        // what comes now would be too much
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = everybody => {}
        _ = told_to_leave => {}
    }
    let _ = std::io::stdout().flush();
    // a thread that still reads must not hold it up
    std::process::exit(0);
}

fn heard(asked: Asked) {
    println!("approved {} {}", asked.0, micros());
}

async fn listen(asked: Asked, mut stream: TcpStream, port: u16, arrived: impl FnOnce()) {
    let target = asked.address("socket");
    let handshake = format!(
        "GET {target} HTTP/1.1\r\nhost: localhost:{port}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
    );
    stream.write_all(handshake.as_bytes()).await.expect("sent");
    let mut arrived = Some(arrived);
    let mut seen: Vec<u8> = Vec::with_capacity(1024);
    let mut at = 0;
    loop {
        match stream.read_buf(&mut seen).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if at == 0 {
            let Some(end) = seen.windows(4).position(|part| part == b"\r\n\r\n") else {
                continue;
            };
            assert!(
                seen.starts_with(b"HTTP/1.1 101"),
                "{}",
                String::from_utf8_lossy(&seen)
            );
            at = end + 4;
        }
        // short frames without a mask (RFC 6455 §5.2)
        while let Some(length) = seen.get(at + 1).map(|byte| usize::from(byte & 0x7f)) {
            let Some(text) = seen.get(at + 2..at + 2 + length) else {
                break;
            };
            match (seen[at] & 0x0f, text) {
                (1, br#"{"state":"pending"}"#) => {
                    if let Some(arrived) = arrived.take() {
                        arrived();
                    }
                }
                (1, br#"{"state":"approved"}"#) => heard(asked),
                (1, other) => println!("socket: {}", String::from_utf8_lossy(other)),
                (9, _) => stream
                    .write_all(&[0x8a, 0x80, 0, 0, 0, 0])
                    .await
                    .expect("sent"),
                (8, [3, 0xe8, ..]) => {}
                (8, code) => println!("closed: {code:?}"),
                (other, _) => println!("frame: {other}"),
            }
            at += 2 + length;
        }
    }
}

async fn poll(asked: Asked, mut stream: TcpStream, port: u16, arrived: impl FnOnce()) {
    let target = format!("{}?wait={WAIT}", asked.address("status"));
    let request = request("GET", port, &target, &[], "");
    let mut arrived = Some(arrived);
    let mut seen: Vec<u8> = Vec::with_capacity(1024);
    loop {
        stream.write_all(&request).await.expect("sent");
        if let Some(arrived) = arrived.take() {
            arrived();
        }
        seen.clear();
        // both answers are short; a 206 ends with its body
        loop {
            match stream.read_buf(&mut seen).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&seen);
            if text.starts_with("HTTP/1.1 204") && text.ends_with("\r\n\r\n") {
                heard(asked);
                return;
            }
            if text.starts_with("HTTP/1.1 206") && text.ends_with('}') {
                if !text.contains("pending") {
                    println!("poll: {text}");
                    return;
                }
                break;
            }
        }
    }
}
