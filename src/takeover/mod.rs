//! Existing databases: what stands in the way of running on one, and moving one to another engine.

mod blanked;
mod check;
mod digest;
mod fault;
mod kinds;
mod moving;
mod progress;
mod report;

use std::sync::Arc;

use clap::Args;
use ueauth_actors::{Clock as _, SystemClock};

use crate::store::bulk::BulkError;
use crate::store::{StoreError, StoreOptions};

/// `ueauth check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The database, mongodb://… or sqlite:…; without it the one of the setting store.url.
    #[arg(env = "UEAUTH_CHECK", hide_env_values = true)]
    pub address: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ueauth migrate`
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The database to read, mongodb://… or sqlite:…; nothing in it changes.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "UEAUTH_MIGRATE_FROM",
        hide_env_values = true
    )]
    pub from: String,
    /// The empty database to fill; a file that is missing is made.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "UEAUTH_MIGRATE_TO",
        hide_env_values = true
    )]
    pub to: String,
}

/// How a command ended that could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing stands in the way; everything arrived.
    Good,
    /// Something does, and was printed.
    Hindered,
}

#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// What was asked for must not be done.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Bulk(#[from] BulkError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("could not print")]
    Print(#[from] std::io::Error),
}

impl TakeoverError {
    /// Whether the databases are the reason, not that they could not be reached.
    pub fn is_hindrance(&self) -> bool {
        matches!(
            self,
            Self::Refused(_) | Self::Bulk(BulkError::Refused { .. } | BulkError::InUse(_))
        )
    }
}

/// Looks for what stands in the way of running on a database, and prints it.
pub async fn check(address: &str, json: bool) -> Result<Outcome, TakeoverError> {
    let found = check::check(&options(address)).await?;
    if json {
        report::json(&found)?;
    } else {
        report::text(&found)?;
    }
    Ok(if found.ready {
        Outcome::Good
    } else {
        Outcome::Hindered
    })
}

/// Moves a whole database.
pub async fn migrate(args: &MigrateArgs) -> Result<Outcome, TakeoverError> {
    moving::run(&options(&args.from), &options(&args.to)).await
}

fn options(address: &str) -> StoreOptions {
    let mut options = StoreOptions::new(address, Arc::new(|| SystemClock.now()));
    "ueauth-takeover".clone_into(&mut options.app_name);
    options
}
