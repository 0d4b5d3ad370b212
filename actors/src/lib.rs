//! State in time: the sessions, interactions and challenges of every group, kept by actors.
//!
//! ```text
//!  caller ── Sessions · Interactions · Challenges      handles, any thread, any runtime
//!    │ copy in memory?                │ otherwise, and for every change
//!    ▼                                ▼
//!  cache ◄────────────── Registry: group id ──► GroupSupervisor   one per group awake
//!    ▲                                          │ starts, restarts
//!    │ drops stale copies                       ▼
//!   Bus ◄── publish ── keepers: Sessions · Interactions · Challenges
//!    │                    │ hot items, one queue of deadlines, waiters
//!  other nodes            ▼
//!                      Journal: compare-and-set decides every race
//! ```
//!
//! A transition is: check, compare-and-set in the [`Journal`], change memory, publish on the
//! [`Bus`], answer. Memory is a cache of the journal: whatever another node won is adopted, and
//! nothing that was acknowledged is lost with a keeper, a group or a process.
//!
//! The crate knows neither HTTP nor any database. What it needs from outside are the traits
//! [`Journal`], [`Bus`] and [`Clock`]; the implementations in memory serve a single node and
//! tests. Its actors run on `actix`, of which nothing shows.

mod bus;
mod cache;
mod challenges;
mod clock;
mod env;
mod error;
mod group;
mod handles;
mod items;
mod journal;
mod keeper;
mod registry;
mod shelf;
mod threads;
mod timers;

pub use self::{
    bus::{Bus, BusError, Change, Delivery, Filter, Kind, MemoryBus, Notice, deliveries},
    challenges::{
        Answer, Challenge, ChallengeId, Challenges, NewChallenge, Outcome, State, Status,
    },
    clock::{Clock, ManualClock, Millis, SystemClock, TokioClock},
    error::{ActorError, ConsumeError, UpdateError},
    handles::{Interactions, Items, Sessions},
    items::Draft,
    journal::{Journal, JournalError, MemoryJournal, Record, Version},
    registry::{Config, Counters, Parts, Registry, Threads},
};
