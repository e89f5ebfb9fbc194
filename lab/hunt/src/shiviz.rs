//! A film for ShiViz (Beschastnikh et al., "Visualizing Distributed System Executions", TOSEM 2020),
//! which draws logs with vector clocks in a browser.
//!
//! The file opens with the regular expression by which it is to be parsed and an empty line for the
//! delimiter of executions, of which it holds one. Then each event of a process has two lines: the
//! process with its clock as JSON, and what happened.

use crate::film::Film;
use crate::story;
use std::fmt::Write as _;

/// How ShiViz reads an event. The first line of each file.
pub const PARSER: &str = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)";

/// The whole film.
pub fn log(film: &Film) -> String {
    let mut text = format!("{PARSER}\n\n");
    for (event, clock) in film.events.iter().zip(&film.clocks) {
        let (Some(node), Some(clock)) = (event.node, clock) else { continue };
        let known = clock.iter().zip(1..).filter(|(count, _)| **count > 0);
        let known: Vec<String> =
            known.map(|(count, node): (_, u64)| format!("\"n{node}\":{count}")).collect();
        let words = story::tell(event).replace('\n', " ");
        let _ = writeln!(text, "{node} {{{}}}\n{words}", known.join(","));
    }
    text
}
