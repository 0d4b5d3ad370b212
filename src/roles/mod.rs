//! Roles: named sets of permissions of one product.

pub mod model;

pub use model::Role;
