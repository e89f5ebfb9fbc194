//! Vector clocks over a recording (Mattern, "Virtual Time and Global States of Distributed Systems",
//! 1989; Fidge 1988): one pass gives each event what its node could know by then.
//!
//! Only what a process does or hears has a clock. A message that was lost, a wire that broke and a word
//! of the world happened *to* a process at most: nobody knows of them because of them.

use quorate_sim::trace::{Event, What};
use std::collections::BTreeMap;

/// What an event's node could know: element `n - 1` counts the events of node `n`.
pub type Clock = Box<[u32]>;

/// True for what a process itself does or hears.
pub fn is_of_process(what: &What) -> bool {
    match what {
        What::Send { .. }
        | What::Deliver { .. }
        | What::Crash { .. }
        | What::Restart
        | What::Pause
        | What::Resume
        | What::Role { .. }
        | What::Commit { .. }
        | What::Apply { .. }
        | What::Install { .. }
        | What::Call { .. }
        | What::Return { .. } => true,
        What::Duplicate { .. }
        | What::Lose { .. }
        | What::Slow { .. }
        | What::Cut { .. }
        | What::Mend { .. }
        | What::Clog { .. }
        | What::Disk(_)
        | What::Clock(_)
        | What::Peace
        | What::Violation
        | What::Note => false,
    }
}

/// The clock of each event, in order; nothing for what is not a process's own.
pub fn clocks(events: &[Event], nodes: u64) -> Vec<Option<Clock>> {
    let nodes = nodes as usize;
    let mut now = vec![vec![0u32; nodes].into_boxed_slice(); nodes];
    let mut sent: BTreeMap<u64, Clock> = BTreeMap::new();
    let mut clocks = Vec::with_capacity(events.len());
    for event in events {
        let own = event.node.map(|node| node.0 as usize - 1);
        let Some(own) = own.filter(|own| *own < nodes && is_of_process(&event.what)) else {
            clocks.push(None);
            continue;
        };
        if let What::Deliver { message, .. } = event.what
            && let Some(other) = sent.get(&message)
        {
            let mine = now[own].iter_mut().zip(other.iter());
            mine.for_each(|(mine, other)| *mine = (*mine).max(*other));
        }
        now[own][own] += 1;
        if let What::Send { message, .. } = event.what {
            sent.insert(message, now[own].clone());
        }
        clocks.push(Some(now[own].clone()));
    }
    clocks
}

/// True when the first event, of node number `of` (from 1), happened before the second or is it.
pub fn reaches(first: &Clock, of: u64, second: &Clock) -> bool {
    let own = of as usize - 1;
    first[own] <= second[own]
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_base::{Instant, NodeId};

    fn event(at: u64, node: u64, what: What) -> Event {
        Event { at: Instant(at), node: Some(NodeId(node)), what, label: String::new() }
    }

    #[test]
    fn a_delivery_knows_what_its_sender_knew() {
        let send = |message, to| What::Send { message, to: NodeId(to) };
        let deliver = |message, from| What::Deliver { message, from: NodeId(from) };
        let lose =
            What::Lose { message: 2, from: NodeId(1), why: quorate_sim::trace::Why::Dropped };
        let events = [
            event(0, 1, send(1, 2)),
            event(1, 1, send(2, 3)),
            event(2, 3, lose),
            event(3, 2, deliver(1, 1)),
            event(4, 2, send(3, 3)),
            event(5, 3, deliver(3, 2)),
            event(6, 1, What::Apply { index: 1 }),
        ];
        let clocks = clocks(&events, 3);
        let plain: Vec<Option<&[u32]>> = clocks.iter().map(|clock| clock.as_deref()).collect();
        let expected: [Option<&[u32]>; 7] = [
            Some(&[1, 0, 0]),
            Some(&[2, 0, 0]),
            None,
            Some(&[1, 1, 0]),
            Some(&[1, 2, 0]),
            Some(&[1, 2, 1]),
            Some(&[3, 0, 0]),
        ];
        assert_eq!(plain, expected);
        let at = |at: usize| clocks[at].as_ref().unwrap();
        assert!(reaches(at(0), 1, at(5)), "the first send is known to node 3");
        assert!(!reaches(at(1), 1, at(5)), "the lost one is not");
        assert!(!reaches(at(5), 3, at(6)));
    }
}
