//! Codes that an authenticator app computes from the time (RFC 6238).

pub mod model;
pub mod rules;

#[cfg(test)]
mod tests;

pub use model::TotpSecret;
