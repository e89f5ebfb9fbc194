//! What can be done to a member, and how `quorate up`'s supervisor is asked to do it.

use std::fmt;

use crate::up::control::{Action, Request};

/// A fault of one member, or of all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// SIGTERM, and a new start: what an operator does all day.
    Stop,
    /// SIGKILL, and a new start.
    Kill,
    /// SIGSTOP and SIGCONT: the clock goes on, the member does not.
    Pause,
    /// Nothing comes in or out of its links to the others.
    Isolate,
    /// It hears the others, but they do not hear it.
    Mute,
    /// The others hear it, but it does not hear them.
    Deafen,
    /// One of its links is gone, so that the others see different things.
    Unlink,
    /// Every sync of its disk takes much longer.
    SlowDisk,
    /// Its disk does not come back from a sync.
    HungDisk,
    /// All members are killed at the same moment.
    Blackout,
    /// A machine joins as a learner and becomes a voter. It is done while other faults go on, as the next two.
    Add,
    /// A member is removed, some of them while they are cut off, and must end by itself.
    Remove,
    /// A member is killed, its data directory is deleted, and two commands replace it.
    Replace,
}

impl Fault {
    /// All of them, in the order in which they strike the leader first.
    pub const ALL: [Fault; 13] = [
        Fault::Kill,
        Fault::Pause,
        Fault::Isolate,
        Fault::Mute,
        Fault::Deafen,
        Fault::Unlink,
        Fault::SlowDisk,
        Fault::HungDisk,
        Fault::Stop,
        Fault::Blackout,
        Fault::Add,
        Fault::Remove,
        Fault::Replace,
    ];

    /// As it is called on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Stop => "stop",
            Fault::Kill => "kill",
            Fault::Pause => "pause",
            Fault::Isolate => "isolate",
            Fault::Mute => "mute",
            Fault::Deafen => "deafen",
            Fault::Unlink => "unlink",
            Fault::SlowDisk => "slow-disk",
            Fault::HungDisk => "hung-disk",
            Fault::Blackout => "blackout",
            Fault::Add => "add",
            Fault::Remove => "remove",
            Fault::Replace => "replace",
        }
    }

    /// The faults of one word of `--faults`.
    pub fn parse(word: &str) -> Result<Vec<Fault>, String> {
        let (cuts, disks, changes) = (&Fault::ALL[2..6], &Fault::ALL[6..8], &Fault::ALL[10..]);
        match word {
            "all" => return Ok(Fault::ALL.to_vec()),
            "cut" => return Ok(cuts.to_vec()),
            "disk" => return Ok(disks.to_vec()),
            "members" => return Ok(changes.to_vec()),
            _ => {}
        }
        let found = Fault::ALL.into_iter().find(|fault| fault.name() == word);
        found.map(|fault| vec![fault]).ok_or_else(|| {
            let names = Fault::ALL.map(Fault::name).join(", ");
            format!("the faults are {names}; cut is the four of links, disk the two of disks, members the three of members, all is all")
        })
    }

    /// Whether it ends a life of its victim.
    pub fn kills(self) -> bool {
        matches!(self, Fault::Stop | Fault::Kill | Fault::Blackout)
    }

    /// Whether it changes who belongs to the cluster.
    pub fn is_change(self) -> bool {
        matches!(self, Fault::Add | Fault::Remove | Fault::Replace)
    }

    /// Whether it needs another member to be about.
    pub fn needs_others(self) -> bool {
        matches!(self, Fault::Isolate | Fault::Mute | Fault::Deafen | Fault::Unlink)
    }

    /// What the supervisor is asked to break this member; `other` is at the far end of the link that
    /// [`Fault::Unlink`] cuts, and `delay` what [`Fault::SlowDisk`] adds to a sync, in milliseconds.
    pub fn begin(self, victim: &str, other: &str, delay: u64) -> Vec<Request> {
        let plain = |action| vec![Request::of(action, victim)];
        let disk = |state: String| {
            vec![Request { disk: Some(state), ..Request::of(Action::Disk, victim) }]
        };
        match self {
            Fault::Stop => plain(Action::Stop),
            Fault::Kill | Fault::Blackout => plain(Action::Kill),
            Fault::Pause => plain(Action::Pause),
            Fault::Isolate => plain(Action::Cut),
            // Without a name, a direction is that of all its links; the supervisor knows names only, so these two are
            // asked link by link, see the nemesis.
            Fault::Mute => {
                vec![Request { to: Some(other.to_owned()), ..Request::of(Action::Cut, victim) }]
            }
            Fault::Deafen => {
                vec![Request { from: Some(other.to_owned()), ..Request::of(Action::Cut, victim) }]
            }
            Fault::Unlink => {
                let other = Some(other.to_owned());
                let cut = Request::of(Action::Cut, victim);
                vec![Request { to: other.clone(), from: other, ..cut }]
            }
            Fault::SlowDisk => disk(delay.to_string()),
            Fault::HungDisk => disk("hang".to_owned()),
            Fault::Add | Fault::Remove | Fault::Replace => {
                unreachable!("members are changed apart")
            }
        }
    }

    /// What the supervisor is asked to mend it.
    pub fn end(self, victim: &str) -> Request {
        let of = |action| Request::of(action, victim);
        match self {
            Fault::Stop | Fault::Kill | Fault::Blackout => of(Action::Restart),
            Fault::Pause => of(Action::Resume),
            Fault::Isolate | Fault::Mute | Fault::Deafen | Fault::Unlink => of(Action::Heal),
            Fault::Add | Fault::Remove | Fault::Replace => {
                unreachable!("members are changed apart")
            }
            Fault::SlowDisk | Fault::HungDisk => {
                Request { disk: Some("ok".to_owned()), ..of(Action::Disk) }
            }
        }
    }

    /// Whether every link of the victim is cut in one direction, one request for each of the others.
    pub fn is_one_way(self) -> bool {
        matches!(self, Fault::Mute | Fault::Deafen)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_faults_and_groups_of_them() {
        for fault in Fault::ALL {
            assert_eq!(Fault::parse(fault.name()), Ok(vec![fault]));
        }
        let cuts = Fault::parse("cut").unwrap();
        assert!(cuts.len() == 4 && cuts.iter().all(|fault| fault.needs_others()));
        assert_eq!(Fault::parse("disk").unwrap(), [Fault::SlowDisk, Fault::HungDisk]);
        let changes = Fault::parse("members").unwrap();
        assert!(changes.len() == 3 && changes.iter().all(|fault| fault.is_change()));
        assert_eq!(Fault::parse("all").unwrap().len(), Fault::ALL.len());
        assert!(Fault::parse("flood").unwrap_err().contains("kill, pause"));
    }
}
