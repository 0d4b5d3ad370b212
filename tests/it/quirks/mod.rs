//! More weaknesses, by what they are about; each test is named after what must not be possible.

mod access;
mod accounts;
mod groups;
mod http;
mod keys;
mod organizations;

use crate::server::{Server, Store};

async fn embedded() -> Server {
    Server::start(Store::Embedded).await.expect("a server")
}
