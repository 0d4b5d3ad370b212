//! How fast and how large the server is: one run, ratios of what was measured in it.
//!
//! `cargo bench --bench load -- --help` says what can be chosen.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark that cannot go on stops"
)]

mod access;
mod browser;
mod drive;
mod endpoints;
mod groups;
mod options;
mod oracle;
mod passwords;
mod report;
mod server;
mod start;
mod waiters;
mod wire;

// setting a tenant up is the same as in the tests
#[path = "../../tests/it/flow.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod flow;
#[path = "../../tests/it/tenant.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod tenant;
#[path = "../../tests/it/visitor.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod visitor;

use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = options::Options::parse();
    if let Some(kind) = options.wait {
        return waiters::wait(kind, &options).await;
    }
    let mut rates = endpoints::Rates::new();
    if options.wants("endpoints") {
        rates = endpoints::run(&options).await;
    }
    if options.wants("oracle") {
        oracle::run(&options, &rates).await;
    }
    if options.wants("passwords") {
        passwords::run(&options).await;
    }
    if options.wants("groups") {
        groups::run(&options).await;
    }
    if options.wants("start") {
        start::run(&options).await;
    }
    if options.wants("waiters") {
        waiters::run(&options).await;
    }
    if options.wants("access") {
        access::run(&options).await;
    }
}
