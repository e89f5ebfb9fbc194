//! Small files that are replaced as a whole: written aside, synced, renamed, and the directory synced.
//!
//! A crash leaves the old bytes or the new ones. Whoever must tell damage from what was written puts a checksum
//! behind them ([`replace_checked`], [`read_checked`]).

use crate::disk::{Disk, DiskError};
use quorate_base::mutant;

/// Puts these bytes into a file, durably and atomically.
///
/// # Errors
/// When the disk refuses; the old file may be there, or the new one.
pub fn replace<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let aside = format!("{name}.new");
    match disk.remove(&aside) {
        Ok(()) => {}
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    let file = disk.create(&aside)?;
    disk.write_at(&file, 0, bytes)?;
    if !mutant!(DISK_206_ASIDE_NOT_SYNCED) {
        disk.sync(&file)?;
    }
    disk.rename(&aside, name)?;
    disk.sync_dir()
}

/// The bytes of a file, `None` when there is none; of a longer file than `most` bytes only so many.
///
/// # Errors
/// When the disk refuses.
pub fn read<D: Disk>(disk: &D, name: &str, most: u64) -> Result<Option<Vec<u8>>, DiskError> {
    let file = match disk.open(name) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = disk.len(&file)?.min(most);
    let mut bytes = vec![0; length as usize];
    disk.read_at(&file, 0, &mut bytes)?;
    Ok(Some(bytes))
}

/// Like [`replace`], with a checksum (CRC-32C, four bytes, the most significant one first) behind the bytes.
///
/// # Errors
/// When the disk refuses; the old file may be there, or the new one.
pub fn replace_checked<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let sum = crc32c::crc32c(bytes).to_be_bytes();
    replace(disk, name, &[bytes, &sum].concat())
}

/// What [`replace_checked`] has written; `Err` of the path inside when those are other bytes, or more than `most`.
///
/// # Errors
/// When the disk refuses.
pub fn read_checked<D: Disk>(
    disk: &D,
    name: &str,
    most: u64,
) -> Result<Result<Option<Vec<u8>>, String>, DiskError> {
    let Some(mut bytes) = read(disk, name, most + 4)? else { return Ok(Ok(None)) };
    let Some(length) = bytes.len().checked_sub(4) else { return Ok(Err(disk.path(name))) };
    let sum = bytes.split_off(length);
    match sum == crc32c::crc32c(&bytes).to_be_bytes() {
        true => Ok(Ok(Some(bytes))),
        false => Ok(Err(disk.path(name))),
    }
}
