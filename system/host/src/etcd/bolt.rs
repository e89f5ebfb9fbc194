//! Reads a file of bbolt, the storage of etcd: a tree of pages, copied on write.
//!
//! The format, from bbolt's own description of its pages: the file is pages of one size; pages 0 and
//! 1 each hold a *meta* with a transaction number and a checksum, and the newer valid one is the
//! truth. It names the root page of a tree of buckets; a leaf entry is a key with a value, or a key
//! with a bucket, which is a root page of its own or, when small, a page within the value.
//!
//! ```text
//! page  id u64 · flags u16 · entries u16 · further pages u32 · entries …       little-endian
//! meta  magic u32 · version u32 · page size u32 · flags u32 · root u64 · sequence u64 ·
//!       free list u64 · pages u64 · transaction u64 · FNV-1a of all before u64
//! branch entry  position u32 · key length u32 · page u64
//! leaf entry    flags u32 · position u32 · key length u32 · value length u32
//! ```
//!
//! Only reading, and nothing is trusted: every position is checked against its page, every page
//! against the file, and a walk that visits more pages than there are is going in circles.

use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What a meta page has first.
pub const MAGIC: u32 = 0xED0C_DAED;

const VERSION: u32 = 2;
const PAGE_HEADER: usize = 16;
const META_BYTES: usize = 64;
const SMALLEST_PAGE: u32 = 512;
const LARGEST_PAGE: u32 = 64 << 10;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const IS_BUCKET: u32 = 0x01;

/// More levels than any tree has.
const DEEPEST: usize = 64;

/// Why a file is no storage of bbolt, or not one that can be read.
#[derive(Debug, thiserror::Error)]
pub enum BoltError {
    /// The file system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The bytes contradict the format.
    #[error("{0}")]
    Malformed(String),
    /// The visitor of its entries wants no more.
    #[error("{0}")]
    Stopped(String),
}

fn malformed<T>(what: impl Into<String>) -> Result<T, BoltError> {
    Err(BoltError::Malformed(what.into()))
}

/// An open file.
#[derive(Debug)]
pub struct Bolt {
    file: File,
    page_size: u64,
    /// Whole pages in the file.
    pages: u64,
    root: u64,
}

/// A bucket found in the tree of buckets.
enum Bucket {
    Page(u64),
    /// A leaf page of its own, within the value.
    Inline(Bytes),
}

/// One entry of a leaf.
struct Entry {
    is_bucket: bool,
    key: Bytes,
    value: Bytes,
}

impl Bolt {
    /// Opens the first `length` bytes of a file.
    ///
    /// # Errors
    /// When neither meta page is whole.
    pub fn open(file: File, length: u64) -> Result<Bolt, BoltError> {
        let mut newest: Option<(u64, u32, u64)> = None;
        let mut size = u64::from(SMALLEST_PAGE);
        // The first meta tells the page size; if it is torn, the second lies at one of the few.
        let mut places = vec![0];
        while size <= u64::from(LARGEST_PAGE) {
            places.push(size);
            size *= 2;
        }
        for place in places {
            let mut page = [0; PAGE_HEADER + META_BYTES];
            if place + page.len() as u64 > length {
                continue;
            }
            file.read_exact_at(&mut page, place)?;
            let Some((page_size, root, transaction)) = read_meta(&page[PAGE_HEADER..]) else {
                continue;
            };
            let fits = place == 0 || place == u64::from(page_size);
            if fits && newest.is_none_or(|(best, _, _)| transaction > best) {
                newest = Some((transaction, page_size, root));
            }
        }
        let Some((_, page_size, root)) = newest else {
            return malformed("neither of its two meta pages is whole");
        };
        let page_size = u64::from(page_size);
        Ok(Bolt { file, page_size, pages: length / page_size, root })
    }

    /// Calls `visit` with every pair of a bucket of the first level, by key; a bucket that is not
    /// there has none. `visit` ends the walk by returning a sentence.
    ///
    /// # Errors
    /// When the tree is broken, or `visit` ended the walk.
    pub fn each(
        &self,
        bucket: &[u8],
        visit: &mut dyn FnMut(Bytes, Bytes) -> Result<(), String>,
    ) -> Result<(), BoltError> {
        let mut found = None;
        let mut budget = self.pages;
        self.walk(self.root, 0, &mut budget, &mut |entry| {
            if entry.is_bucket && entry.key == bucket {
                found = Some(entry.value);
            }
            Ok(())
        })?;
        let Some(value) = found else { return Ok(()) };
        let mut plain = |entry: Entry| {
            // Buckets within buckets are not etcd's.
            if entry.is_bucket { Ok(()) } else { visit(entry.key, entry.value) }
        };
        match bucket_of(&value)? {
            Bucket::Page(root) => {
                let mut budget = self.pages;
                self.walk(root, 0, &mut budget, &mut plain)
            }
            Bucket::Inline(page) => {
                for entry in leaf_entries(&page)? {
                    plain(entry?).map_err(BoltError::Stopped)?;
                }
                Ok(())
            }
        }
    }

