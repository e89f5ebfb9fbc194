//! What Raft asks of the log, and what it finds there at its next start.
//!
//! Consensus speaks of votes, entries and snapshots; the log keeps records and knows no Raft. The
//! mapping between the two is here, free of threads and sockets, so that the product's host and
//! the simulator's run the same lines: what the simulator crashed is what ships.
//!
//! The configuration at the log's base lies there as [`Membership::encode`] writes it; later ones are
//! entries, and the newest that was applied is remembered by the state.

use crate::WITHOUT_ITS_DATA;
use crate::{Disk, EntryId, Log, LogError, Record, Recovered};
use bytes::Bytes;
use quorate_base::NodeId;
use quorate_raft::{Entry, LogId, Membership, Restored, Write};

/// True for what a promise may wait for. Nothing is ever gated on a commit hint or a compaction:
/// they ride along with the next sync.
pub fn needs_sync(write: &Write) -> bool {
    match write {
        Write::Vote { .. } | Write::Append(_) | Write::Snapshot(_) => true,
        Write::Commit(_) | Write::Compact(_) => false,
    }
}

/// Turns what the consensus of a group wants written into a record of the log.
///
/// # Panics
/// When an append has no entries: Raft never says that.
pub fn to_record(group: u64, write: Write) -> Record {
    match write {
        Write::Vote { term, vote } => Record::Vote { group, term, vote: vote.map(|node| node.0) },
        Write::Append(entries) => Record::Entries {
            group,
            first_index: entries.first().expect("an append has entries").index,
            entries: entries.into_iter().map(|entry| (entry.term, entry.payload)).collect(),
        },
        Write::Commit(index) => Record::Commit { group, index },
        Write::Snapshot(meta) => {
            let (index, term) = (meta.last.index, meta.last.term);
            Record::Snapshot { group, index, term, config: meta.membership.encode() }
        }
        Write::Compact(meta) => {
            let (index, term) = (meta.last.index, meta.last.term);
            let config = Some(meta.membership.encode());
            Record::Compact { group, index, term, config }
        }
    }
}

/// Brings the log of group 0 and its state together after a start.
///
/// The state is durable up to `applied` (index and term), where `state_config` is the newest
/// configuration that it remembers; `initial` is the one that the group began with, empty for a member
/// that joined later. The log must reach at least as far and
/// agree there, with one exception: a crash after a snapshot's state was switched to and before the
/// log's record of it was durable. Then the log is told now, also when it was the member's very first
/// state and its log is empty still.
///
/// # Errors
/// A sentence for the operator when the two do not belong together.
pub fn restore<D: Disk>(
    log: &mut Log<D>,
    recovered: &Recovered,
    applied: (u64, u64),
    state_config: Option<Membership>,
    initial: &Membership,
) -> Result<Restored, String> {
    let (applied_index, applied_term) = applied;
    let Some(group) = recovered.groups.get(&0) else {
        let mut restored = Restored { membership: initial.clone(), ..Restored::default() };
        if applied_index > 0 {
            // Nothing was ever durable here but the state: it came as the member's first snapshot, and
            // the power failed before its first vote. A log that was lost is not opened at all.
            restored.membership = match state_config {
                Some(membership) => membership,
                None if initial.voters.is_empty() => return Err(no_configuration(applied_index)),
                None => restored.membership,
            };
            restored.applied = applied_index;
            let last = LogId { term: applied_term, index: applied_index };
            adopt(log, &mut restored, last).map_err(|error| error.to_string())?;
        }
        return Ok(restored);
    };
    let membership = config(&group.config, initial)?;
    let mut term_starts = Vec::new();
    let mut configs = Vec::new();
    let mut entries = Vec::new();
    for entry in log.reader().entries(0) {
        let entry = entry.map_err(|error| error.to_string())?;
        if term_starts.last().is_none_or(|(_, term)| *term != entry.term) {
            term_starts.push((entry.index, entry.term));
        }
        if let Some(membership) = Membership::of_payload(&entry.payload) {
            configs.push((entry.index, membership));
        }
        if entry.index > applied_index {
            entries.push(Entry { index: entry.index, term: entry.term, payload: entry.payload });
        }
    }
    let base = log_id(group.prefix);
    if applied_index < base.index {
        return Err(format!(
            "the log begins after entry {}, but the state has applied only {applied_index}: \
             {WITHOUT_ITS_DATA}",
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
        configs,
        term_starts,
        last_index: group.last.index,
        entries,
    };
    if term_at(&restored, applied_index) != Some(applied_term) {
        let last = LogId { term: applied_term, index: applied_index };
        if let Some(membership) = state_config {
            restored.membership = membership;
        }
        adopt(log, &mut restored, last).map_err(|error| error.to_string())?;
    }
    Ok(restored)
}

fn no_configuration(applied: u64) -> String {
    format!(
        "the state has applied {applied} log entries, but neither it nor the empty log says who \
         belongs to the cluster: {WITHOUT_ITS_DATA}"
    )
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
fn adopt<D: Disk>(log: &mut Log<D>, restored: &mut Restored, last: LogId) -> Result<(), LogError> {
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
        config: restored.membership.encode(),
    });
    log.append(&records)?;
    log.sync()?;
    restored.base = last;
    restored.commit = last.index;
    restored.last_index = last.index;
    restored.term_starts.clear();
    restored.configs.clear();
    restored.entries.clear();
    Ok(())
}

fn config(config: &Bytes, initial: &Membership) -> Result<Membership, String> {
    if config.is_empty() {
        return Ok(initial.clone());
    }
    Membership::decode(config.clone())
        .ok_or_else(|| "the log holds a configuration that cannot be read".to_owned())
}
