//! Whether a change of members leaves a cluster that can go on: etcd's strict reconfiguration checks.
//!
//! They are asked of the member that takes the request, by what it sees at the moment: who has started
//! (a member that never published its name has not) and who is connected to it. What it sees may be
//! old when the change is applied, so this is a courtesy and no guarantee.

use quorate_store::Member;

/// A member as the one that is asked sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Its id.
    pub id: u64,
    /// It does not vote.
    pub learner: bool,
    /// It has published its name.
    pub started: bool,
    /// It is the one that is asked, or connected to it.
    pub connected: bool,
}

impl Seen {
    /// A member of the table.
    pub fn of(member: &Member, connected: bool) -> Seen {
        let started = !member.name.is_empty();
        Seen { id: member.id, learner: member.learner, started, connected }
    }
}

/// Why a change is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsafe {
    /// Too few members have started.
    NotEnoughStarted,
    /// Too few members answer.
    Unhealthy,
}

fn voters(members: &[Seen]) -> impl Iterator<Item = &Seen> {
    members.iter().filter(|member| !member.learner)
}

/// Before one more voter: a majority of those to come must have started, and all of those there must
/// answer.
///
/// # Errors
/// What is missing.
pub fn may_add(members: &[Seen]) -> Result<(), Unsafe> {
    let count = voters(members).count();
    let started = voters(members).filter(|member| member.started).count();
    // One member may always get a second one.
    let alone = started == 1 && count == 1;
    if !alone && started < count.div_ceil(2) + 1 {
        return Err(Unsafe::NotEnoughStarted);
    }
    if !voters(members).all(|member| member.connected) {
        return Err(Unsafe::Unhealthy);
    }
    Ok(())
}

/// Before one voter less: a majority of those left must have started and answer. Who is silent already
/// is no loss.
///
/// # Errors
/// What is missing.
pub fn may_remove(members: &[Seen], id: u64) -> Result<(), Unsafe> {
    let Some(leaves) = voters(members).find(|member| member.id == id) else { return Ok(()) };
    let rest: Vec<&Seen> = voters(members).filter(|member| member.id != id).collect();
    let quorum = rest.len() / 2 + 1;
    if rest.iter().filter(|member| member.started).count() < quorum {
        return Err(Unsafe::NotEnoughStarted);
    }
    let healthy = rest.iter().filter(|member| member.connected).count();
    if leaves.connected && healthy < quorum {
        return Err(Unsafe::Unhealthy);
    }
    Ok(())
}

/// Before a learner votes: a majority of those to come must have started.
///
/// # Errors
/// What is missing.
pub fn may_promote(members: &[Seen]) -> Result<(), Unsafe> {
    let count = voters(members).count();
    let started = voters(members).filter(|member| member.started).count() + 1;
    if started < count.div_ceil(2) + 1 {
        return Err(Unsafe::NotEnoughStarted);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voters, a letter each: `c` is connected, `s` has started and is silent, `n` never started.
    fn cluster(voters: &str) -> Vec<Seen> {
        let seen = |(at, state): (usize, char)| Seen {
            id: at as u64 + 1,
            learner: false,
            started: state != 'n',
            connected: state == 'c',
        };
        voters.chars().enumerate().map(seen).collect()
    }

    #[test]
    fn a_change_that_would_stop_the_cluster_is_refused() {
        use Unsafe::{NotEnoughStarted, Unhealthy};
        assert_eq!(may_add(&cluster("c")), Ok(()));
        assert_eq!(may_add(&cluster("cn")), Err(NotEnoughStarted));
        assert_eq!(may_add(&cluster("ccs")), Err(Unhealthy));
        assert_eq!(may_remove(&cluster("ccs"), 3), Ok(()));
        assert_eq!(may_remove(&cluster("ccs"), 2), Err(Unhealthy));
        assert_eq!(may_remove(&cluster("cns"), 3), Err(NotEnoughStarted));
        assert_eq!(may_remove(&cluster("ccc"), 9), Ok(()));
        assert_eq!(may_promote(&cluster("cc")), Ok(()));
        assert_eq!(may_promote(&cluster("cnnn")), Err(NotEnoughStarted));
    }
}
