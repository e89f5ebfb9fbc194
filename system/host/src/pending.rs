//! Local commands on their way into the log, and who waits for their answers.

use crate::Failure;
use quorate_store::{OpId, Outcome};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Resolves when a command was applied, or when nobody can say whether it was.
pub type Answered = oneshot::Receiver<Result<Outcome, Failure>>;

struct Waiting {
    since: Instant,
    answer: Option<oneshot::Sender<Result<Outcome, Failure>>>,
}

struct Table {
    /// Sequence number of the first element.
    floor: u64,
    waiting: VecDeque<Waiting>,
    count: usize,
}

/// Numbers the commands of one life of this process and remembers who asked.
///
/// The numbers are dense and answers come nearly in order, so this is a queue that is cut in front:
/// everything below its front has its answer, which is what the log's deduplication needs to know.
pub struct Pending {
    origin: u64,
    limit: usize,
    table: Mutex<Table>,
}

impl Pending {
    /// An empty table. `origin` must never have been used by any process of the cluster.
    pub fn new(origin: u64, limit: usize) -> Pending {
        let table = Table { floor: 1, waiting: VecDeque::new(), count: 0 };
        Pending { origin, limit, table: Mutex::new(table) }
    }

    /// The origin of every command of this process.
    pub fn origin(&self) -> u64 {
        self.origin
    }

    /// Numbers a command.
    pub fn begin(&self) -> Result<(OpId, Answered), Failure> {
        let (sender, receiver) = oneshot::channel();
        let mut table = self.table.lock().expect("no holder of this lock panics");
        if table.count >= self.limit {
            return Err(Failure::TooManyRequests { limit: self.limit });
        }
        let seq = table.floor + table.waiting.len() as u64;
        table.waiting.push_back(Waiting { since: Instant::now(), answer: Some(sender) });
        table.count += 1;
        Ok((OpId { origin: self.origin, seq, floor: table.floor }, receiver))
    }

    /// How many commands wait for their answers.
    pub fn count(&self) -> usize {
        self.table.lock().expect("no holder of this lock panics").count
    }

    /// Delivers the answer of a command; false when nobody waits for it.
    pub fn answer(&self, seq: u64, outcome: Result<Outcome, Failure>) -> bool {
        let sender = self.remove(seq);
        match sender {
            Some(sender) => sender.send(outcome).is_ok(),
            None => false,
        }
    }

    /// Gives up on one command.
    pub fn forget(&self, seq: u64) {
        self.remove(seq);
    }

    fn remove(&self, seq: u64) -> Option<oneshot::Sender<Result<Outcome, Failure>>> {
        let mut table = self.table.lock().expect("no holder of this lock panics");
        let at = seq.checked_sub(table.floor)?;
        let sender = table.waiting.get_mut(usize::try_from(at).ok()?)?.answer.take()?;
        table.count -= 1;
        while table.waiting.front().is_some_and(|waiting| waiting.answer.is_none()) {
            table.waiting.pop_front();
            table.floor += 1;
        }
        Some(sender)
    }

    /// Fails whatever has waited longer than `patience` and returns its sequence numbers.
    pub fn expire(&self, now: Instant, patience: Duration, failure: &Failure) -> Vec<u64> {
        let overdue: Vec<u64> = {
            let table = self.table.lock().expect("no holder of this lock panics");
            let late = |waiting: &&Waiting| now.duration_since(waiting.since) >= patience;
            let count = table.waiting.iter().take_while(late).count() as u64;
            (table.floor..table.floor + count).collect()
        };
        overdue.into_iter().filter(|seq| self.answer(*seq, Err(failure.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_rises_only_over_answered_commands() {
        let pending = Pending::new(7, 3);
        let (first, _a) = pending.begin().unwrap();
        let (second, mut b) = pending.begin().unwrap();
        assert_eq!((first.seq, first.floor), (1, 1));
        assert_eq!((second.seq, second.floor), (2, 1));
        assert!(pending.answer(2, Err(Failure::Stopped)));
        assert_eq!(b.try_recv().unwrap(), Err(Failure::Stopped));
        let (third, _c) = pending.begin().unwrap();
        assert_eq!((third.seq, third.floor), (3, 1), "1 is still without an answer");
        pending.forget(1);
        let (fourth, _d) = pending.begin().unwrap();
        assert_eq!((fourth.seq, fourth.floor), (4, 3));
        assert!(!pending.answer(2, Err(Failure::Stopped)), "answered once");
    }

    #[test]
    fn the_limit_is_a_typed_error() {
        let pending = Pending::new(7, 1);
        let (_, _a) = pending.begin().unwrap();
        assert_eq!(pending.begin().unwrap_err(), Failure::TooManyRequests { limit: 1 });
    }
}
