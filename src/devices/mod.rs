//! People's own phones and browsers as devices that answer challenges.
//!
//! A device holds a key that never leaves it. It is enrolled with a code that counts once, and
//! signs whatever it asks or answers.

pub mod answering;
pub mod bell;
pub mod enrol;
pub mod model;
pub mod pages;
pub mod push;
pub mod questions;
pub mod routes;
pub mod rules;
mod signed;
mod socket;

pub use model::{Enrolment, StoredDevice};
