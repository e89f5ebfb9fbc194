//! What operators see in an ordinary year: a handover, restarts one by one, a slow disk, a member that
//! was away for too long.

use super::look::{applied, commits_in, leader_at, leads, messages, ms, when};
use super::{Scenario, Sight, Stage, strike, world};
use crate::film::Film;
use crate::recipe::Kind;
use quorate_base::NodeId;
use quorate_sim::faults::{Fault, Handover, Target};
use quorate_sim::swarm::Plan;
use quorate_sim::trace::What;

pub const TRANSFER: Scenario = Scenario {
    name: "transfer",
    title: "A leader hands over",
    about: "At 4 s the leader is asked to hand over to n4. It brings n4's log up to its own, then tells it \
        to campaign at once (TimeoutNow). Look at how short the time is in which nobody leads: no timeout \
        has to pass, because nobody has to find out that somebody is gone. The term rises by one, and the old \
        leader follows as soon as it is asked for its vote.",
    stage: Stage::World {
        kind: Kind::Raft,
        plan: || {
            let to = NodeId(4);
            world(3, 5, 8_000, vec![strike(4_000, 1, Fault::Transfer { to, how: Handover::Plain })])
        },
        focus: (3_950, 4_150),
        sights: &[
            Sight {
                what: "the leader tells n4 to campaign at once",
                look: |film| {
                    let told = messages(film, "deliver", "TimeoutNow").next()?;
                    (told.node == Some(NodeId(4)))
                        .then(|| format!("TimeoutNow arrives at {}", when(told.at)))
                },
            },
            Sight {
                what: "n4 leads in the next term within 50 ms",
                look: |film| {
                    let old = leader_at(film, ms(3_999))?;
                    let new = leads(film).into_iter().find(|lead| lead.from > ms(4_000))?;
                    let soon =
                        new.from < ms(4_050) && new.node == NodeId(4) && new.term == old.term + 1;
                    soon.then(|| {
                        format!(
                            "{} led term {}, n4 leads term {} from {}",
                            old.node,
                            old.term,
                            new.term,
                            when(new.from)
                        )
                    })
                },
            },
            Sight {
                what: "what clients asked for goes on being committed",
                look: |film| {
                    let (before, after) = (
                        commits_in(film, ms(3_000), ms(4_000)),
                        commits_in(film, ms(4_000), ms(5_000)),
                    );
                    (after * 2 > before).then(|| {
                        format!(
                            "{before} commits in the second before, {after} in the second after"
                        )
                    })
                },
            },
        ],
    },
};

pub const ROLLING_CRASH: Scenario = Scenario {
    name: "rolling-crash",
    title: "Every member crashes once, one after another",
    about: "Every three seconds the power of one member fails, and it comes back with what it had synced. At \
        no time is more than one of three down. Look at what happens when the leader falls: after one to two \
        seconds of silence somebody asks around whether a campaign would succeed (PreVote), then for votes, and \
        commits go on. A follower that falls costs nothing. At the end all have applied the same.",
    stage: Stage::World {
        kind: Kind::Raft,
        plan: || {
            let crash =
                |node| Fault::Crash { target: Target::Node(NodeId(node)), power: true, again: 0 };
            world(
                1,
                3,
                14_000,
                (1..=3).map(|node| strike(3_000 * node + 1_000, 1, crash(node))).collect(),
            )
        },
        focus: (3_500, 9_500),
        sights: &[
            Sight {
                what: "each member crashes and comes back",
                look: |film| {
                    let happened = |node, what: &str| {
                        film.events.iter().any(|e| {
                            e.node == Some(NodeId(node))
                                && e.what.kind() == what
                                && e.at > ms(1_000)
                        })
                    };
                    (1..=3)
                        .all(|node| happened(node, "crash") && happened(node, "restart"))
                        .then(|| "n1, n2 and n3".to_owned())
                },
            },
            Sight {
                what: "a leader falls and another one is elected",
                look: |film| {
                    let all = leads(film);
                    let next = all.windows(2).find(|pair| {
                        pair[0].node != pair[1].node || pair[0].term != pair[1].term
                    })?;
                    Some(format!(
                        "{} until {}, then {} from {}",
                        next[0].node,
                        when(next[0].to),
                        next[1].node,
                        when(next[1].from)
                    ))
                },
            },
            Sight {
                what: "commits go on within three seconds of every crash",
                look: |film| {
                    let counts: Vec<usize> = (1..=3)
                        .map(|at| commits_in(film, ms(3_000 * at + 1_000), ms(3_000 * at + 4_000)))
                        .collect();
                    counts.iter().all(|count| *count > 0).then(|| format!("{counts:?} after each"))
                },
            },
            Sight { what: "at the end all have applied the same", look: same_everywhere },
        ],
    },
};

