//! Black-box tests: they start the server as an operator does and use it as applications and people do.
//!
//! `on_both_stores!` runs a test on the embedded store and over MongoDB's wire protocol.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test fails, in its tools too"
)]

/// Declares tests that take a running [`server::Server`] with an empty store; each runs once on every store.
macro_rules! on_both_stores {
    ($($(#[$about:meta])* async fn $name:ident($server:ident: Server) $body:block)+) => {$(
        $(#[$about])*
        mod $name {
            use super::*;

            async fn run($server: Server) $body

            #[tokio::test]
            async fn embedded() {
                if let Some(server) = Server::start(crate::server::Store::Embedded).await {
                    run(server).await;
                }
            }

            #[tokio::test]
            async fn mongodb() {
                if let Some(server) = Server::start(crate::server::Store::Mongo).await {
                    run(server).await;
                }
            }
        }
    )+};
}

#[macro_use]
#[path = "../fixtures/raw.rs"]
mod raw;

mod answer;
mod application;
mod bad_input;
mod browser;
mod challenges;
mod check;
mod chromium;
mod databases;
mod devices;
mod document;
mod expiry;
mod ferretdb;
mod first_start;
mod flow;
mod holes;
mod keeping;
mod limits;
mod login_mfa;
mod mailbox;
mod matrix;
mod messages;
mod migrate;
mod nats;
mod nodes;
mod observe;
mod outage;
mod pages;
mod passkeys;
mod provider;
mod quirks;
mod receive;
mod recovery;
mod reports;
mod routes;
mod server;
mod sign_in;
mod skip;
mod soak;
mod sockets;
mod statistics;
mod takeover;
mod tenant;
mod tls;
mod tokens;
mod visitor;
