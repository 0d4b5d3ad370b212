//! Products: what a group offers and what roles and permissions belong to.

pub mod model;
pub mod routes;
pub mod rules;

pub use model::Product;

#[cfg(test)]
pub(crate) mod tests;
