//! Who may pass: the steps every route goes through before its handler runs.

pub mod bearer;
pub mod caller;
pub mod chain;
pub mod context;
pub mod enforce;
pub mod origin;
pub mod strategies;
#[cfg(test)]
pub mod testing;
pub mod tokens;

pub use caller::Caller;
pub use chain::{Ctx, Route, Step, Strategy};
pub use enforce::Rights;
