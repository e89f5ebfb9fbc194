//! One line that names a world: `raft/5/17 keep=3,9 loss=0 chaos=4200ms`.
//!
//! A recipe is a seed with what was taken away from its plan. The words after the seed are
//!
//! | word | says |
//! |---|---|
//! | `sabotage=release-early` | with this bug on purpose |
//! | `keep=3,9` | only these strikes of the drawn schedule, by their place in it; `keep=` is none |
//! | `chaos=4200ms` | things go wrong for so long |
//! | `dice=2` | what is decided on the way comes from this seed, not from the plan's |
//! | `loss=0`, `clients=1`, … | a number of the plan is this one: see [`Knob`] |
//!
//! Writing a recipe and reading it back gives the same recipe.

use quorate_sim::latency::Latency;
use quorate_sim::swarm::{Plan, Sabotage};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Fewest and most members of a world: below three there is nothing to tolerate, above nine nothing new.
pub const NODES: std::ops::RangeInclusive<u64> = 3..=9;

/// Which code runs in a world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Consensus alone, with a state machine that counts.
    Raft,
    /// The whole member: router, leases, applier, clients.
    Server,
    /// Whole members on machines that come and go, with an operator.
    Members,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Raft, Kind::Server, Kind::Members];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Raft => "raft",
            Kind::Server => "server",
            Kind::Members => "members",
        }
    }

    /// How many members a world has when nobody says.
    pub fn nodes(self) -> u64 {
        match self {
            Kind::Raft => 5,
            Kind::Server => 3,
            Kind::Members => 8,
        }
    }
}

/// The bugs on purpose by name.
pub const SABOTAGES: [(&str, Sabotage); 7] = [
    ("none", Sabotage::None),
    ("release-early", Sabotage::ReleaseEarly),
    ("ignore-syncs", Sabotage::IgnoreSyncs),
    ("skip-dedup", Sabotage::SkipDedup),
    ("skip-read-index", Sabotage::SkipReadIndex),
    ("skip-admission", Sabotage::SkipAdmission),
    ("misapply", Sabotage::Misapply),
];

/// A number of a [`Plan`] that a recipe may set. Chances are in a million, times in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Knob {
    /// Chance that a message is lost.
    Loss,
    /// Chance that it is doubled.
    Doubled,
    /// Chance that it is very late.
    Late,
    /// Chance that it is damaged.
    Corrupt,
    /// Messages under way on one link; 0 for no limit.
    Capacity,
    /// Chance that a young leader is struck.
    Churn,
    /// By how much clocks differ from the beginning.
    Offset,
    /// Half of the longest delay of a message, drawn from a triangle.
    Latency,
    /// Time between an input and the turn that takes it, at most.
    Turn,
    /// The factor on the time that disks take, at most.
    Disk,
    /// Time between a commit and its application.
    Apply,
    /// Bytes of a payload, at most.
    Value,
    /// Proposals in one operation, at most.
    Burst,
    /// Clients.
    Clients,
}

impl Knob {
    /// All of them, in the order in which a hunter turns them down.
    pub const ALL: [Knob; 14] = [
        Knob::Churn,
        Knob::Loss,
        Knob::Doubled,
        Knob::Late,
        Knob::Corrupt,
        Knob::Capacity,
        Knob::Offset,
        Knob::Clients,
        Knob::Burst,
        Knob::Latency,
        Knob::Turn,
        Knob::Disk,
        Knob::Apply,
        Knob::Value,
    ];

