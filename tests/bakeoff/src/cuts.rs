//! Criterion one: everything written since the last sync is lost or torn, and the engine opens at
//! or after that sync, exactly at the state of some batch.
//!
//! A child process writes, syncs, keeps an image of that moment, writes on without syncing, and dies
//! at a random batch, in the middle of whatever its threads do. The parent then damages what the
//! child had not synced: bytes that differ from the image are kept, zeroed, overwritten with noise
//! or cut off, new files are torn or dropped. Files that an engine renames into place after its own
//! fsync count as synced: for the trees, what is older than `current` is.

use crate::candidate::{self, Candidate};
use crate::work::{Dice, crash_batch, model};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the cuts of one engine and prints what failed.
pub fn run(name: &str, scratch: &Path, cuts: u64) {
    let mut failures = BTreeMap::<String, u64>::new();
    let mut ahead = 0;
    for seed in 1..=cuts {
        match one(name, &scratch.join(format!("{name}-{seed}")), seed) {
            Ok(later) => ahead += u64::from(later),
            Err(why) => *failures.entry(why.chars().take(90).collect()).or_default() += 1,
        }
    }
    let failed: u64 = failures.values().sum();
    println!("cuts {name}: {cuts} cuts, {failed} failed, {ahead} opened later than the sync");
    for (why, times) in failures {
        println!("    {times} x {why}");
    }
}

fn one(name: &str, scratch: &Path, seed: u64) -> Result<bool, String> {
    let _ = std::fs::remove_dir_all(scratch);
    std::fs::create_dir_all(scratch).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["child", name, scratch.to_str().unwrap(), &seed.to_string()])
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success(), "the child dies by its own hand");
    let note = std::fs::read_to_string(scratch.join("note")).expect("the child got to its sync");
    let mut lines = note.lines();
    let synced: u64 = lines.next().unwrap().parse().unwrap();
    let lengths: Vec<(PathBuf, u64)> = lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(len, path)| (path.into(), len.parse().unwrap()))
        .collect();

    let (image, live) = (scratch.join("image"), scratch.join("live"));
    let mut dice = Dice::new(seed * 977);
    damage(name, &image, &live, &mut dice);
    candidate::prepare(name, &live, &lengths);
    let verdict = std::panic::catch_unwind(|| judge(name, &live, seed, synced))
        .unwrap_or_else(|_| Err("it panicked while opening or reading".into()));
    std::fs::remove_dir_all(scratch).unwrap();
    verdict
}

fn judge(name: &str, dir: &Path, seed: u64, synced: u64) -> Result<bool, String> {
    let engine = candidate::open(name, dir)?;
    let mark = engine.mark();
    if mark < synced {
        return Err("it opened before the sync".into());
    }
    let expected = model(seed, mark);
    let mut found = engine.dump(b"c", b"d");
    found.extend(engine.dump(b"r", b"s"));
    if found.len() != expected.len() {
        return Err("it holds another number of pairs than the batch of its mark".into());
    }
    if !found.iter().zip(&expected).all(|(a, (key, value))| a.0 == *key && a.1 == *value) {
        return Err("it holds other bytes than the batch of its mark".into());
    }
    Ok(mark > synced)
}

/// The child: never returns.
pub fn child(name: &str, scratch: &Path, seed: u64) -> ! {
    let live = scratch.join("live");
    let mut engine = candidate::open(name, &live).unwrap();
    let mut dice = Dice::new(seed * 31);
    let mut mark = 0;
    for _ in 0..1 + dice.below(3) {
        for _ in 0..20 + dice.below(150) {
            mark += 1;
            engine.batch(&crash_batch(seed, mark), mark);
        }
        engine.sync();
    }
    copy(&live, &scratch.join("image"));
    let mut note = format!("{mark}\n");
    for (path, len) in engine.sync_note(&live) {
        note.push_str(&format!("{len} {}\n", path.display()));
    }
    std::fs::write(scratch.join("note"), note).unwrap();
    die_writing(engine, seed, mark, 1 + dice.below(300));
}

fn die_writing(mut engine: Box<dyn Candidate>, seed: u64, mark: u64, batches: u64) -> ! {
    for step in 1..=batches {
        engine.batch(&crash_batch(seed, mark + step), mark + step);
    }
    std::process::abort();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if let Err(error) = std::fs::copy(entry.path(), &target) {
            // A background thread may remove what it replaced while the image is taken.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}

/// Damages what lies in `live` and was not in `image`.
fn damage(name: &str, image: &Path, live: &Path, dice: &mut Dice) {
    let synced_at = newest_current(live);
    let files = all_files(live);
    for path in files {
        let relative = path.strip_prefix(live).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let old = std::fs::read(image.join(relative)).unwrap_or_default();
        if bytes == old {
            continue;
        }
        let is_tree_file = name != "redb" && path.extension().is_none_or(|e| e != "jnl");
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        let is_manifest = path.file_name().is_some_and(|f| f == "current");
        if is_tree_file && (is_manifest || synced_at.is_some_and(|at| written <= at)) {
            continue;
        }
        // redb grows its file with one call, which a crash keeps or loses as a whole.
        let cut_anywhere = name != "redb";
        tear(&path, &bytes, &old, cut_anywhere, dice);
    }
}

/// When the newest manifest pointer was put in place: what was written before it was synced first.
fn newest_current(dir: &Path) -> Option<std::time::SystemTime> {
    let files = all_files(dir);
    let pointers = files.iter().filter(|p| p.file_name().is_some_and(|f| f == "current"));
    pointers.map(|p| std::fs::metadata(p).unwrap().modified().unwrap()).max()
}

fn all_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(all_files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Treats each 4 KiB of the file that changed as a disk might: there, not there, or half there.
fn tear(path: &Path, bytes: &[u8], old: &[u8], cut_anywhere: bool, dice: &mut Dice) {
    if old.is_empty() && dice.below(4) == 0 {
        std::fs::remove_file(path).unwrap();
        return;
    }
    let fate = dice.below(5);
    let mut torn = bytes.to_vec();
    for start in (0..torn.len()).step_by(4096) {
        let end = (start + 4096).min(torn.len());
        let before = old.get(start..end.min(old.len())).unwrap_or_default().to_vec();
        if before == torn[start..end] {
            continue;
        }
        let page = &mut torn[start..end];
        match if fate == 4 { dice.below(4) } else { fate } {
            0 => {}
            1 => {
                page.fill(0);
                page[..before.len()].copy_from_slice(&before);
            }
            2 => {
                // Half of the page made it to the disk.
                let half = page.len() / 2;
                let rest = before.get(half..).unwrap_or_default();
                page[half..].fill(0);
                page[half..half + rest.len()].copy_from_slice(rest);
            }
            3.. if old.len() >= end => page.copy_from_slice(&before),
            3.. => {
                let noise = dice.bytes(page.len());
                page.copy_from_slice(&noise);
                page[..before.len()].copy_from_slice(&before);
            }
        }
    }
    if torn.len() > old.len() && dice.below(3) == 0 {
        let kept = dice.below((torn.len() - old.len()) as u64) as usize;
        torn.truncate(old.len() + if cut_anywhere { kept } else { 0 });
    }
    std::fs::write(path, torn).unwrap();
}
