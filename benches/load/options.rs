//! What to measure, and how much of it.

use clap::{Parser, ValueEnum};

/// How a client waits for the answer to a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Sockets,
    Polls,
}

/// Measures the server beside bare cryptography and beside another provider. Nothing fails when a target is missed.
#[derive(Debug, Parser)]
pub struct Options {
    /// Kept connections.
    #[arg(long, default_value_t = 32)]
    pub connections: usize,
    /// Multiplies the number of requests.
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,
    #[arg(long, default_value_t = 1_000)]
    pub groups: usize,
    #[arg(long, default_value_t = 10_000)]
    pub accounts: usize,
    /// Clients that wait for answers at once; half of them on sockets.
    #[arg(long, default_value_t = 15_000)]
    pub waiters: usize,
    // the rest is for the processes that this one starts
    #[arg(long, hide = true)]
    pub wait: Option<Kind>,
    #[arg(long, hide = true, default_value_t = 0)]
    pub port: u16,
    #[arg(long, hide = true, default_value_t = 0)]
    pub first: usize,
    #[arg(long, hide = true, default_value_t = 0)]
    pub count: usize,
    /// Parts to run: endpoints, oracle, passwords, groups, start, waiters, access; all of them without this.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Cargo passes this to every benchmark.
    #[arg(long, hide = true)]
    pub bench: bool,
}

impl Options {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts are small and positive"
    )]
    pub fn scaled(&self, count: usize) -> usize {
        ((count as f64 * self.scale) as usize).max(2)
    }

    pub fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }
}
