//! Messages to people: by the notification service that the root group chose, or by mail.

pub mod delivery;
pub mod letter;
pub mod mail;
pub mod messages;
pub mod model;
pub mod outbox;
pub mod redaction;
pub mod routes;
pub mod rules;
pub mod service;

#[cfg(test)]
mod tests;

pub use model::{Kind, New, Notification};
pub use rules::{IfRefused, are_on, require_on, send};
