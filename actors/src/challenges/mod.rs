//! Questions put to a person on another device, and everybody who waits for the answer.

mod core;
mod handle;
mod model;

pub(crate) use self::core::ChallengeCore;
pub use self::{
    handle::Challenges,
    model::{Answer, Challenge, ChallengeId, NewChallenge, Outcome, State, Status},
};
