//! Deciding a store's history by its revisions, in n log n.
//!
//! Where every completed operation was answered a revision, the order is written in the answers: a write stands at its
//! revision, a read after the write of its revision and before the next. What remains is to replay that order and to
//! compare it with real time. Reads of one revision are taken by start, which respects real time among them.
//!
//! Writes whose answer is unknown fill the revisions that nobody claimed, if what was read of such a revision tells which one it
//! was. Where it does not, or where a replay with such a filling fails, the search decides. Without unknown writes the
//! order is the only one, and its failure is final.

use std::collections::HashMap;

use super::{Action, Etcd, Item, Op, Request, Spec, State};

/// Decides, or returns `None` if the order is not written in the answers.
pub fn decide(etcd: &Etcd, items: &[Item<Op>]) -> Option<bool> {
    let order = by_revision(items)?;
    let mut unknown = Unknown::new(items);
    let is_forced = unknown.is_empty();
    let (mut state, mut latest_start) = (etcd.initial(), 0);
    for (revision, is_read, item) in order {
        let before = if is_read { revision } else { revision - 1 };
        while state.revision < before {
            if is_forced {
                return Some(false);
            }
            let filler = unknown.filler(etcd, state.revision + 1)?;
            latest_start = latest_start.max(filler.start);
            state = etcd.step(&state, &filler.op)?;
        }
        let is_in_time = item.end > latest_start;
        let is_possible = state.revision == before
            && state.apply(&item.op)
            && is_witnessed(etcd, &state, is_read);
        if !is_in_time || !is_possible {
            return is_forced.then_some(false);
        }
        latest_start = latest_start.max(item.start);
    }
    Some(true)
}

/// What others read of a revision must hold once it is written.
fn is_witnessed(etcd: &Etcd, state: &State, is_read: bool) -> bool {
    is_read || etcd.agrees(state, true)
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

/// Puts whose answer is unknown, by key and value; the earliest last.
struct Unknown<'a> {
    puts: HashMap<(u32, u32), Vec<&'a Item<Op>>>,
    count: usize,
}

impl<'a> Unknown<'a> {
    fn new(items: &'a [Item<Op>]) -> Unknown<'a> {
        let mut unknown = Unknown { puts: HashMap::new(), count: 0 };
        for item in items.iter().rev().filter(|item| !item.is_known() && !item.op.never_writes()) {
            unknown.count += 1;
            if let Request::One(Action::Put { key, value }) = item.op.request {
                unknown.puts.entry((key, value)).or_default().push(item);
            }
        }
        unknown
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The unknown put that others saw as this revision.
    fn filler(&mut self, etcd: &Etcd, revision: i64) -> Option<&'a Item<Op>> {
        let [fact] = etcd.facts.get(&revision)?.as_slice() else { return None };
        self.puts.get_mut(fact)?.pop()
    }
}
