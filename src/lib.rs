pub mod http;
pub mod permissions;
pub mod settings;
pub mod store;
