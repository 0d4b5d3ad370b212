//! What people tell about themselves.

pub mod model;

pub use model::{Profile, ProfileAccess};
