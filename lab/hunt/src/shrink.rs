//! Takes faults away from a failing world for as long as the same promise is broken.
//!
//! Greedy, and bounded by a number of runs: first what never struck, then all strikes of one kind,
//! then halves and smaller parts of the schedule (delta debugging: Zeller and Hildebrandt, "Simplifying and
//! Isolating Failure-Inducing Input", 2002), then every number of the plan down to what it is in a good
//! world or at least to half of it, then the length of the chaos. What is left is gone through again until
//! nothing more can go.
//!
//! Whatever is removed changes what the world's dice say afterwards, so a promise may be kept by
//! chance: a candidate is tried with a few other dice before it is given up. That a smaller story is
//! not found does not mean that there is none.

use crate::film;
use crate::hunt::{Found, Gauge};
use crate::recipe::{Knob, Recipe};
use quorate_sim::faults::Fault;
use std::time::Duration;

/// Dice that a candidate is tried with, besides those that the found world had.
const DICE: u64 = 2;
/// Times that one number is halved.
const HALVINGS: u32 = 3;

/// What shrinking came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shrunk {
    /// The smallest world found, in which the same property is broken.
    pub found: Found,
    /// Strikes of the whole seed, and of this one.
    pub strikes: (usize, usize),
    /// Worlds that were tried.
    pub runs: u64,
    /// Nothing more could be taken away; otherwise the runs were used up, or somebody stopped it.
    pub finished: bool,
}

/// A shrinking under way.
struct Shrinker<'a> {
    best: Found,
    runs: u64,
    most: u64,
    gauge: &'a Gauge,
}

/// Shrinks what was found with at most so many runs; [`Gauge::stop`] ends it early. `progress` is told of
/// the runs so far and of the strikes that are left.
pub fn shrink(
    found: &Found,
    most: u64,
    gauge: &Gauge,
    mut progress: impl FnMut(u64, usize),
) -> Shrunk {
    let mut shrinker = Shrinker { best: found.clone(), runs: 0, most, gauge };
    let before = shrinker.strikes().len();
    shrinker.drop_late();
    let mut finished = false;
    while !finished && !shrinker.is_spent() {
        let size = shrinker.best.recipe.clone();
        shrinker.drop_kinds(&mut progress);
        shrinker.drop_parts(&mut progress);
        shrinker.turn_down(&mut progress);
        shrinker.shorten();
        finished = shrinker.best.recipe == size;
    }
    let finished = finished && !shrinker.is_spent();
    let strikes = (before, shrinker.strikes().len());
    Shrunk { found: shrinker.best, strikes, runs: shrinker.runs, finished }
}

impl Shrinker<'_> {
    fn is_spent(&self) -> bool {
        self.runs >= self.most || self.gauge.is_stopped()
    }

    /// The places of the strikes that are left.
    fn strikes(&self) -> Vec<usize> {
        let recipe = &self.best.recipe;
        recipe.keep.clone().unwrap_or_else(|| {
            let whole = Recipe { keep: None, ..recipe.clone() };
            (0..whole.plan().expect("it ran").schedule.len()).collect()
        })
    }

    /// Takes a candidate if the same property is broken in it, with its dice or with others.
    fn take(&mut self, candidate: Recipe) -> bool {
        let wanted = self.best.violation.property;
        let mut dice = vec![candidate.dice];
        dice.extend((1..=DICE).map(Some).filter(|dice| *dice != candidate.dice));
        for dice in dice {
            if self.is_spent() {
                return false;
            }
            let recipe = Recipe { dice, ..candidate.clone() };
            let plan = recipe.plan().expect("only strikes that there are");
            self.runs += 1;
            let ending = film::run(recipe.kind, plan);
            if let Some(violation) = ending.violation.filter(|v| v.property == wanted) {
                self.best = Found { recipe, violation, at: ending.virtual_time };
                return true;
            }
        }
        false
    }

    fn keep(&mut self, strikes: Vec<usize>) -> bool {
        self.take(Recipe { keep: Some(strikes), ..self.best.recipe.clone() })
    }

    /// What was planned for later than the failure never happened.
    fn drop_late(&mut self) {
        let whole = Recipe { keep: None, ..self.best.recipe.clone() }.plan().expect("it ran");
        let in_time = |place: &usize| whole.schedule[*place].at <= self.best.at;
        let left = self.strikes().into_iter().filter(in_time).collect();
        self.keep(left);
    }

    /// All strikes of one kind at once.
    fn drop_kinds(&mut self, progress: &mut impl FnMut(u64, usize)) {
        let whole = Recipe { keep: None, ..self.best.recipe.clone() }.plan().expect("it ran");
        let kind = |place: usize| std::mem::discriminant::<Fault>(&whole.schedule[place].fault);
        let mut tried = Vec::new();
        while let Some(next) =
            self.strikes().into_iter().map(kind).find(|kind| !tried.contains(kind))
        {
            tried.push(next);
            let left = self.strikes().into_iter().filter(|place| kind(*place) != next).collect();
            self.keep(left);
            progress(self.runs, self.strikes().len());
        }
    }

    /// Parts of the schedule, the later ones first, ever smaller ones.
    fn drop_parts(&mut self, progress: &mut impl FnMut(u64, usize)) {
        let mut size = self.strikes().len();
        while size > 0 && !self.is_spent() {
            let mut end = self.strikes().len();
            while end > 0 {
                let strikes = self.strikes();
                let start = end.saturating_sub(size);
                let left = strikes[..start].iter().chain(&strikes[end..]).copied().collect();
                self.keep(left);
                progress(self.runs, self.strikes().len());
                end = start;
            }
            size /= 2;
        }
    }

    fn turn_down(&mut self, progress: &mut impl FnMut(u64, usize)) {
        for knob in Knob::ALL {
            let plan = self.best.recipe.plan().expect("it ran");
            let (now, calm) = (knob.of(&plan), knob.calm());
            if now.is_some_and(|now| now <= calm) || self.set(knob, calm) {
                continue;
            }
            let Some(mut now) = now else { continue };
            for _ in 0..HALVINGS {
                let half = (now / 2).max(calm);
                if half >= now || !self.set(knob, half) {
                    break;
                }
                now = half;
            }
            progress(self.runs, self.strikes().len());
        }
    }

    fn set(&mut self, knob: Knob, value: u64) -> bool {
        let mut recipe = self.best.recipe.clone();
        recipe.knobs.insert(knob, value);
        self.take(recipe)
    }

    /// The chaos ends right after the failure, if that is where it failed; then ever earlier.
    fn shorten(&mut self) {
        let drawn = self.best.recipe.plan().expect("it ran").chaos;
        let failed = Duration::from_millis(self.best.at.as_millis() as u64 + 1);
        for chaos in [failed, failed / 2, failed / 4, failed / 8] {
            let chaos = Duration::from_millis(chaos.as_millis() as u64);
            if chaos < drawn && !chaos.is_zero() {
                self.take(Recipe { chaos: Some(chaos), ..self.best.recipe.clone() });
            }
        }
    }
}
