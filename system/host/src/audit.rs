//! What members tell each other about their audit logs, on its way from the log of consensus to
//! whoever writes it down.

use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Mutex;

/// So many are kept for a reader that does not come; a member without an audit log never comes.
const KEPT: usize = 1_024;

/// How far the audit log of a member had come, as the cluster agreed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditCheckpoint {
    /// Whose log.
    pub member: u64,
    /// The number of its last record.
    pub records: u64,
    /// The hash of that record.
    pub hash: Bytes,
    /// The place of the checkpoint in the log of consensus.
    pub index: u64,
}

/// Checkpoints that were applied and not yet taken.
#[derive(Default)]
pub struct Checkpoints(Mutex<VecDeque<AuditCheckpoint>>);

impl Checkpoints {
    /// Adds one.
    pub fn push(&self, checkpoint: AuditCheckpoint) {
        let mut all = self.0.lock().expect("no holder of this lock panics");
        if all.len() == KEPT {
            all.pop_front();
        }
        all.push_back(checkpoint);
    }

    /// Takes all, in the order of the log.
    pub fn take(&self) -> Vec<AuditCheckpoint> {
        std::mem::take(&mut *self.0.lock().expect("no holder of this lock panics")).into()
    }
}
