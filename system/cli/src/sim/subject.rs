//! What a command is about: a seed, a recipe, or a scenario by its name.

use clap::Args;
use quorate_hunt::film::{self, Film};
use quorate_hunt::recipe::{self, Kind, NODES, Recipe};
use quorate_hunt::scenario::{self, Stage};
use std::time::Duration;

/// A world by its seed, its recipe or its name.
#[derive(Args, Debug)]
pub struct Subject {
    /// A seed (17), a recipe ('raft/5/17 keep=3,9 loss=0') or a scenario (see `quorate sim list`)
    #[arg(value_name = "SEED")]
    seed: String,
    #[command(flatten)]
    world: World,
}

/// Which world a bare seed is about.
#[derive(Args, Debug)]
pub struct World {
    /// What runs in it: raft (consensus alone), server (the whole member, with clients) or members (servers that come and go)
    #[arg(long, value_name = "WORLD", default_value = "raft", value_parser = kind)]
    pub world: Kind,
    /// How many members it has; 5 for raft, 3 for server and 8 machines for members if not given
    #[arg(long, value_name = "N", value_parser = nodes)]
    pub nodes: Option<u64>,
    /// A bug on purpose: release-early, ignore-syncs, skip-dedup, skip-read-index, skip-admission, misapply
    #[arg(long, value_name = "BUG", default_value = "none", value_parser = sabotage)]
    pub sabotage: String,
}

fn kind(text: &str) -> Result<Kind, String> {
    text.parse().map_err(|error: recipe::BadRecipe| error.to_string())
}

fn nodes(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| NODES.contains(number));
    number.ok_or_else(|| format!("a world has {} to {} members", NODES.start(), NODES.end()))
}

fn sabotage(name: &str) -> Result<String, String> {
    recipe::sabotage(name).map(|_| name.to_owned()).map_err(|error| error.to_string())
}

/// A time such as 1.5s or 200ms.
pub fn time(text: &str) -> Result<Duration, String> {
    crate::check::duration(text)
}

/// A world that was played.
pub struct Played {
    /// Everything that happened.
    pub film: Film,
    /// How to see it again, or what it is called.
    pub title: String,
    /// What a page looks at first.
    pub focus: Option<(Duration, Duration)>,
}

impl Subject {
    /// Plays it.
    ///
    /// # Errors
    /// When there is no such world; the message says what there is.
    pub fn play(&self) -> Result<Played, String> {
        if let Some(scenario) = scenario::find(&self.seed) {
            let Stage::World { kind, plan, .. } = scenario.stage else {
                return Err(format!("{} is a theorem and leaves no film: run it", scenario.name));
            };
            let film = film::record(kind, plan());
            let title = format!("{}: {}", scenario.name, scenario.title);
            return Ok(Played { film, title, focus: scenario.focus() });
        }
        let World { world, nodes, sabotage } = &self.world;
        let read = Recipe::read(&self.seed, *world, *nodes);
        let mut recipe =
            read.map_err(|error| format!("{error}; scenarios are in `quorate sim list`"))?;
        if sabotage != "none" {
            recipe.sabotage = recipe::sabotage(sabotage).map_err(|error| error.to_string())?;
        }
        let plan = recipe.plan().map_err(|error| error.to_string())?;
        let film = film::record(recipe.kind, plan);
        Ok(Played { film, title: recipe.to_string(), focus: None })
    }
}
