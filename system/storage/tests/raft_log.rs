//! What a member makes of its log and its state after a power failure at a bad moment.

use quorate_base::NodeId;
use quorate_raft::{LogId, Membership, Write};
use quorate_storage::{Log, LogOptions, RealDisk, Recovered, restore, to_record};
use std::path::Path;

fn open(directory: &Path) -> (Log<RealDisk>, Recovered) {
    let disk = RealDisk::open(directory).expect("the directory is there");
    Log::open(disk, LogOptions::with_segments(7, 64 << 10)).expect("a log")
}

fn three() -> Membership {
    Membership::of([1, 2, 3].map(NodeId))
}

/// A new member takes its first state in one chunk and switches to it; the power fails before the log
/// has a durable record. `lost` says what the log never got.
fn after_the_first_state(lost: bool, config: Option<Membership>, initial: &Membership) {
    let directory = tempfile::tempdir().expect("a directory");
    {
        let (mut log, recovered) = open(directory.path());
        assert!(recovered.groups.is_empty());
        let vote = to_record(0, Write::Vote { term: 4, vote: None });
        if !lost {
            log.append(&[vote]).expect("written");
            log.sync().expect("synced");
        }
    }
    let (mut log, recovered) = open(directory.path());
    assert_eq!(recovered.groups.is_empty(), lost);
    let restored = restore(&mut log, &recovered, (40, 4), config, initial).expect("adopted");
    let last = LogId { term: 4, index: 40 };
    assert_eq!((restored.base, restored.last_index), (last, 40));
    assert_eq!((restored.applied, restored.commit), (40, 40));
    assert_eq!((restored.term, restored.vote), (4, None));
    assert_eq!(restored.membership, three());
    drop(log);
    // And the log knows it from now on, with another crash at once as well.
    let (mut log, recovered) = open(directory.path());
    let again = restore(&mut log, &recovered, (40, 4), Some(three()), initial).expect("known");
    assert_eq!((again.base, again.term, again.membership), (last, 4, three()));
}

#[test]
fn a_state_whose_log_never_got_a_vote_is_adopted() {
    after_the_first_state(true, None, &three());
    after_the_first_state(true, Some(three()), &Membership::default());
    after_the_first_state(false, None, &three());
}

#[test]
fn a_state_that_nobody_is_known_to_share_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut log, recovered) = open(directory.path());
    let refused = restore(&mut log, &recovered, (40, 4), None, &Membership::default());
    let sentence = refused.expect_err("who would it ask?");
    assert!(sentence.contains("neither it nor the empty log says who belongs"), "{sentence}");
}
