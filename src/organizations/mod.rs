//! Organizations: the customers of a group.

pub mod model;

pub use model::Organization;
