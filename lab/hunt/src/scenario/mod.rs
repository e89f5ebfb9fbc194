//! Worlds that are worth looking at: each makes one thing happen, says what there is to be seen, and
//! looks for it.
//!
//! A scenario is a plan without chance but for one seed, chosen so that the thing happens. What is to be
//! seen are [`Sight`]s: a sentence, and a look at the film that answers with the evidence. Tests play all
//! scenarios and ask for every sight, so that a scenario stays true when protocols change; where a change
//! makes a thing not happen any more, either the change is wrong or the scenario needs another seed.

mod failures;
mod look;
mod ordinary;
mod theorems;

use crate::film::{self, Film};
use crate::recipe::Kind;
use quorate_sim::faults::{Fault, Strike};
use quorate_sim::latency::Latency;
use quorate_sim::swarm::Plan;
use std::time::Duration;

/// Something to be seen in a film.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// What, in a sentence.
    pub what: &'static str,
    /// Looks for it: where it was seen, or nothing.
    pub look: fn(&Film) -> Option<String>,
}

/// What a scenario plays.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// A world of the simulator.
    World {
        /// Which code runs.
        kind: Kind,
        /// What goes wrong in it.
        plan: fn() -> Plan,
        /// What a page looks at first, in milliseconds.
        focus: (u64, u64),
        /// What there is to be seen.
        sights: &'static [Sight],
    },
    /// A theorem of `quorate-model`, run; it leaves no film.
    Theorem {
        /// Runs it and looks.
        run: fn() -> Seen,
    },
}

/// See the module's essay.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on a command line.
    pub name: &'static str,
    /// A line about it.
    pub title: &'static str,
    /// What to look for, in a paragraph.
    pub about: &'static str,
    /// What is played.
    pub stage: Stage,
}

/// All scenarios, the simplest first.
pub const SCENARIOS: &[Scenario] = &[
    ordinary::TRANSFER,
    ordinary::ROLLING_CRASH,
    ordinary::SLOW_DISK,
    ordinary::SNAPSHOT,
    failures::SPLIT_VOTE,
    failures::SPLIT_BRAIN,
    failures::LOST_QUORUM,
    failures::CLOCK_JUMP,
    failures::BROKEN_HOST,
    theorems::FLP,
    theorems::DETECTOR,
    theorems::CAP,
];

/// The scenario with this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

/// What was to be seen, and where it was; nothing where it was not.
pub type Seen = Vec<(&'static str, Option<String>)>;

/// A scenario after it was played.
#[derive(Clone, Debug)]
pub struct Played {
    /// What was to be seen, and where it was.
    pub seen: Seen,
    /// All of it, where there is a film.
    pub film: Option<Film>,
}

impl Scenario {
    /// Plays it and looks.
    pub fn play(&self) -> Played {
        match self.stage {
            Stage::World { kind, plan, sights, focus: _ } => {
                let film = film::record(kind, plan());
                let look = |sight: &Sight| (sight.what, (sight.look)(&film));
                Played { seen: sights.iter().map(look).collect(), film: Some(film) }
            }
            Stage::Theorem { run } => Played { seen: run(), film: None },
        }
    }

    /// What a page looks at first; nothing for a theorem.
    pub fn focus(&self) -> Option<(Duration, Duration)> {
        match self.stage {
            Stage::World { focus: (from, to), .. } => {
                Some((Duration::from_millis(from), Duration::from_millis(to)))
            }
            Stage::Theorem { .. } => None,
        }
    }
}

/// A calm world with two clients and these strikes.
fn world(seed: u64, nodes: u64, lasts_ms: u64, schedule: Vec<Strike>) -> Plan {
    Plan {
        latency: Latency::Uniform(1_000, 3_000),
        schedule,
        clients: 2,
        think_us: 100_000,
        burst: 2,
        ..Plan::calm(seed, nodes, Duration::from_millis(lasts_ms))
    }
}

/// A strike, times in milliseconds.
fn strike(at: u64, lasts: u64, fault: Fault) -> Strike {
    Strike { at: Duration::from_millis(at), lasts: Duration::from_millis(lasts), fault }
}
