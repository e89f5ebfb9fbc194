//! The search as it is in the papers (Wing and Gong 1993, Lowe 2017): a list of what is left, all that may be next
//! tried in order, configurations remembered; no reduction of any kind.

use std::collections::HashSet;

use quorate_check::linear::spec::{Item, Spec};

/// Whether the history is linearizable.
pub fn is_linearizable<S: Spec>(spec: &S, items: &[Item<S::Op>]) -> bool {
    assert!(items.len() <= 64, "the plain search is for small histories");
    let mut seen = HashSet::new();
    extend(spec, items, 0, &spec.initial(), &mut seen)
}

fn extend<S: Spec>(
    spec: &S,
    items: &[Item<S::Op>],
    done: u64,
    state: &S::State,
    seen: &mut HashSet<(u64, S::State)>,
) -> bool {
    let left = || (0..items.len()).filter(move |place| done >> place & 1 == 0);
    if left().all(|place| !items[place].is_known()) {
        return true;
    }
    if !seen.insert((done, state.clone())) {
        return false;
    }
    let first_end = left().map(|place| items[place].end).min().expect("something is left");
    let may_be_next = left().filter(|place| items[*place].start < first_end);
    may_be_next.into_iter().any(|place| {
        let next = spec.step(state, &items[place].op);
        next.is_some_and(|next| extend(spec, items, done | 1 << place, &next, seen))
    })
}
