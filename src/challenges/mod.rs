//! Device challenges: questions put to a person on another device.

pub mod model;
