//! Batches: the unit in which records reach the disk, all or nothing.
//!
//! A batch is a 64-byte header, its records, and zeros up to the next multiple of 64. Because of
//! that alignment a header never straddles two sectors, and recovery can look for headers behind
//! a damaged batch without trusting any length. The header (little-endian):
//!
//! ```text
//!  0 magic u32      4 crc32c u32 of bytes 8..64
//!  8 epoch u64        of the segment: content of a recycled file is never mistaken for new
//! 16 sequence u64     one more than the batch before, over all segments
//! 24 offset u64       where the batch belongs: a misdirected write is noticed
//! 32 synced u64       the segment is durable up to here: the torn-tail rule needs it
//! 40 length u32       bytes of records     44 count u32  number of records
//! 48 crc32c u32       over the length-and-checksum prefixes of all records
//! 52 identity u64     of the data directory: a foreign segment, or a client's value that
//!                     imitates a header, is not taken for one of ours
//! 60 format u16, zero u16
//! ```

use crate::disk::{Disk, DiskError};
use crate::log::record::{RECORD_PREFIX, RecordRef, length_u32};
use crate::log::window::Window;
use quorate_base::mutant;

/// Bytes of a batch header, and the alignment of batches.
pub(crate) const HEADER: usize = 64;
/// The log format that this build writes and reads.
pub(crate) const FORMAT: u16 = 1;
const MAGIC: u32 = u32::from_le_bytes(*b"QLOG");

/// A batch header, decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BatchHeader {
    pub epoch: u64,
    pub sequence: u64,
    pub offset: u64,
    pub synced: u64,
    pub length: u32,
    pub count: u32,
    pub records_crc: u32,
    pub identity: u64,
    pub format: u16,
}

impl BatchHeader {
    fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        out[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        out[24..32].copy_from_slice(&self.offset.to_le_bytes());
        out[32..40].copy_from_slice(&self.synced.to_le_bytes());
        out[40..44].copy_from_slice(&self.length.to_le_bytes());
        out[44..48].copy_from_slice(&self.count.to_le_bytes());
        out[48..52].copy_from_slice(&self.records_crc.to_le_bytes());
        out[52..60].copy_from_slice(&self.identity.to_le_bytes());
        out[60..62].copy_from_slice(&self.format.to_le_bytes());
        let crc = crc32c::crc32c(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header from the first 64 of `bytes`. `None` unless magic and checksum hold.
    pub fn decode(bytes: &[u8]) -> Option<BatchHeader> {
        let bytes = bytes.get(..HEADER)?;
        let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
        let u64_at =
            |at: usize| u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| bytes[at + i]));
        if u32_at(0) != MAGIC || u32_at(4) != crc32c::crc32c(&bytes[8..]) {
            return None;
        }
        Some(BatchHeader {
            epoch: u64_at(8),
            sequence: u64_at(16),
            offset: u64_at(24),
            synced: u64_at(32),
            length: u32_at(40),
            count: u32_at(44),
            records_crc: u32_at(48),
            identity: u64_at(52),
            format: u16::from_le_bytes([bytes[60], bytes[61]]),
        })
    }

    /// The bytes that the whole batch takes in the segment.
    pub fn span(&self) -> u64 {
        span(self.length as usize)
    }
}

/// The bytes that a batch with `length` bytes of records takes in a segment.
pub(crate) fn span(length: usize) -> u64 {
    (HEADER + length).next_multiple_of(HEADER) as u64
}

/// Where a batch goes: everything in its header that does not follow from its records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchPlace {
    pub epoch: u64,
    pub sequence: u64,
    pub offset: u64,
    pub synced: u64,
    pub identity: u64,
}

/// Turns the records encoded in `buffer[start + HEADER..]` into a batch: fills in the header at
/// `start`, for which the caller left room, and pads the end.
pub(crate) fn seal(buffer: &mut Vec<u8>, start: usize, count: u32, place: BatchPlace) {
    let length = buffer.len() - start - HEADER;
    let header = BatchHeader {
        epoch: place.epoch,
        sequence: place.sequence,
        offset: place.offset,
        synced: place.synced,
        length: length_u32(length),
        count,
        records_crc: prefixes_crc(&buffer[start + HEADER..]),
        identity: place.identity,
        format: FORMAT,
    };
    assert_eq!(place.offset % HEADER as u64, 0, "batches are aligned");
    assert!(place.synced <= place.offset, "a batch is written after what is synced");
    buffer[start..start + HEADER].copy_from_slice(&header.encode());
    buffer.resize(start + header.span() as usize, 0);
}

/// The checksum over the prefixes (length and checksum) of well-formed records.
fn prefixes_crc(mut records: &[u8]) -> u32 {
    let mut crc = 0;
    while let Some((prefix, rest)) = records.split_at_checked(RECORD_PREFIX) {
        crc = crc32c::crc32c_append(crc, prefix);
        records = &rest[record_length(prefix)..];
    }
    crc
}

fn record_length(prefix: &[u8]) -> usize {
    u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize
}

