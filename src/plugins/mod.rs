//! Server-wide options of notifications, challenges, passkeys and event streams.

pub mod model;
pub mod rules;

pub use model::Plugins;
