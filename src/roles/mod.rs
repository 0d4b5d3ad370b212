//! Roles: named sets of permissions of one product.

pub mod model;
pub mod routes;
pub mod rules;

pub use model::Role;

#[cfg(test)]
mod tests;
