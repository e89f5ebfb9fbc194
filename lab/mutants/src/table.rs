//! The table of all mutants and how each was found, for `docs/mutants.md`.

use crate::hunt::{Budget, Catch, Place};
use quorate_base::mutant::Mutant;

const HEAD: &str = "\
# Mutants

Bugs that somebody shipped, put back on purpose, and what finds them. Written by `cargo xtask mutants`; the bugs are in
`protocols/base/src/mutant.rs`, the numbers of traps those of `protocols/raft/scripts`. A mutant counts as found when a judge
names the property that it breaks; an assertion of the product, a panic or a run without an end does not count. No build
that ships can carry them.

| id | bug | trap | found in | property | seeds |
|---:|---|---|---|---|---:|
";

/// Writes the table.
pub fn table(found: &[(&Mutant, Option<Catch>)], budget: Budget) -> String {
    let mut text = HEAD.to_owned();
    let mut seeds: Vec<u64> = Vec::new();
    for (mutant, catch) in found {
        let (place, property, needed) = match catch {
            None => ("**nothing**".to_owned(), mutant.property.to_owned(), String::new()),
            Some(Catch { place: Place::Story(name), property, .. }) => {
                (format!("story `{name}`"), property.clone(), "–".to_owned())
            }
            Some(Catch { place: Place::World { arena, seeds: needed, .. }, property, .. }) => {
                seeds.push(*needed);
                (arena.name().to_owned(), format!("`{property}`"), needed.to_string())
            }
        };
        let Mutant { id, bug, trap, .. } = mutant;
        text.push_str(&format!("| {id} | {bug} | {trap} | {place} | {property} | {needed} |\n"));
    }
    seeds.sort_unstable();
    let missed = found.iter().filter(|(_, catch)| catch.is_none()).count();
    let stories = found.len() - seeds.len() - missed;
    text.push_str(&format!(
        "\n{} mutants: {} found in worlds, {stories} by their story, {missed} by nothing.",
        found.len(),
        seeds.len()
    ));
    let Budget { schedules, worlds } = budget;
    text.push_str(&format!(" Each was given {schedules} schedules and {worlds} worlds."));
    if let (Some(median), Some(worst)) = (seeds.get(seeds.len() / 2), seeds.last()) {
        text.push_str(&format!(" Seeds in worlds: median {median}, worst {worst}.\n"));
    }
    text
}
