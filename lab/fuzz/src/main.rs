//! Runs fuzz targets for a while: `quorate-fuzz TARGET[,TARGET…]|all [SECONDS] [SEED] [keep]`.
//!
//! `cargo xtask fuzz` is the command for people; this is what it starts. With `keep`, inputs that reached new code are
//! written into the corpus, which tests replay.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use quorate_fuzz::drive::{self, Until, corpus_directory, drive, keep};
use quorate_fuzz::{TARGETS, Target, target};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let names = arguments.next().unwrap_or_default();
    let named: Option<Vec<Target>> = names.split(',').map(target).collect();
    let targets = match named {
        Some(targets) => targets,
        None if names == "all" => TARGETS.to_vec(),
        None => {
            println!("targets:");
            for target in TARGETS {
                println!("  {:<16} {}", target.name, target.reads);
            }
            return if names.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    let mut number = |default| match arguments.next() {
        Some(text) => text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")),
        None => default,
    };
    let time = Duration::from_secs(number(60));
    let seed = number(1);
    let keeps = arguments.next().is_some_and(|word| word == "keep");
    let failed = targets.iter().filter(|target| !run(**target, seed, time, keeps)).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a target and says what came of it; what failed goes into the corpus.
fn run(target: Target, seed: u64, time: Duration, keeps: bool) -> bool {
    let (began, worked) = (Instant::now(), drive::worked());
    // An input that ends the process (a stack that overflows) leaves no failure behind, but this file.
    let path =
        std::env::temp_dir().join(format!("quorate-fuzz-{}-{}", target.name, std::process::id()));
    let current = File::create(&path).expect("a file for the input under way");
    let mut under_way = Vec::new();
    let mut before = |input: &[u8]| {
        // Its length comes first: cutting a file off, for every input, took more time than the inputs.
        under_way.clear();
        under_way.extend_from_slice(&(input.len() as u32).to_be_bytes());
        under_way.extend_from_slice(input);
        current.write_all_at(&under_way, 0).expect("room for an input");
    };
    println!(
        "{}: the input under way is in {}, behind its length in four bytes",
        target.name,
        path.display()
    );
    let outcome = drive(target, seed, Until::Elapsed(time), &mut before);
    let _ = std::fs::remove_file(&path);
    let seconds = began.elapsed().as_secs_f64();
    match outcome {
        Ok(report) => {
            let worked = (drive::worked() - worked).as_secs_f64();
            println!(
                "{}: {} inputs in {seconds:.0} s ({worked:.0} s of a processor), seed {seed}; {} regions reached, {} \
                 inputs kept on the way; 0 findings",
                target.name,
                report.runs,
                report.regions,
                report.reaching.len()
            );
            if keeps {
                match keep(target, &report.reaching) {
                    Ok(kept) => println!("  the corpus has {kept} inputs that go far"),
                    Err(error) => println!("  the corpus could not be written: {error}"),
                }
            }
            true
        }
        Err(failure) => {
            let directory = corpus_directory(target);
            let path = directory.join(format!("failed-{seed}-{}", failure.input.len()));
            let written = std::fs::create_dir_all(&directory)
                .and_then(|()| std::fs::write(&path, &failure.input));
            let place = match written {
                Ok(()) => path.display().to_string(),
                Err(error) => format!("nowhere: {error}"),
            };
            println!("{}: FAILED after {seconds:.0} s: {}", target.name, failure.message);
            println!("  {} bytes, kept in {place}", failure.input.len());
            false
        }
    }
}
