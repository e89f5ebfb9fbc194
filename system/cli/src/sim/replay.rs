//! `quorate sim replay`: the story of a world in lines.

use super::subject::{self, Subject};
use super::{FOUND, NOTHING, Output};
use clap::Args;
use quorate_hunt::story::{self, Filter, KINDS};
use serde_json::json;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

#[derive(Args, Debug)]
pub struct ReplayArguments {
    #[command(flatten)]
    subject: Subject,
    /// Nothing before this time (3s, 3250ms)
    #[arg(long, value_name = "TIME", value_parser = subject::time)]
    from: Option<Duration>,
    /// Nothing after it
    #[arg(long, value_name = "TIME", value_parser = subject::time)]
    to: Option<Duration>,
    /// Only what happens at these nodes or goes between them and others
    #[arg(long, value_name = "N", value_delimiter = ',')]
    node: Vec<u64>,
    /// Only events of these kinds (send, deliver, lose, crash, role, commit, …)
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind)]
    kind: Vec<String>,
    /// At most so many lines
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How to print: lines, or one JSON object per line
    #[arg(short = 'w', long, value_name = "FORMAT", value_enum, default_value_t = Output::Simple)]
    write_out: Output,
}

fn kind(text: &str) -> Result<String, String> {
    let known = KINDS.contains(&text);
    known.then(|| text.to_owned()).ok_or_else(|| format!("the kinds are {}", KINDS.join(", ")))
}

pub fn main(arguments: &ReplayArguments) -> Result<u8, String> {
    if let (Some(from), Some(to)) = (arguments.from, arguments.to)
        && from >= to
    {
        return Err(format!("the window from {from:?} to {to:?} is empty"));
    }
    let film = arguments.subject.play()?.film;
    let nodes = film.plan.nodes;
    if let Some(node) = arguments.node.iter().find(|node| !(1..=nodes).contains(node)) {
        return Err(format!("there is no node {node}: this world has 1 to {nodes}"));
    }
    let filter = Filter {
        from: arguments.from,
        to: arguments.to,
        nodes: arguments.node.clone(),
        kinds: arguments.kind.clone(),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let told = film.events.iter().filter(|event| filter.lets(event));
    let write = || -> io::Result<()> {
        for event in told.take(arguments.limit.unwrap_or(usize::MAX)) {
            match arguments.write_out {
                Output::Simple => writeln!(out, "{}", story::line(event))?,
                Output::Json => writeln!(out, "{}", story::object(event))?,
            }
        }
        match arguments.write_out {
            Output::Simple => writeln!(out, "{}", story::end(&film))?,
            Output::Json => writeln!(out, "{}", end(&film))?,
        }
        out.flush()
    };
    match write().map_err(|error| error.kind()) {
        // Whoever reads, `head` for one, has had enough.
        Ok(()) | Err(io::ErrorKind::BrokenPipe) => {}
        Err(error) => return Err(format!("standard output: {error}")),
    }
    Ok(if film.ending.violation.is_some() { FOUND } else { NOTHING })
}

fn end(film: &quorate_hunt::film::Film) -> serde_json::Value {
    let violation = film.ending.violation.as_ref();
    json!({
        "kind": "end",
        "events": film.events.len(),
        "virtual_us": film.ending.virtual_time.as_micros() as u64,
        "committed": film.ending.committed,
        "trace": format!("{:016x}", film.ending.trace),
        "violation": violation.map(|v| json!({"property": v.property, "detail": v.detail})),
    })
}
