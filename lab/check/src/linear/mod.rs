//! Linearizability: could each operation have taken effect at one moment between its invocation and its completion?
//!
//! A history is split into parts that can be judged alone ([`spec::Part`]); a part is decided by its object's shortcut
//! where the history allows one, and by the [`search`] otherwise. Parts are judged on all cores.
//!
//! To add an object: a module with its operations, `impl Spec` and `impl Object`, a line in [`crate::model::MODELS`],
//! and a generator in `tests/linear`, which compares search, shortcut and brute force.

pub mod appends;
pub mod counter;
pub mod etcd;
pub mod interner;
mod judge;
pub mod key_value;
pub mod keyed;
mod links;
pub mod lock;
mod page;
pub mod register;
pub mod search;
mod seen;
pub mod shrink;
pub mod spec;
mod tell;
pub mod zones;

pub use judge::judge;
