//! Runs seeds and tells, of one that failed, all that is needed to look at it.

use crate::host::Host;
use crate::oracles::Violation;
use crate::swarm::{Plan, Sabotage};
use crate::trace::{Event, hash};
use crate::world::World;
use quorate_base::Instant;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Names the seed to run alone (`17`), or other seeds than a test's own (`200..1000`).
pub const SEED_VARIABLE: &str = "QUORATE_SIM_SEED";

/// Events kept for a report.
const KEPT: usize = 120;

/// A seed that ended well.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Over everything that happened.
    pub trace: u64,
    /// Things that happened.
    pub lines: u64,
    /// Events that the world's queue gave out.
    pub happened: u64,
    /// How long it lasted, in its own time.
    pub virtual_time: Duration,
    /// Entries committed.
    pub committed: u64,
    /// How often things happened that a swarm of worlds must reach.
    pub counts: BTreeMap<&'static str, u64>,
}

/// The sum over worlds.
pub fn total(summaries: &[Summary]) -> BTreeMap<&'static str, u64> {
    let mut total = BTreeMap::new();
    for (what, count) in summaries.iter().flat_map(|summary| &summary.counts) {
        *total.entry(*what).or_default() += count;
    }
    *total.entry("committed").or_default() += summaries.iter().map(|s| s.committed).sum::<u64>();
    let seconds = summaries.iter().map(|s| s.virtual_time).sum::<Duration>().as_secs();
    *total.entry("virtual seconds").or_default() += seconds;
    *total.entry("events").or_default() += summaries.iter().map(|s| s.happened).sum::<u64>();
    total
}

/// In how many worlds each thing happened at all.
pub fn marks(summaries: &[Summary]) -> BTreeMap<&'static str, u64> {
    let mut marks = BTreeMap::new();
    for what in summaries.iter().flat_map(|summary| summary.counts.keys()) {
        *marks.entry(*what).or_default() += 1;
    }
    marks
}

/// A seed that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which promise.
    pub violation: Violation,
    /// What was drawn.
    pub plan: Plan,
    /// The newest events.
    pub events: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.events {
            writeln!(f, "{line}")?;
        }
        for strike in &self.plan.schedule {
            writeln!(f, "{:?} for {:?}: {:?}", strike.at, strike.lasts, strike.fault)?;
        }
        let plan = Plan { schedule: Vec::new(), ..self.plan.clone() };
        writeln!(f, "{plan:?}")?;
        writeln!(f, "seed {} broke {}", self.plan.seed, self.violation)?;
        write!(f, "run it alone with {SEED_VARIABLE}={}", self.plan.seed)
    }
}

/// Runs one seed.
///
/// # Errors
/// The first broken promise; a failed assertion in a protocol counts as one.
pub fn run<H: Host>(plan: Plan) -> Result<Summary, Box<Failure>> {
    let mut world: World<H> = World::new(plan);
    run_world(&mut world);
    match world.broken.take() {
        Some(violation) => {
            // Nothing was written down, for speed: the same plan tells the same story again.
            let mut again: World<H> = World::new(world.plan.clone());
            again.trace.keep_newest(KEPT);
            run_world(&mut again);
            let events = again.trace.take().iter().map(ToString::to_string).collect();
            Err(Box::new(Failure { violation, plan: world.plan, events }))
        }
        None => Ok(Summary {
            trace: world.trace.hash(),
            lines: world.trace.events(),
            happened: world.happened(),
            virtual_time: world.now.since(Instant(0)),
            committed: H::progress(&world),
            counts: world.counts,
        }),
    }
}

/// Everything that happened in the world of a plan, and what it came to.
pub struct Recording<H: Host> {
    /// All events, in order.
    pub events: Vec<Event>,
    /// The first broken promise, if one was broken.
    pub violation: Option<Violation>,
    /// The world as it was at its end.
    pub world: World<H>,
}

/// Runs a plan and keeps every event.
pub fn record<H: Host>(plan: Plan) -> Recording<H> {
    let mut world: World<H> = World::new(plan);
    world.trace.attach();
    run_world(&mut world);
    let (events, violation) = (world.trace.take(), world.broken.take());
    Recording { events, violation, world }
}

