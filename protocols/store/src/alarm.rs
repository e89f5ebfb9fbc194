//! Alarms in the engine: one empty entry for each that is on.

use crate::engine::{EngineError, EngineRead};
use crate::layout::{self, ALARM};
use crate::{Alarm, AlarmKind};
use std::collections::BTreeSet;

pub(crate) fn key(alarm: Alarm) -> Vec<u8> {
    let mut key = layout::plain(ALARM, &alarm.member.to_be_bytes());
    key.push(match alarm.kind {
        AlarmKind::NoSpace => 1,
        AlarmKind::Corrupt => 2,
    });
    key
}

pub(crate) fn load<R: EngineRead>(engine: &R) -> Result<BTreeSet<Alarm>, EngineError> {
    let mut alarms = BTreeSet::new();
    for pair in engine.range(&[ALARM], Some(&[ALARM + 1])) {
        let (key, _) = pair?;
        let kind = match (key.len(), key.last()) {
            (10, Some(1)) => AlarmKind::NoSpace,
            (10, Some(2)) => AlarmKind::Corrupt,
            _other => return Err(EngineError("an alarm of an unknown kind".into())),
        };
        alarms.insert(Alarm { member: layout::read_u64(&key, 1), kind });
    }
    Ok(alarms)
}
