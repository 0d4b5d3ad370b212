//! Accounts: the people of a group.

pub mod attempts;
pub mod model;

pub use model::Account;
