//! The file of an audit log: one thread that numbers, chains and writes records.
//!
//! A record that must be on disk before its call is carried out says so and waits; the others are
//! synced when somebody asks for that, which the member does every second. A file that has grown to
//! its bound is put aside under the number of its last record, and of those only so many are kept.
//!
//! When a write or a sync fails, what waits is told, and the file is cut back to its last synced
//! record: after a failed sync nobody knows what of the rest is on disk. The chain has no hole; the
//! records that were cut off are counted in the next one, and no checkpoint has vouched for them,
//! for those are made of what is synced.

use super::chain::{self, Broken, Hash, Log, hex};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot, watch};

/// Where an audit log lies and how much of it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditOptions {
    /// The file that is being written; older ones lie beside it.
    pub path: PathBuf,
    /// A file of so many bytes is put aside.
    pub max_bytes: u64,
    /// So many files that were put aside are kept.
    pub max_files: usize,
}

/// A record: the fields after number and member, as JSON without braces, and who waits for it.
pub struct Entry {
    pub fields: String,
    pub durable: Option<oneshot::Sender<Result<(), String>>>,
}

/// What the writer is asked to do, in order.
pub enum Order {
    /// Write a record.
    Write(Entry),
    /// Sync what was written before, and say when that was tried.
    #[allow(missing_docs)]
    Sync { done: Option<oneshot::Sender<()>> },
}

/// How far the log is: the number and the hash of a record.
pub type Place = (u64, Hash);

/// The open file and where it stands.
pub struct Writer {
    options: AuditOptions,
    member: u64,
    file: File,
    /// What was written.
    written: Extent,
    /// What of it is on disk for certain.
    synced: Extent,
    lost: u64,
    /// Losses that are told of in what is not synced yet.
    told: u64,
    /// Records that never came here, for want of room.
    dropped: Arc<AtomicU64>,
}

/// A log up to a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Extent {
    /// Bytes of the file.
    bytes: u64,
    place: Place,
    /// True until the file has its first record, which says what came before it.
    fresh: bool,
}

/// The files of a log, oldest first, the one being written last.
pub fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut aside = Vec::new();
    for entry in fs::read_dir(parent.unwrap_or(Path::new(".")))? {
        let entry = entry?;
        let other = entry.file_name().to_string_lossy().into_owned();
        let number = other.strip_prefix(&name).and_then(|rest| rest.strip_prefix('.'));
        if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
            aside.push((number, entry.path()));
        }
    }
    aside.sort();
    let mut all: Vec<PathBuf> = aside.into_iter().map(|(_, path)| path).collect();
    if path.exists() {
        all.push(path.to_owned());
    }
    Ok(all)
}

/// Where the log on disk ends. A record that a crash cut off is removed; anything else that is wrong
/// is for a person to look at.
fn resume(path: &Path) -> Result<Option<Log>, String> {
    let say = |error: io::Error| format!("the audit log {}: {error}", path.display());
    let Some(newest) = files(path).map_err(say)?.pop() else { return Ok(None) };
    // A device or a pipe holds no records to go on from, and may never end.
    if !fs::metadata(&newest).map_err(say)?.is_file() {
        return Ok(None);
    }
    let mut text = fs::read_to_string(&newest).map_err(say)?;
    if !text.ends_with('\n') {
        text.truncate(text.rfind('\n').map_or(0, |at| at + 1));
        if newest == path {
            let file = OpenOptions::new().write(true).open(path).map_err(say)?;
            file.set_len(text.len() as u64).map_err(say)?;
        }
    }
    let log = Log::read(&text).map_err(|broken: Broken| {
        format!(
            "the audit log {} is broken: {broken}; keep it for whoever has to look into it, and \
             move it away to begin a new one",
            newest.display()
        )
    })?;
    Ok((log.first != 0).then_some(log))
}

impl Writer {
    /// Opens the log, or begins one.
    ///
    /// # Errors
    /// One sentence: it cannot be read or written, or is broken or another member's.
    pub fn open(
        options: AuditOptions,
        member: u64,
        dropped: Arc<AtomicU64>,
    ) -> Result<Writer, String> {
        let path = options.path.clone();
        let say = |error: io::Error| format!("the audit log {}: {error}", path.display());
        let log = resume(&path)?;
        if let Some(log) = log.as_ref().filter(|log| log.member != member) {
            return Err(format!(
                "the audit log {} is of member {:x}, this is {member:x}: give each member a file of \
                 its own with --audit-log",
                path.display(),
                log.member
            ));
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(say)?;
        let metadata = file.metadata().map_err(say)?;
        if metadata.is_file() {
            // What an earlier life wrote may still be on its way.
            file.sync_data().map_err(say)?;
        }
        let bytes = metadata.len();
        let place = log.map_or((0, [0; 32]), |log| log.last);
        let written = Extent { bytes, place, fresh: bytes == 0 };
        Ok(Writer { options, member, file, written, synced: written, lost: 0, told: 0, dropped })
    }

    /// Where it stands: the last record that is on disk for certain.
    pub fn place(&self) -> Place {
        self.synced.place
    }

    /// Writes records, in order, and tells those who wait. With `sync`, all are on disk or none
    /// counts.
    pub fn write(&mut self, entries: Vec<Entry>, sync: bool) {
        self.lost += self.dropped.swap(0, Ordering::Relaxed);
        let mut result = self.try_write(&entries);
        if result.is_err() {
            self.lost += entries.len() as u64;
        } else if sync {
            result = self.sync();
        }
        if let Err(error) = &result {
            tracing::error!("the audit log {}: {error}", self.options.path.display());
        }
        for waiter in entries.into_iter().filter_map(|entry| entry.durable) {
            let told = match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(error.to_string()),
            };
            // Who gave up waiting needs no answer.
            let _ = waiter.send(told);
        }
    }

