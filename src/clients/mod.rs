//! OAuth 2.0 clients of a group.

pub mod keys;
pub mod model;
pub mod rules;

pub use model::Client;
