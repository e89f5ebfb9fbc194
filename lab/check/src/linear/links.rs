//! The doubly linked list of Wing and Gong's search: calls and returns of the operations that are not linearized yet,
//! in real-time order. Lifting an operation out and putting it back are constant-time, in the manner of dancing links.

/// One end of an operation's interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The operation with this number begins.
    Call(u32),
    /// It completes.
    Return(u32),
}

/// The list.
pub struct Links {
    entries: Vec<Entry>,
    next: Vec<u32>,
    previous: Vec<u32>,
    /// For each operation its call and its return.
    ends: Vec<(u32, u32)>,
}

impl Links {
    /// The entry before all others.
    pub const HEAD: u32 = 0;

    /// The list of operations given by (start, end).
    pub fn new(intervals: &[(u32, u32)]) -> Links {
        let mut order: Vec<(u32, bool, u32)> = Vec::with_capacity(intervals.len() * 2);
        for (operation, (start, end)) in intervals.iter().enumerate() {
            assert!(start < end, "an operation begins before it ends");
            let operation = u32::try_from(operation).expect("operations are counted in 32 bits");
            order.push((*start, false, operation));
            order.push((*end, true, operation));
        }
        order.sort_unstable();
        let mut entries = vec![Entry::Return(u32::MAX)];
        let mut ends = vec![(0, 0); intervals.len()];
        for (_, is_return, operation) in order {
            let entry = u32::try_from(entries.len()).expect("entries are counted in 32 bits");
            if is_return {
                ends[operation as usize].1 = entry;
                entries.push(Entry::Return(operation));
            } else {
                ends[operation as usize].0 = entry;
                entries.push(Entry::Call(operation));
            }
        }
        let count = entries.len() as u32;
        let next = (0..count).map(|entry| (entry + 1) % count).collect();
        let previous = (0..count).map(|entry| (entry + count - 1) % count).collect();
        Links { entries, next, previous, ends }
    }

    /// The entry after this one, which must be in the list.
    pub fn after(&self, entry: u32) -> Option<u32> {
        let next = self.next[entry as usize];
        (next != Links::HEAD).then_some(next)
    }

    /// What an entry is.
    pub fn entry(&self, entry: u32) -> Entry {
        self.entries[entry as usize]
    }

    /// Takes an operation out.
    pub fn lift(&mut self, operation: u32) {
        let (call, end) = self.ends[operation as usize];
        for entry in [call, end] {
            let (previous, next) = (self.previous[entry as usize], self.next[entry as usize]);
            self.next[previous as usize] = next;
            self.previous[next as usize] = previous;
        }
    }

    /// Puts it back. Operations come back in the reverse order of their lifting.
    pub fn unlift(&mut self, operation: u32) {
        let (call, end) = self.ends[operation as usize];
        for entry in [end, call] {
            let (previous, next) = (self.previous[entry as usize], self.next[entry as usize]);
            self.next[previous as usize] = entry;
            self.previous[next as usize] = entry;
        }
    }
}
