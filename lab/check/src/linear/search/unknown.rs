//! Unknown operations in the search: breadth first.
//!
//! The search goes deep first, which is right for completed operations: all of them must be placed, in whatever order.
//! Unknown ones need not. Going deep among them would reach a state by a detour first and enter everything beyond it,
//! only to find the shorter way later, which dominates, and to enter everything again: exponentially often, as detours
//! add up. So from one configuration, chains of unknown operations are tried in the order of their lengths, as long as
//! they let nothing else happen. A configuration that is reached by a detour is then dominated when it is reached.

use std::collections::VecDeque;

use super::{Chains, Entry, Links, Search, Spec, UNKNOWN};

impl<S: Spec> Search<'_, S> {
    /// The next chain to try from the last frame, if it has one.
    pub(super) fn next_chain(&mut self) -> Option<Vec<u32>> {
        let frame = self.frames.last()?;
        let (state, deadline) = (frame.state, frame.deadline);
        if frame.chains.as_ref()?.kinds.is_none() {
            let kinds = self.open_kinds(state, deadline);
            let queue: VecDeque<Vec<u32>> = kinds.iter().map(|kind| vec![*kind]).collect();
            self.queued += queue.len();
            self.frames.last_mut()?.chains = Some(Chains { kinds: Some(kinds), queue });
        }
        let next = self.frames.last_mut()?.chains.as_mut()?.queue.pop_front();
        self.queued -= usize::from(next.is_some());
        next
    }

    /// The kinds of unknown operations that may be next, apart from those with a twin among the completed operations
    /// that may be.
    fn open_kinds(&mut self, state: u32, deadline: u32) -> Vec<u32> {
        if !self.spec.may_be_unknown(self.states.get(state)) {
            return Vec::new();
        }
        self.stamp += 1;
        let mut before = Links::HEAD;
        while let Some(entry) = self.links.after(before)
            && let Entry::Call(operation) = self.links.entry(entry)
        {
            self.stamps[self.class[operation as usize] as usize].0 = self.stamp;
            before = entry;
        }
        let is_open = |kind: &u32| {
            let class = self.unknown[*kind as usize].class;
            self.stamps[class as usize].0 != self.stamp && self.is_left(*kind, deadline)
        };
        (0..self.unknown.len() as u32).filter(is_open).collect()
    }

    /// Whether an operation of a kind is left that was invoked before the deadline.
    fn is_left(&self, kind: u32, deadline: u32) -> bool {
        let next = usize::from(self.spent[kind as usize]);
        let next = self.unknown[kind as usize].items.get(next);
        next.is_some_and(|place| self.items[*place as usize].start < deadline)
    }

    /// Enters the configuration behind a chain. If that is new and the chain let nothing happen, longer chains are to
    /// be tried. True: nothing is left to linearize.
    pub(super) fn try_chain(&mut self, chain: Vec<u32>) -> bool {
        let below = self.frames.len() - 1;
        let (mut state, deadline) = (self.frames[below].state, self.frames[below].deadline);
        for kind in &chain {
            let first = self.unknown[*kind as usize].items[0] as usize;
            let next = self.spec.step(self.states.get(state), &self.items[first].op);
            let Some(next) = next.filter(|next| self.spec.is_worth_reaching(next)) else {
                return false;
            };
            let next = self.number(next);
            if next == state {
                return false;
            }
            state = next;
        }
        let frame = self.frame(state);
        for kind in &chain {
            self.take(kind | UNKNOWN);
        }
        if self.descend(frame, chain.len()) {
            return true;
        }
        let is_continued = self.frames.len() > below + 1 && self.frames[below + 1].chains.is_none();
        if is_continued && self.spec.may_be_unknown(self.states.get(state)) {
            let kinds = self.frames[below].chains.as_ref().and_then(|chains| chains.kinds.as_ref());
            let kinds = kinds.expect("a chain comes from its kinds").iter();
            let longer = kinds.filter(|kind| self.is_left(**kind, deadline)).map(|kind| {
                let mut longer = chain.clone();
                longer.push(*kind);
                longer
            });
            let longer: Vec<Vec<u32>> = longer.collect();
            self.queued += longer.len();
            let chains = self.frames[below].chains.as_mut().expect("it was just looked at");
            chains.queue.extend(longer);
        }
        false
    }
}
