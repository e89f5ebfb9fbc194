//! Members come and go, grow, shrink and are replaced, during partitions and crashes, and every promise
//! is kept: consensus alone first, then whole servers with their clients and an operator.

use quorate_node::Node;
use quorate_raft::Raft;
use quorate_sim::replica::Replica;
use quorate_sim::runner;
use quorate_sim::swarm::{Plan, Sabotage};
use std::collections::BTreeMap;
use std::ops::Range;

/// More for a longer hunt, or others: `MEMBER_SEEDS=2000`, `MEMBER_SEEDS=228..229`.
fn seeds(usual: u64) -> Range<u64> {
    let wish = std::env::var("MEMBER_SEEDS").ok();
    let parsed = wish.map(|text| match text.contains("..") {
        true => runner::parse(&text),
        false => text.parse().ok().map(|most| 0..most),
    });
    parsed.map_or(0..usual, |seeds| seeds.expect("MEMBER_SEEDS is a number or a range"))
}

/// Runs every seed on two threads; the sums of what happened. A seed that fails tells its story.
fn swarm(
    seeds: Range<u64>,
    run: impl Fn(u64) -> Result<runner::Summary, Box<runner::Failure>> + Sync,
) -> BTreeMap<&'static str, u64> {
    let share = |part: u64| {
        let mine = seeds.clone().filter(move |seed| seed % 2 == part);
        mine.map(|seed| (seed, run(seed))).collect::<Vec<_>>()
    };
    let outcomes = std::thread::scope(|scope| {
        let (first, second) = (scope.spawn(|| share(0)), scope.spawn(|| share(1)));
        [first, second].map(|half| half.join().expect("a world does not panic")).concat()
    });
    let (mut summaries, mut broken) = (Vec::new(), Vec::new());
    for (seed, outcome) in outcomes {
        match outcome {
            Ok(summary) => summaries.push(summary),
            Err(failure) => broken.push((seed, failure)),
        }
    }
    for (seed, failure) in &broken {
        println!("seed {seed}: {}", failure.violation);
    }
    let total = runner::total(&summaries);
    println!("{} worlds: {total:?}", summaries.len());
    if let Some((seed, failure)) = broken.first() {
        panic!("{failure}\nseed {seed} and {} more", broken.len() - 1);
    }
    total
}

fn expect(total: &BTreeMap<&'static str, u64>, worlds: u64, floors: &[(&str, u64)]) {
    for (what, hundredths) in floors.iter().filter(|_| worlds >= 40) {
        let reached = total.get(what).copied().unwrap_or(0);
        let floor = (hundredths * worlds / 100).max(1);
        assert!(reached >= floor, "too tame: {reached} {what}, not {floor}, in {total:?}");
    }
}

#[test]
fn five_machines_change_their_group_in_a_hundred_bad_worlds() {
    let seeds = seeds(100);
    let worlds = seeds.end - seeds.start;
    let total = swarm(seeds, |seed| {
        runner::run::<Replica<Raft>>(Plan::draw(seed, 5, Sabotage::None).changing())
    });
    let floors =
        [("changes", 250), ("learner changes", 250), ("elections", 150), ("snapshots", 50)];
    expect(&total, worlds, &floors);
}

#[test]
fn whole_servers_come_and_go_in_sixty_bad_worlds() {
    let seeds = seeds(60);
    let worlds = seeds.end - seeds.start;
    let total = swarm(seeds, |seed| runner::run::<Replica<Node>>(Plan::moving(seed, 8)));
    let floors = [
        ("members added", 100),
        ("members removed", 50),
        ("newcomers", 50),
        ("removed members ended", 25),
        ("removed members refused", 5),
        ("removed members kept down", 2),
        ("disks lost", 5),
        ("lost members replaced", 5),
        ("empty disks refused", 2),
        ("changes given up", 5),
        ("changes refused as unsafe", 5),
        ("calls refused by learners", 5),
    ];
    expect(&total, worlds, &floors);
}

/// A world is told twice in the same way.
#[test]
fn worlds_with_changing_members_are_deterministic() {
    for seed in [3, 7] {
        let told = || runner::run::<Replica<Node>>(Plan::moving(seed, 8)).expect("it ends well");
        assert_eq!(told(), told(), "seed {seed}");
    }
}
