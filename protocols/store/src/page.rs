//! A range in pages: by key, as many pairs as fit.
//!
//! What one page costs is bounded by bytes as well as by pairs, so that reading a range of any size
//! takes the memory for one page, whatever the values weigh. A page does not count what comes after
//! it; who wants to know asks for the count of the rest.

use crate::engine::EngineRead;
use crate::history::{self, AsOf, Version};
use crate::reader::{self, ReadError, Reader};
use crate::view::View;
use crate::{EngineError, KeyRange, KeyValue};

/// Some pairs of a range, ascending.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// The pairs.
    pub kvs: Vec<KeyValue>,
    /// Bytes of their keys and values.
    pub bytes: usize,
    /// True when there are more behind them.
    pub more: bool,
}

impl<V: EngineRead> View<V> {
    /// The first pairs of a range at a revision (0 or less is the newest): at most `limit`, and no
    /// more once they have `max_bytes`; at least one if there is one and `limit` is not 0.
    ///
    /// # Errors
    /// When the revision is compacted or in the future, or the engine fails.
    pub fn page(
        &self,
        range: &KeyRange,
        revision: i64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Page, ReadError> {
        let reader = self.reader();
        reader.check_revision(revision)?;
        Ok(reader.page(range, revision, limit, max_bytes)?)
    }
}

impl<R: EngineRead> Reader<'_, R> {
    fn page(
        &self,
        range: &KeyRange,
        revision: i64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Page, EngineError> {
        if range.is_single() {
            let found = self.one(&range.key, revision)?;
            return fill(found.into_iter().map(Ok), limit, max_bytes);
        }
        if range.is_empty() {
            return Ok(Page::default());
        }
        let (from, to) = reader::bounds(range);
        if self.is_old(revision) {
            fill(AsOf::new(self.engine, from, to, revision), limit, max_bytes)
        } else {
            fill(history::newest(self.engine, from, to), limit, max_bytes)
        }
    }
}

fn fill(
    versions: impl Iterator<Item = Result<Version, EngineError>>,
    limit: usize,
    max_bytes: usize,
) -> Result<Page, EngineError> {
    let mut page = Page::default();
    for version in versions {
        let version = version?;
        let full = !page.kvs.is_empty() && page.bytes >= max_bytes;
        if full || page.kvs.len() >= limit {
            page.more = true;
            break;
        }
        let pair = reader::key_value(&version);
        page.bytes += pair.key.len() + pair.value.len();
        page.kvs.push(pair);
    }
    Ok(page)
}
