//! Accounts: the people of a group.

pub mod attempts;
pub mod model;
pub mod passwords;

pub use model::Account;
