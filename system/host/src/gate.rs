//! Where reads wait until this member has applied what they must see.

use crate::Failure;
use crate::inbox::ReadWaiter;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

#[derive(Default)]
struct State {
    applied: u64,
    /// By index, with the time of the first reader.
    waiting: BTreeMap<u64, (Instant, Vec<ReadWaiter>)>,
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
                let (_, waiting) =
                    state.waiting.entry(index).or_insert_with(|| (Instant::now(), vec![]));
                waiting.append(&mut readers);
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
        release(ready.into_values().flat_map(|(_, readers)| readers));
    }

    /// Fails readers whose index this member does not reach: it is cut off, most likely.
    pub fn expire(&self, now: Instant, patience: Duration, failure: &Failure) {
        let late = {
            let mut state = self.state.lock().expect("no holder of this lock panics");
            let is_late = |since: Instant| now.duration_since(since) >= patience;
            let late: Vec<u64> = {
                let waiting = state.waiting.iter();
                waiting.filter(|(_, (since, _))| is_late(*since)).map(|(index, _)| *index).collect()
            };
            late.iter().filter_map(|index| state.waiting.remove(index)).collect::<Vec<_>>()
        };
        late.into_iter().for_each(|(_, readers)| fail(readers, failure));
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
