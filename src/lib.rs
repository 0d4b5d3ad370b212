//! A multi-tenant OpenID Connect provider and identity server.

pub mod store;
