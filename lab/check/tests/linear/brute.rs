//! All orders of all operations: obviously right, and hopeless from nine operations on.

use quorate_check::linear::spec::{Item, Spec};

/// Whether some order of the completed operations and of some of the unknown ones is a linearization.
pub fn is_linearizable<S: Spec>(spec: &S, items: &[Item<S::Op>]) -> bool {
    let mut order: Vec<usize> = Vec::new();
    extend(spec, items, &mut order)
}

fn extend<S: Spec>(spec: &S, items: &[Item<S::Op>], order: &mut Vec<usize>) -> bool {
    let is_whole = (0..items.len()).all(|place| !items[place].is_known() || order.contains(&place));
    if is_whole && is_linearization(spec, items, order) {
        return true;
    }
    for place in 0..items.len() {
        if order.contains(&place) {
            continue;
        }
        order.push(place);
        if extend(spec, items, order) {
            return true;
        }
        order.pop();
    }
    false
}

/// Whether an order respects real time and the object.
pub fn is_linearization<S: Spec>(spec: &S, items: &[Item<S::Op>], order: &[usize]) -> bool {
    let respects_time = order.iter().enumerate().all(|(place, later)| {
        order[..place].iter().all(|earlier| items[*later].end > items[*earlier].start)
    });
    let mut state = Some(spec.initial());
    for place in order {
        state = state.and_then(|state| spec.step(&state, &items[*place].op));
    }
    respects_time && state.is_some()
}
