//! How fast worlds run: virtual seconds and events per second of the wall, on one core.
//!
//! The worlds are those that the figures of the laboratory are stated for: five members of Raft
//! without load, with 100 and with 1,000 proposals per virtual second under all faults, and three
//! whole servers with five clients that ask 100 times per virtual second, under all faults. Oracles
//! are on in all of them.

use crate::host::Host;
use crate::replica::Replica;
use crate::runner;
use crate::swarm::{Plan, Sabotage};
use quorate_node::Node;
use quorate_raft::Raft;
use std::time::{Duration, Instant};

/// One line of the result.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Which world.
    pub name: &'static str,
    /// Virtual seconds per second.
    pub virtual_seconds: f64,
    /// Events of the world's queue per second.
    pub events: f64,
    /// What clients were answered, or entries committed, per virtual second.
    pub done: f64,
    /// Virtual seconds per second that the issue asks for.
    pub wanted: f64,
}

/// Runs those whose name holds `only`, each for about as long as `budget` on the wall.
///
/// # Errors
/// The first seed that broke a promise, told.
pub fn figures(budget: Duration, only: &str) -> Result<Vec<Figure>, String> {
    // A tenth of an hour, so that it is not its beginning that is measured.
    let idle = |seed, lasts| Plan::calm(seed, 5, lasts * 6);
    let raft = |rate: u64| {
        move |seed, lasts| Plan {
            clients: 1,
            // A third of a client's turns are reads; the others propose three times on average.
            think_us: 2_000_000 / rate,
            burst: 5,
            value_bytes: 100,
            ..roomy(seed, 5, lasts)
        }
    };
    let server = |seed, lasts| Plan {
        clients: 5,
        // Each client asks when its answer is there and a while has passed: half of this.
        think_us: 60_000,
        value_bytes: 100,
        ..roomy(seed, 3, lasts)
    };
    let mut figures = Vec::new();
    let mut add = |name: &str, run: &dyn Fn() -> Result<Figure, String>| {
        if name.contains(only) {
            figures.push(run()?);
        }
        Ok::<(), String>(())
    };
    let (a, b) = ("raft, idle", "raft, 100 proposals/s, all faults");
    let (c, d) = ("raft, 1000 proposals/s, all faults", "server, 100 requests/s, all faults");
    add(a, &|| measure::<Replica<Raft>>(a, budget, 10_000.0, idle))?;
    add(b, &|| measure::<Replica<Raft>>(b, budget, 500.0, raft(100)))?;
    add(c, &|| measure::<Replica<Raft>>(c, budget, 55.0, raft(1_000)))?;
    add(d, &|| measure::<Replica<Node>>(d, budget, 100.0, server))?;
    Ok(figures)
}

/// The faults of a seed with limits that let the load through.
fn roomy(seed: u64, nodes: u64, lasts: Duration) -> Plan {
    let faults = Plan::lasting(seed, nodes, Sabotage::None, lasts);
    let calm = Plan::calm(seed, nodes, lasts);
    Plan {
        rates: faults.rates,
        schedule: faults.schedule,
        churn: faults.churn,
        offset: faults.offset,
        latency: faults.latency,
        ..calm
    }
}

fn measure<H: Host>(
    name: &'static str,
    budget: Duration,
    wanted: f64,
    plan: impl Fn(u64, Duration) -> Plan,
) -> Result<Figure, String> {
    let began = Instant::now();
    let (mut passed, mut events, mut done) = (0.0, 0, 0);
    for seed in 0.. {
        let plan = plan(seed, Duration::from_secs(60));
        let summary = runner::run::<H>(plan).map_err(|failure| failure.to_string())?;
        passed += summary.virtual_time.as_secs_f64();
        events += summary.happened;
        done += summary.counts.get("answers").copied().unwrap_or(summary.committed);
        if began.elapsed() >= budget {
            break;
        }
    }
    let wall = began.elapsed().as_secs_f64();
    Ok(Figure {
        name,
        virtual_seconds: passed / wall,
        events: events as f64 / wall,
        done: done as f64 / passed,
        wanted,
    })
}
