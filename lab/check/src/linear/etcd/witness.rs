//! Deciding a store's history by its revisions, in n log n.
//!
//! Where every completed operation was answered a revision, the order is written in the answers: a write stands at its
//! revision, a read after the write of its revision and before the next. What remains is to replay that order and to
//! compare it with real time. Reads of one revision are taken by start, which respects real time among them.
//!
//! Writes whose answer is unknown fill the revisions that nobody claimed. What was read of such a revision tells which
//! put it was, or which of several that are alike, of which the first to be invoked is as good as any. Where nothing
//! was read of a missing revision, or a transaction with unknown outcome might have made it, the search decides.

use std::collections::HashMap;

use super::{Action, Etcd, Item, Op, Request, Spec};

/// Decides, or returns `None` if the order is not written in the answers.
pub fn decide(etcd: &Etcd, items: &[Item<Op>]) -> Option<bool> {
    let order = by_revision(items)?;
    let mut unknown = Unknown::new(items);
    let (mut state, mut latest_start) = (etcd.initial(), 0);
    // A failure is final as long as there was no choice.
    let mut is_forced = true;
    for (revision, is_read, item) in order {
        let before = if is_read { revision } else { revision - 1 };
        while state.revision < before {
            if unknown.count == 0 {
                return Some(false);
            }
            let [fact] = etcd.facts.get(&(state.revision + 1))?.as_slice() else { return None };
            is_forced &= !unknown.has_txn;
            let Some(filler) = unknown.first(*fact) else { return is_forced.then_some(false) };
            latest_start = latest_start.max(filler.start);
            if !state.apply(&filler.op) {
                return is_forced.then_some(false);
            }
        }
        let is_in_time = item.end > latest_start;
        let is_possible = state.revision == before && state.apply(&item.op);
        if !is_in_time || !is_possible || !is_read && !etcd.agrees(&state, true) {
            return is_forced.then_some(false);
        }
        latest_start = latest_start.max(item.start);
    }
    Some(true)
}

/// The completed operations in the order of their revisions. `None`: one has none, or may or may not have made one.
fn by_revision(items: &[Item<Op>]) -> Option<Vec<(i64, bool, &Item<Op>)>> {
    let known = items.iter().filter(|item| item.is_known());
    let mut order = known
        .map(|item| {
            let revision = item.op.answer.as_ref()?.revision?;
            let is_read = item.op.never_writes();
            (is_read || item.op.surely_writes()).then_some((revision, is_read, item))
        })
        .collect::<Option<Vec<_>>>()?;
    order.sort_by_key(|(revision, is_read, item)| (*revision, *is_read, item.start));
    Some(order)
}

/// Writes whose answer is unknown.
struct Unknown<'a> {
    count: usize,
    has_txn: bool,
    /// Puts by key and value; the first to be invoked last.
    puts: HashMap<(u32, u32), Vec<&'a Item<Op>>>,
}

impl<'a> Unknown<'a> {
    fn new(items: &'a [Item<Op>]) -> Unknown<'a> {
        let mut unknown = Unknown { count: 0, has_txn: false, puts: HashMap::new() };
        for item in items.iter().rev().filter(|item| !item.is_known() && !item.op.never_writes()) {
            unknown.count += 1;
            match item.op.request {
                Request::One(Action::Put { key, value }) => {
                    unknown.puts.entry((key, value)).or_default().push(item);
                }
                Request::One(Action::Get { .. } | Action::Delete { .. }) => {}
                Request::Txn { .. } => unknown.has_txn = true,
            }
        }
        unknown
    }

    /// The first of the puts that wrote this value to this key.
    fn first(&mut self, fact: (u32, u32)) -> Option<&'a Item<Op>> {
        self.puts.get_mut(&fact)?.pop()
    }
}
