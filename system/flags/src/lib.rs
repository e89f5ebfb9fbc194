//! What a member was told: the flags of `quorate serve`, from words to checked values.
//!
//! [`arguments`] reads the command line, [`file`] a configuration file, and [`settings`] puts them together with the
//! environment and remembers who said what. [`table`] lists every flag, and [`value`] knows what each kind of value
//! looks like. What the settings mean for a member is not decided here: that is the program's.
//!
//! This is a crate of its own because it reads what people write, so that `lab/fuzz` can feed it what nobody would.
//!
//! clap is not used: Go's conventions (one dash, `--flag=false`) are not its own.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod arguments;
pub mod file;
pub mod settings;
pub mod table;
pub mod value;

/// An error in the flags: one line that names the flag, the value and what was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlagError(pub String);