    fn walk(
        &self,
        id: u64,
        depth: usize,
        budget: &mut u64,
        visit: &mut dyn FnMut(Entry) -> Result<(), String>,
    ) -> Result<(), BoltError> {
        if depth > DEEPEST {
            return malformed(format!("its tree is more than {DEEPEST} levels deep"));
        }
        let Some(left) = budget.checked_sub(1) else {
            return malformed("its tree visits more pages than the file has");
        };
        *budget = left;
        let page = self.page(id)?;
        match read_u16(&page, 8) {
            BRANCH => {
                for child in branch_children(&page)? {
                    self.walk(child?, depth + 1, budget, visit)?;
                }
                Ok(())
            }
            LEAF => {
                for entry in leaf_entries(&page)? {
                    visit(entry?).map_err(BoltError::Stopped)?;
                }
                Ok(())
            }
            flags => malformed(format!("page {id} is of kind {flags:#x}, not part of a tree")),
        }
    }

    /// A page with those that continue it.
    fn page(&self, id: u64) -> Result<Bytes, BoltError> {
        if id < 2 || id >= self.pages {
            return malformed(format!("it names page {id} of {}", self.pages));
        }
        let mut header = [0; PAGE_HEADER];
        self.file.read_exact_at(&mut header, id * self.page_size)?;
        let further = u64::from(read_u32(&header, 12));
        if read_u64(&header, 0) != id || id + further >= self.pages {
            return malformed(format!("page {id} calls itself otherwise or ends beyond the file"));
        }
        let mut page = vec![0; ((1 + further) * self.page_size) as usize];
        self.file.read_exact_at(&mut page, id * self.page_size)?;
        Ok(page.into())
    }
}

/// Page size, root page and transaction of a whole meta.
fn read_meta(meta: &[u8]) -> Option<(u32, u64, u64)> {
    let whole = read_u32(meta, 0) == MAGIC
        && read_u32(meta, 4) == VERSION
        && read_u64(meta, 56) == fnv1a(&meta[..56]);
    let page_size = read_u32(meta, 8);
    let sane = page_size.is_power_of_two() && (SMALLEST_PAGE..=LARGEST_PAGE).contains(&page_size);
    (whole && sane).then(|| (page_size, read_u64(meta, 16), read_u64(meta, 48)))
}

/// FNV-1a of 64 bits (Fowler, Noll, Vo).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn bucket_of(value: &Bytes) -> Result<Bucket, BoltError> {
    if value.len() < 16 {
        return malformed("a bucket has no header");
    }
    match read_u64(value, 0) {
        0 if value.len() < 16 + PAGE_HEADER => malformed("a bucket has neither root nor content"),
        0 => Ok(Bucket::Inline(value.slice(16..))),
        root => Ok(Bucket::Page(root)),
    }
}

fn branch_children(page: &[u8]) -> Result<impl Iterator<Item = Result<u64, BoltError>>, BoltError> {
    let count = entries_of(page)?;
    Ok((0..count).map(|at| Ok(read_u64(page, PAGE_HEADER + 16 * at + 8))))
}

fn leaf_entries(page: &Bytes) -> Result<impl Iterator<Item = Result<Entry, BoltError>>, BoltError> {
    let count = entries_of(page)?;
    Ok((0..count).map(|at| {
        let start = PAGE_HEADER + 16 * at;
        let key = start + read_u32(page, start + 4) as usize;
        let value = key + read_u32(page, start + 8) as usize;
        let end = value + read_u32(page, start + 12) as usize;
        if end > page.len() {
            return malformed("an entry reaches beyond its page");
        }
        Ok(Entry {
            is_bucket: read_u32(page, start) & IS_BUCKET != 0,
            key: page.slice(key..value),
            value: page.slice(value..end),
        })
    }))
}

/// The number of entries, all of whose heads are within the page.
fn entries_of(page: &[u8]) -> Result<usize, BoltError> {
    let count = usize::from(read_u16(page, 10));
    if PAGE_HEADER + 16 * count > page.len() {
        return malformed(format!("a page claims {count} entries and has no room for them"));
    }
    Ok(count)
}

fn read_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