fn record_crc(prefix: &[u8]) -> u32 {
    u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]])
}

/// Why there is no good batch at an offset.
#[derive(Debug)]
pub(crate) enum BatchFault {
    /// The disk refused to read.
    Disk(DiskError),
    /// The bytes are not the batch that belongs there; perhaps none ever was. Says why.
    Damaged(String),
    /// Every checksum holds, and yet this build cannot have written it. Says why.
    Unknown(String),
}

impl From<DiskError> for BatchFault {
    fn from(error: DiskError) -> BatchFault {
        BatchFault::Disk(error)
    }
}

/// What must be at an offset for a batch there to be part of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub epoch: u64,
    pub identity: u64,
    /// The sequence number, when the reader knows it.
    pub sequence: Option<u64>,
    pub offset: u64,
    /// Where the segment's written part ends at the latest.
    pub end: u64,
}

/// Reads the batch that must be at `expected.offset`, and checks every checksum in it. The
/// records stay in `window` and are walked with [`records`].
pub(crate) fn read_batch<'w, D: Disk>(
    window: &'w mut Window<'_, D>,
    expected: Expected,
) -> Result<(BatchHeader, &'w [u8]), BatchFault> {
    let room = expected.end.saturating_sub(expected.offset);
    if room < HEADER as u64 {
        return Err(BatchFault::Damaged("the segment ends here".into()));
    }
    let bytes = window.slice(expected.offset, HEADER)?;
    let header = BatchHeader::decode(bytes).ok_or_else(|| {
        let blank = bytes.iter().all(|byte| *byte == 0);
        let what = if blank { "zeros" } else { "no batch header with a good checksum" };
        BatchFault::Damaged(format!("expected batch {:?}, found {what}", expected.sequence))
    })?;
    check_header(&header, &expected).map_err(BatchFault::Damaged)?;
    if header.span() > room {
        let span = header.span();
        let problem = format!("a batch of {span} bytes, but the segment has {room} left");
        return Err(BatchFault::Damaged(problem));
    }
    let payload = window.slice(expected.offset + HEADER as u64, header.length as usize)?;
    if !mutant!(DISK_205_TORN_BATCH_ACCEPTED) {
        check_records(&header, payload).map_err(BatchFault::Damaged)?;
    }
    Ok((header, payload))
}

fn check_header(header: &BatchHeader, expected: &Expected) -> Result<(), String> {
    let mismatch = |what: &str, found: u64, wanted: u64| {
        if found == wanted { Ok(()) } else { Err(format!("{what} {found}, expected {wanted}")) }
    };
    mismatch("batch of epoch", header.epoch, expected.epoch)?;
    mismatch("batch of identity", header.identity, expected.identity)?;
    mismatch("batch that belongs at offset", header.offset, expected.offset)?;
    mismatch("batch in format", u64::from(header.format), u64::from(FORMAT))?;
    match expected.sequence {
        Some(sequence) => mismatch("batch number", header.sequence, sequence),
        None => Ok(()),
    }
}

fn check_records(header: &BatchHeader, payload: &[u8]) -> Result<(), String> {
    let (mut rest, mut crc, mut count) = (payload, 0, 0u32);
    while !rest.is_empty() {
        let at = payload.len() - rest.len();
        let Some((prefix, tail)) = rest.split_at_checked(RECORD_PREFIX) else {
            return Err(format!("record {count} of the batch has no room for its prefix"));
        };
        let Some((record, tail)) = tail.split_at_checked(record_length(prefix)) else {
            return Err(format!(
                "record {count} (byte {at} of the batch) is longer than the batch"
            ));
        };
        let (found, wanted) = (crc32c::crc32c(record), record_crc(prefix));
        if found != wanted {
            return Err(format!(
                "record {count} (byte {at} of the batch) has checksum {found:08x}, expected \
                 {wanted:08x}"
            ));
        }
        crc = crc32c::crc32c_append(crc, prefix);
        count += 1;
        rest = tail;
    }
    if count != header.count || crc != header.records_crc {
        return Err(format!("the batch should have {} records, and has {count}", header.count));
    }
    Ok(())
}

/// Walks the records of a batch that [`read_batch`] accepted. The second value of each item is
/// the number of bytes that the record takes.
pub(crate) fn records(
    mut payload: &[u8],
) -> impl Iterator<Item = Result<(RecordRef<'_>, usize), BatchFault>> {
    let mut number = 0;
    std::iter::from_fn(move || {
        let (prefix, rest) = payload.split_at_checked(RECORD_PREFIX)?;
        let (record, rest) = rest.split_at_checked(record_length(prefix))?;
        payload = rest;
        number += 1;
        let size = RECORD_PREFIX + record.len();
        Some(RecordRef::decode(record).map(|record| (record, size)).ok_or_else(|| {
            let kind = record.first().copied().unwrap_or(0);
            BatchFault::Unknown(format!("record {} (kind {kind}) is of no known form", number - 1))
        }))
    })
}
