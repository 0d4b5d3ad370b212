//! Domains: the parts of an organization that people are given access to.

pub mod model;
pub mod routes;
pub mod rules;

pub use model::Domain;
