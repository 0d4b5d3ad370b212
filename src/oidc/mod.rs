//! The OpenID provider of a group: one file per endpoint, each a visible list of checks.

pub mod journal;
pub mod records;
pub mod sessions;
