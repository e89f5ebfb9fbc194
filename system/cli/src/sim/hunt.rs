//! `quorate sim hunt`: seeds on all cores until one breaks a promise; then the smallest world that still
//! breaks it, and a report.

use super::progress::Line;
use super::subject::{self, World};
use super::{FOUND, NOTHING, Output, on_interrupt};
use clap::Args;
use quorate_hunt::hunt::{self, Found, Gauge, Hunt, Tally};
use quorate_hunt::property;
use quorate_hunt::recipe;
use quorate_hunt::report;
use quorate_hunt::shrink::{self, Shrunk};
use quorate_hunt::story;
use serde_json::json;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a hunt lasts when neither seeds nor a time are given.
const LASTS: Duration = Duration::from_secs(60);
/// Time between two looks at how far it is.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Args, Debug)]
#[command(after_help = "\
Without --seeds and --for it begins at seed 0 and lasts for 60 seconds; Ctrl-C ends it early.
Exit codes: 0 nothing was found, 1 something was, 2 bad input.")]
pub struct HuntArguments {
    #[command(flatten)]
    world: World,
    /// Which seeds: 0..1000, 5000.. (no end), 17 (this one)
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<Range<u64>>,
    /// How long to look (60s, 10m, 2h)
    #[arg(long = "for", value_name = "TIME", value_parser = subject::time)]
    lasts: Option<Duration>,
    /// Worlds at the same time; as many as there are cores if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// The directory below which a report is written if something is found
    #[arg(long, value_name = "DIR", default_value = "sim-reports")]
    report: PathBuf,
    /// Worlds to try while shrinking what was found
    #[arg(long, value_name = "N", default_value_t = 400)]
    shrink: u64,
    /// How to print
    #[arg(short = 'w', long, value_name = "FORMAT", value_enum, default_value_t = Output::Simple)]
    write_out: Output,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| format!("a seed is a number from 0 to {}, not {text:?}", u64::MAX))
    };
    let range = match text.split_once("..") {
        None => number(text)?..number(text)?.saturating_add(1),
        Some((from, "")) => number(from)?..u64::MAX,
        Some((from, to)) => number(from)?..number(to)?,
    };
    if range.is_empty() {
        return Err(format!("{text} holds no seed: the first must be below the last"));
    }
    Ok(range)
}

pub fn main(arguments: &HuntArguments) -> Result<u8, String> {
    let World { world: kind, nodes, sabotage } = &arguments.world;
    let bug = recipe::sabotage(sabotage).map_err(|error| error.to_string())?;
    if !kind.knows(bug) {
        return Err(format!(
            "the {} world has nothing that {sabotage} could break, so that nothing would be found: use --world server",
            kind.name()
        ));
    }
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let lasts = match (&arguments.seeds, arguments.lasts) {
        (None, None) => Some(LASTS),
        (_, lasts) => lasts,
    };
    let hunt = Hunt {
        kind: *kind,
        nodes: nodes.unwrap_or(kind.nodes()),
        seeds: arguments.seeds.clone().unwrap_or(0..u64::MAX),
        lasts,
        threads: arguments.threads.map_or(cores, |threads| threads as usize),
        sabotage: bug,
    };
    let gauge = Arc::new(Gauge::default());
    let told = gauge.clone();
    on_interrupt(move || told.stop());
    let line = Line::new();
    let found = watched(&line, &gauge, || hunt::hunt(&hunt, &gauge));
    let took = gauge.elapsed();
    let tally = gauge.read();
    let shrunk = found.as_ref().map(|found| {
        shrink::shrink(found, arguments.shrink, &gauge, |runs, strikes| {
            line.say(format!("shrinking: {runs} worlds tried, {strikes} strikes left"));
        })
    });
    drop(line);
    let both = found.as_ref().zip(shrunk.as_ref());
    // A report that cannot be written must not cost what was found.
    let directory = both.and_then(|(found, shrunk)| {
        let directory = directory(&arguments.report, found);
        match report::write(&directory, found, shrunk) {
            Ok(()) => Some(directory),
            Err(error) => {
                eprintln!("quorate sim: no report: {}: {error}", directory.display());
                None
            }
        }
    });
    match arguments.write_out {
        Output::Simple => {
            print!("{}", summary(&hunt, &tally, took));
            match both {
                None => println!("nothing found"),
                Some((found, shrunk)) => tell(found, shrunk, directory.as_deref()),
            }
        }
        Output::Json => println!("{}", object(&hunt, &tally, took, both, directory.as_deref())),
    }
    Ok(if found.is_some() { FOUND } else { NOTHING })
}

