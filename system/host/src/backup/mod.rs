//! A backup: one file that holds the whole state at one revision.
//!
//! ```text
//! "quorate-backup 1\n"            17 bytes
//! frames: length u32 (little-endian), then a chunk of the state as followers get it, each with
//!         its own checksum; the last one says so in itself
//! zeros up to a multiple of 512
//! SHA-256 of everything before    32 bytes
//! ```
//!
//! The padding and the trailing checksum are what `etcdctl snapshot save` looks for, so that it
//! can save a backup of Quorate as well. The content is Quorate's own: etcd cannot read it.
//!
//! [`write`] makes one out of a view; [`BackupFile`] checks one and reads it again.

mod read;

pub(crate) use read::hexadecimal;
pub use read::{BackupError, BackupFile, Progress};

use crate::View;
use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};

/// The first bytes of every backup.
pub const MAGIC: &[u8] = b"quorate-backup 1\n";

/// Content is padded to a multiple of this, in bytes.
pub const BLOCK: usize = 512;

/// Bytes of the checksum at the end.
pub const CHECKSUM: usize = 32;

/// Bytes of state in one chunk.
const CHUNK_BYTES: usize = 1 << 20;

/// Bytes of one message to the client (item 68).
const BLOB_BYTES: usize = 32 << 10;

/// Why a backup ended early.
pub enum Stopped {
    /// The client went away.
    Reader,
    /// The state could not be read.
    State(String),
}

/// Cuts what is written into blobs and sums it up.
struct Writer<S> {
    send: S,
    sum: Sha256,
    waiting: BytesMut,
    written: u64,
    /// Bytes of content, padding included.
    total: u64,
}

impl<S: FnMut(Bytes, u64) -> Result<(), ()>> Writer<S> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        self.sum.update(bytes);
        self.waiting.put_slice(bytes);
        while self.waiting.len() >= BLOB_BYTES {
            let blob = self.waiting.split_to(BLOB_BYTES).freeze();
            self.blob(blob)?;
        }
        Ok(())
    }

    fn blob(&mut self, blob: Bytes) -> Result<(), Stopped> {
        self.written += blob.len() as u64;
        (self.send)(blob, self.total - self.written).map_err(|()| Stopped::Reader)
    }

    fn finish(mut self) -> Result<(), Stopped> {
        let so_far = self.written as usize + self.waiting.len();
        let padding = vec![0; so_far.next_multiple_of(BLOCK) - so_far];
        self.write(&padding)?;
        let rest = self.waiting.split().freeze();
        if !rest.is_empty() {
            self.blob(rest)?;
        }
        let sum = Bytes::copy_from_slice(&self.sum.finalize());
        (self.send)(sum, 0).map_err(|()| Stopped::Reader)
    }
}

/// Writes a backup of the view: `send` takes blobs in order, with the bytes of content that still
/// follow. The state is read twice, the first time to know its size: it is nowhere else in memory.
pub fn write(view: &View, send: impl FnMut(Bytes, u64) -> Result<(), ()>) -> Result<(), Stopped> {
    let mut length = MAGIC.len();
    each_chunk(view, |chunk| {
        length += 4 + chunk.len();
        Ok(())
    })?;
    let mut writer = Writer {
        send,
        sum: Sha256::new(),
        waiting: BytesMut::new(),
        written: 0,
        total: length.next_multiple_of(BLOCK) as u64,
    };
    writer.write(MAGIC)?;
    each_chunk(view, |chunk| {
        writer.write(&(chunk.len() as u32).to_le_bytes())?;
        writer.write(&chunk)
    })?;
    writer.finish()
}

fn each_chunk(
    view: &View,
    mut take: impl FnMut(Bytes) -> Result<(), Stopped>,
) -> Result<(), Stopped> {
    let mut after: Option<Bytes> = None;
    loop {
        let chunk = view.chunk(after.as_deref(), CHUNK_BYTES);
        let chunk = chunk.map_err(|error| Stopped::State(error.to_string()))?;
        let done = chunk.done;
        take(chunk.data)?;
        if done {
            return Ok(());
        }
        after = Some(chunk.cursor);
    }
}
