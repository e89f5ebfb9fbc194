//! Histories whose events carry their key inside the value, as Jepsen's `independent` tests write them.

use crate::history::{Event, History, Operation, Value};
use crate::verdict::HistoryError;

/// Whether the values are pairs of a key and a value: no event has a key, every invocation carries a pair, and a read
/// carries `[key nil]`.
pub(crate) fn has_pairs(history: &History, operations: &[Operation], readers: &[&str]) -> bool {
    let mut has_read = false;
    for operation in operations {
        let event = &history.events[operation.start];
        let Some([_, value]) = event.value.as_list() else { return false };
        if !event.key.is_nil() {
            return false;
        }
        has_read |= readers.contains(&&*event.f) && value.is_nil();
    }
    has_read
}

/// The key and the value of an event whose history [has pairs](has_pairs).
pub(crate) fn pair(event: &Event) -> Result<(&Value, &Value), HistoryError> {
    match event.value.as_list() {
        Some([key, value]) => Ok((key, value)),
        Some(_) | None => Err(HistoryError::at(
            event,
            format!("the other values are pairs of a key and a value, but not {}", event.value),
        )),
    }
}
