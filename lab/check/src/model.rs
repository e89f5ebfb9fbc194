//! The registry of judges: what can be checked, by name.
//!
//! To add a judge, add a line to [`MODELS`]: the command line, its help and `--list-models` follow.

use crate::history::History;
use crate::limits::Options;
use crate::linear;
use crate::verdict::{HistoryError, Report};

/// A judge by name.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// As given to `--model`.
    pub name: &'static str,
    /// One line: the promise that is checked.
    pub about: &'static str,
    /// The operations it understands: function, argument and answer, one per line.
    pub operations: &'static str,
    /// The judge. An error is about a history that it cannot use, at its position.
    pub check: fn(&History, &Options) -> Result<Report, HistoryError>,
}

/// All judges, in the order of `--list-models`.
pub const MODELS: &[Model] = &[Model {
    name: "register",
    about: "linearizable registers with compare-and-set",
    operations: "read -> value\nwrite value\ncas [expected new]",
    check: linear::judge::<linear::register::Register>,
}];

/// The judge of that name.
pub fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}
