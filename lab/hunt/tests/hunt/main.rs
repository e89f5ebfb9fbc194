//! The search for bad seeds and everything that tells of them, over real worlds.

mod pages;
mod scenarios;
mod search;
mod stories;

use quorate_hunt::film::{self, Film};
use quorate_hunt::recipe::Recipe;

/// A world in which next to nothing goes wrong: small enough to read.
const CALM: &str = "raft/3/1 keep= chaos=2500ms loss=0 doubled=0 late=0 corrupt=0 capacity=0 churn=0 \
    offset=0 latency=250 turn=0 disk=1 apply=100 value=100 burst=1 clients=1";

fn play(recipe: &str) -> Film {
    let recipe: Recipe = recipe.parse().unwrap();
    film::record(recipe.kind, recipe.plan().unwrap())
}
