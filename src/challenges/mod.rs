//! Device challenges: questions put to a person on another device.

mod answers;
pub(crate) mod callbacks;
pub mod codes;
pub mod decoys;
pub mod follow_ups;
pub mod model;
pub mod peace;
pub mod providers;
pub mod recovery;
pub mod routes;
mod sending;
mod socket;
pub mod states;
pub(crate) mod status;
pub mod wizard;

#[cfg(test)]
mod tests;

pub use answers::conclude;
pub use sending::{Asked, Purpose, Question, ask, ask_if, redeem};