    fn try_write(&mut self, entries: &[Entry]) -> io::Result<()> {
        if self.written.bytes >= self.options.max_bytes {
            self.rotate()?;
        }
        let (mut text, Extent { bytes, mut place, mut fresh }) = (String::new(), self.written);
        let lost = (self.lost > 0).then(|| format!("\"lost\":{}", self.lost));
        for fields in lost.iter().chain(entries.iter().map(|entry| &entry.fields)) {
            let seq = place.0 + 1;
            let mut body = format!("{{\"seq\":{seq},\"member\":{},{fields}", self.member);
            if std::mem::take(&mut fresh) {
                body.push_str(&format!(",\"before\":\"{}\"", hex(&place.1)));
            }
            let (line, hash) = chain::seal(&place.1, &body);
            text.push_str(&line);
            place = (seq, hash);
        }
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            // What is half there would break the chain.
            self.file.set_len(bytes)?;
            return Err(error);
        }
        self.written = Extent { bytes: bytes + text.len() as u64, place, fresh };
        self.told += std::mem::take(&mut self.lost);
        Ok(())
    }

    /// Syncs what was written.
    ///
    /// # Errors
    /// When that failed; then what was not synced is cut off, and counted as lost.
    fn sync(&mut self) -> io::Result<()> {
        if self.written == self.synced {
            return Ok(());
        }
        if let Err(error) = self.file.sync_data() {
            let cut = self.written.place.0 - self.synced.place.0;
            self.lost += cut + std::mem::take(&mut self.told);
            self.written = self.synced;
            self.file.set_len(self.synced.bytes)?;
            return Err(error);
        }
        (self.synced, self.told) = (self.written, 0);
        Ok(())
    }

    /// Puts the file aside, begins a new one, and removes what is too old.
    fn rotate(&mut self) -> io::Result<()> {
        self.sync()?;
        let path = &self.options.path;
        let aside = PathBuf::from(format!("{}.{}", path.display(), self.written.place.0));
        fs::rename(path, aside)?;
        self.file = OpenOptions::new().create(true).append(true).open(path)?;
        self.written = Extent { bytes: 0, fresh: true, ..self.written };
        self.synced = self.written;
        let mut old = files(path)?;
        old.pop();
        let too_many = old.len().saturating_sub(self.options.max_files);
        old.iter().take(too_many).try_for_each(fs::remove_file)
    }

    /// Serves a queue until it is closed; tells how far the disk is.
    pub fn run(mut self, mut orders: mpsc::Receiver<Order>, place: watch::Sender<Place>) {
        while let Some(first) = orders.blocking_recv() {
            let (mut batch, mut waiting, mut sync) = (Vec::new(), Vec::new(), false);
            let mut next = Some(first);
            while let Some(order) = next {
                match order {
                    Order::Sync { done } => {
                        sync = true;
                        waiting.extend(done);
                    }
                    Order::Write(entry) => {
                        sync |= entry.durable.is_some();
                        batch.push(entry);
                    }
                }
                next = if batch.len() < 256 { orders.try_recv().ok() } else { None };
            }
            self.write(batch, sync);
            place.send_replace(self.place());
            for waiter in waiting {
                // Who gave up waiting needs no answer.
                let _ = waiter.send(());
            }
        }
        if let Err(error) = self.sync() {
            tracing::error!("the audit log {}: {error}", self.options.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry { fields: format!("\"user\":\"{text}\""), durable: None }
    }

    fn read(path: &Path) -> Log {
        let files = files(path).unwrap();
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        Log::read(&text).unwrap()
    }

    #[test]
    fn a_log_goes_on_after_a_restart_and_over_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        let options = AuditOptions { path: path.clone(), max_bytes: 500, max_files: 3 };
        for round in 0..20 {
            let mut writer = Writer::open(options.clone(), 7, Arc::default()).unwrap();
            assert_eq!(writer.place().0, round * 2);
            writer.write(vec![entry("a"), entry("b")], true);
            // A crash in the middle of a record.
            let mut torn = OpenOptions::new().append(true).open(&path).unwrap();
            torn.write_all(b"{\"seq\":99").unwrap();
        }
        Writer::open(options.clone(), 7, Arc::default()).unwrap();
        let log = read(&path);
        assert_eq!(log.last.0, 40);
        assert!(log.first > 1, "the oldest files are gone");
        assert_eq!(files(&path).unwrap().len(), 4);
        assert!(Writer::open(options, 8, Arc::default()).err().unwrap().contains("of member 7"));
    }

    #[test]
    fn a_full_disk_is_told_to_who_waits_and_leaves_no_hole() {
        let full = AuditOptions { path: "/dev/full".into(), max_bytes: 1 << 20, max_files: 1 };
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let place = (4, [3; 32]);
        let written = Extent { bytes: 0, place, fresh: true };
        let mut writer = Writer {
            options: full,
            member: 7,
            file,
            written,
            synced: written,
            lost: 0,
            told: 0,
            dropped: Arc::default(),
        };
        let (sender, mut told) = oneshot::channel();
        writer.write(vec![Entry { fields: "\"user\":\"a\"".into(), durable: Some(sender) }], true);
        assert!(told.try_recv().unwrap().is_err());
        assert_eq!((writer.place(), writer.lost), (place, 1));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        writer.file = File::create(&path).unwrap();
        writer.write(vec![entry("b")], true);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(Log::read(&text).unwrap().last.0, 6, "the loss and the record");
        assert!(text.contains("\"lost\":1"));
    }
}
