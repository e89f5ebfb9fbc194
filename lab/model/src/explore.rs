//! Breadth first over all states, so that the first counterexample is a shortest one.

use crate::act::{self, Act, Cause};
use crate::invariants::Broken;
use crate::world::{Bounds, World};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// What an exploration came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Different states.
    pub states: u64,
    /// Steps between them.
    pub steps: u64,
    /// Steps from the beginning to the farthest state.
    pub depth: u32,
    /// The greatest number of states that waited for their turn.
    pub widest: usize,
    /// Every state within the bounds was visited.
    pub complete: bool,
    /// How long it took.
    pub took: Duration,
    /// A shortest way to a broken promise.
    pub found: Option<Counterexample>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.complete { "complete" } else { "not complete" };
        write!(
            f,
            "{} states, {} steps, depth {}, {whole}, {:.1} s",
            self.states,
            self.steps,
            self.depth,
            self.took.as_secs_f64()
        )?;
        match &self.found {
            None => Ok(()),
            Some(found) => write!(f, "\n{found}"),
        }
    }
}

/// A broken promise and how to get there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counterexample {
    /// What was broken.
    pub broken: Broken,
    /// Every step from the beginning.
    pub acts: Vec<Act>,
    /// The same in words, and the members at the end.
    pub story: String,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nbroken after {} steps: {}", self.story, self.acts.len(), self.broken)
    }
}

/// Fingerprints are mixed well enough: a half of one is its own hash.
#[derive(Default)]
struct Half(u64);

impl Hasher for Half {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only fingerprints are kept here");
    }

    fn write_u128(&mut self, print: u128) {
        self.0 = print as u64;
    }
}

/// Visited states by fingerprint, and their number.
type Visited = HashMap<u128, (), BuildHasherDefault<Half>>;

/// The exploration under way.
struct Search {
    bounds: Bounds,
    visited: Visited,
    /// For each state by number: the state before it, and the step between.
    before: Vec<(u32, u16)>,
    steps: u64,
    next: Vec<(World, u32)>,
}

/// Visits every state within the bounds, or until a promise is broken. `progress` is called with each
/// depth, the states so far and those that wait.
pub fn explore(bounds: &Bounds, progress: impl FnMut(u32, u64, usize)) -> Report {
    explore_while(bounds, || true, progress)
}

/// The same, for as long as `goes_on` says so; what was visited by then is reported. It is asked before
/// every state, so it must be cheap.
pub fn explore_while(
    bounds: &Bounds,
    goes_on: impl Fn() -> bool,
    mut progress: impl FnMut(u32, u64, usize),
) -> Report {
    let started = Instant::now();
    let first = World::new(bounds);
    let mut search = Search {
        bounds: *bounds,
        visited: Visited::default(),
        before: vec![(0, 0)],
        steps: 0,
        next: Vec::new(),
    };
    search.visited.insert(first.fingerprint(), ());
    let mut level = vec![(first, 0)];
    let (mut depth, mut widest, mut found, mut complete) = (0, 1, None, true);
    while !level.is_empty() && found.is_none() {
        progress(depth, search.visited.len() as u64, level.len());
        for (world, number) in level.drain(..) {
            found = search.expand(&world, number);
            complete = (search.visited.len() as u64) < bounds.states && goes_on();
            if found.is_some() || !complete {
                break;
            }
        }
        level = std::mem::take(&mut search.next);
        widest = widest.max(level.len());
        if !complete {
            break;
        }
        depth += u32::from(!level.is_empty());
    }
    Report {
        states: search.visited.len() as u64,
        steps: search.steps,
        depth,
        widest,
        complete: complete && found.is_none(),
        took: started.elapsed(),
        found,
    }
}

impl Search {
    /// Takes every step from a state.
    fn expand(&mut self, world: &World, number: u32) -> Option<Counterexample> {
        let mut causes = Vec::new();
        act::causes(world, &self.bounds, &mut causes);
        for cause in causes {
            let idle = matches!(cause, Cause::Idle(_));
            let plain = (!idle).then(|| self.visit(world, number, Act { cause, crash: None }));
            let writes = match plain {
                None => 1,
                Some(Ok(writes)) => writes,
                Some(Err(found)) => return Some(*found),
            };
            if world.subject(cause).crashes == self.bounds.crashes {
                continue;
            }
            for survivors in 0..writes {
                let act = Act { cause, crash: Some(survivors) };
                if let Err(found) = self.visit(world, number, act) {
                    return Some(*found);
                }
            }
        }
        None
    }

    /// Takes one step; says how many writes the first turn of it asked for.
    fn visit(&mut self, world: &World, number: u32, act: Act) -> Result<u8, Box<Counterexample>> {
        self.steps += 1;
        let mut after = world.clone();
        let writes =
            attempt(&mut after, act).map_err(|broken| Box::new(self.tell(number, act, broken)))?;
        if self.visited.insert(after.fingerprint(), ()).is_none() {
            let next = u32::try_from(self.before.len()).expect("fewer than 2^32 states");
            self.before.push((number, act.pack()));
            self.next.push((after, next));
        }
        Ok(writes)
    }

    /// The way to a state and one step further, as a story.
    fn tell(&self, number: u32, last: Act, broken: Broken) -> Counterexample {
        let mut acts = vec![last];
        let mut at = number;
        while at != 0 {
            let (before, act) = self.before[at as usize];
            acts.push(Act::unpack(act));
            at = before;
        }
        acts.reverse();
        let mut world = World::new(&self.bounds);
        let mut lines = Vec::new();
        for (at, act) in acts.iter().enumerate() {
            lines.push(format!("{:3}  {}", at + 1, act.tell(&world)));
            let ended = attempt(&mut world, *act);
            assert_eq!(ended.is_err(), at + 1 == acts.len(), "the way is the way");
        }
        lines.push(world.tell());
        Counterexample { broken, acts, story: lines.join("\n") }
    }
}

/// Takes a step. A failed assertion of the protocol is a finding too, and says so.
pub(crate) fn attempt(world: &mut World, act: Act) -> Result<u8, Broken> {
    match catch_unwind(AssertUnwindSafe(|| world.act(act))) {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()));
            let detail = text.unwrap_or_else(|| "a panic without words".to_owned());
            Err(Broken { property: "assertion", detail })
        }
    }
}
