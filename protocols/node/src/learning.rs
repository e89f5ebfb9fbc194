//! How a member that was added to a running cluster learns who it is: what it asks, who may answer and after which read,
//! what it keeps of the answer, and when it may act on that. Pure rules, for the host and the simulator alike.
//!
//! It was started with its own addresses and those of some others. Which id was drawn for it, and which cluster's member
//! it is, only they can tell ([`Inquiry`]). Three things can go wrong, and each of them has:
//!
//! - *Whoever answers is behind.* It still lists the dead member whose place, and addresses, the newcomer takes, and makes
//!   it take that one's id too: two directories would live under one id. So an answer to somebody who does not know
//!   yet who it is comes after a linearizable read ([`teaches`]).
//! - *The newcomer ends before its own state names the others.* By then it may vote, and the others may need its vote to
//!   have a leader, without whom that read has no answer. So what was learned is kept in the directory, durably and before
//!   anything is done with it ([`Unkept`]), and who has taken part asks nobody.
//! - *All members joined lately and lose power together.* Whoever does not know who it is answers nobody, so nobody would
//!   ever answer: for the same reason, what was learned is kept.
//!
//! What is kept may be old: it names the members of that day. Who has taken part is found by the others under its own
//! address, however they have changed. Who has not taken part has promised nothing, is not needed by anyone, and must ask
//! those who vote *now* whether they remember it ([`answers_needed`](crate::newcomer::answers_needed)): it asks
//! anew at each start, and again while it waits.

use crate::newcomer::find;
use quorate_base::{NodeId, mutant};
use quorate_store::Member;

/// The members of a cluster, as somebody listed them: the answer, and what is kept of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// The cluster.
    pub cluster: u64,
    /// Its members.
    pub members: Vec<Member>,
}

/// What a directory says of its member when that comes up, beside the state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// The cluster and the member on its label, if it has one.
    pub label: Option<(u64, NodeId)>,
    /// The member was admitted: it may have promised a vote, or a copy of an entry.
    pub took_part: bool,
    /// What it keeps of the last answer; directories of older builds keep nothing.
    pub kept: Option<Listing>,
}

/// What a newcomer knows when it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Learned {
    /// The cluster.
    pub cluster: u64,
    /// Its own row.
    pub me: Member,
    /// All rows, its own included.
    pub members: Vec<Member>,
}

/// How a newcomer begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Start {
    /// Its directory says all that it needs.
    Knows(Learned),
    /// It asks the members that it was told of, one after the other, until [`Step::Learned`].
    Asks(Inquiry),
}

/// The question that is under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inquiry {
    /// As the flags have it: the id means nothing.
    flags: Member,
    label: Option<(u64, NodeId)>,
    took_part: bool,
    /// Answers that do not list it, after which it gives up.
    patience: usize,
}

/// What comes of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// It is done, once this is durable.
    Learned(Unkept),
    /// Not listed there; somebody else may be less far behind.
    AskOn,
    /// Whoever answered belongs to this cluster, and the directory to another one.
    OtherCluster(u64),
    /// Nobody knows a member with these addresses.
    Unknown,
    /// The directory was labelled, and its member was removed before it took part.
    Removed,
}

/// What was learned and is not durable yet: nothing may be done with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unkept(Learned);

/// Answers in vain, for each member that is asked, before a newcomer gives up: builds before the linearizable read
/// may be behind the member that took the addition.
const PATIENCE: usize = 10;

impl Start {
    /// How a newcomer begins that has such a directory. `flags` is its row as far as the flags tell it, `others`
    /// the number of members that it was told of.
    pub fn new(flags: Member, others: usize, found: Found) -> Start {
        let Found { label, took_part, kept } = found;
        let forgets = mutant!(NODE_343_ASKS_AS_NOBODY) || mutant!(NODE_344_KEEPS_NO_LIST);
        let took_part = took_part && label.is_some() && !mutant!(NODE_343_ASKS_AS_NOBODY);
        let kept = kept.filter(|kept| label.is_some_and(|(cluster, _)| cluster == kept.cluster));
        match (label, kept) {
            (Some((_, id)), Some(kept)) if took_part && !forgets => {
                Start::Knows(kept.seen_by(id, &flags))
            }
            _ => Start::Asks(Inquiry { flags, label, took_part, patience: PATIENCE * others }),
        }
    }
}

impl Inquiry {
    /// As whom it asks: nobody (0) while it has not taken part.
    pub fn asks_as(&self) -> NodeId {
        self.label.filter(|_| self.took_part).map_or(NodeId(0), |(_, id)| id)
    }

    /// A member answered.
    pub fn answered(&mut self, listing: Listing) -> Step {
        if let Some((cluster, _)) = self.label
            && cluster != listing.cluster
        {
            return Step::OtherCluster(listing.cluster);
        }
        let listed = match self.label {
            // Its own vote may be what a change waits for that is not listed yet.
            Some((_, id)) if self.took_part => Some(id),
            Some((_, id)) => listing.members.iter().find(|row| row.id == id.0).map(|_| id),
            None => find(&self.flags.peer_urls, &listing.members).map(|row| NodeId(row.id)),
        };
        if let Some(id) = listed {
            return Step::Learned(Unkept(listing.seen_by(id, &self.flags)));
        }
        match (self.patience.checked_sub(1), self.label) {
            (Some(left), _) => {
                self.patience = left;
                Step::AskOn
            }
            (None, Some(_)) => Step::Removed,
            (None, None) => Step::Unknown,
        }
    }
}

