//! The crate from outside, under virtual time.

mod challenges;
mod nodes;
mod sessions;
mod soak;
mod supervision;
mod world;
