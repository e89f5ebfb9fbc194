//! The worlds in which mutants are looked for, all behind one question: what did this seed show?

use quorate_base::mutant;
use quorate_node::Node;
use quorate_raft::Raft;
use quorate_script::Chaos;
use quorate_sim::replica::Replica;
use quorate_sim::runner;
use quorate_sim::swarm::{Plan, Sabotage};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A kind of world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Arena {
    /// Five members of consensus on the shipped log, simulated disks and wires.
    RaftWorld,
    /// Three whole members with clients.
    ServerWorld,
    /// Consensus on five machines that come and go.
    ChangingWorld,
    /// Whole members on eight machines that come and go, with clients and an operator.
    MovingWorld,
    /// Five members of consensus, every step chosen by dice.
    Schedule,
}

/// What a seed showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing.
    Clean,
    /// A judge names a broken property.
    Broken {
        /// Its name.
        property: String,
        /// What was seen.
        detail: String,
    },
    /// The product stopped itself: no judge has spoken.
    Panicked(String),
}

impl Arena {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Arena::RaftWorld => "raft world",
            Arena::ServerWorld => "server world",
            Arena::ChangingWorld => "raft world with changes",
            Arena::MovingWorld => "server world with changes",
            Arena::Schedule => "schedule",
        }
    }

    /// Runs one seed with one mutant; 0 is none.
    pub fn run(self, mutant: u32, seed: u64) -> Verdict {
        mutant::with(mutant, || match self {
            Arena::RaftWorld => world(runner::run::<Replica<Raft>>(plan(seed, 5))),
            Arena::ServerWorld => world(runner::run::<Replica<Node>>(plan(seed, 3))),
            Arena::ChangingWorld => world(runner::run::<Replica<Raft>>(plan(seed, 5).changing())),
            Arena::MovingWorld => world(runner::run::<Replica<Node>>(Plan::moving(seed, 8))),
            Arena::Schedule => schedule(seed),
        })
    }
}

fn plan(seed: u64, nodes: u64) -> Plan {
    Plan::draw(seed, nodes, Sabotage::None)
}

fn world(outcome: Result<runner::Summary, Box<runner::Failure>>) -> Verdict {
    match outcome {
        Ok(_) => Verdict::Clean,
        Err(failure) if failure.violation.property == "assertion" => {
            Verdict::Panicked(failure.violation.detail)
        }
        Err(failure) => Verdict::Broken {
            property: failure.violation.property.to_owned(),
            detail: failure.violation.detail,
        },
    }
}

fn schedule(seed: u64) -> Verdict {
    let chaos = Chaos { nodes: 5, steps: 1500, broken_host: false, tracing: false };
    let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| chaos.run(seed))) else {
        return Verdict::Panicked("a panic".to_owned());
    };
    let Some(first) = outcome.violations.first() else { return Verdict::Clean };
    let (property, detail) = first.split_once(": ").unwrap_or((first, ""));
    // The judges of schedules say it in a word or two less.
    let property = match property {
        "durability" => "committed-on-quorum".to_owned(),
        "linearizable read" => "linearizable-reads".to_owned(),
        other => other.replace(' ', "-"),
    };
    Verdict::Broken { property, detail: detail.to_owned() }
}
