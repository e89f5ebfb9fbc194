//! Where reads wait until this member has applied what they must see.

use crate::Failure;
use crate::inbox::ReadWaiter;
use std::collections::BTreeMap;
use std::sync::Mutex;

#[derive(Default)]
struct State {
    applied: u64,
    waiting: BTreeMap<u64, Vec<ReadWaiter>>,
}

/// Releases readers when the published state reaches their read index.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
}

impl Gate {
    /// Lets the readers go when `index` is applied: now, or later.
    pub fn admit(&self, index: u64, mut readers: Vec<ReadWaiter>) {
        {
            let mut state = self.state.lock().expect("no holder of this lock panics");
            if state.applied < index {
                state.waiting.entry(index).or_default().append(&mut readers);
            }
        }
        release(readers);
    }

    /// The view of `applied` is published: whoever waited for it may look.
    pub fn open(&self, applied: u64) {
        let ready = {
            let mut state = self.state.lock().expect("no holder of this lock panics");
            assert!(applied >= state.applied, "applied went back to {applied}");
            state.applied = applied;
            let later = state.waiting.split_off(&(applied + 1));
            std::mem::replace(&mut state.waiting, later)
        };
        release(ready.into_values().flatten());
    }
}

fn release(readers: impl IntoIterator<Item = ReadWaiter>) {
    // A reader that has gone away needs no answer.
    readers.into_iter().for_each(|reader| drop(reader.send(Ok(()))));
}

/// Tells readers that no leader could be asked.
pub fn fail(readers: Vec<ReadWaiter>, failure: &Failure) {
    readers.into_iter().for_each(|reader| drop(reader.send(Err(failure.clone()))));
}
