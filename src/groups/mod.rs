//! Auth groups: the tenants. Each is an OpenID provider with its own keys, clients and accounts.

pub mod model;
pub mod names;
pub mod tenant;

pub use model::AuthGroup;
pub use tenant::{Tenant, Tenants};
