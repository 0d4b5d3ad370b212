//! Domains: the parts of an organization that people are given access to.

pub mod model;

pub use model::Domain;
