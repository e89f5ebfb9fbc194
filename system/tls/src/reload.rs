//! A configuration made of files that may change under a running member.

use crate::files::TlsError;
use arc_swap::ArcSwap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The files are looked at most so often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What tells one version of a file from another: when it was written, which file it is, how long.
type Stamp = Option<(i64, i64, u64, u64)>;

type Build<T> = Box<dyn Fn() -> Result<T, TlsError> + Send + Sync>;

struct Seen {
    at: Instant,
    stamps: Vec<Stamp>,
}

/// A `T` made of files, made anew when they have changed. A new one that cannot be made changes
/// nothing but the log: a certificate and its key are rarely replaced at the same moment.
pub struct Reloading<T> {
    files: Vec<PathBuf>,
    build: Build<T>,
    current: ArcSwap<T>,
    seen: Mutex<Seen>,
}

impl<T> Reloading<T> {
    /// Makes the first one.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(
        files: Vec<PathBuf>,
        build: impl Fn() -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Reloading<T>, TlsError> {
        // Stamps first: what changes meanwhile is seen the next time.
        let seen = Seen { at: Instant::now(), stamps: stamps(&files) };
        let current = ArcSwap::from_pointee(build()?);
        Ok(Reloading { files, build: Box::new(build), current, seen: Mutex::new(seen) })
    }

    /// The newest one that could be made.
    pub fn get(&self) -> Arc<T> {
        let mut seen = self.seen.lock().expect("no holder of this lock panics");
        if seen.at.elapsed() >= LOOK_EVERY {
            seen.at = Instant::now();
            let stamps = stamps(&self.files);
            if stamps != seen.stamps {
                seen.stamps = stamps;
                match (self.build)() {
                    Ok(new) => {
                        self.current.store(Arc::new(new));
                        tracing::info!(files = ?self.files, "the TLS files have changed");
                    }
                    Err(error) => {
                        tracing::error!(
                            "the old TLS files stay in use, the new ones fail: {error}"
                        );
                    }
                }
            }
        }
        self.current.load_full()
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let data = std::fs::metadata(path).ok()?;
        Some((data.mtime(), data.mtime_nsec(), data.ino(), data.len()))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_is_not_used() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("number");
        std::fs::write(&path, "1").expect("written");
        let from = path.clone();
        let number = Reloading::new(vec![path.clone()], move || {
            let text = std::fs::read_to_string(&from).expect("read");
            text.parse::<u32>().map_err(|error| TlsError::Settings(error.to_string()))
        });
        let number = number.expect("a number");
        let look_again = || {
            number.seen.lock().expect("free").at = Instant::now() - LOOK_EVERY;
            *number.get()
        };
        assert_eq!(look_again(), 1);
        std::fs::write(&path, "22").expect("written");
        assert_eq!(*number.get(), 1, "not looked at yet");
        assert_eq!(look_again(), 22);
        std::fs::write(&path, "three").expect("written");
        assert_eq!(look_again(), 22);
        std::fs::write(&path, "4444").expect("written");
        assert_eq!(look_again(), 4444);
    }
}
