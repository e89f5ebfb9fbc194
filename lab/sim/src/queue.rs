//! The queue of what will happen: a heap of small keys over a slab of events.
//!
//! Events are large (messages lie in them) and a heap moves its elements often; so the heap holds
//! times, numbers and places only. Two events of one moment come in the order in which they were
//! put in: that, and nothing else, breaks ties.

use quorate_base::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// See the module's essay.
#[derive(Clone, Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    events: Vec<Option<E>>,
    free: Vec<u32>,
    pushed: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Queue<E> {
        Queue { heap: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), pushed: 0 }
    }
}

impl<E> Queue<E> {
    /// Puts an event in.
    pub fn push(&mut self, at: Instant, event: E) {
        self.pushed += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.events[slot as usize] = Some(event);
                slot
            }
            None => {
                self.events.push(Some(event));
                u32::try_from(self.events.len() - 1).expect("fewer than 2^32 events wait")
            }
        };
        self.heap.push(Reverse((at, self.pushed, slot)));
    }

    /// Takes the next one out.
    pub fn pop(&mut self) -> Option<(Instant, E)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        let event = self.events[slot as usize].take().expect("every key has its event");
        Some((at, event))
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// True when nothing will ever happen again.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_base::Dice;

    #[test]
    fn events_come_by_time_and_then_in_the_order_they_were_put_in() {
        let mut dice = Dice::new(1);
        let mut queue = Queue::default();
        let mut wanted: Vec<(u64, u64)> = (0..500).map(|n| (dice.below(20), n)).collect();
        for chunk in wanted.chunks(100) {
            chunk.iter().for_each(|(at, n)| queue.push(Instant(*at), *n));
        }
        wanted.sort_unstable();
        let got: Vec<(u64, u64)> =
            std::iter::from_fn(|| queue.pop().map(|(at, n)| (at.0, n))).collect();
        assert_eq!(got, wanted);
        assert!(queue.is_empty());
    }
}
