//! Access: what a person or a client may do, computed from stored roles and carried in tokens.

pub mod client_access;
pub mod evaluate;
pub mod member_routes;
pub mod members;
pub mod routes;

pub use evaluate::{AccessFilter, ClientGrants, UserGrants};
