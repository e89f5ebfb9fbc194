//! The replicated state of a strong keyspace.

#![forbid(unsafe_code)]

mod command;
mod engine;

pub use command::*;
pub use engine::{Engine, EngineError, EngineRead, Pair};
