//! Accounts: the people of a group.

pub mod attempts;
pub mod change;
pub mod create;
pub mod import;
pub mod model;
pub mod passwords;
pub mod routes;
pub mod rules;

pub use model::Account;

#[cfg(test)]
mod tests;
