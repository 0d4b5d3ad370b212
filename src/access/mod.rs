//! Access: what a person or a client may do, computed from stored roles and carried in tokens.

pub mod evaluate;

pub use evaluate::{AccessFilter, ClientGrants, UserGrants};
