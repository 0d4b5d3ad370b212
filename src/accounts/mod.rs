//! Accounts: the people of a group.

pub mod attempts;
pub mod model;
pub mod passwords;
pub mod routes;
pub mod rules;

pub use model::Account;
