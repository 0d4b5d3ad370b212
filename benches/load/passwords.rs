//! Password logins: how many a second, and what five hundred at once do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use secrecy::SecretString;
use ueauth::secrets::{HashSettings, PasswordHasher, Random};

use crate::browser::Browser;
use crate::drive::{Load, Work, rate};
use crate::groups::{self, PASSWORD, Seeded};
use crate::options::Options;
use crate::report;
use crate::server::{Server, folder, memory};
use crate::wire::Connection;

const AT_ONCE: usize = 500;
/// Work areas of the hashes that run at the same time, and buffers of the connections, in MB.
const BOUND: f64 = 64.0;

pub async fn run(options: &Options) {
    report::section("Password logins");
    let folder = folder();
    let store = folder.path().join("ueauth.db");
    let seeded = groups::seed(&store, 1).await;
    let server = Server::start(&store).await;
    let bare = bare(options.scaled(128)).await;
    report::fact("argon2id alone on all cores", &format!("{bare:.0}/s"));
    let load = Load {
        port: server.port,
        pid: server.pid(),
        connections: 16,
        each: options.scaled(10),
    };
    let outcome = load
        .run(|_| Login {
            port: server.port,
            group: seeded[0].clone(),
        })
        .await;
    report::row("logins through the pages (16 people)", outcome);
    report::ratio(
        "argon2id alone on all cores",
        outcome.per_second / bare,
        Some(0.8),
    );
    at_once(&server, &seeded[0]).await;
}

/// Hashes per second when nothing else is done.
async fn bare(count: usize) -> f64 {
    let settings = HashSettings {
        queue: count,
        ..HashSettings::default()
    };
    let hasher = PasswordHasher::new(&settings, Random::default()).expect("a hasher");
    let hash = || hasher.hash(SecretString::from(PASSWORD));
    join_all((0..4).map(|_| hash())).await;
    let began = Instant::now();
    for hashed in join_all((0..count).map(|_| hash())).await {
        hashed.expect("a hash");
    }
    rate(count, began.elapsed())
}

/// Every step is somebody else: a browser without cookies, from the application to the accepted password.
struct Login {
    port: u16,
    group: Seeded,
}

impl Work for Login {
    async fn step(&mut self, _: &mut Connection) -> Result<(), String> {
        let mut browser = Browser::new(self.port).await.map_err(|e| e.to_string())?;
        let form = browser.login_form(&self.group.authorize()).await;
        let answer = browser.log_in(&form, &self.group.email, PASSWORD).await;
        if answer.status == 303 {
            Ok(())
        } else {
            Err(format!("{}: {}", answer.status, answer.text))
        }
    }
}

async fn at_once(server: &Server, group: &Seeded) {
    let mut waiting = Vec::new();
    for _ in 0..AT_ONCE {
        let mut browser = Browser::new(server.port).await.expect("a connection");
        let form = browser.login_form(&group.authorize()).await;
        waiting.push((browser, form));
    }
    let before = server.memory();
    let peak = Peak::watch(server.pid());
    let tries = waiting
        .into_iter()
        .zip(0..)
        .map(|((mut browser, form), turn)| async move {
            // far faster than they can be hashed, yet slow enough for the requests to have an order
            tokio::time::sleep(Duration::from_millis(turn)).await;
            let sent = Instant::now();
            let answer = browser.log_in(&form, &group.email, PASSWORD).await;
            (sent, Instant::now(), answer.status)
        });
    let mut done = join_all(tries).await;
    let peak = peak.stop();
    done.sort_by_key(|(sent, ..)| *sent);
    let let_in: Vec<Instant> = done
        .iter()
        .filter(|(.., status)| *status == 303)
        .map(|(_, answered, _)| *answered)
        .collect();
    let busy = done.iter().filter(|(.., status)| *status == 503).count();
    let other = AT_ONCE - let_in.len() - busy;
    report::fact(
        "500 at once",
        &format!(
            "{} signed in, {busy} answered 503, {other} otherwise",
            let_in.len()
        ),
    );
    report::verdict(
        &format!("{other} answers that are neither"),
        "none",
        other == 0,
    );
    let moved = displacement(&let_in);
    report::verdict(
        &format!("an answer is at most {moved} places off its turn"),
        "in order, at most as many as are on their way (16)",
        moved <= 16,
    );
    report::verdict(
        &format!("{before:.1} MB before, {peak:.1} MB at most"),
        &format!("at most {BOUND:.0} MB more"),
        peak - before < BOUND,
    );
}

/// How far the answers are from the order of the requests, at most.
fn displacement(answered: &[Instant]) -> usize {
    let mut order: Vec<usize> = (0..answered.len()).collect();
    order.sort_by_key(|place| answered[*place]);
    order
        .iter()
        .enumerate()
        .map(|(rank, place)| rank.abs_diff(*place))
        .max()
        .unwrap_or(0)
}

/// Reads a process's memory again and again and keeps the highest value.
struct Peak {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<f64>,
}

impl Peak {
    fn watch(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut highest = 0.0_f64;
            while !seen.load(Ordering::Relaxed) {
                highest = highest.max(memory(pid));
                std::thread::sleep(Duration::from_millis(20));
            }
            highest
        });
        Self { stop, thread }
    }

    fn stop(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watcher")
    }
}