    /// Its word in a recipe.
    pub fn name(self) -> &'static str {
        match self {
            Knob::Loss => "loss",
            Knob::Doubled => "doubled",
            Knob::Late => "late",
            Knob::Corrupt => "corrupt",
            Knob::Capacity => "capacity",
            Knob::Churn => "churn",
            Knob::Offset => "offset",
            Knob::Latency => "latency",
            Knob::Turn => "turn",
            Knob::Disk => "disk",
            Knob::Apply => "apply",
            Knob::Value => "value",
            Knob::Burst => "burst",
            Knob::Clients => "clients",
        }
    }

    /// What it is when nothing is wrong.
    pub fn calm(self) -> u64 {
        match self {
            Knob::Loss
            | Knob::Doubled
            | Knob::Late
            | Knob::Corrupt
            | Knob::Capacity
            | Knob::Churn
            | Knob::Offset
            | Knob::Turn => 0,
            Knob::Disk | Knob::Clients | Knob::Burst => 1,
            Knob::Apply | Knob::Value => 100,
            Knob::Latency => 250,
        }
    }

    /// The greatest value that a plan can take.
    pub fn most(self) -> u64 {
        match self {
            Knob::Loss | Knob::Doubled | Knob::Late | Knob::Corrupt | Knob::Churn => 1_000_000,
            Knob::Capacity | Knob::Burst | Knob::Disk => 10_000,
            Knob::Clients => 100,
            Knob::Offset | Knob::Latency | Knob::Turn | Knob::Apply => 60_000_000,
            Knob::Value => 100_000,
        }
    }

    /// What it is in a plan; nothing for a latency that is no triangle.
    pub fn of(self, plan: &Plan) -> Option<u64> {
        Some(match self {
            Knob::Loss => plan.rates.loss.into(),
            Knob::Doubled => plan.rates.doubled.into(),
            Knob::Late => plan.rates.late.into(),
            Knob::Corrupt => plan.rates.corrupt.into(),
            Knob::Capacity => plan.rates.capacity.into(),
            Knob::Churn => plan.churn.into(),
            Knob::Offset => plan.offset.as_micros() as u64,
            Knob::Latency => match plan.latency {
                Latency::Triangle { half } => half,
                Latency::Fixed(_)
                | Latency::Uniform(_, _)
                | Latency::Exponential { .. }
                | Latency::LogNormal { .. } => return None,
            },
            Knob::Turn => plan.turn_us,
            Knob::Disk => plan.slow_disk,
            Knob::Apply => plan.apply_us,
            Knob::Value => plan.value_bytes,
            Knob::Burst => plan.burst,
            Knob::Clients => plan.clients,
        })
    }

    fn set(self, plan: &mut Plan, value: u64) {
        // `most` keeps every value within its type.
        let small = u32::try_from(value).unwrap_or(u32::MAX);
        match self {
            Knob::Loss => plan.rates.loss = small,
            Knob::Doubled => plan.rates.doubled = small,
            Knob::Late => plan.rates.late = small,
            Knob::Corrupt => plan.rates.corrupt = small,
            Knob::Capacity => plan.rates.capacity = small,
            Knob::Churn => plan.churn = small,
            Knob::Offset => plan.offset = Duration::from_micros(value),
            Knob::Latency => plan.latency = Latency::Triangle { half: value },
            Knob::Turn => plan.turn_us = value,
            Knob::Disk => plan.slow_disk = value.max(1),
            Knob::Apply => plan.apply_us = value,
            Knob::Value => plan.value_bytes = value.max(1),
            Knob::Burst => plan.burst = value.max(1),
            Knob::Clients => plan.clients = value,
        }
    }
}

/// A line that names no world. It changed nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadRecipe {
    /// There is no such world.
    #[error("no world is called {0}: there are raft and server")]
    World(String),
    /// Not `world/nodes/seed`, and no seed alone.
    #[error("{0} is no recipe: expected a seed such as 17, or world/nodes/seed such as raft/5/17")]
    Shape(String),
    /// Not a number where one belongs.
    #[error("{what} is a number from 0 to {most}, not {given}")]
    Number {
        /// What it is about.
        what: &'static str,
        /// What stood there.
        given: String,
        /// The greatest that is allowed.
        most: u64,
    },
    /// Too few or too many members.
    #[error("a world has {first} to {last} members, not {0}", first = NODES.start(), last = NODES.end())]
    Nodes(u64),
    /// There is no such word.
    #[error("a recipe has no word {0}: there are keep, chaos, dice, sabotage, {words}", words = knobs())]
    Word(String),
    /// There is no such bug on purpose.
    #[error("no sabotage is called {0}: there are {names}", names = SABOTAGES.map(|(name, _)| name).join(", "))]
    Sabotage(String),
    /// The schedule has no strike of this number.
    #[error("this seed has {has} strikes, numbered from 0: there is no number {asked}")]
    Strike {
        /// The number.
        asked: usize,
        /// How many there are.
        has: usize,
    },
}

fn knobs() -> String {
    Knob::ALL.map(Knob::name).join(", ")
}

/// See the module's essay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recipe {
    /// Which code.
    pub kind: Kind,
    /// Members.
    pub nodes: u64,
    /// Where the plan comes from.
    pub seed: u64,
    /// A bug on purpose.
    pub sabotage: Sabotage,
    /// Strikes of the drawn schedule that happen; nothing for all.
    pub keep: Option<Vec<usize>>,
    /// How long things go wrong; nothing for as long as drawn.
    pub chaos: Option<Duration>,
    /// The seed of what is decided on the way; nothing for the plan's.
    pub dice: Option<u64>,
    /// Numbers that are set.
    pub knobs: BTreeMap<Knob, u64>,
}

