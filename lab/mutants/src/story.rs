//! Golden stories as judges of mutants: an `expect` that fails, or a judge of the story's cluster.

use quorate_base::mutant::{self, Mutant};
use quorate_node::Node;
use quorate_script::{StoreStory, Story};
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
    let protocol = path.ancestors().nth(2).and_then(Path::file_name);
    let tell = || match protocol.and_then(|name| name.to_str()) {
        Some("store") => goldenscript::generate(&mut StoreStory::default(), &text),
        Some("node") => goldenscript::generate(&mut Story::<Node>::of(), &text),
        Some(_) | None => goldenscript::generate(&mut Story::default(), &text),
    };
    let told = catch_unwind(AssertUnwindSafe(|| mutant::with(mutant, tell)));
    Ok(told.ok().and_then(Result::err).map(|error| error.to_string()))
}

/// The stories of a protocol, by name.
///
/// # Errors
/// When the directory cannot be read.
pub fn stories_of(protocol: &str) -> io::Result<Vec<PathBuf>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocols");
    let files = std::fs::read_dir(dir.join(protocol).join("scripts"))?;
    let mut paths = files.map(|file| Ok(file?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "story"));
    paths.sort();
    Ok(paths)
}

/// What the names of the stories of a mutant of Raft begin with: `t21` for trap 21 of Raft, `b21` for
/// class B21 of bugs.
pub fn trap(mutant: &Mutant) -> String {
    match mutant.trap.starts_with('B') {
        true => mutant.trap.to_lowercase(),
        false => format!("t{:02}", mutant.id % 100),
    }
}

/// The stories of Raft that guard something, by what they guard.
///
/// # Errors
/// When the directory cannot be read.
pub fn stories() -> io::Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut stories: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in stories_of("raft")? {
        let name = name(&path);
        let (trap, _) = name.split_once('_').unwrap_or_default();
        let number = trap.strip_prefix(['t', 'b']).is_some_and(|rest| rest.parse::<u32>().is_ok());
        if number {
            stories.entry(trap.to_owned()).or_default().push(path);
        }
    }
    Ok(stories)
}

/// The story that turns red with a mutant, and why: for Raft that of its trap, for the others the
/// first of the store's and the node's.
///
/// # Errors
/// When a file cannot be read.
pub fn guard(mutant: &Mutant) -> io::Result<Option<(String, String)>> {
    let paths = match mutant.id {
        0..200 => stories()?.remove(&trap(mutant)).unwrap_or_default(),
        200..300 => Vec::new(),
        _ => [stories_of("store")?, stories_of("node")?].concat(),
    };
    for path in paths {
        if let Some(why) = tell(&path, mutant.id)? {
            return Ok(Some((name(&path), why)));
        }
    }
    Ok(None)
}

/// A story's name.
pub fn name(path: &Path) -> String {
    path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
