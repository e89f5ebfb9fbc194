//! Measures the judge of linearizability against Porcupine, on Porcupine's own histories, in one run.
//!
//! ```text
//! cargo run --release -p quorate-check --example porcupine [rounds]
//! ```
//!
//! A small Go program with our own models is built against the newest version of Porcupine that the Go proxy knows;
//! its test data come with it and are read from the module cache. The two judge the same files in turn, A B A B, and
//! every verdict is compared. Porcupine's suite judges the smaller key-value files also as one object of many keys,
//! which is what most of its time goes to; here this is a set of its own (`whole`), since our judge always splits by
//! key.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use quorate_check::limits::Options;
use quorate_check::model::find;
use quorate_check::read::read_bytes;
use quorate_check::verdict::Verdict;

const PORCUPINE: &str = "github.com/anishathalye/porcupine";

type Failure = Box<dyn std::error::Error>;

/// What became of one file.
struct Judged {
    is_linearizable: bool,
    read_us: u128,
    check_us: u128,
}

/// Files that are measured together.
struct Set {
    name: &'static str,
    /// Porcupine's mode and our model.
    mode: &'static str,
    model: &'static str,
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("porcupine: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints a table. False: a verdict differs.
fn measure() -> Result<bool, Failure> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(5), |rounds| rounds.parse())?;
    let directory = std::env::temp_dir().join(format!("porcupine-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let result = build(&directory).and_then(|(version, data)| {
        println!("Porcupine {version}, {rounds} rounds, medians of whole sets in milliseconds\n");
        println!("| set | files | Porcupine: read, judge | Quorate: read, judge | with reasons | ratio of judging |");
        println!("|---|---|---|---|---|---|");
        let mut is_same = true;
        for set in sets(&data)? {
            is_same &= measure_set(&set, &directory.join("judge"), rounds)?;
        }
        Ok(is_same)
    });
    std::fs::remove_dir_all(&directory)?;
    result
}

/// Builds the Go program. Returns the version of Porcupine and where its test data are.
fn build(directory: &Path) -> Result<(String, PathBuf), Failure> {
    std::fs::write(directory.join("main.go"), include_str!("main.go"))?;
    let go = |arguments: &[&str]| -> Result<String, Failure> {
        let output = Command::new("go").args(arguments).current_dir(directory).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    go(&["mod", "init", "judge"])?;
    go(&["get", &format!("{PORCUPINE}@latest")])?;
    go(&["build", "-o", "judge", "."])?;
    let version = go(&["list", "-m", "-f", "{{.Version}}", PORCUPINE])?;
    let data = PathBuf::from(go(&["list", "-m", "-f", "{{.Dir}}", PORCUPINE])?).join("test_data");
    Ok((version, data))
}

fn sets(data: &Path) -> Result<Vec<Set>, Failure> {
    let list = |directory: &str, is_taken: fn(&str) -> bool| -> Result<Vec<PathBuf>, Failure> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(data.join(directory))? {
            let path = entry?.path();
            if path.file_name().and_then(|name| name.to_str()).is_some_and(is_taken) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    };
    let (keys, register) = ("key-value", "register");
    Ok(vec![
        // One of the logs is empty, and left out of Porcupine's suite as well.
        Set {
            name: "etcd logs",
            mode: register,
            model: register,
            files: list("jepsen", |name| name != "etcd_095.log")?,
        },
        Set { name: "key-value, by key", mode: keys, model: keys, files: list("kv", |_| true)? },
        Set {
            name: "key-value, whole",
            mode: "whole",
            model: keys,
            files: list("kv", |name| !name.starts_with("c50"))?,
        },
    ])
}

fn measure_set(set: &Set, judge: &Path, rounds: usize) -> Result<bool, Failure> {
    let mut totals: [Vec<u128>; 5] = Default::default();
    let mut is_same = true;
    for _ in 0..rounds {
        let theirs = porcupine(set, judge)?;
        let ours = ours(set, false)?;
        let reasoned = self::ours(set, true)?;
        for ((file, a), b) in set.files.iter().zip(&theirs).zip(&ours) {
            if a.is_linearizable != b.is_linearizable {
                println!("{}: the verdicts differ", file.display());
                is_same = false;
            }
        }
        let read = |judged: &[Judged]| judged.iter().map(|one| one.read_us).sum::<u128>();
        let check = |judged: &[Judged]| judged.iter().map(|one| one.check_us).sum::<u128>();
        let sums = [read(&theirs), check(&theirs), read(&ours), check(&ours), check(&reasoned)];
        totals.iter_mut().zip(sums).for_each(|(total, sum)| total.push(sum));
    }
    let median = |mut values: Vec<u128>| {
        values.sort_unstable();
        values[values.len() / 2] as f64 / 1e3
    };
    let [read, check, our_read, our_check, reasoned] = totals.map(median);
    let (name, count, ratio) = (set.name, set.files.len(), check / our_check);
    println!(
        "| {name} | {count} | {read:.1}, {check:.1} | {our_read:.1}, {our_check:.1} | {reasoned:.1} | {ratio:.0} |"
    );
    Ok(is_same)
}

fn porcupine(set: &Set, judge: &Path) -> Result<Vec<Judged>, Failure> {
    let mut command = Command::new(judge);
    for file in &set.files {
        command.arg(set.mode).arg(file);
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let judged = |line: &str| -> Result<Judged, Failure> {
        let [verdict, read, check] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("the Go program printed {line}").into());
        };
        let (read_us, check_us) = (read.parse()?, check.parse()?);
        Ok(Judged { is_linearizable: verdict == "true", read_us, check_us })
    };
    String::from_utf8(output.stdout)?.lines().map(judged).collect()
}

fn ours(set: &Set, explain: bool) -> Result<Vec<Judged>, Failure> {
    let model = find(set.model).ok_or("the model is not there")?;
    let options = Options { explain, ..Options::default() };
    let judge = |file: &PathBuf| -> Result<Judged, Failure> {
        let started = Instant::now();
        let history = read_bytes(&std::fs::read(file)?, None)?;
        let read_us = started.elapsed().as_micros();
        let started = Instant::now();
        let report = (model.check)(&history, &options)?;
        let check_us = started.elapsed().as_micros();
        let is_linearizable = match report.verdict {
            Verdict::Yes => true,
            Verdict::No(_) => false,
            Verdict::Unknown(reason) => return Err(reason.into()),
        };
        Ok(Judged { is_linearizable, read_us, check_us })
    };
    set.files.iter().map(judge).collect()
}
