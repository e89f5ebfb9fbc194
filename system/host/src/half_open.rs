//! Connections, of clients or of members, that have not proved yet that anybody is behind them.
//!
//! A connection costs a descriptor and some memory from the moment it is accepted. Until its client
//! has finished the handshakes and said what it wants, it is *half open*: it has a deadline,
//! and there is room for a bounded number. When the room is full the oldest makes place for the
//! newest, not the other way round: a client that is really there finishes within a round trip or
//! two, so a flood of silent connections pushes out itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::task::AbortHandle;

#[derive(Default)]
struct State {
    next: u64,
    waiting: BTreeMap<u64, Option<AbortHandle>>,
    /// Connections that made place for others.
    pushed_out: u64,
}

/// The half-open connections of a member.
#[derive(Clone)]
pub struct HalfOpen {
    state: Arc<Mutex<State>>,
    limit: usize,
}

/// One of them. It leaves when this is dropped.
pub struct Place {
    among: HalfOpen,
    number: u64,
}

impl HalfOpen {
    /// Room for so many.
    pub fn new(limit: usize) -> HalfOpen {
        HalfOpen { state: Arc::default(), limit: limit.max(1) }
    }

    /// Takes a place; the oldest connection ends if there is none left.
    pub fn enter(&self) -> Place {
        let (number, oldest) = {
            let mut state = self.lock();
            let number = state.next;
            state.next += 1;
            state.waiting.insert(number, None);
            let full = state.waiting.len() > self.limit;
            let oldest = if full { state.waiting.pop_first() } else { None };
            state.pushed_out += u64::from(full);
            (number, oldest)
        };
        if let Some((_, Some(task))) = oldest {
            task.abort();
        }
        Place { among: self.clone(), number }
    }

    /// How to end the connection with this number, while it is half open.
    pub fn tell(&self, number: u64, task: AbortHandle) {
        if let Some(place) = self.lock().waiting.get_mut(&number) {
            *place = Some(task);
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().waiting.len()
    }

    /// How many made place for others so far.
    pub fn pushed_out(&self) -> u64 {
        self.lock().pushed_out
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl Place {
    /// The number under which [`HalfOpen::tell`] knows it.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.among.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_makes_place_for_the_newest() {
        let half_open = HalfOpen::new(2);
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let place = half_open.enter();
            let number = place.number();
            let task = tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(place);
            });
            half_open.tell(number, task.abort_handle());
            tasks.push(task);
        }
        let first = tasks.remove(0).await;
        assert!(first.expect_err("it was ended").is_cancelled());
        assert_eq!((half_open.count(), half_open.pushed_out()), (2, 1));
        let one = tasks.remove(0);
        one.abort();
        assert!(one.await.is_err());
        assert_eq!(half_open.count(), 1, "whoever leaves gives its place back");
    }
}
