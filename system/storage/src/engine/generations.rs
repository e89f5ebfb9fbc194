//! Whole states side by side, and the pointer that says which one counts.
//!
//! A leader's snapshot is received into a new generation while the old one goes on serving; when
//! the new one is complete and synced, one atomic rename makes it the current one. A crash before
//! the rename opens the old generation, a crash after it the new one, and opening removes whatever
//! the pointer does not name.
//!
//! ```text
//! D/LOCK          held while a process uses the directory
//! D/CURRENT       "quorate-state 1 gen 7\n"
//! D/gen-7/        the tables of an engine
//! ```

use super::lsm::sync_dir;
use super::{LsmEngine, Options, StateError};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Weak;

const POINTER: &str = "CURRENT";
const POINTER_DRAFT: &str = "CURRENT.new";
const LOCK: &str = "LOCK";
const FORMAT: &str = "quorate-state 1 gen ";

/// The generations of one state directory. Holds its lock.
pub struct Generations {
    dir: PathBuf,
    options: Options,
    current: u64,
    /// The greatest number in use: an abandoned one is never given out again in this process, since
    /// threads of its engine may still be stopping.
    greatest: u64,
    /// Replaced ones whose views may still be read.
    replaced: Vec<(u64, Weak<Path>)>,
    _lock: File,
}

/// An engine and the generation that it fills.
pub struct OpenGeneration {
    /// Which generation: what [`Generations::switch`] takes.
    pub number: u64,
    /// Its engine.
    pub engine: LsmEngine,
}

impl Generations {
    /// Opens a state directory, creating it if it is not there, and removes what no pointer names:
    /// unfinished generations, and replaced ones.
    ///
    /// # Errors
    /// When the directory is in use, unreadable, or of another format.
    pub fn open(dir: &Path, options: Options) -> Result<Generations, StateError> {
        std::fs::create_dir_all(dir).map_err(StateError::io("create", dir))?;
        let lock = take_lock(&dir.join(LOCK))?;
        let current = match read_pointer(&dir.join(POINTER))? {
            Some(current) => current,
            None => {
                write_pointer(dir, 1)?;
                1
            }
        };
        let mut generations = Generations {
            dir: dir.to_path_buf(),
            options,
            current,
            greatest: current,
            replaced: Vec::new(),
            _lock: lock,
        };
        generations.remove_unnamed()?;
        Ok(generations)
    }

    /// The number of the current generation.
    pub fn current(&self) -> u64 {
        self.current
    }

    /// Opens the engine of the current generation. One engine per generation at a time.
    ///
    /// # Errors
    /// Those of [`LsmEngine::open`].
    pub fn open_current(&self) -> Result<LsmEngine, StateError> {
        LsmEngine::open(&self.path(self.current), self.options)
    }

    /// Makes an empty generation beside the current one, to be filled, synced and switched to. One
    /// that is dropped instead is removed at the next open or by [`Generations::remove_unnamed`].
    ///
    /// # Errors
    /// Those of [`LsmEngine::open`].
    pub fn create_next(&mut self) -> Result<OpenGeneration, StateError> {
        self.greatest += 1;
        let number = self.greatest;
        let path = self.path(number);
        remove_dir(&path)?;
        Ok(OpenGeneration { number, engine: LsmEngine::open(&path, self.options)? })
    }

    /// Makes a filled generation the current one in the place of `replaced`, durably and at once.
    /// Its engine must have been synced: what was not is lost if the machine stops.
    ///
    /// # Errors
    /// When the pointer cannot be written: then nobody knows which generation counts, and the
    /// process must stop.
    pub fn switch(
        &mut self,
        filled: &OpenGeneration,
        replaced: &LsmEngine,
    ) -> Result<(), StateError> {
        assert!(filled.number > self.current, "a switch goes forward");
        assert!(filled.engine.is_settled(), "a generation is synced before it is switched to");
        write_pointer(&self.dir, filled.number)?;
        self.replaced.push((self.current, replaced.users()));
        self.current = filled.number;
        Ok(())
    }

    /// Removes the replaced generations that no engine or view reads any more; says whether some
    /// are left for later.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn remove_replaced(&mut self) -> Result<bool, StateError> {
        let unused = |(_, users): &mut (u64, Weak<Path>)| users.strong_count() == 0;
        for (number, _) in self.replaced.extract_if(.., unused).collect::<Vec<_>>() {
            remove_dir(&self.path(number))?;
        }
        Ok(!self.replaced.is_empty())
    }

    /// Removes every generation but the current one. Called when no engine or view of them is left.
    ///
    /// # Errors
    /// When the operating system refuses; calling again is safe.
    pub fn remove_unnamed(&mut self) -> Result<(), StateError> {
        for entry in std::fs::read_dir(&self.dir).map_err(StateError::io("list", &self.dir))? {
            let entry = entry.map_err(StateError::io("list", &self.dir))?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("gen-")?.parse().ok());
            if let Some(number) = number
                && number != self.current
            {
                self.greatest = self.greatest.max(number);
                remove_dir(&entry.path())?;
            }
        }
        sync_dir(&self.dir)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("gen-{number}"))
    }
}

fn remove_dir(path: &Path) -> Result<(), StateError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StateError::io("remove", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn take_lock(path: &Path) -> Result<File, StateError> {
    let open = File::options().create(true).truncate(false).write(true).open(path);
    let file = open.map_err(StateError::io("open", path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StateError::Locked { path: path.into() }),
        Err(error) => Err(StateError::io("lock", path)(error.into())),
    }
}

fn read_pointer(path: &Path) -> Result<Option<u64>, StateError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateError::io("read", path)(error)),
    };
    let number = text.strip_prefix(FORMAT).and_then(|rest| rest.strip_suffix('\n'));
    match number.and_then(|number| number.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(StateError::Format {
            path: path.into(),
            found: text.trim().into(),
            expected: FORMAT,
        }),
    }
}

/// Writes the pointer beside the old one, syncs it, and renames it into place.
fn write_pointer(dir: &Path, number: u64) -> Result<(), StateError> {
    let (draft, pointer) = (dir.join(POINTER_DRAFT), dir.join(POINTER));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&draft)?;
        file.write_all(format!("{FORMAT}{number}\n").as_bytes())?;
        file.sync_all()
    };
    write().map_err(StateError::io("write", &draft))?;
    std::fs::rename(&draft, &pointer).map_err(StateError::io("rename", &pointer))?;
    sync_dir(dir)
}
