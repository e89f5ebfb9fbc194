//! What the clients of simulated servers saw, judged by the judge of anybody's histories.

use quorate_check::limits::Options;
use quorate_check::verdict::Verdict;
use quorate_check::{model, read};
use quorate_sim::server;
use quorate_sim::swarm::{Plan, Sabotage};

fn judge(history: &str) -> Verdict {
    let model = model::find("etcd").expect("it is in the registry");
    let history = read::read(history, Some(read::Format::Json)).expect("well-formed");
    (model.check)(&history, &Options::default()).expect("usable").verdict
}

#[test]
fn histories_of_twenty_worlds_are_linearizable() {
    let mut lines = 0;
    for seed in 0..20 {
        let (history, broken) = server::history(Plan::draw(seed, 3, Sabotage::None));
        assert_eq!(broken, None, "seed {seed}");
        lines += history.lines().count();
        assert!(!history.is_empty(), "seed {seed} has a history");
        let verdict = judge(&history);
        assert!(matches!(verdict, Verdict::Yes), "seed {seed}: {verdict:?}");
    }
    assert!(lines > 1_000, "{lines} events were judged");
}

#[test]
fn a_read_that_skips_the_read_index_is_caught_by_the_judge_too() {
    let caught = (0..40).find(|seed| {
        let (history, broken) = server::history(Plan::draw(*seed, 3, Sabotage::SkipReadIndex));
        broken.is_some() && matches!(judge(&history), Verdict::No(_))
    });
    assert!(caught.is_some());
}
