//! Collections of rooms that have no document types here yet. They are declared so that an
//! existing database keeps its constraints and its expiry.

use crate::store::{Collection, Expiry, Index};

macro_rules! collections {
    ($($const:ident $name:literal [$($index:expr),* $(,)?] [$($expiry:expr),*];)*) => {
        $(pub static $const: Collection = Collection { name: $name, indexes: &[$($index),*], expiry: &[$($expiry),*] };)*
        /// All of them.
        pub static OTHERS: &[&Collection] = &[$(&$const),*];
    };
}

collections! {
    PKCE_SESSIONS "pkce_sessions" [Index::unique(&["payload.auth_group", "payload.state"])] [Expiry::after("createdAt", 100)];
    FEDERATED_TOKENS "federated_tokens" [
        Index::unique(&["payload.authGroup", "payload.accountId", "payload.clientId", "payload.sessionUid"]),
    ] [Expiry::at("expiresAt")];
}
