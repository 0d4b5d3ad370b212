//! Organizations: the customers of a group.

pub mod change;
pub mod member_routes;
pub mod members;
pub mod model;
pub mod routes;
pub mod rules;
pub mod sso;

pub use model::Organization;

#[cfg(test)]
mod tests;
