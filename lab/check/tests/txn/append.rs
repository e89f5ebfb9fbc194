//! Transactions on lists: the judge against every order tried, on many small histories.

use quorate_base::Dice;
use quorate_check::history::History;
use quorate_check::limits::Options;
use quorate_check::txn::level::Level;
use quorate_check::txn::list_append;
use quorate_check::verdict::Verdict;

use crate::adya::Adya;
use crate::brute::{self, Order};
use crate::random::{self, FAULTS, Objects};

fn verdict(history: &History, level: Level) -> Verdict {
    let options = Options { level, ..Options::default() };
    list_append(history, &options).expect("a history of transactions").verdict
}

#[test]
fn agrees_with_every_order_tried() {
    let mut refused = [0; FAULTS.len()];
    for seed in 0..100_000u64 {
        let mut dice = Dice::new(seed);
        let chosen = (seed % FAULTS.len() as u64) as usize;
        let count = 2 + dice.below(4) as usize;
        let history = random::history(&mut dice, Objects::Lists, FAULTS[chosen], count);
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
                "seed {seed}, {level}: {verdict:#?} on {:#?}",
                history
                    .events
                    .iter()
                    .map(|e| format!("{} {:?} {}", e.process, e.kind, e.value))
                    .collect::<Vec<_>>()
            );
            assert!(!matches!(verdict, Verdict::Unknown(_)));
            refused[chosen] += usize::from(!expected);
        }
    }
    assert_eq!(refused[0], 0, "a database that is right is never refused");
    assert!(refused[1..].iter().all(|count| *count > 500), "{refused:?}");
}

#[test]
fn agrees_with_definitions_at_weaker_levels() {
    let levels = [
        Level::ReadUncommitted,
        Level::ReadCommitted,
        Level::SnapshotIsolation,
        Level::StrongSessionSnapshotIsolation,
        Level::StrongSnapshotIsolation,
        Level::RepeatableRead,
    ];
    let mut refused = [0; 6];
    for seed in 0..100_000u64 {
        let mut dice = Dice::new(seed + 1_000_000);
        let fault = FAULTS[(seed % FAULTS.len() as u64) as usize];
        let count = 3 + dice.below(6) as usize;
        let history = random::history(&mut dice, Objects::Lists, fault, count);
        let plain = Adya::new(&history);
        // Each history is held against two of the levels.
        let drawn = dice.below(3) as usize;
        for place in [drawn, drawn + 3] {
            let (level, refused) = (levels[place], &mut refused[place]);
            let verdict = verdict(&history, level);
            let expected = plain.keeps(level);
            assert_eq!(verdict == Verdict::Yes, expected, "seed {seed}, {level}: {verdict:#?}");
            *refused += usize::from(!expected);
        }
    }
    assert!(refused[0] > 50, "{refused:?}");
    assert!(refused[2] > refused[1] && refused[1] > refused[0], "{refused:?}");
}