fn same_everywhere(film: &Film) -> Option<String> {
    let reached: Vec<u64> = (1..=film.plan.nodes).map(|node| applied(film, NodeId(node))).collect();
    reached
        .windows(2)
        .all(|pair| pair[0] == pair[1])
        .then(|| format!("everybody up to {}", reached[0]))
}

pub const SLOW_DISK: Scenario = Scenario {
    name: "slow-disk",
    title: "The leader's disk becomes a hundred times slower",
    about: "From 4 s to 8 s each operation of the leader's disk takes a hundred times as long. A leader that \
        waited for its own disk before it told others would take the whole cluster down with it. This one sends \
        an entry while it writes it, and counts itself only when it is durable: a quorum of the others is \
        enough. Look at commits, which go on at their pace, and at the leader, which stays.",
    stage: Stage::World {
        kind: Kind::Raft,
        plan: || {
            let target = Target::Leader(NodeId(1));
            let slow = Fault::SlowDisk { target, factor: 100 };
            Plan { think_us: 40_000, ..world(4, 5, 10_000, vec![strike(4_000, 4_000, slow)]) }
        },
        focus: (3_900, 4_500),
        sights: &[
            Sight {
                what: "the disk that is slow is the leader's",
                look: |film| {
                    let slow =
                        film.events.iter().find(|event| matches!(event.what, What::Disk(_)))?;
                    let lead = leader_at(film, slow.at)?;
                    (slow.node == Some(lead.node))
                        .then(|| format!("{} at {}", lead.node, when(slow.at)))
                },
            },
            Sight {
                what: "commits go on at four fifths of their pace or better",
                look: |film| {
                    let (before, during) = (
                        commits_in(film, ms(3_000), ms(4_000)),
                        commits_in(film, ms(4_000), ms(8_000)),
                    );
                    (during * 5 >= before * 4 * 4).then(|| {
                        format!("{before} in the second before, {during} in the four seconds")
                    })
                },
            },
            Sight {
                what: "the leader stays",
                look: |film| {
                    let (before, after) =
                        (leader_at(film, ms(3_999))?, leader_at(film, ms(8_500))?);
                    (before == after).then(|| format!("{} in term {}", before.node, before.term))
                },
            },
        ],
    },
};

pub const SNAPSHOT: Scenario = Scenario {
    name: "snapshot-catch-up",
    title: "A member was away until the log had forgotten what it needs",
    about: "n5 hears and says nothing from 3 s to 7 s. Meanwhile the others apply hundreds of entries, sync \
        their states and forget the entries behind them. When n5 is back, the leader probes, finds that the \
        entry that n5 needs is gone, and sends the state itself, in pieces (chunk). Look for the installation at \
        n5, and at ordinary appends taking over right after it.",
    stage: Stage::World {
        kind: Kind::Raft,
        plan: || Plan {
            sync_every: 5,
            catchup: 5,
            think_us: 40_000,
            ..world(
                1,
                5,
                9_000,
                vec![strike(
                    3_000,
                    4_000,
                    Fault::Isolate { target: Target::Node(NodeId(5)), hears: false, speaks: false },
                )],
            )
        },
        focus: (6_900, 7_400),
        sights: &[
            Sight {
                what: "the state arrives at n5 in pieces",
                look: |film| {
                    let pieces = messages(film, "deliver", "chunk")
                        .filter(|event| event.node == Some(NodeId(5)));
                    let count = pieces.count();
                    (count > 1).then(|| format!("{count} pieces"))
                },
            },
            Sight {
                what: "n5 installs it",
                look: |film| {
                    let own = film.events.iter().filter(|event| event.node == Some(NodeId(5)));
                    let mut found = own.filter_map(|event| {
                        let What::Install { index } = event.what else { return None };
                        Some((event.at, index))
                    });
                    found.next().map(|(at, index)| format!("the state at {index}, at {}", when(at)))
                },
            },
            Sight {
                what: "then it follows by appends, and at the end all have applied the same",
                look: |film| {
                    let installed = film.events.iter().rposition(|e| {
                        matches!(e.what, What::Install { .. }) && e.node == Some(NodeId(5))
                    })?;
                    let rest = &film.events[installed..];
                    rest.iter()
                        .any(|e| e.node == Some(NodeId(5)) && matches!(e.what, What::Apply { .. }))
                        .then_some(())?;
                    same_everywhere(film)
                },
            },
        ],
    },
};
