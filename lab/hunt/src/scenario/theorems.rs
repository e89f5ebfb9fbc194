//! What no protocol can do: the runs of `quorate-model`, with what there is to be seen in them.

use super::{Scenario, Seen, Stage};
use quorate_model::theorems::{cap, detector, flp};
use std::time::Duration;

/// Steps of the adversary: as many as take about a second.
const STEPS: u64 = 200_000;

pub const FLP: Scenario = Scenario {
    name: "flp",
    title: "No leader, though every message arrives",
    about: "Fischer, Lynch and Paterson (1985): without clocks, every protocol has a schedule that keeps it \
        undecided for ever. Here it is for Raft. A timer fires only when nothing is under way, and then everybody's \
        does; questions are delivered before answers. So all campaign at once, all have voted for themselves before \
        the first request arrives, and all are refused. Look at the terms, which climb, and at the longest \
        wait of a message, which does not. The same members elect a leader at once when messages arrive in order.",
    stage: Stage::Theorem { run: no_leader },
};

fn no_leader() -> Seen {
    let (held, fair) = (flp::adversary(5, STEPS), flp::fair(5, STEPS));
    let longest = held.longest_wait < 1_000;
    vec![
        (
            "nobody leads for as many steps as were asked for",
            (held.leader.is_none() && held.steps >= STEPS)
                .then(|| format!("{} steps, {} terms, no leader", held.steps, held.term)),
        ),
        (
            "every message arrived, after a short while",
            (longest && held.under_way == 0).then(|| {
                format!(
                    "{} delivered, none waited more than {} steps",
                    held.delivered, held.longest_wait
                )
            }),
        ),
        (
            "in the order in which they were sent, the same messages elect a leader",
            fair.leader.map(|(node, step)| format!("{node} leads after {step} steps")),
        ),
    ]
}

pub const DETECTOR: Scenario = Scenario {
    name: "detector",
    title: "A detector of failures must err",
    about: "Chandy and Toueg (1996): where messages may take any time, no detector finds every crash and \
        never suspects the living. Two runs show why. In one the leader crashes; in the other it lives and its \
        messages are slow. Look at the follower: at the moment at which it suspects, it is in the same state in \
        both, bit by bit, so it cannot but be wrong in one of them. A detector that waits twice as long \
        has missed the crash by then. Raft lives with it: a wrong suspicion costs an election and nothing else.",
    stage: Stage::Theorem { run: dilemma },
};

fn dilemma() -> Seen {
    let report = detector::dilemma(Duration::from_secs(1));
    vec![
        (
            "a crashed leader is suspected",
            Some(format!("after {:?}", report.suspects_crashed_after)),
        ),
        (
            "a leader that lives is suspected too, and the follower cannot tell",
            report.indistinguishable.then(|| {
                let late = report.late_messages;
                format!(
                    "after {:?}; {late} of its messages came later",
                    report.suspects_living_after
                )
            }),
        ),
        (
            "a detector with twice the patience has missed the crash by then",
            report.patient_missed.then(|| "it suspects nobody".to_owned()),
        ),
    ]
}

pub const CAP: Scenario = Scenario {
    name: "cap",
    title: "Consistent or available, on each side of a partition",
    about: "Gilbert and Lynch (2002): while a network is parted, a linearizable register cannot answer \
        everybody. The leader is on the smaller side. Look at what each side answers, in virtual time: the larger \
        one elects a leader and answers; the smaller one acknowledges no write and no read, and says so. After \
        the links are whole again all hold the same, and a write that was never acknowledged is gone.",
    stage: Stage::Theorem { run: sides },
};

fn sides() -> Seen {
    let report = cap::partition(5, Duration::from_secs(10));
    let (few, many) = (&report.minority, &report.majority);
    let answered = many.writes_after.zip(many.reads_after);
    let silent = few.writes_after.is_none() && few.reads_after.is_none();
    vec![
        (
            "the larger side answers, after an election",
            answered.map(|(write, read)| format!("a write after {write:?}, a read after {read:?}")),
        ),
        (
            "the smaller side answers nothing, and says that it does not",
            few.refuses_after.filter(|_| silent).map(|after| format!("refused after {after:?}")),
        ),
        (
            "whole again, all hold the same, without the write that nobody acknowledged",
            report
                .agrees_after
                .filter(|_| report.unacknowledged_is_gone)
                .map(|after| format!("{after:?} after the links were whole")),
        ),
    ]
}
