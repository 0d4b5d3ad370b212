//! Passkeys (Web Authentication, level 3): enrolling them, signing in with them, taking them away.
//!
//! Ceremonies are kept in the store and taken from it by whoever ends them, so that each counts
//! once, on whatever node it ends.

pub mod ceremonies;
pub mod enrol;
pub mod model;
pub mod pages;
pub mod party;
pub mod routes;
pub mod sign_in;

pub use model::{Ceremony, StoredPasskey};
pub use party::{KIND, is_on};
