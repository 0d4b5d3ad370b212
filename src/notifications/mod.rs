//! Messages to people, handed to the notification service that the operator chose.

pub mod messages;
pub mod model;
pub mod redaction;
pub mod routes;
pub mod rules;

#[cfg(test)]
mod tests;

pub use model::{Kind, New, Notification};
pub use rules::{require_on, send};
