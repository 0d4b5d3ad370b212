//! How long a start takes when the store is full.

use serde_json::json;
use ueauth::accounts::Account;

use crate::groups::{self, fill};
use crate::options::Options;
use crate::report;
use crate::server::{Server, folder};

const STARTS: usize = 5;

pub async fn run(options: &Options) {
    report::section("Start");
    let folder = folder();
    let file = folder.path().join("ueauth.db");
    let group = groups::seed(&file, 1).await.remove(0);
    let hash = groups::hash().await;
    let accounts: Vec<Account> = (0..options.accounts)
        .map(|number| {
            let email = format!("person-{number}@people.test");
            let account = json!({
                "_id": format!("person-{number}"), "authGroup": group.id, "email": email, "username": email,
                "password": hash, "verified": true, "active": true,
            });
            serde_json::from_value(account).expect("an account")
        })
        .collect();
    let store = groups::store(&file).await;
    fill(&store, &accounts).await;
    store.close().await;
    let mut times = Vec::new();
    let mut idle = 0.0;
    for _ in 0..STARTS {
        let (server, took) = Server::timed(&file, &group.discovery()).await;
        times.push(took.as_secs_f64() * 1000.0);
        idle = server.memory();
    }
    times.sort_by(f64::total_cmp);
    report::fact(
        "start to first answer",
        &format!("median of {STARTS}, {} accounts", accounts.len()),
    );
    report::most(times[STARTS / 2], 300.0, "ms");
    report::fact("memory after the first answer", "");
    report::most(idle, 40.0, "MB");
}
