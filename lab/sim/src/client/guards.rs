//! Writes of a world with guards: clients take a lock and give it back, set a guard and remove it, and
//! send tokens that are right, old, or missing.

use crate::oracles::history::History;
use bytes::Bytes;
use quorate_base::Dice;
use quorate_store::{Action, Caller, Delete, Fence, GuardChange, KeyRange, Put};

/// Some of the keys that everybody writes to.
const PREFIX: &str = "k0";
/// The lock that guards them.
const LOCK: &str = "lock";

/// What a client does instead of `action`, perhaps, and what it says that it holds.
pub fn about(
    dice: &mut Dice,
    history: &History,
    origin: u64,
    lease: i64,
    action: Action,
) -> (Action, Caller) {
    let (prefix, lock) = (Bytes::from(PREFIX), Bytes::from(LOCK));
    let mine = Bytes::from(format!("{LOCK}/{origin}"));
    let action = match dice.below(16) {
        0 => Action::Guard(GuardChange::Set { prefix, lock: lock.clone() }),
        1 if dice.below(4) == 0 => Action::Guard(GuardChange::Remove { prefix }),
        2..4 => Action::Put(Put { key: mine, lease, ..Put::default() }),
        4 => Action::Delete(Delete { range: KeyRange::single(mine), prev_kv: false }),
        _ => action,
    };
    let current = history.token(&lock).unwrap_or(0);
    let token = match dice.below(4) {
        0 => None,
        1 => Some(current - dice.below(3) as i64),
        _ => Some(current),
    };
    let fences = token.map(|token| Fence { lock, token }).into_iter().collect();
    (action, Caller { fences, ..Caller::default() })
}