impl Listing {
    /// What the member with this id makes of it; the list may be older than that one.
    fn seen_by(self, id: NodeId, flags: &Member) -> Learned {
        let Listing { cluster, mut members } = self;
        let listed = members.iter().find(|member| member.id == id.0).cloned();
        let me = listed.unwrap_or_else(|| {
            members.push(Member { id: id.0, ..flags.clone() });
            Member { id: id.0, ..flags.clone() }
        });
        Learned { cluster, me, members }
    }
}

impl Unkept {
    /// What to keep in the directory.
    pub fn listing(&self) -> Listing {
        Listing { cluster: self.0.cluster, members: self.0.members.clone() }
    }

    /// The listing is durable: this is who the member is, and its label may say so.
    pub fn kept(self) -> Learned {
        self.0
    }
}

/// What a member does with somebody's question who the members are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Teaching {
    /// It does not answer: it is not sure yet that it takes part itself.
    Refuse,
    /// It lists the members of the newest state that it has.
    AtOnce,
    /// It does so after a linearizable read: without a leader it does not answer.
    AfterRead,
}

/// How a member answers who asks as `from`; `open` when it was admitted itself.
///
/// Who has taken part knows its id and only wants to find the others, and there may be no leader without it: any
/// list will do. To anybody else the answer says who it is.
pub fn teaches(open: bool, from: NodeId) -> Teaching {
    match (open, from) {
        (false, _) => Teaching::Refuse,
        (true, NodeId(0)) if !mutant!(NODE_342_TAUGHT_BY_ONE_BEHIND) => Teaching::AfterRead,
        (true, _) => Teaching::AtOnce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, place: u64) -> Member {
        let urls = vec![format!("http://m{place}:1")];
        let (name, client_urls) = (String::new(), Vec::new());
        Member { id, name, peer_urls: urls, client_urls, learner: false }
    }

    fn listing(rows: &[(u64, u64)]) -> Listing {
        let members = rows.iter().map(|(id, place)| row(*id, *place)).collect();
        Listing { cluster: 7, members }
    }

    fn asks(found: Found) -> Inquiry {
        match Start::new(row(0, 5), 2, found) {
            Start::Asks(inquiry) => inquiry,
            Start::Knows(learned) => panic!("it knows {learned:?}"),
        }
    }

    fn learned(step: Step) -> Learned {
        match step {
            Step::Learned(unkept) => unkept.kept(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_is_new_asks_as_nobody_and_finds_itself_by_its_addresses() {
        let mut inquiry = asks(Found::default());
        assert_eq!(inquiry.asks_as(), NodeId(0));
        assert_eq!(teaches(true, inquiry.asks_as()), Teaching::AfterRead);
        let list = listing(&[(1, 1), (9, 5)]);
        let Step::Learned(unkept) = inquiry.answered(list.clone()) else { panic!("it is listed") };
        assert_eq!(unkept.listing(), list);
        assert_eq!(unkept.kept(), Learned { cluster: 7, me: row(9, 5), members: list.members });
    }

    #[test]
    fn who_has_taken_part_needs_nobody_or_no_leader() {
        let label = Some((7, NodeId(9)));
        let list = listing(&[(1, 1), (9, 5)]);
        let found = Found { label, took_part: true, kept: Some(list.clone()) };
        let Start::Knows(learned) = Start::new(row(0, 5), 2, found.clone()) else { panic!("kept") };
        assert_eq!((learned.me, learned.members), (row(9, 5), list.members));
        // A directory of a build that kept nothing, or of which the list is another cluster's.
        let other = Listing { cluster: 8, ..listing(&[(9, 5)]) };
        for kept in [None, Some(other)] {
            let mut inquiry = asks(Found { kept, ..found.clone() });
            assert_eq!(inquiry.asks_as(), NodeId(9));
            assert_eq!(teaches(true, inquiry.asks_as()), Teaching::AtOnce);
            assert_eq!(
                inquiry.answered(Listing { cluster: 8, ..listing(&[]) }),
                Step::OtherCluster(8)
            );
            // A list from before it was added will do, also when another one is at its address there.
            let learned = self::learned(inquiry.answered(listing(&[(1, 1), (4, 5)])));
            assert_eq!(learned.me, row(9, 5));
            assert_eq!(learned.members, listing(&[(1, 1), (4, 5), (9, 5)]).members);
        }
    }

    #[test]
    fn who_has_not_taken_part_asks_anew_though_its_directory_keeps_a_list() {
        let (label, kept) = (Some((7, NodeId(9))), Some(listing(&[(1, 1), (9, 5)])));
        let mut inquiry = asks(Found { label, took_part: false, kept });
        assert_eq!(inquiry.asks_as(), NodeId(0));
        let step = inquiry.clone().answered(listing(&[(2, 2), (9, 5)]));
        assert_eq!(learned(step).members, listing(&[(2, 2), (9, 5)]).members);
        // It was removed, and another one has its address: it is not that one.
        let replaced = listing(&[(2, 2), (12, 5)]);
        let mut steps = Vec::from_iter((0..21).map(|_| inquiry.answered(replaced.clone())));
        assert_eq!(steps.pop(), Some(Step::Removed));
        assert!(steps.iter().all(|step| *step == Step::AskOn), "{steps:?}");
    }

    #[test]
    fn who_is_listed_nowhere_gives_up_after_a_while() {
        let mut inquiry = asks(Found::default());
        let steps = Vec::from_iter((0..21).map(|_| inquiry.answered(listing(&[(1, 1)]))));
        assert_eq!(steps.last(), Some(&Step::Unknown));
        assert!(steps[..20].iter().all(|step| *step == Step::AskOn));
    }

    #[test]
    fn who_is_not_admitted_teaches_nobody() {
        assert_eq!(teaches(false, NodeId(0)), Teaching::Refuse);
        assert_eq!(teaches(false, NodeId(9)), Teaching::Refuse);
    }
}
