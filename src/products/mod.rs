//! Products: what a group offers and what roles and permissions belong to.

pub mod model;

pub use model::Product;
