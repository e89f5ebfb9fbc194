//! A window on a file: sequential reading in pieces, without one system call per record and
//! without ever holding more than a piece or one batch.

use crate::disk::{Disk, DiskError};

/// Reads ahead in pieces of a fixed size.
pub(crate) struct Window<'d, D: Disk> {
    disk: &'d D,
    file: D::File,
    /// The file's length: nothing beyond it is asked for, so no stated length can make us
    /// allocate more than the file holds.
    end: u64,
    piece: usize,
    offset: u64,
    buffer: Vec<u8>,
}

impl<'d, D: Disk> Window<'d, D> {
    /// A window on the first `end` bytes of `file`, reading at least `piece` bytes at a time.
    pub fn new(disk: &'d D, file: D::File, end: u64, piece: usize) -> Window<'d, D> {
        Window { disk, file, end, piece, offset: 0, buffer: Vec::new() }
    }

    /// The end of the readable part.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Exactly `length` bytes from `offset`.
    ///
    /// # Panics
    /// When they do not lie before the end: the caller checks every length it read first.
    pub fn slice(&mut self, offset: u64, length: usize) -> Result<&[u8], DiskError> {
        let stop = offset + length as u64;
        assert!(stop <= self.end, "bytes {offset}..{stop} of a file of {}", self.end);
        let buffered = self.offset..=self.offset + self.buffer.len() as u64;
        if !(buffered.contains(&offset) && buffered.contains(&stop)) {
            let ahead = usize::try_from(self.end - offset).unwrap_or(usize::MAX).min(self.piece);
            self.buffer.resize(length.max(ahead), 0);
            self.offset = offset;
            if let Err(error) = self.disk.read_at(&self.file, offset, &mut self.buffer) {
                self.buffer.clear();
                return Err(error);
            }
        }
        let from = (offset - self.offset) as usize;
        Ok(&self.buffer[from..from + length])
    }
}
