//! Runs seeds and says of each that failed which promise it broke: a workbench for whoever changes
//! a protocol. `seeds raft 0..500`, `seeds server 17` (one seed: with its newest events).

use quorate_node::Node;
use quorate_raft::Raft;
use quorate_sim::host::Host;
use quorate_sim::replica::Replica;
use quorate_sim::runner;
use quorate_sim::swarm::{Plan, Sabotage};
use std::ops::Range;
use std::time::Instant;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let seeds = words.get(1).and_then(|text| runner::parse(text));
    match (words.first().map(String::as_str), seeds) {
        (Some("raft"), Some(seeds)) => run::<Replica<Raft>>(seeds, 5),
        (Some("server"), Some(seeds)) => run::<Replica<Node>>(seeds, 3),
        (Some(_) | None, _) => eprintln!("usage: seeds raft|server FROM..TO"),
    }
}

fn run<H: Host>(seeds: Range<u64>, nodes: u64) {
    // A seed that panics is told as a broken promise; its words are enough.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let alone = seeds.end - seeds.start == 1;
    let mut summaries = Vec::new();
    for seed in seeds {
        let plan = Plan::draw(seed, nodes, Sabotage::None);
        match runner::run::<H>(plan) {
            Ok(summary) => summaries.push(summary),
            Err(failure) if alone => {
                let events = runner::record::<H>(failure.plan.clone()).events;
                events.iter().for_each(|event| println!("{event}"));
                println!("{failure}");
            }
            Err(failure) => {
                println!("seed {seed}: {:.150}", failure.violation.to_string());
            }
        }
    }
    println!("{} of them kept every promise, {:?}", summaries.len(), began.elapsed());
    println!("{:?}", runner::total(&summaries));
    println!("in how many of them: {:?}", runner::marks(&summaries));
}
