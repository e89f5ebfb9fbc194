//! Golden stories as judges of mutants: an `expect` that fails, or a judge of the story's cluster.

use quorate_base::mutant::{self, Mutant};
use quorate_script::Story;
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// How a story ends with a mutant: `None` as it is told, or what was found first. A panic is no
/// finding: it names no property.
///
/// # Errors
/// When the file cannot be read.
pub fn tell(path: &Path, mutant: u32) -> io::Result<Option<String>> {
    let text = std::fs::read_to_string(path)?;
    let told = catch_unwind(AssertUnwindSafe(|| {
        mutant::with(mutant, || goldenscript::generate(&mut Story::default(), &text))
    }));
    Ok(told.ok().and_then(Result::err).map(|error| error.to_string()))
}

/// The stories of Raft, by the number of the trap that their name begins with.
///
/// # Errors
/// When the directory cannot be read.
pub fn stories() -> io::Result<BTreeMap<u32, Vec<PathBuf>>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocols/raft/scripts");
    let mut stories: BTreeMap<u32, Vec<PathBuf>> = BTreeMap::new();
    for file in std::fs::read_dir(&dir)? {
        let path = file?.path();
        let trap = name(&path).strip_prefix('t').and_then(|rest| rest.get(..2)?.parse().ok());
        if let Some(trap) = trap {
            stories.entry(trap).or_default().push(path);
        }
    }
    stories.values_mut().for_each(|paths| paths.sort());
    Ok(stories)
}

/// The story of a mutant's trap that turns red with it, and why.
///
/// # Errors
/// When a file cannot be read.
pub fn guard(mutant: &Mutant) -> io::Result<Option<(String, String)>> {
    if mutant.id >= 200 {
        return Ok(None);
    }
    for path in stories()?.get(&(mutant.id % 100)).into_iter().flatten() {
        if let Some(why) = tell(path, mutant.id)? {
            return Ok(Some((name(path), why)));
        }
    }
    Ok(None)
}

/// A story's name.
pub fn name(path: &Path) -> String {
    path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
