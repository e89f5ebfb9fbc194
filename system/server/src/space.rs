//! Room for what a write adds: below the quota, and on this member's disk.
//!
//! What is in the log must be applied, and a member whose disk is full then has to stop, now and whenever it
//! is started again. So whoever needs much is asked before, by the member that takes the call. That member
//! knows its own disk only; the alarm tells the others.

use crate::errors;
use crate::service::Service;
use bytes::Bytes;
use quorate_host::{Host, View};
use quorate_store::touch::{self, By, Right, Touch};
use quorate_store::{Action, Alarm, AlarmKind, EngineError, KeyRange, validate};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tonic::Status;

/// Below so many free bytes the member raises the NOSPACE alarm and takes no puts, so that deletes and
/// compactions still find room (design section 7).
pub const SPACE_RESERVE: u64 = 96 << 20;

/// Below so many free bytes the log keeps next to nothing for slow followers.
const SCARCE: u64 = 4 * SPACE_RESERVE;

/// A delete of less than this, in bytes of its pairs, may use the reserve.
const LARGE_DELETE: u64 = 16 << 20;

/// What smaller deletes leave of the reserve to merges.
const FOR_MERGES: u64 = SPACE_RESERVE / 2;

/// So old may be what is known of the disk.
const FRESH: Duration = Duration::from_millis(20);

/// What the disk had left when it was asked last.
#[derive(Default)]
pub struct Space {
    known: Mutex<Option<(Instant, Option<u64>)>>,
    /// Whether the log names the NOSPACE alarm, since it was raised.
    is_told: AtomicBool,
}

impl Space {
    fn free(&self, host: &Host) -> Option<u64> {
        let mut known = self.known.lock().expect("no holder of this lock panics");
        match *known {
            Some((at, free)) if at.elapsed() < FRESH => free,
            Some(_) | None => {
                let free = host.free_bytes();
                *known = Some((Instant::now(), free));
                free
            }
        }
    }
}

impl Service {
    /// Refuses what would exceed the quota, and raises the alarm that tells all members so.
    pub async fn check_quota(&self, action: &Action) -> Result<(), Status> {
        let Some(quota) = self.limits.quota_bytes else { return Ok(()) };
        let cost = validate::cost(action);
        if cost == 0 || self.view().size().total + cost <= quota {
            return Ok(());
        }
        self.raise_no_space().await;
        Err(errors::no_space())
    }

    /// Refuses what would fill the disk. A delete writes what it deletes once more, into history, and a large one
    /// twice for a while.
    pub async fn check_room(&self, action: &Action) -> Result<(), Status> {
        let Some(free) = self.space.free(&self.host) else { return Ok(()) };
        if free < SPACE_RESERVE && validate::cost(action) > 0 {
            self.raise_no_space().await;
            return Err(errors::no_space());
        }
        let moved = moved_by(action, &self.view())?;
        let kept = if moved < LARGE_DELETE { FOR_MERGES } else { SPACE_RESERVE };
        let needed = 2 * moved + kept;
        if moved > 0 && free < needed {
            return Err(errors::no_room_to_delete(moved, needed, free));
        }
        Ok(())
    }

    /// Raises this member's NOSPACE alarm if it is not on; true when it was raised now.
    async fn raise_no_space(&self) -> bool {
        if self.says_no_space() {
            return false;
        }
        let (member, kind) = (self.host.member_id(), AlarmKind::NoSpace);
        let alarm = Action::Alarm { raise: true, member, kind };
        let caller = self.host.myself();
        self.host.propose(caller, alarm, self.limits.max_request_bytes).await.is_ok()
    }

    fn says_no_space(&self) -> bool {
        let (member, kind) = (self.host.member_id(), AlarmKind::NoSpace);
        self.view().alarms().contains(&Alarm { member, kind })
    }

    /// Looks at the disk, as is done now and then whether or not anybody writes, and tells the log of the
    /// alarm, whoever raised it: a refused put may have, and a proposal that nobody answered may come through.
    pub async fn watch_space(&self) {
        let free = self.host.free_bytes().unwrap_or(u64::MAX);
        if free < SCARCE {
            self.host.trim_log();
        }
        let is_new = free < SPACE_RESERVE && self.raise_no_space().await;
        let is_on = self.says_no_space();
        let was_told = self.space.is_told.swap(is_on, Ordering::Relaxed);
        if is_on && (is_new || !was_told) {
            self.tell_no_space(free);
        }
    }

    fn tell_no_space(&self, free: u64) {
        if free < SPACE_RESERVE {
            tracing::warn!(
                "only {} MiB are free (the reserve is {} MiB): the NOSPACE alarm is on; free some space, then \
                 clear it with `quorate alarm disarm`",
                free >> 20,
                SPACE_RESERVE >> 20
            );
        } else {
            tracing::warn!(
                size = self.view().size().total,
                quota = self.limits.quota_bytes,
                "the NOSPACE alarm is on: no puts are taken; if the state is at its quota, delete and compact, \
                 then clear the alarm with `quorate alarm disarm`"
            );
        }
    }
}

fn unreadable(error: EngineError) -> Status {
    Status::internal(error.to_string())
}

/// At most how many bytes of pairs an action moves from the newest state into history; of single keys none
/// are counted, and of a lease's keys what an average key weighs.
fn moved_by(action: &Action, view: &View) -> Result<u64, Status> {
    let mut moved = 0;
    touch::visit(action, &mut |touch| {
        match touch {
            Touch::Keys { span, by: By::Delete, right: Right::Write } if !span.end.is_empty() => {
                let [key, end] = [span.key, span.end].map(Bytes::copy_from_slice);
                moved += view.at_most(&KeyRange { key, end }).bytes;
            }
            Touch::LeaseKeys { id } if matches!(action, Action::LeaseRevoke { .. }) => {
                let keys = view.lease_keys(id).map_err(unreadable)?.len() as u64;
                moved += keys * view.size().live / view.keys().max(1);
            }
            Touch::Keys { .. } | Touch::LeaseKeys { .. } => {}
        }
        Ok::<_, Status>(())
    })?;
    Ok(moved)
}
