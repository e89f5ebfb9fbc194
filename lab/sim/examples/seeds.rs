//! Runs seeds and says of each that failed which promise it broke: a workbench for whoever changes
//! a protocol, and the long run of a night.
//!
//! ```text
//! seeds raft 0..2000 60        two thousand seeds with a minute of chaos each
//! seeds server 17              one seed, with everything that happened
//! seeds twice-raft 0..1000     each seed twice: must tell the same story
//! ```
//!
//! The last line is one number over all stories: compare it between debug and release builds.

use quorate_node::Node;
use quorate_raft::Raft;
use quorate_sim::host::Host;
use quorate_sim::replica::Replica;
use quorate_sim::runner;
use quorate_sim::swarm::Sabotage;
use std::ops::Range;
use std::time::{Duration, Instant};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let seeds = words.get(1).and_then(|text| runner::parse(text));
    let chaos = words.get(2).and_then(|text| text.parse().ok()).map(Duration::from_secs);
    match (words.first().map(String::as_str), seeds) {
        (Some("raft"), Some(seeds)) => run::<Replica<Raft>>(seeds, 5, chaos, 1),
        (Some("server"), Some(seeds)) => run::<Replica<Node>>(seeds, 3, chaos, 1),
        (Some("twice-raft"), Some(seeds)) => run::<Replica<Raft>>(seeds, 5, chaos, 2),
        (Some("twice-server"), Some(seeds)) => run::<Replica<Node>>(seeds, 3, chaos, 2),
        (Some(_) | None, _) => eprintln!("usage: seeds [twice-]raft|server FROM..TO [SECONDS]"),
    }
}

fn run<H: Host>(seeds: Range<u64>, nodes: u64, chaos: Option<Duration>, often: u32) {
    // A seed that panics is told as a broken promise; its words are enough.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    if seeds.end - seeds.start == 1 {
        let plan = runner::plan(seeds.start, nodes, Sabotage::None, chaos);
        let recording = runner::record::<H>(plan);
        recording.events.iter().for_each(|event| println!("{event}"));
    }
    let mut summaries = Vec::new();
    for (seed, outcome) in runner::sweep::<H>(seeds, nodes, chaos, 2, |_| often) {
        match outcome {
            Ok(summary) => summaries.push(summary),
            Err(failure) => println!("seed {seed}: {:.150}", failure.violation.to_string()),
        }
    }
    println!("{} of them kept every promise, {:?}", summaries.len(), began.elapsed());
    println!("{:?}", runner::total(&summaries));
    println!("in how many of them: {:?}", runner::marks(&summaries));
    println!("all stories: {:016x}", runner::combined(&summaries));
}
