//! Where every thread leaves what the core must hear.
//!
//! One lock, one wake-up: a batch forms here while the core works on the one before, so the busier
//! the member, the larger the batches and the fewer the wake-ups.

use crate::Failure;
use quorate_base::Input;
use quorate_node::{GroupId, Node, Request, Tagged};
use std::sync::Mutex;
use tokio::sync::{Notify, oneshot};

/// Resolves when a linearizable read may look at the newest view.
pub type ReadWaiter = oneshot::Sender<Result<(), Failure>>;

/// What has gathered for the core since it last looked.
#[derive(Default)]
pub struct Gathered {
    /// Messages, requests and disk news, in the order of arrival.
    pub inputs: Vec<Input<Node>>,
    /// Reads that will share one read index.
    pub reads: Vec<ReadWaiter>,
    /// Something here is worth waking the core for.
    urgent: bool,
    /// The member is to stop.
    pub stop: bool,
}

impl Gathered {
    /// True when there is nothing to hear.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.reads.is_empty() && !self.stop
    }
}

/// The core's inbox. Bounded by its senders: clients by the limits of the API, peers by Raft's
/// flight, the disk by one answer a batch.
#[derive(Default)]
pub struct Inbox {
    gathered: Mutex<Gathered>,
    wake: Notify,
}

impl Inbox {
    /// Leaves one input.
    pub fn push(&self, input: Input<Node>) {
        self.with(|gathered| gathered.inputs.push(input));
    }

    /// Leaves a request to the default group.
    pub fn request(&self, body: Request) {
        self.push(Input::Request(Tagged { group: GroupId(0), body }));
    }

    /// Leaves a request for whenever the core turns next, which is at its next deadline at latest.
    pub fn request_quietly(&self, body: Request) {
        let input = Input::Request(Tagged { group: GroupId(0), body });
        self.gathered.lock().expect("no holder of this lock panics").inputs.push(input);
    }

    /// Leaves many inputs at once.
    pub fn extend(&self, inputs: impl IntoIterator<Item = Input<Node>>) {
        self.with(|gathered| gathered.inputs.extend(inputs));
    }

    /// Joins the next read index.
    pub fn read(&self, waiter: ReadWaiter) {
        self.with(|gathered| gathered.reads.push(waiter));
    }

    /// Asks the core to end.
    pub fn stop(&self) {
        self.with(|gathered| gathered.stop = true);
    }

    fn with(&self, leave: impl FnOnce(&mut Gathered)) {
        let woken = {
            let mut gathered = self.gathered.lock().expect("no holder of this lock panics");
            leave(&mut gathered);
            std::mem::replace(&mut gathered.urgent, true)
        };
        // Whoever made it urgent woke the core; nobody else needs to.
        if !woken {
            self.wake.notify_one();
        }
    }

    /// Takes everything; empty when there is nothing.
    pub fn take(&self) -> Gathered {
        std::mem::take(&mut self.gathered.lock().expect("no holder of this lock panics"))
    }

    /// Waits until something is left here. Cancel-safe.
    pub async fn wait(&self) {
        self.wake.notified().await;
    }
}
