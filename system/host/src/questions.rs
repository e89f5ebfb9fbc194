//! Lease questions on their way to the leader, and who waits for the answers.

use crate::Failure;
use std::collections::HashMap;
use std::sync::Mutex;
use tokio::sync::oneshot;

/// Resolves with a number of seconds.
pub type SecondsAnswer = oneshot::Receiver<Result<i64, Failure>>;

#[derive(Default)]
struct State {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Result<i64, Failure>>>,
    lists: HashMap<u64, oneshot::Sender<Vec<i64>>>,
}

/// Numbers questions and remembers who asked.
#[derive(Default)]
pub struct Questions {
    state: Mutex<State>,
}

impl Questions {
    /// Numbers a question.
    pub fn begin(&self) -> (u64, SecondsAnswer) {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock().expect("no holder of this lock panics");
        state.next += 1;
        let token = state.next;
        state.waiting.insert(token, sender);
        (token, receiver)
    }

    /// Numbers a question for all leases.
    pub fn begin_list(&self) -> (u64, oneshot::Receiver<Vec<i64>>) {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock().expect("no holder of this lock panics");
        state.next += 1;
        let token = state.next;
        state.lists.insert(token, sender);
        (token, receiver)
    }

    /// Delivers a list of leases.
    pub fn list(&self, token: u64, ids: Vec<i64>) {
        let mut state = self.state.lock().expect("no holder of this lock panics");
        if let Some(sender) = state.lists.remove(&token) {
            // Whoever asked may have gone away.
            let _ = sender.send(ids);
        }
    }

    /// Delivers an answer.
    pub fn answer(&self, token: u64, answer: Result<i64, Failure>) {
        let mut state = self.state.lock().expect("no holder of this lock panics");
        if let Some(sender) = state.waiting.remove(&token) {
            // Whoever asked may have gone away.
            let _ = sender.send(answer);
        }
    }
}
