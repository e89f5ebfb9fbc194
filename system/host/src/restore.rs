//! From what the disk holds to what consensus begins with.

use bytes::{Bytes, BytesMut};
use quorate_base::NodeId;
use quorate_raft::{Entry, LogId, Membership, Restored};
use quorate_storage::{Disk, EntryId, Log, Record, Recovered};
use quorate_wire::peer::{get_membership, put_membership};

/// Brings log and state together after a start.
///
/// The state is durable up to `applied` (index and term). The log must reach at least as far and
/// agree there, with one exception: a crash after a snapshot's state was switched to and before the
/// log's record of it was durable. Then the log is told now.
///
/// # Errors
/// A sentence for the operator when the two do not belong together.
pub fn restore<D: Disk>(
    log: &mut Log<D>,
    recovered: &Recovered,
    applied: (u64, u64),
    initial: &Membership,
) -> Result<Restored, String> {
    let (applied_index, applied_term) = applied;
    let Some(group) = recovered.groups.get(&0) else {
        if applied_index > 0 {
            return Err(format!(
                "the state has applied {applied_index} log entries, but the log is empty: restore \
                 this member by removing its data directory and adding it to the cluster again"
            ));
        }
        return Ok(Restored { membership: initial.clone(), ..Restored::default() });
    };
    let membership = config(&group.config, initial)?;
    let mut term_starts = Vec::new();
    let mut entries = Vec::new();
    for entry in log.reader().entries(0) {
        let entry = entry.map_err(|error| error.to_string())?;
        if term_starts.last().is_none_or(|(_, term)| *term != entry.term) {
            term_starts.push((entry.index, entry.term));
        }
        if entry.index > applied_index {
            entries.push(Entry { index: entry.index, term: entry.term, payload: entry.payload });
        }
    }
    let base = log_id(group.prefix);
    if applied_index < base.index {
        return Err(format!(
            "the log begins after entry {}, but the state has applied only {applied_index}: \
             restore this member by removing its data directory and adding it to the cluster again",
            base.index
        ));
    }
    let mut restored = Restored {
        term: group.term,
        vote: group.vote.map(NodeId),
        commit: group.commit,
        applied: applied_index,
        base,
        membership,
        term_starts,
        last_index: group.last.index,
        entries,
    };
    if term_at(&restored, applied_index) != Some(applied_term) {
        let last = LogId { term: applied_term, index: applied_index };
        adopt(log, &mut restored, last).map_err(|error| error.to_string())?;
    }
    Ok(restored)
}

fn log_id(id: EntryId) -> LogId {
    LogId { term: id.term, index: id.index }
}

fn term_at(restored: &Restored, index: u64) -> Option<u64> {
    if index == restored.base.index {
        return Some(restored.base.term);
    }
    if index > restored.last_index {
        return None;
    }
    let at = restored.term_starts.partition_point(|(first, _)| *first <= index);
    at.checked_sub(1).map(|at| restored.term_starts[at].1)
}

/// The state came as a snapshot that the log does not know yet.
fn adopt<D: Disk>(
    log: &mut Log<D>,
    restored: &mut Restored,
    last: LogId,
) -> Result<(), quorate_storage::LogError> {
    let mut config = BytesMut::new();
    put_membership(&mut config, &restored.membership);
    let mut records = Vec::new();
    if restored.term < last.term {
        // The crash may have eaten the new term as well; an installed snapshot proves it.
        records.push(Record::Vote { group: 0, term: last.term, vote: None });
        (restored.term, restored.vote) = (last.term, None);
    }
    records.push(Record::Snapshot {
        group: 0,
        index: last.index,
        term: last.term,
        config: config.freeze(),
    });
    log.append(&records)?;
    log.sync()?;
    restored.base = last;
    restored.commit = last.index;
    restored.last_index = last.index;
    restored.term_starts.clear();
    restored.entries.clear();
    Ok(())
}

fn config(config: &Bytes, initial: &Membership) -> Result<Membership, String> {
    if config.is_empty() {
        return Ok(initial.clone());
    }
    get_membership(&mut config.clone()).map_err(|error| format!("the log's configuration: {error}"))
}