impl Recipe {
    /// A whole seed.
    pub fn new(kind: Kind, nodes: u64, seed: u64) -> Recipe {
        Recipe {
            kind,
            nodes,
            seed,
            sabotage: Sabotage::None,
            keep: None,
            chaos: None,
            dice: None,
            knobs: BTreeMap::new(),
        }
    }

    /// The plan of the world.
    ///
    /// # Errors
    /// When a strike is to be kept that there is not.
    pub fn plan(&self) -> Result<Plan, BadRecipe> {
        let mut plan = match self.kind {
            Kind::Raft | Kind::Server => Plan::draw(self.seed, self.nodes, self.sabotage),
            Kind::Members => {
                Plan { sabotage: self.sabotage, ..Plan::moving(self.seed, self.nodes) }
            }
        };
        if let Some(keep) = &self.keep {
            let has = plan.schedule.len();
            if let Some(asked) = keep.iter().copied().find(|at| *at >= has) {
                return Err(BadRecipe::Strike { asked, has });
            }
            plan.schedule = keep.iter().map(|at| plan.schedule[*at].clone()).collect();
        }
        plan.chaos = self.chaos.unwrap_or(plan.chaos);
        plan.seed = self.dice.unwrap_or(plan.seed);
        for (knob, value) in &self.knobs {
            knob.set(&mut plan, *value);
        }
        Ok(plan)
    }

    fn word(&mut self, word: &str) -> Result<(), BadRecipe> {
        let (name, value) = word.split_once('=').ok_or_else(|| BadRecipe::Word(word.into()))?;
        match name {
            "sabotage" => self.sabotage = sabotage(value)?,
            "keep" => {
                let words = value.split(',').filter(|word| !word.is_empty());
                let places: Result<Vec<usize>, BadRecipe> =
                    words.map(|word| Ok(number("keep", word, 1 << 20)? as usize)).collect();
                let mut places = places?;
                places.sort_unstable();
                places.dedup();
                self.keep = Some(places);
            }
            "chaos" => {
                let millis = value.strip_suffix("ms").unwrap_or(value);
                self.chaos = Some(Duration::from_millis(number("chaos", millis, 3_600_000)?));
            }
            "dice" => self.dice = Some(number("dice", value, u64::MAX)?),
            other => {
                let knob = Knob::ALL.into_iter().find(|knob| knob.name() == other);
                let knob = knob.ok_or_else(|| BadRecipe::Word(other.into()))?;
                self.knobs.insert(knob, number(knob.name(), value, knob.most())?);
            }
        }
        Ok(())
    }

    /// Reads a recipe; of a seed alone, world and members are those given.
    ///
    /// # Errors
    /// What is wrong with the line, and what would be right.
    pub fn read(text: &str, kind: Kind, nodes: Option<u64>) -> Result<Recipe, BadRecipe> {
        let mut words = text.split_whitespace();
        let head = words.next().ok_or_else(|| BadRecipe::Shape("nothing".into()))?;
        let parts: Vec<&str> = head.split('/').collect();
        let mut recipe = match parts.as_slice() {
            [seed] if seed.starts_with(|first: char| first.is_ascii_digit()) => {
                let seed = number("a seed", seed, u64::MAX)?;
                Recipe::new(kind, nodes.unwrap_or(kind.nodes()), seed)
            }
            [world, nodes, seed] => {
                let kind = world.parse()?;
                let nodes = number("the number of members", nodes, *NODES.end())?;
                Recipe::new(kind, nodes, number("a seed", seed, u64::MAX)?)
            }
            _ => return Err(BadRecipe::Shape(head.into())),
        };
        if !NODES.contains(&recipe.nodes) {
            return Err(BadRecipe::Nodes(recipe.nodes));
        }
        words.try_for_each(|word| recipe.word(word))?;
        recipe.plan()?;
        Ok(recipe)
    }
}

fn number(what: &'static str, given: &str, most: u64) -> Result<u64, BadRecipe> {
    let read = given.parse().ok().filter(|number| *number <= most);
    read.ok_or_else(|| BadRecipe::Number { what, given: given.into(), most })
}

