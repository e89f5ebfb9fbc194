//! One mutant, seed after seed, until a judge names what it breaks.

use crate::arena::{Arena, Verdict};
use crate::story;
use quorate_base::mutant::Mutant;
use std::io;

/// How many seeds each kind of world is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Schedules: some milliseconds each.
    pub schedules: u64,
    /// Worlds with disks and wires: some hundred milliseconds each.
    pub worlds: u64,
}

/// How a mutant was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Catch {
    /// Where.
    pub place: Place,
    /// The property that the judge named.
    pub property: String,
    /// What it saw.
    pub detail: String,
}

/// Where a mutant was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a world.
    World {
        /// Of this kind.
        arena: Arena,
        /// After so many seeds, this one included.
        seeds: u64,
        /// In so many of the seeds before the product stopped itself first.
        panics: u64,
    },
    /// In a golden story.
    Story(String),
}

/// The arenas that can reach a mutant, cheap ones first, and how many seeds each is given.
pub fn arenas(mutant: &Mutant, budget: Budget) -> Vec<(Arena, u64)> {
    let members = [43, 44, 45, 46, 47, 48, 118, 144, 149, 206, 322, 340, 341, 342, 343, 344, 345];
    match mutant.id {
        id if members.contains(&id) => {
            let raft = (Arena::ChangingWorld, if id < 200 { budget.worlds } else { 0 });
            vec![raft, (Arena::MovingWorld, budget.worlds)]
        }
        0..200 => vec![(Arena::RaftWorld, budget.worlds), (Arena::Schedule, budget.schedules)],
        200..300 => vec![(Arena::RaftWorld, budget.worlds)],
        _ => vec![(Arena::ServerWorld, budget.worlds)],
    }
}

/// True when the judge's word names what the mutant breaks: its property, or one that follows from
/// it (a committed entry that is lost shows up as another leader without it as often as not).
pub fn names(mutant: &Mutant, property: &str) -> bool {
    mutant.property.split(", ").any(|known| known == property)
}

/// Looks for a mutant in its arenas, then in its story. A bug that costs only time or messages is
/// looked for in its story alone: its property is a sentence, and no judge of worlds goes by it.
///
/// # Errors
/// When a story cannot be read.
pub fn hunt(mutant: &Mutant, budget: Budget) -> io::Result<Option<Catch>> {
    let judged = !mutant.property.split(", ").any(|property| property.contains(' '));
    let arenas = if judged { arenas(mutant, budget) } else { Vec::new() };
    for (arena, most) in arenas {
        let mut panics = 0;
        for seed in 0..most {
            match arena.run(mutant.id, seed) {
                Verdict::Clean => {}
                Verdict::Panicked(_) => panics += 1,
                Verdict::Broken { property, detail } => {
                    let place = Place::World { arena, seeds: seed + 1, panics };
                    if names(mutant, &property) {
                        for clean in 0..=seed {
                            let verdict = arena.run(0, clean);
                            let why = format!("{arena:?} {clean} without any mutant: {verdict:?}");
                            assert!(verdict == Verdict::Clean, "{why}");
                        }
                        return Ok(Some(Catch { place, property, detail }));
                    }
                    eprintln!("{} seed {seed}: {property}: {detail}", mutant.name);
                }
            }
        }
    }
    let guard = story::guard(mutant)?;
    Ok(guard.map(|(name, detail)| Catch {
        place: Place::Story(name),
        property: mutant.property.to_owned(),
        detail,
    }))
}
