//! Members of different builds in one cluster: what all of them can read is what may be written.
//!
//! Every build has a *level*, a number that goes up whenever a command is added to what the log may
//! hold. A member tells its level in every greeting, behind the `+` of its release, where builds
//! that know of no levels read it as a part of a name; those are of level 1. The *level of the
//! cluster* is the lowest of its members'. A command of a higher level is refused before it is
//! proposed, because a member that cannot read an entry can only stop.
//!
//! What was heard is written down, so that a member that starts while another is down does not have
//! to assume the worst. Of a member that took part before anybody wrote levels down, the worst
//! *is* assumed: it was heard by, or as, a build of level 1, and it may still be one. One that never
//! took part counts as this build: it is still to be started, and one is started with the build
//! that is at hand.
//!
//! The level of the cluster may go down again, when a member goes back to an older build. That
//! works as long as the log holds nothing that this build cannot read; if it does, the member says
//! so and ends, and nothing is lost by starting it with the newer build.

use quorate_base::NodeId;
use quorate_store::{Action, Caller};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The level of this build.
///
/// 1: keys, transactions, leases, compactions, alarms. 2: callers, members, users and roles,
/// checkpoints of audit logs. 3: downgrades.
pub const LEVEL: u32 = 3;

/// The level of builds that tell none.
const OLDEST: u32 = 1;

/// This build, as it is told to others: its release and its level.
pub fn build() -> String {
    format!("{}+{LEVEL}", crate::RELEASE)
}

/// The level of a build by what it tells.
pub fn level_of(build: &str) -> u32 {
    let level = build.split_once('+').and_then(|(_, level)| level.parse().ok());
    level.unwrap_or(OLDEST).max(OLDEST)
}

/// The level that a member must have to read this.
pub fn needed(caller: &Caller, action: &Action) -> u32 {
    let by_action = match action {
        Action::Put(_)
        | Action::Delete(_)
        | Action::Txn(_)
        | Action::Compact { .. }
        | Action::LeaseGrant { .. }
        | Action::LeaseRevoke { .. }
        | Action::LeaseCheckpoint { .. }
        | Action::Alarm { .. } => OLDEST,
        Action::Guard(_) | Action::Member(_) | Action::Auth(_) | Action::AuditCheckpoint { .. } => {
            2
        }
        Action::Downgrade(_) => 3,
    };
    let by_caller = if *caller == Caller::default() { OLDEST } else { 2 };
    by_action.max(by_caller)
}

/// The levels of the others, on disk and in memory.
pub struct Levels {
    path: PathBuf,
    told: Mutex<BTreeMap<NodeId, u32>>,
}

impl Levels {
    /// Reads what a data directory remembers. What cannot be read is not known.
    pub fn open(directory: &Path) -> Levels {
        let path = directory.join("levels");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let line = |line: &str| {
            let (id, level) = line.split_once(' ')?;
            Some((NodeId(u64::from_str_radix(id, 16).ok()?), level.parse().ok()?))
        };
        let told = text.lines().filter_map(line).collect();
        Levels { path, told: Mutex::new(told) }
    }

    /// Remembers what a member told. It is not worth a failure if it cannot be written.
    pub fn note(&self, member: NodeId, level: u32) {
        let mut told = self.told.lock().expect("no holder of this lock panics");
        if told.insert(member, level) == Some(level) {
            return;
        }
        let text = told.iter().map(|(id, level)| format!("{:x} {level}\n", id.0)).collect();
        if let Err(error) = self.save(text) {
            tracing::warn!("cannot remember the builds of the others: {error}");
        }
    }

