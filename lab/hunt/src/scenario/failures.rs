//! What consensus is for: nobody wins, two believe that they lead, nobody can, clocks lie. And a host
//! that breaks its word, to see that somebody notices.

use super::look::{
    candidates, commits, commits_in, leader_at, leads, messages, ms, names, term, when,
};
use super::{Scenario, Sight, Stage, strike, world};
use crate::film::Film;
use crate::recipe::Kind;
use quorate_base::NodeId;
use quorate_sim::faults::{Fault, Target};
use quorate_sim::latency::Latency;
use quorate_sim::swarm::{Plan, Sabotage};
use quorate_sim::trace::What;

pub const SPLIT_VOTE: Scenario = Scenario {
    name: "split-vote",
    title: "Two candidates share the votes, and nobody wins",
    about: "Messages take a quarter of a second, so that two members come to campaign in the same term \
        before they hear of each other. Each has its own vote and cannot have the other's; with four members, \
        two votes each are no majority. Look at the term in which nobody leads. Nothing is broken: both wait \
        again, for times that dice decide, and in a later term one of them is first (paper 5.2).",
    stage: Stage::World {
        kind: Kind::Raft,
        plan: || Plan {
            latency: Latency::Uniform(200_000, 300_000),
            ..world(11, 4, 12_000, Vec::new())
        },
        focus: (500, 5_500),
        sights: &[
            Sight {
                what: "two members ask for votes in one term, and nobody leads it",
                look: |film| {
                    let (term, asked) = split_term(film)?;
                    Some(format!("{} in term {term}", names(&asked)))
                },
            },
            Sight {
                what: "a later term has a leader",
                look: |film| {
                    let (split, _) = split_term(film)?;
                    let lead = leads(film).into_iter().find(|lead| lead.term > split)?;
                    Some(format!("{} leads term {} from {}", lead.node, lead.term, when(lead.from)))
                },
            },
        ],
    },
};

fn split_term(film: &Film) -> Option<(u64, Vec<NodeId>)> {
    let led: Vec<u64> = leads(film).iter().map(|lead| lead.term).collect();
    let split =
        candidates(film).into_iter().find(|(term, asked)| asked.len() > 1 && !led.contains(term));
    split.map(|(term, asked)| (term, asked.into_iter().collect()))
}

pub const SPLIT_BRAIN: Scenario = Scenario {
    name: "split-brain",
    title: "A leader is cut off and goes on to believe that it leads",
    about: "At 4 s the leader is cut off from everybody, in both directions, and its clock goes at half its \
        pace, so that it takes twice as long to notice that nobody answers. Meanwhile the others elect another: two \
        members believe that they lead, in different terms. Look at what the old one can do: it appends what clients \
        ask of it, and nothing of that is ever committed, since it reaches no quorum. In the end it steps down \
        by itself; what it appended is replaced. (With a clock that is right it steps down before the others \
        have elected anybody. Safety needs no clock.)",
    stage: Stage::World {
        kind: Kind::Raft,
        plan: || {
            let target = Target::Leader(NodeId(1));
            let slow = Fault::Drift { target, millionths: -500_000 };
            let away = Fault::Isolate { target, hears: false, speaks: false };
            world(1, 5, 12_000, vec![strike(3_990, 5_000, slow), strike(4_000, 5_000, away)])
        },
        focus: (3_800, 6_500),
        sights: &[
            Sight {
                what: "for a while two members believe that they lead",
                look: |film| {
                    let (old, new) = rivals(film)?;
                    Some(format!(
                        "{} in term {} and {} in term {}, from {} to {}",
                        old.node,
                        old.term,
                        new.node,
                        new.term,
                        when(new.from),
                        when(old.to.min(new.to))
                    ))
                },
            },
            Sight {
                what: "the old one commits nothing once it is cut off",
                look: |film| {
                    let (old, _) = rivals(film)?;
                    let late = commits(film)
                        .iter()
                        .filter(|(at, node, _)| {
                            *node == old.node && *at > ms(4_010) && *at < ms(9_000)
                        })
                        .count();
                    (late == 0).then(|| format!("{} knows of no new commit until 9 s", old.node))
                },
            },
            Sight {
                what: "the new one commits while the old one still believes",
                look: |film| {
                    let (old, new) = rivals(film)?;
                    let found = commits(film)
                        .into_iter()
                        .find(|(at, node, _)| *node == new.node && *at < old.to)?;
                    Some(format!("{} commits at {}", new.node, when(found.0)))
                },
            },
            Sight {
                what: "the old one steps down while it is still cut off",
                look: |film| {
                    let (old, _) = rivals(film)?;
                    (old.to < ms(9_000)).then(|| format!("{} at {}", old.node, when(old.to)))
                },
            },
        ],
    },
};

/// The leader that was cut off, and one that led while it still believed that it did.
fn rivals(film: &Film) -> Option<(super::look::Lead, super::look::Lead)> {
    let old = leader_at(film, ms(3_999))?;
    let new = leads(film).into_iter().find(|l| l.term > old.term && l.from < old.to)?;
    Some((old, new))
}

