//! Printing for commands whose reader may have had enough: `quorate check … | head` is no reason to die.
//!
//! The standard library's `print!` panics when nobody reads its output any more, and with the panic the exit code is lost,
//! which for [`crate::check`] is the verdict. These two macros take the place of the library's in the whole crate.

use std::fmt;
use std::io::{self, Write as _};

/// The exit code when standard output cannot be written: that of BSD's sysexits, far from what commands mean by 1 or 2.
const OUTPUT_FAILED: i32 = 74;

macro_rules! print {
    ($($words:tt)*) => { $crate::out::write(format_args!($($words)*)) };
}

macro_rules! println {
    () => { print!("\n") };
    ($($words:tt)*) => { print!("{}\n", format_args!($($words)*)) };
}

/// Writes to standard output; what nobody reads is dropped. Ends the process if it cannot be written for another reason.
pub fn write(words: fmt::Arguments) {
    let mut out = io::stdout().lock();
    match out.write_fmt(words).and_then(|()| out.flush()).map_err(|error| (error.kind(), error)) {
        Ok(()) | Err((io::ErrorKind::BrokenPipe, _)) => {}
        Err((_, error)) => {
            eprintln!("quorate: standard output: {error}");
            std::process::exit(OUTPUT_FAILED);
        }
    }
}
