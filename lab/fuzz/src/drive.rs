//! Feeds targets: seeds, then mutations of seeds, keeps what goes further, and makes what fails small.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use quorate_base::Dice;

use crate::Target;
use crate::coverage::Reached;
use crate::mutate::mutate;

/// No input may take longer of a processor: what reads a few kilobytes for a second reads megabytes for ever.
pub const SLOW: Duration = Duration::from_secs(10);

/// Attempts at making a failing input smaller.
const SHRINKING: usize = 2_000;

/// Inputs after which it is looked whether one of them reached something new.
const BATCH: usize = 64;

/// The file of a target's directory with inputs that were kept because they go far.
const REACHING: &str = "reaching.pack";

/// At most so many bytes of inputs that go far are written to [`REACHING`].
const REACHING_BYTES: usize = 64 << 10;

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

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Inputs that the target bore.
    pub runs: u64,
    /// Regions of code that they reached; 0 where nobody counts.
    pub regions: usize,
    /// The mutations that reached a region first, in the order in which they were found.
    pub reaching: Vec<Vec<u8>>,
}

/// Runs a target over its seeds, its corpus and mutations of both. `before` sees every input before it is run: one that
/// ends the process is known by that.
///
/// # Errors
/// The first input that it did not bear.
pub fn drive(
    target: Target,
    seed: u64,
    until: Until,
    before: &mut dyn FnMut(&[u8]),
) -> Result<Report, Failure> {
    let mut known = (target.seeds)();
    known.extend(corpus(target));
    known.push(Vec::new());
    let mut report = Report::default();
    for input in &known {
        before(input);
        bear(target, input)?;
        report.runs += 1;
    }
    let mut reached = Reached::default();
    reached.note();
    let (mut dice, began, mut mutations) = (Dice::new(seed), Instant::now(), 0);
    loop {
        let left = match until {
            Until::Runs(runs) => usize::try_from(runs - mutations).unwrap_or(BATCH),
            Until::Elapsed(time) if began.elapsed() >= time => 0,
            Until::Elapsed(_) => BATCH,
        };
        if left == 0 {
            break;
        }
        let batch: Vec<Vec<u8>> =
            (0..left.min(BATCH)).map(|_| mutate(&known, target.words, &mut dice)).collect();
        for input in &batch {
            before(input);
            bear(target, input)?;
        }
        mutations += batch.len() as u64;
        for found in reached.news_of(batch.len(), |at| drop(attempt(target, &batch[at]))) {
            known.push(batch[found].clone());
            report.reaching.push(batch[found].clone());
        }
    }
    (report.runs, report.regions) = (report.runs + mutations, reached.count());
    Ok(report)
}

/// Where inputs that failed once, or that go far, are kept.
pub fn corpus_directory(target: Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// Writes inputs that go far into a target's directory, beside those that are there: the shortest first, and no more
/// than fit.
///
/// # Errors
/// When the directory cannot be written.
pub fn keep(target: Target, reaching: &[Vec<u8>]) -> std::io::Result<usize> {
    let path = corpus_directory(target).join(REACHING);
    let mut inputs = std::fs::read(&path).map(|packed| unpack(&packed)).unwrap_or_default();
    inputs.extend(reaching.iter().cloned());
    inputs.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    inputs.dedup();
    let mut packed = Vec::new();
    let mut kept = 0;
    for input in inputs.iter().filter(|input| !input.is_empty()) {
        if packed.len() + input.len() > REACHING_BYTES {
            break;
        }
        packed.extend_from_slice(&(input.len() as u32).to_be_bytes());
        packed.extend_from_slice(input);
        kept += 1;
    }
    std::fs::create_dir_all(corpus_directory(target))?;
    std::fs::write(path, packed)?;
    Ok(kept)
}

/// The inputs of a packed file: each behind its length of four bytes.
fn unpack(mut packed: &[u8]) -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    while let Some((length, rest)) = packed.split_first_chunk::<4>() {
        let length = (u32::from_be_bytes(*length) as usize).min(rest.len());
        inputs.push(rest[..length].to_vec());
        packed = &rest[length..];
    }
    inputs
}

/// The inputs of a target's directory, in the order of their names.
fn corpus(target: Target) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(corpus_directory(target)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let bytes = std::fs::read(path).expect("an input of the corpus can be read");
        if path.ends_with(REACHING) { unpack(&bytes) } else { vec![bytes] }
    };
    paths.iter().flat_map(read).collect()
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
    let began = worked();
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    QUIET.set(false);
    match result {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Some(text.unwrap_or("a panic without words").to_owned())
        }
        Ok(()) => {
            let took = worked() - began;
            (took > SLOW).then(|| format!("took {took:?} of a processor"))
        }
    }
}

/// What this thread has had of a processor: however busy the machine is, an input takes as much.
pub fn worked() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}
