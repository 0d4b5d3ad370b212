//! Permissions: what may be done to which target of a product.

pub mod model;
pub mod routes;
pub mod rules;
pub mod seed;

pub use model::Permission;

#[cfg(test)]
mod tests;
