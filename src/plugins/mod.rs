//! Server-wide options of notifications, challenges, passkeys and event streams.

pub mod change;
pub mod model;
pub mod providers;
pub mod routes;
pub mod rules;
pub mod service_clients;

pub use model::Plugins;