    fn save(&self, text: String) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)
    }

    /// The highest level of this build and the others; one that told none counts as this build.
    pub fn highest(&self, others: impl Iterator<Item = NodeId>) -> u32 {
        let told = self.told.lock().expect("no holder of this lock panics");
        others.map(|other| told.get(&other).copied().unwrap_or(LEVEL)).fold(LEVEL, u32::max)
    }

    /// The lowest level of this build and the others; `took_part` tells who was ever heard.
    pub fn lowest(
        &self,
        others: impl Iterator<Item = NodeId>,
        took_part: impl Fn(NodeId) -> bool,
    ) -> u32 {
        let told = self.told.lock().expect("no holder of this lock panics");
        let level = |other: NodeId| match told.get(&other) {
            Some(level) => *level,
            None if took_part(other) => OLDEST,
            None => LEVEL,
        };
        others.map(level).fold(LEVEL, u32::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_level_counts_and_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let others = || [NodeId(1), NodeId(2)].into_iter();
        let levels = Levels::open(directory.path());
        assert_eq!(levels.lowest(others(), |_| false), LEVEL, "both are still to be started");
        assert_eq!(levels.lowest(others(), |id| id == NodeId(2)), 1, "one was, by an old build");
        levels.note(NodeId(1), LEVEL);
        levels.note(NodeId(2), LEVEL + 1);
        let again = Levels::open(directory.path());
        assert_eq!(again.lowest(others(), |_| true), LEVEL, "this build is the lowest");
        again.note(NodeId(1), 1);
        assert_eq!(Levels::open(directory.path()).lowest(others(), |_| true), 1, "it went back");
    }

    #[test]
    fn a_build_tells_its_level_in_its_release() {
        assert_eq!(level_of(&build()), LEVEL);
        for oldest in ["0.1.0", "", "0.1.0+", "0.1.0+x", "0.1.0+0"] {
            assert_eq!(level_of(oldest), 1, "{oldest:?}");
        }
        assert_eq!(level_of("0.9.1+17"), 17);
    }

    #[test]
    fn what_came_later_needs_a_later_build() {
        let plain = Action::LeaseGrant { id: 1, ttl: 1 };
        assert_eq!(needed(&Caller::default(), &plain), 1);
        let fence = quorate_store::Fence { lock: "l".into(), token: 1 };
        let called = Caller { fences: vec![fence], ..Caller::default() };
        assert_eq!(needed(&called, &plain), 2);
    }

    /// Whatever names somebody, and whatever changes users and roles: a build of level 1 would stop at
    /// it. What such a build reads is what it wrote itself, the plain format without the newer actions.
    #[test]
    fn nothing_that_an_old_build_cannot_read_needs_less_than_its_level() {
        use quorate_store::{AuthChange, Delete, GuardChange, Put, Txn, User};
        use quorate_wire::command::{PLAIN, encode};
        let named = |user| Caller { user, ..Caller::default() };
        let callers = [
            Caller::default(),
            named(User::Named("u".into())),
            named(User::Member),
            // Somebody who logs in is nobody yet, at a revision.
            Caller { auth_revision: 3, ..Caller::default() },
        ];
        let (user, role) = (bytes::Bytes::from("u"), bytes::Bytes::from("r"));
        let old = [
            Action::Put(Put::default()),
            Action::Delete(Delete::default()),
            Action::Txn(Txn::default()),
            Action::Compact { revision: 1 },
            Action::LeaseGrant { id: 1, ttl: 1 },
            Action::LeaseRevoke { id: 1, term: None },
            Action::LeaseCheckpoint { term: 1, remaining: Vec::new() },
        ];
        let new = [
            Action::Auth(AuthChange::Enable),
            Action::Auth(AuthChange::Authenticate { user: user.clone(), token: None }),
            Action::Auth(AuthChange::UserAdd { user, password: None }),
            Action::Auth(AuthChange::RoleDelete { role: role.clone() }),
            Action::Guard(GuardChange::Remove { prefix: role }),
            Action::AuditCheckpoint { member: 1, records: 1, hash: "h".into() },
        ];
        for caller in callers {
            for (actions, is_old) in [(&old[..], true), (&new[..], false)] {
                for action in actions {
                    let command = quorate_store::Command {
                        id: quorate_store::OpId::default(),
                        caller: caller.clone(),
                        action: action.clone(),
                    };
                    let is_plain = encode(&command)[0] == PLAIN;
                    let expected = if is_plain && is_old { OLDEST } else { 2 };
                    assert_eq!(needed(&caller, action), expected, "{command:?}");
                }
            }
        }
    }
}
