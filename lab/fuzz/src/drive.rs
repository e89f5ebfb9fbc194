//! Feeds targets: seeds, then mutations of seeds, and makes what fails small.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use quorate_base::Dice;

use crate::Target;

/// No input may take longer: what reads a few kilobytes for a second reads megabytes for ever.
pub const SLOW: Duration = Duration::from_secs(10);

/// Inputs do not grow beyond this, except that seeds may be longer.
const LONGEST: usize = 64 << 10;

/// Attempts at making a failing input smaller.
const SHRINKING: usize = 2_000;

/// An input that a target did not bear.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The input, made small.
    pub input: Vec<u8>,
    /// What the target said.
    pub message: String,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many mutations: the same work everywhere.
    Runs(u64),
    /// After so long.
    Elapsed(Duration),
}

/// Runs a target over its seeds, its corpus and mutations of both; says how many inputs it bore.
///
/// # Errors
/// The first input that it did not bear.
pub fn drive(target: Target, seed: u64, until: Until) -> Result<u64, Failure> {
    let mut known = (target.seeds)();
    known.extend(corpus(target));
    known.push(Vec::new());
    for input in &known {
        bear(target, input)?;
    }
    let mut dice = Dice::new(seed);
    let began = Instant::now();
    let mut runs = known.len() as u64;
    let goal = match until {
        Until::Runs(runs) => runs,
        Until::Elapsed(_) => u64::MAX,
    };
    let mut mutations = 0;
    while mutations < goal {
        if let Until::Elapsed(time) = until
            && began.elapsed() >= time
        {
            break;
        }
        let input = mutate(&known, &mut dice);
        bear(target, &input)?;
        (mutations, runs) = (mutations + 1, runs + 1);
    }
    Ok(runs)
}

/// Where inputs that failed once are kept.
pub fn corpus_directory(target: Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// The inputs of a target's directory, in the order of their names.
fn corpus(target: Target) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(corpus_directory(target)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: &PathBuf| std::fs::read(path).expect("an input of the corpus can be read");
    paths.iter().map(read).collect()
}

/// Runs one input; a failure is made small first.
fn bear(target: Target, input: &[u8]) -> Result<(), Failure> {
    let Some(message) = attempt(target, input) else { return Ok(()) };
    let mut best = Failure { input: input.to_vec(), message };
    let mut piece = best.input.len().div_ceil(2);
    let mut left = SHRINKING;
    while piece > 0 && left > 0 {
        let mut at = 0;
        while at < best.input.len() && left > 0 {
            let mut shorter = best.input.clone();
            shorter.drain(at..(at + piece).min(shorter.len()));
            left -= 1;
            match attempt(target, &shorter) {
                Some(message) => best = Failure { input: shorter, message },
                None => at += piece,
            }
        }
        piece /= 2;
    }
    Err(best)
}

thread_local! {
    /// Panics of this thread are answers, and not for the terminal.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs one input and returns what was wrong, if something was.
fn attempt(target: Target, input: &[u8]) -> Option<String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
    let began = Instant::now();
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    QUIET.set(false);
    match result {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Some(text.unwrap_or("a panic without words").to_owned())
        }
        Ok(()) if began.elapsed() > SLOW => Some(format!("took {:?}", began.elapsed())),
        Ok(()) => None,
    }
}

/// A known input, changed in one to four ways.
fn mutate(known: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let pick = |dice: &mut Dice| &known[dice.below(known.len() as u64) as usize];
    let mut input = pick(dice).clone();
    for _ in 0..dice.between(1, 4) {
        let at = dice.below(input.len() as u64 + 1) as usize;
        match dice.below(9) {
            0 => flip(&mut input, at, dice),
            1 => overwrite(&mut input, at, &[dice.next_u64() as u8]),
            2 => overwrite(&mut input, at, number(dice)),
            3 => input.truncate(at),
            4 => {
                let end = (at + dice.between(1, 16) as usize).min(input.len());
                input.drain(at..end);
            }
            5 => {
                let bytes: Vec<u8> =
                    (0..dice.between(1, 16)).map(|_| dice.next_u64() as u8).collect();
                input.splice(at..at, bytes);
            }
            6 => {
                let end = (at + dice.between(1, 64) as usize).min(input.len());
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
            7 => {
                let other = pick(dice);
                let from = dice.below(other.len() as u64 + 1) as usize;
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let length = dice.between(1, 64);
                input = (0..length).map(|_| dice.next_u64() as u8).collect();
            }
        }
    }
    input.truncate(known.iter().map(Vec::len).max().unwrap_or_default().max(LONGEST));
    input
}

fn flip(input: &mut [u8], at: usize, dice: &mut Dice) {
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << dice.below(8);
    }
}

fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    for (target, byte) in input.iter_mut().skip(at).zip(bytes) {
        *target = *byte;
    }
}

/// The bytes of a number at which arithmetic ends, in one of the usual widths and orders.
fn number(dice: &mut Dice) -> &'static [u8] {
    const NUMBERS: [&[u8]; 12] = [
        &[0xff],
        &[0x7f],
        &[0x80],
        &[0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0x7f],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0x80, 0, 0, 0, 0, 0, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    ];
    NUMBERS[dice.below(NUMBERS.len() as u64) as usize]
}
