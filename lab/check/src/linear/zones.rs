//! Deciding a register in n log n where written values are unique.
//!
//! If no value is written twice, each read tells which write it saw (Gibbons and Korach 1997, section 4). The
//! operations on one value form a *cluster*: its write and the reads that returned it. A compare-and-set that
//! succeeded reads one value and writes another, so that the cluster of the new value follows the cluster of the
//! expected one directly: clusters form *chains*, which a linearization runs through without interruption. A chain X
//! must come before a chain Y if an operation of X completed before one of Y was invoked: if F(X) < S(Y), where F is
//! the earliest completion in a chain and S the latest invocation. The history is linearizable if and only if
//!
//! 1. every value that is read or expected was written by an operation that was invoked before the reader completed;
//! 2. no value is expected by two successful compare-and-sets, nor expected in a circle;
//! 3. within a chain, no operation of a later cluster completed before one of an earlier cluster was invoked;
//! 4. no two chains must come before each other. (Then no longer circle exists: from F1 < S2, and not F3 < S2, follows
//!    F1 < F3 … and so on around the circle, against itself.)
//!
//! Unknown operations never complete, and those whose value nobody saw never happened. A failed compare-and-set says
//! that a value was *not* there, which clusters cannot express: such histories are left to the search.

use std::collections::HashMap;

use super::register::{NIL, Op};
use super::spec::{Item, NEVER};

/// The operations on one value.
#[derive(Clone, Copy)]
struct Cluster {
    /// The earliest completion and the latest invocation, plus one: the initial value's write is at 0.
    first_end: u64,
    last_start: u64,
    /// When the value was written, and what value was expected there.
    write_start: Option<u64>,
    expects: Option<u32>,
    /// Whether a completed operation says that the value was there.
    is_needed: bool,
    /// The value that a compare-and-set put in its place.
    successor: Option<u32>,
}

const NO_CLUSTER: Cluster = Cluster {
    first_end: u64::MAX,
    last_start: 0,
    write_start: None,
    expects: None,
    is_needed: false,
    successor: None,
};

type Clusters = HashMap<u32, Cluster>;

/// Decides, or returns `None` if a value is written twice or a compare-and-set failed.
pub fn decide(items: &[Item<Op>]) -> Option<bool> {
    let mut clusters = writes(items)?;
    if !add_readers(items, &mut clusters) {
        return Some(false);
    }
    if !drop_unseen(&mut clusters) {
        return Some(false);
    }
    Some(link(&mut clusters) && are_chains_in_order(&clusters))
}

fn end_of(item: &Item<Op>) -> u64 {
    if item.end == NEVER { u64::MAX } else { u64::from(item.end) + 1 }
}

/// The clusters with their writes alone.
fn writes(items: &[Item<Op>]) -> Option<Clusters> {
    let mut clusters = Clusters::new();
    let initial = Cluster { first_end: 0, write_start: Some(0), is_needed: true, ..NO_CLUSTER };
    clusters.insert(NIL, initial);
    for item in items {
        let (value, expects) = match item.op {
            Op::Read(_) => continue,
            Op::Write(value) => (value, None),
            Op::Cas { succeeded: Some(false), .. } => return None,
            Op::Cas { expected, new, .. } => (new, Some(expected)),
        };
        let cluster = clusters.entry(value).or_insert(NO_CLUSTER);
        if cluster.write_start.is_some() || expects == Some(value) {
            return None;
        }
        let start = u64::from(item.start) + 1;
        *cluster = Cluster {
            first_end: end_of(item),
            last_start: start,
            write_start: Some(start),
            expects,
            is_needed: item.is_known(),
            successor: None,
        };
    }
    Some(clusters)
}

/// Adds the reads. False: a value was read that was not written, or before it was.
fn add_readers(items: &[Item<Op>], clusters: &mut Clusters) -> bool {
    for item in items {
        let Op::Read(value) = item.op else { continue };
        if !item.is_known() {
            continue;
        }
        let Some(cluster) = clusters.get_mut(&value) else { return false };
        let end = end_of(item);
        if cluster.write_start.is_none_or(|write| end < write) {
            return false;
        }
        cluster.first_end = cluster.first_end.min(end);
        cluster.last_start = cluster.last_start.max(u64::from(item.start) + 1);
        cluster.is_needed = true;
    }
    true
}

/// Drops the unknown writes whose value nobody saw. False: an expected value was never written.
fn drop_unseen(clusters: &mut Clusters) -> bool {
    // A needed cluster needs the value that its compare-and-set expected, and so on along the chain.
    let mut open: Vec<u32> =
        clusters.iter().filter(|(_, cluster)| cluster.is_needed).map(|(value, _)| *value).collect();
    while let Some(value) = open.pop() {
        let Some(expected) = clusters[&value].expects else { continue };
        let Some(cluster) = clusters.get_mut(&expected) else { return false };
        if !cluster.is_needed {
            cluster.is_needed = true;
            open.push(expected);
        }
    }
    clusters.retain(|_, cluster| cluster.is_needed);
    true
}

/// Links expected values to their successors. False: a value has two.
fn link(clusters: &mut Clusters) -> bool {
    let links: Vec<(u32, u32)> = clusters
        .iter()
        .filter_map(|(value, cluster)| cluster.expects.map(|expected| (expected, *value)))
        .collect();
    for (expected, value) in links {
        let Some(cluster) = clusters.get_mut(&expected) else { return false };
        if cluster.successor.replace(value).is_some() {
            return false;
        }
    }
    true
}

/// Conditions 3 and 4.
fn are_chains_in_order(clusters: &Clusters) -> bool {
    let mut chains = Vec::with_capacity(clusters.len());
    let mut visited = 0;
    for head in clusters.values().filter(|cluster| cluster.expects.is_none()) {
        let (mut first_end, mut last_start) = (u64::MAX, 0);
        let mut next = Some(head);
        while let Some(cluster) = next {
            visited += 1;
            if cluster.first_end < last_start {
                return false;
            }
            first_end = first_end.min(cluster.first_end);
            last_start = last_start.max(cluster.last_start);
            next = cluster.successor.map(|value| &clusters[&value]);
        }
        chains.push((first_end, last_start));
    }
    // What no head leads to expects its values in a circle.
    visited == clusters.len() && are_zones_apart(chains)
}

/// Condition 4. A chain with F < S (a forward zone) holds the register all the time from F to S; another (a backward
/// zone) may be put anywhere from S to F. So no two forward zones may overlap, and no backward zone may lie within a
/// forward one.
fn are_zones_apart(chains: Vec<(u64, u64)>) -> bool {
    let (mut forward, backward): (Vec<_>, Vec<_>) =
        chains.into_iter().partition(|(first_end, last_start)| first_end < last_start);
    forward.sort_unstable();
    if forward.windows(2).any(|pair| pair[1].0 < pair[0].1) {
        return false;
    }
    backward.into_iter().all(|(first_end, last_start)| {
        // The last forward zone that begins before the backward one; others begin later or end earlier.
        let after = forward.partition_point(|zone| zone.0 < last_start);
        after == 0 || first_end >= forward[after - 1].1
    })
}
