//! The HTTP surface without any knowledge of what is served: requests, routes, answers, errors.

pub mod cookies;
pub mod error;
pub mod etag;
pub mod failures;
pub mod headers;
pub mod hosts;
pub mod lists;
pub mod odata;
pub mod patch;
pub mod reply;
pub mod request;
pub mod router;
pub mod sockets;
pub mod upgrade;
pub mod validate;

pub use error::ApiError;
pub use reply::Reply;
pub use request::Request;
