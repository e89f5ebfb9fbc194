//! Causal promises: clocks against plain relations, on many small histories.

#[path = "causal/plain.rs"]
mod plain;
#[path = "causal/random.rs"]
mod random;

use plain::{ALL, Parts, Plain};
use quorate_base::Dice;
use quorate_check::causal;
use quorate_check::history::History;
use quorate_check::limits::Options;
use quorate_check::verdict::{HistoryError, Report, Verdict};
use random::Store;

type Judge = fn(&History, &Options) -> Result<Report, HistoryError>;

const STORES: [Store; 6] =
    [Store::Atomic, Store::Convergent, Store::Memory, Store::Eventual, Store::Roaming, Store::Dice];

const NONE: Parts =
    Parts { write_read: false, read_read: false, write_write: false, read_write: false };

fn judged(judge: Judge, history: &History) -> Verdict {
    judge(history, &Options::default()).expect("a history of registers").verdict
}

fn agree(seed: u64, history: &History, judge: Judge, name: &str, expected: bool) -> bool {
    let verdict = judged(judge, history);
    assert_eq!(verdict == Verdict::Yes, expected, "seed {seed}, {name}: {verdict:#?}");
    assert!(!matches!(verdict, Verdict::Unknown(_)), "seed {seed}, {name}");
    expected
}

#[test]
fn agrees_with_plain_relations() {
    let mut refused = [[0; 4]; STORES.len()];
    for seed in 0..100_000u64 {
        let mut dice = Dice::new(seed);
        let chosen = (seed % STORES.len() as u64) as usize;
        let count = 3 + dice.below(12) as usize;
        let history = random::history(&mut dice, STORES[chosen], count);
        let plain = Plain::new(&history);
        let sound = !plain.has_thin_air;
        let reads = Parts { read_read: true, ..NONE };
        let answers = [
            agree(seed, &history, causal::causal, "CC", sound && plain.weak()),
            agree(
                seed,
                &history,
                causal::causal_convergence,
                "CCv",
                sound && plain.convergent(ALL),
            ),
            agree(seed, &history, causal::causal_memory, "CM", sound && plain.memory()),
            agree(seed, &history, causal::monotonic_reads, "MR", sound && plain.convergent(reads)),
        ];
        for (count, answer) in refused[chosen].iter_mut().zip(answers) {
            *count += usize::from(!answer);
        }
        let own = Parts { write_read: true, ..NONE };
        agree(seed, &history, causal::read_your_writes, "RYW", sound && plain.convergent(own));
        let all_but = Parts { read_write: false, ..ALL };
        agree(seed, &history, causal::pipelined_ram, "PRAM", sound && plain.convergent(all_but));
        if answers[3] {
            let writes = Parts { write_write: true, ..reads };
            agree(seed, &history, causal::monotonic_writes, "MW", plain.convergent(writes));
            let follow = Parts { read_write: true, ..reads };
            agree(seed, &history, causal::writes_follow_reads, "WFR", plain.convergent(follow));
        }
    }
    assert_eq!(refused[0], [0; 4], "one copy keeps every promise");
    assert_eq!(
        refused[1], [0; 4],
        "causal delivery with last-writer-wins keeps every promise but CM"
    );
    assert_eq!([refused[2][0], refused[2][2]], [0; 2], "causal delivery keeps CC and CM");
    assert!(refused[2][1] > 20, "but its copies need not converge: {refused:?}");
    assert!(refused[4][0] > 500 && refused[4][3] > 20 && refused[5][0] > 5_000, "{refused:?}");
}
