//! Transactions on registers: the judge against every order tried, on many small histories.

use quorate_base::Dice;
use quorate_check::history::History;
use quorate_check::limits::Options;
use quorate_check::txn::level::Level;
use quorate_check::txn::rw_register;
use quorate_check::verdict::Verdict;

use crate::brute::{self, Order};
use crate::random::{self, FAULTS, Objects};

fn verdict(history: &History, level: Level) -> Verdict {
    let options = Options { level, ..Options::default() };
    rw_register(history, &options).expect("a history of transactions").verdict
}

#[test]
fn agrees_with_every_order_tried() {
    let mut refused = [0; FAULTS.len()];
    let mut named = 0;
    for seed in 0..100_000u64 {
        let mut dice = Dice::new(seed);
        let chosen = (seed % FAULTS.len() as u64) as usize;
        let count = 2 + dice.below(4) as usize;
        let history = random::history(&mut dice, Objects::Registers, FAULTS[chosen], count);
        for (level, order) in [
            (Level::Serializable, Order::Free),
            (Level::StrongSessionSerializable, Order::Session),
            (Level::StrictSerializable, Order::Realtime),
        ] {
            let expected = brute::serializable(&history, order);
            let verdict = verdict(&history, level);
            assert_eq!(
                matches!(verdict, Verdict::Yes),
                expected,
                "seed {seed}, {level}: {verdict:#?}"
            );
            assert!(!matches!(verdict, Verdict::Unknown(_)));
            refused[chosen] += usize::from(!expected);
            if let Verdict::No(refusal) = &verdict {
                named += usize::from(!refusal.summary.starts_with("no serial order"));
            }
        }
    }
    assert_eq!(refused[0], 0, "a database that is right is never refused");
    assert!(refused[1..].iter().all(|count| *count > 500), "{refused:?}");
    let all: usize = refused.iter().sum();
    assert!(named * 10 > all * 9, "{named} of {all} refusals have an anomaly's name");
}