/// Runs the hunt on this thread while another one keeps the line up to date.
fn watched<T>(line: &Line, gauge: &Gauge, hunt: impl FnOnce() -> T) -> T {
    if line.is_hidden() {
        return hunt();
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                line.say(live(&gauge.read(), gauge.elapsed()));
                std::thread::park_timeout(PAUSE);
            }
        });
        let result = hunt();
        is_over.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        result
    })
}

fn live(tally: &Tally, took: Duration) -> String {
    let wall = took.as_secs_f64().max(0.001);
    format!(
        "{} seeds ({:.1}/s), {:.0} virtual s ({:.0}/s), {} faults, {} marks hit",
        tally.seeds,
        tally.seeds as f64 / wall,
        tally.virtual_time.as_secs_f64(),
        tally.virtual_time.as_secs_f64() / wall,
        tally.faults,
        tally.marks.len()
    )
}

fn directory(reports: &Path, found: &Found) -> PathBuf {
    let recipe = &found.recipe;
    reports.join(format!("{}-{}-{}", recipe.kind.name(), recipe.nodes, recipe.seed))
}

fn summary(hunt: &Hunt, tally: &Tally, took: Duration) -> String {
    let mut text = format!(
        "{}, {} members, {} threads, {:.1} s: {}, {} events, {} committed\n",
        hunt.kind.name(),
        hunt.nodes,
        hunt.threads,
        took.as_secs_f64(),
        live(tally, took),
        tally.events,
        tally.committed
    );
    let share = |count: u64| 100 * count / tally.seeds.max(1);
    let mut marks: Vec<(&str, u64)> = tally.marks.iter().map(|(mark, n)| (*mark, *n)).collect();
    marks.sort_by_key(|(mark, count)| (std::cmp::Reverse(*count), *mark));
    let marks = marks.iter().map(|(mark, count)| format!("{mark} {}%", share(*count)));
    text.push_str(&format!("in how many of them: {}\n", marks.collect::<Vec<_>>().join(", ")));
    text
}

fn tell(found: &Found, shrunk: &Shrunk, directory: Option<&Path>) {
    let violation = &shrunk.found.violation;
    let (before, after) = shrunk.strikes;
    println!("FOUND: '{}' breaks {}", found.recipe, found.violation);
    println!("    the promise: {}", property::explain(violation.property));
    println!("    at {} virtual seconds", story::seconds(found.at));
    println!("shrunk from {before} strikes to {after} in {} runs: {}", shrunk.runs, violation);
    println!("    quorate sim replay '{}'", shrunk.found.recipe);
    if let Some(directory) = directory {
        println!("report: {}", directory.join("report.md").display());
    }
}

fn object(
    hunt: &Hunt,
    tally: &Tally,
    took: Duration,
    both: Option<(&Found, &Shrunk)>,
    directory: Option<&Path>,
) -> serde_json::Value {
    let found = both.map(|(found, shrunk)| {
        json!({
            "recipe": found.recipe.to_string(),
            "property": found.violation.property,
            "detail": found.violation.detail,
            "shrunk": shrunk.found.recipe.to_string(),
            "strikes": shrunk.strikes.0,
            "strikes_left": shrunk.strikes.1,
            "runs": shrunk.runs,
            "report": directory.map(|directory| directory.display().to_string()),
        })
    });
    json!({
        "world": hunt.kind.name(),
        "nodes": hunt.nodes,
        "threads": hunt.threads,
        "seconds": took.as_secs_f64(),
        "seeds": tally.seeds,
        "virtual_seconds": tally.virtual_time.as_secs_f64(),
        "events": tally.events,
        "committed": tally.committed,
        "faults": tally.faults,
        "marks": tally.marks,
        "found": found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_seeds_hold_seeds() {
        assert_eq!(seeds("3..9"), Ok(3..9));
        assert_eq!(seeds("17"), Ok(17..18));
        assert_eq!(seeds("5.."), Ok(5..u64::MAX));
        assert!(seeds("9..9").unwrap_err().contains("9..9 holds no seed"));
        assert!(seeds("9..3").unwrap_err().contains("9..3 holds no seed"));
        let long = seeds("0..99999999999999999999").unwrap_err();
        assert!(long.contains("18446744073709551615") && long.contains("99999999999999999999"));
    }
}
