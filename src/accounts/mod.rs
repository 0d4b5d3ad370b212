//! Accounts: the people of a group.

pub mod attempts;
pub mod change;
pub mod clear_text;
pub mod create;
pub mod import;
pub mod logins;
pub mod mailed_pages;
pub mod model;
pub mod notices;
pub mod operations;
pub mod passwords;
pub mod recovery;
pub mod recovery_pages;
pub mod recovery_routes;
pub mod routes;
pub mod rules;

pub use model::Account;

#[cfg(test)]
mod tests;