/// Runs a world to its end; a failed assertion in a protocol is a broken promise.
pub fn run_world<H: Host>(world: &mut World<H>) {
    let panicked = catch_unwind(AssertUnwindSafe(|| world.run())).err();
    if let Some(panic) = panicked {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let detail = text.unwrap_or_else(|| "a panic without words".to_owned());
        world.broken.get_or_insert(Violation::new("assertion", detail));
    }
}

/// How long the chaos of each seed lasts, in seconds; each seed draws its own without it.
pub const SECONDS_VARIABLE: &str = "QUORATE_SIM_SECONDS";

/// The plan of a seed whose chaos lasts for so long, or for as long as it draws.
pub fn plan(seed: u64, nodes: u64, sabotage: Sabotage, chaos: Option<Duration>) -> Plan {
    match chaos {
        Some(chaos) => Plan::lasting(seed, nodes, sabotage, chaos),
        None => Plan::draw(seed, nodes, sabotage),
    }
}

/// What became of a seed.
pub type Outcome = (u64, Result<Summary, Box<Failure>>);

/// Runs every seed of a range on so many threads, each seed as often as `often` says; a seed that
/// tells another story the second time fails. Outcomes come by seed.
pub fn sweep<H: Host>(
    seeds: Range<u64>,
    nodes: u64,
    chaos: Option<Duration>,
    threads: u64,
    often: impl Fn(u64) -> u32 + Sync,
) -> Vec<Outcome> {
    let one = |seed| {
        let plan = plan(seed, nodes, Sabotage::None, chaos);
        let first = run::<H>(plan.clone());
        for _ in 1..often(seed) {
            let again = run::<H>(plan.clone());
            let same = match (&first, &again) {
                (Ok(first), Ok(again)) => first == again,
                (Err(first), Err(again)) => first.violation == again.violation,
                (_, _) => false,
            };
            if !same {
                let detail = format!("seed {seed} tells two stories");
                let violation = Violation::new("determinism", detail);
                return (seed, Err(Box::new(Failure { violation, plan, events: Vec::new() })));
            }
        }
        (seed, first)
    };
    let share = |part: u64| {
        let seeds = seeds.clone().filter(move |seed| seed % threads == part);
        seeds.map(one).collect::<Vec<Outcome>>()
    };
    let mut all: Vec<Outcome> = std::thread::scope(|scope| {
        let share = &share;
        let others: Vec<_> = (1..threads).map(|part| scope.spawn(move || share(part))).collect();
        let mut all = share(0);
        for other in others {
            match other.join() {
                Ok(more) => all.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_by_key(|(seed, _)| *seed);
    all
}

/// One number for all stories: equal for two builds that tell the same ones.
pub fn combined(summaries: &[Summary]) -> u64 {
    summaries.iter().fold(0, |sum, summary| hash(sum, &summary.trace.to_le_bytes()))
}

/// Runs every seed of a range, or those that the environment names, on two threads; one seed in
/// twenty twice, which must give the same trace.
///
/// # Panics
/// With the whole story of the first seed that failed.
pub fn run_all<H: Host>(seeds: Range<u64>, nodes: u64) -> Vec<Summary> {
    let wish = std::env::var(SEED_VARIABLE).ok();
    let seeds = wish.map_or(seeds, |text| parse(&text).unwrap_or_else(|| panic!("seeds? {text}")));
    let seconds = std::env::var(SECONDS_VARIABLE).ok();
    let seconds = seconds.map(|text| text.parse().unwrap_or_else(|_| panic!("seconds? {text}")));
    let chaos = seconds.map(Duration::from_secs);
    let often = |seed: u64| if seed.is_multiple_of(20) { 2 } else { 1 };
    let outcomes = sweep::<H>(seeds, nodes, chaos, 2, often);
    let keep = |(_, outcome): Outcome| outcome.unwrap_or_else(|failure| panic!("{failure}"));
    outcomes.into_iter().map(keep).collect()
}

/// Reads `17` or `200..1000`.
pub fn parse(text: &str) -> Option<Range<u64>> {
    match text.split_once("..") {
        None => text.parse().ok().map(|seed| seed..seed + 1),
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
    }
}

/// Runs seeds with a bug on purpose until one is caught; answers which seed and how.
pub fn hunt<H: Host>(sabotage: Sabotage, nodes: u64, seeds: u64) -> Option<Box<Failure>> {
    (0..seeds).find_map(|seed| run::<H>(Plan::draw(seed, nodes, sabotage)).err())
}
