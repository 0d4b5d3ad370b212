//! Auth groups: the tenants. Each is an OpenID provider with its own keys, clients and accounts.

pub mod aliases;
pub mod bootstrap;
pub mod core_objects;
pub mod core_update;
pub mod federation;
pub mod keys;
pub mod model;
pub mod names;
pub mod new_group;
pub mod patching;
pub mod platform_client;
pub mod routes;
pub mod rules;
pub mod shape;
pub mod tenant;
pub mod values;

#[cfg(test)]
mod tests;

pub use model::AuthGroup;
pub use tenant::{Tenant, Tenants};