/// The bug on purpose with this name.
///
/// # Errors
/// When there is none; the error names all.
pub fn sabotage(name: &str) -> Result<Sabotage, BadRecipe> {
    let found = SABOTAGES.iter().find(|(known, _)| *known == name);
    found.map(|(_, sabotage)| *sabotage).ok_or_else(|| BadRecipe::Sabotage(name.into()))
}

impl Kind {
    /// Whether a bug on purpose does anything in such a world: some are bugs of what only the server has.
    pub fn knows(self, sabotage: Sabotage) -> bool {
        match sabotage {
            Sabotage::SkipDedup | Sabotage::SkipReadIndex | Sabotage::Misapply => {
                self != Kind::Raft
            }
            Sabotage::None
            | Sabotage::ReleaseEarly
            | Sabotage::IgnoreSyncs
            | Sabotage::SkipAdmission => true,
        }
    }
}

impl FromStr for Kind {
    type Err = BadRecipe;

    fn from_str(text: &str) -> Result<Kind, BadRecipe> {
        let found = Kind::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| BadRecipe::World(text.into()))
    }
}

impl FromStr for Recipe {
    type Err = BadRecipe;

    fn from_str(text: &str) -> Result<Recipe, BadRecipe> {
        Recipe::read(text, Kind::Raft, None)
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind.name(), self.nodes, self.seed)?;
        if self.sabotage != Sabotage::None {
            let named = SABOTAGES.iter().find(|(_, sabotage)| *sabotage == self.sabotage);
            write!(f, " sabotage={}", named.map_or("?", |(name, _)| name))?;
        }
        if let Some(keep) = &self.keep {
            let words: Vec<String> = keep.iter().map(ToString::to_string).collect();
            write!(f, " keep={}", words.join(","))?;
        }
        if let Some(chaos) = self.chaos {
            write!(f, " chaos={}ms", chaos.as_millis())?;
        }
        if let Some(dice) = self.dice {
            write!(f, " dice={dice}")?;
        }
        self.knobs.iter().try_for_each(|(knob, value)| write!(f, " {}={value}", knob.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = "server/3/17 sabotage=skip-dedup keep=0,2 chaos=4200ms dice=9 loss=0 clients=2";
        let recipe: Recipe = text.parse().unwrap();
        assert_eq!(recipe.to_string(), text);
        assert_eq!(recipe.to_string().parse(), Ok(recipe.clone()));
        let (whole, plan) = (Plan::draw(17, 3, Sabotage::SkipDedup), recipe.plan().unwrap());
        assert_eq!(plan.schedule, [whole.schedule[0].clone(), whole.schedule[2].clone()]);
        assert_eq!((plan.clients, plan.rates.loss, plan.seed), (2, 0, 9));
        assert_eq!(plan.chaos, Duration::from_millis(4200));
        assert_eq!("5".parse(), Ok(Recipe::new(Kind::Raft, 5, 5)));
        assert_eq!("raft/5/5 keep=".parse::<Recipe>().unwrap().keep, Some(Vec::new()));
    }

    #[test]
    fn every_name_is_found_again() {
        for knob in Knob::ALL {
            let text = format!("raft/3/1 {}={}", knob.name(), knob.calm());
            let recipe: Recipe = text.parse().unwrap();
            assert_eq!(recipe.to_string(), text);
            assert_eq!(knob.of(&recipe.plan().unwrap()), Some(knob.calm()), "{text}");
        }
        for (name, known) in SABOTAGES {
            assert_eq!(sabotage(name), Ok(known));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_limit() {
        let said = |text: &str| text.parse::<Recipe>().unwrap_err().to_string();
        assert_eq!(said("raft/2/1"), "a world has 3 to 9 members, not 2");
        assert_eq!(said("raft/99/1"), "the number of members is a number from 0 to 9, not 99");
        assert_eq!(said("etcd/3/1"), "no world is called etcd: there are raft and server");
        assert!(said("seventeen").starts_with("seventeen is no recipe"));
        assert_eq!(
            said("99999999999999999999"),
            "a seed is a number from 0 to 18446744073709551615, not 99999999999999999999"
        );
        assert_eq!(said("1 loss=2000000"), "loss is a number from 0 to 1000000, not 2000000");
        assert!(said("1 luck=2").starts_with("a recipe has no word luck"));
        assert!(said("1 keep=9999").contains("there is no number 9999"));
        assert!(said("1 sabotage=x").contains("release-early"));
    }
}