pub const LOST_QUORUM: Scenario = Scenario {
    name: "lost-quorum",
    title: "Three of five are unreachable",
    about: "From 4 s to 9 s n1, n2 and n3 are each cut off from everybody: nobody can reach a majority. Look at \
        the silence: whoever led steps down when nobody answers, members ask around (PreVote) and do not even raise \
        their terms, since no campaign could succeed. Nothing is committed, and nothing that was is lost. When the \
        wires are whole again, a leader is there within seconds.",
    stage: Stage::World {
        kind: Kind::Raft,
        plan: || {
            let cut = |node| {
                strike(
                    4_000,
                    5_000,
                    Fault::Isolate {
                        target: Target::Node(NodeId(node)),
                        hears: false,
                        speaks: false,
                    },
                )
            };
            world(1, 5, 13_000, (1..=3).map(cut).collect())
        },
        focus: (3_500, 11_500),
        sights: &[
            Sight {
                what: "nothing is committed while no majority is joined",
                look: |film| {
                    let (before, during) = (
                        commits_in(film, ms(3_000), ms(4_000)),
                        commits_in(film, ms(4_020), ms(9_000)),
                    );
                    (before > 0 && during == 0).then(|| {
                        format!("{before} commits in the second before, none from 4.02 s to 9 s")
                    })
                },
            },
            Sight {
                what: "the leader steps down by itself",
                look: |film| {
                    let old = leader_at(film, ms(3_999))?;
                    (old.to < ms(8_000) && leader_at(film, ms(8_500)).is_none())
                        .then(|| format!("{} at {}", old.node, when(old.to)))
                },
            },
            Sight {
                what: "members ask around without raising their terms",
                look: |film| {
                    let asked = messages(film, "send", "PreVote")
                        .filter(|e| e.at > ms(5_000) && e.at < ms(9_000))
                        .count();
                    let votes = messages(film, "send", "Vote")
                        .filter(|e| e.at > ms(5_500) && e.at < ms(9_000))
                        .count();
                    (asked > 0 && votes == 0).then(|| format!("{asked} pre-votes, no vote"))
                },
            },
            Sight {
                what: "afterwards somebody leads and commits",
                look: |film| {
                    let lead = leads(film).into_iter().find(|lead| lead.from > ms(9_000))?;
                    let first = commits(film).into_iter().find(|(at, _, _)| *at > ms(9_000))?;
                    Some(format!(
                        "{} leads from {}, commits at {}",
                        lead.node,
                        when(lead.from),
                        when(first.0)
                    ))
                },
            },
        ],
    },
};

pub const CLOCK_JUMP: Scenario = Scenario {
    name: "clock-jump",
    title: "A follower's clock jumps ahead by five seconds",
    about: "At 4 s n2's clock (a follower's) shows five seconds more than it should. For all that n2 knows, it has \
        heard nothing of a leader for five seconds: time to campaign. It asks around first (PreVote), and the others, \
        which heard the leader a moment ago, refuse. Look at what does not happen: no new term, no new leader, no \
        client that waits. Safety never rests on a clock; that liveness does not either here is pre-vote's merit.",
    stage: Stage::World {
        kind: Kind::Raft,
        plan: || {
            world(
                2,
                5,
                8_000,
                vec![strike(
                    4_000,
                    1,
                    Fault::Jump { target: Target::Node(NodeId(2)), micros: 5_000_000 },
                )],
            )
        },
        focus: (3_950, 4_150),
        sights: &[
            Sight {
                what: "n2 asks around at once",
                look: |film| {
                    let asked = messages(film, "send", "PreVote")
                        .find(|e| e.node == Some(NodeId(2)) && e.at >= ms(4_000))?;
                    (asked.at < ms(4_100)).then(|| format!("PreVote at {}", when(asked.at)))
                },
            },
            Sight {
                what: "the others refuse",
                look: |film| {
                    let refused = messages(film, "deliver", "PreVoteReply").filter(|e| {
                        e.node == Some(NodeId(2))
                            && e.at > ms(4_000)
                            && e.label.contains("granted: false")
                    });
                    let count = refused.count();
                    (count >= 2).then(|| format!("{count} refusals"))
                },
            },
            Sight {
                what: "term and leader stay as they are",
                look: |film| {
                    let (before, after) =
                        (leader_at(film, ms(3_999))?, leader_at(film, ms(7_900))?);
                    let raised = messages(film, "send", "Vote")
                        .any(|e| e.at > ms(4_000) && term(e) > Some(before.term));
                    (before == after && before.node != NodeId(2) && !raised)
                        .then(|| format!("{} in term {}", before.node, before.term))
                },
            },
        ],
    },
};

pub const BROKEN_HOST: Scenario = Scenario {
    name: "broken-host",
    title: "A host lets promises go before they are durable",
    about: "Not what ships: a bug on purpose. The host of every member releases a vote or an acknowledgement \
        as soon as it has asked the disk for the write. While no power fails, nobody could tell. Look at the \
        end: the oracle counts, of an entry that is said to be committed, the members that hold it durably, and finds \
        fewer than a majority: a power failure now could take back what a client was told (paper 5.3). An oracle \
        that stays silent here would be asleep.",
    stage: Stage::World {
        kind: Kind::Raft,
        plan: || Plan {
            sabotage: Sabotage::ReleaseEarly,
            slow_disk: 50,
            ..world(1, 3, 6_000, Vec::new())
        },
        focus: (0, 6_000),
        sights: &[
            Sight {
                what: "committed-on-quorum is broken, and said to be",
                look: |film| {
                    let violation = film.ending.violation.as_ref()?;
                    (violation.property == "committed-on-quorum").then(|| violation.detail.clone())
                },
            },
            Sight {
                what: "no power had failed by then",
                look: |film| {
                    let crashed =
                        film.events.iter().any(|event| matches!(event.what, What::Crash { .. }));
                    (!crashed).then(|| "no crash before it".to_owned())
                },
            },
        ],
    },
};
