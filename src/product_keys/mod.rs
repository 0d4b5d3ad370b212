//! Keys of products: long-lived tokens for programs, and the services that they belong to.

pub mod model;
pub mod routes;
pub mod rules;
pub mod services;

pub use model::ProductKey;

#[cfg(test)]
mod tests;
