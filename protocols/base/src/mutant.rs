//! Bugs that somebody shipped, put back behind a switch, so that whoever claims to find bugs can
//! be asked to find these.
//!
//! A *mutant* is one line of the table below: a number, a name, the trap that it stands for (their
//! numbers are those of the stories in `protocols/raft/scripts`; B numbers are bug classes), what is
//! put back, and the property that breaks. In the code its place reads
//!
//! ```ignore
//! if term > self.term || mutant!(RAFT_03_VOTE_ERASED) {
//! ```
//!
//! # Why none of it can ship
//!
//! Without `--cfg quorate_mutants` the macro is the constant `false`: the optimiser removes what it
//! guards, and there is no switch to turn. The cfg is given to the compiler, not to a package: it
//! cannot be switched on by a dependency, a feature or the unification of features, it takes a
//! target directory of its own, and with it the `quorate` binary refuses to compile
//! (see its `main.rs`). `cargo xtask mutants` is the one command that sets it.
//!
//! # Determinism
//!
//! The active mutant belongs to the thread, and [`with`] sets it for the length of a closure, before
//! a world is built and until it is gone. So a world runs with one mutant or none from its first
//! step to its last, several worlds may run side by side, and a protocol has no way to see or
//! change the choice but the macro.
//!
//! # Sleeping guards
//!
//! The protocols stop the process when a state cannot be (their `assert!`s). Many mutants would run
//! into one of these before anybody outside could see the damage. A mutant must be found by a judge
//! that names the broken property, so the guards that would only repeat the judges are asked to
//! sleep while any mutant is active ([`guards_sleep`]); all others stay awake.

/// True where the bug of this name is switched on: never in a build that ships.
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutant::is_active($crate::mutant::$name)
    };
}

/// One bug of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mutant {
    /// Its number: for Raft the trap's (100 more for a second bug of the same trap), from 200 on
    /// storage, from 300 on the store, watches and leases.
    pub id: u32,
    /// Its name in the code.
    pub name: &'static str,
    /// The trap or bug class that it stands for.
    pub trap: &'static str,
    /// What is put back, in one sentence.
    pub bug: &'static str,
    /// The property that breaks: the judge that must find it goes by this name, or by one of several
    /// when the damage shows in more than one way.
    pub property: &'static str,
}

macro_rules! table {
    ($($name:ident = $id:literal, $trap:literal, $property:literal, $bug:literal;)*) => {
        $(#[doc = $bug] pub const $name: u32 = $id;)*

        /// Every mutant, by number.
        pub const ALL: &[Mutant] = &[$(Mutant {
            id: $id,
            name: stringify!($name),
            trap: $trap,
            bug: $bug,
            property: $property,
        }),*];
    };
}

table! {
    RAFT_01_TWO_WRITES = 1, "1", "one-vote-per-term, election-safety",
        "Term and vote are two writes, and the answer waits for the first of them.";
    RAFT_02_ANSWER_BEFORE_DISK = 2, "2", "committed-on-quorum, one-vote-per-term",
        "Votes and acknowledgements leave before the writes that they promise are durable.";
    RAFT_03_VOTE_ERASED = 3, "3", "one-vote-per-term, election-safety",
        "Becoming a follower erases the vote though the term stays the same.";
    RAFT_04_OWN_VOTE_NOT_WRITTEN = 4, "4", "one-vote-per-term, election-safety",
        "A candidate writes the new term without its own vote.";
    RAFT_05_REPEATED_VOTE_REFUSED = 5, "5", "a lost vote can be asked for again",
        "A candidate that asks again after a lost answer is refused the vote that it has.";
    RAFT_06_HIGHER_TERM_GRANTS = 6, "6", "leader-completeness, committed-immutable, state-machine-safety",
        "A vote of a higher term is granted without a look at the candidate's log.";
    RAFT_07_SINGLE_VOTER_CLIMBS = 7, "7", "a term is left only when its vote was counted",
        "A member campaigns again while its own vote is still on its way to the disk.";
    RAFT_08_SKIPPED_COMPLETION = 8, "8", "liveness",
        "A completion counts only for the write of exactly its ticket, so one that covers several is lost.";
    RAFT_09_APPEND_ABA = 9, "9", "committed-on-quorum, leader-completeness, state-machine-safety, committed-immutable",
        "The completed write of a replaced entry counts for the entry that took its place.";
    RAFT_10_EMPTY_APPEND_NOT_GATED = 10, "10", "an acknowledgement is as durable as its term",
        "An acknowledgement waits for its entries only, not for the write of its term.";
    RAFT_11_LOWER_TERM_IGNORED = 11, "11", "whoever was left behind learns the term",
        "A pre-vote of a lower term is ignored instead of being refused with the newer term.";
    RAFT_12_OLD_PRE_VOTES = 12, "12", "a question is decided by its own answers",
        "A pre-candidate that asks again counts the answers to its previous question.";
    RAFT_13_OWN_LEADER_REFUSED = 13, "13", "a leader that asks is believed",
        "A follower refuses the pre-vote of the very leader that it follows.";
    RAFT_14_PRE_VOTE_RESETS_TIMER = 14, "14", "a pre-vote changes nothing",
        "Granting a pre-vote draws a new wait for a leader.";
    RAFT_15_LEADER_CAMPAIGNS = 15, "15", "a leader does not campaign against itself",
        "A leader that is asked to campaign gives its office up to ask for votes.";
    RAFT_16_NO_CHECK_QUORUM = 16, "16", "a leader hears a quorum or resigns",
        "A leader that hears nobody goes on for ever.";
    RAFT_17_LEARNER_REFUSES_TO_VOTE = 17, "17", "whoever is asked votes",
        "A member that takes itself for a learner refuses the vote that only it can give.";
    RAFT_18_OUTSIDER_CAMPAIGNS = 18, "18", "only voters campaign",
        "A member without a vote campaigns.";
    RAFT_19_SYNCHRONISED_TIMERS = 19, "19", "liveness",
        "Every wait for a leader is of the same length.";
    RAFT_20_CANDIDATE_REFUSES_SNAPSHOT = 20, "20", "a candidate follows the leader of its term",
        "A candidate passes over the chunks of its term's leader.";
    RAFT_21_COMMIT_BY_COUNTING = 21, "21", "committed-on-quorum, leader-completeness, state-machine-safety, committed-immutable",
        "An entry of an older term is committed by counting its copies.";
    RAFT_22_LATE_APPEND_TRUNCATES = 22, "22", "leader-completeness, committed-on-quorum",
        "A late append removes the acknowledged entries that follow what it brings.";
    RAFT_23_MATCHED_GOES_BACK = 23, "23", "matched never goes back",
        "An old acknowledgement lowers what a follower is known to hold.";
    RAFT_24_COMMIT_GOES_BACK = 24, "24", "monotone",
        "The commit index follows whatever the leader says, also backwards.";
    RAFT_25_STALE_ACK = 25, "25", "committed-on-quorum, leader-completeness, state-machine-safety, committed-immutable",
        "An acknowledgement of an older term counts for the current one.";
    RAFT_26_UNSORTED_QUORUM = 26, "26", "committed-on-quorum, leader-completeness, state-machine-safety, committed-immutable",
        "The quorum's index is taken from the middle of a list that nobody sorted.";
    RAFT_27_LATE_REFUSAL_REWINDS = 27, "27", "a late refusal moves nothing",
        "A refusal counts whatever was acknowledged since.";
    RAFT_28_TERM_ZERO_PROBE = 28, "28", "liveness",
        "A probe at a compacted place is sent with term 0 instead of a snapshot.";
    RAFT_30_REFUSAL_ACKNOWLEDGES = 30, "30", "committed-on-quorum, leader-completeness, state-machine-safety, committed-immutable",
        "A refusal counts as an acknowledgement up to the place that it names.";
    RAFT_31_PAGE_SKIPS = 31, "31", "every committed entry is given out",
        "What does not fit the first page of committed entries is never given out.";
    RAFT_32_COUNTER_LEAKS = 32, "32", "liveness",
        "Entries that are truncated stay counted as memory in use.";
    RAFT_33_ROLLED_BACK_AT_RESTART = 33, "33", "leader-completeness, committed-on-quorum, state-machine-safety",
        "A restart drops the entries beyond the commit index that the disk remembers.";
    RAFT_34_OWN_COPY_NOT_DURABLE = 34, "34", "committed-on-quorum",
        "A leader counts its own copy before its own disk has it.";
    RAFT_35_FORGED_SELF = 35, "35", "a forged message moves nothing",
        "A message that claims to come from the member itself is obeyed.";
    RAFT_36_READ_BEFORE_FIRST_COMMIT = 36, "36", "linearizable-reads",
        "A new leader answers reads before it has committed an entry of its own term.";
    RAFT_37_ROUND_REUSED = 37, "37", "linearizable-reads",
        "Every round of beacons has the number of the first, so old answers confirm new reads.";
    RAFT_38_READ_OUTLIVES_LEADER = 38, "38", "a read ends with its leader",
        "A forwarded read is kept when the leader changes, and nobody will answer it.";
    RAFT_43_CHANGE_BEFORE_FIRST_COMMIT = 43, "43", "a change needs a commit of the term",
        "A new leader changes the configuration before it has committed an entry of its own term.";
    RAFT_44_CONFIG_SURVIVES_TRUNCATION = 44, "44", "the configuration follows the log",
        "A configuration stays in force though its entry was truncated.";
    RAFT_45_REMOVED_LEADER_COUNTS_ITSELF = 45, "45", "committed-on-quorum, leader-completeness, state-machine-safety, committed-immutable",
        "A leader that removes itself goes on counting its own copy.";
    RAFT_46_DEMOTED_CANNOT_VOTE = 46, "46", "liveness",
        "A voter on its way out takes itself for none, though the old configuration needs it.";
    RAFT_47_LEAVES_AGAIN = 47, "47", "a joint configuration is left once",
        "The entry that leaves a joint configuration is appended again in each turn until it is committed.";
    RAFT_48_STRANGER_VOTES = 48, "48", "voters-hold-the-log, liveness",
        "A member becomes a voter though it does not hold the log yet.";
    RAFT_52_EMPTY_FOLLOWER_FORGOTTEN = 52, "52", "liveness",
        "A follower whose next entry is compacted away is sent neither entries nor a snapshot.";
    RAFT_112_STALE_LEADER_IGNORED = 112, "12", "a deposed leader learns the term",
        "An append or a beacon of an older term is passed over without an answer.";
    RAFT_116_NO_STICKINESS = 116, "16", "a working leader is not disturbed",
        "A member helps to replace a leader that it hears.";
    RAFT_118_LEARNER_COUNTS = 118, "18", "committed-on-quorum, leader-completeness, state-machine-safety, committed-immutable, election-safety",
        "The votes and copies of learners are counted.";
    RAFT_121_HUNG_LEADER_STAYS = 121, "B21", "a leader with a hung disk leaves",
        "A leader whose own sync never ends goes on leading.";
    RAFT_144_SNAPSHOT_KEEPS_CONFIG = 144, "44", "the configuration follows the log",
        "An installed snapshot leaves the configuration as it was.";
    RAFT_149_OLD_HALF_IGNORED = 149, "B26", "configuration-safety, committed-on-quorum, leader-completeness, state-machine-safety, committed-immutable, election-safety",
        "While a change is under way, a majority of the new voters alone decides.";

    DISK_201_SMALL_SYNC_SKIPPED = 201, "10, B16", "synced-writes-survive, committed-on-quorum, one-vote-per-term",
        "A sync is skipped when only one small batch waits for it, such as that of a vote.";
    DISK_202_FAILED_SYNC_PASSES = 202, "B15", "synced-writes-survive, committed-on-quorum",
        "A failed sync is taken for a success.";
    DISK_203_ROLL_WITHOUT_SYNC = 203, "B16", "recovery-after-any-crash, committed-on-quorum",
        "The next segment begins before the one before it is synced to its end.";
    DISK_204_NAME_NOT_DURABLE = 204, "B17", "recovery-after-any-crash, synced-writes-survive, committed-on-quorum",
        "The directory is not synced after a segment got its name.";
    DISK_205_TORN_BATCH_ACCEPTED = 205, "B17", "recovery-after-any-crash, state-machine-safety",
        "Recovery believes a batch's header and does not check its records.";
    DISK_206_ASIDE_NOT_SYNCED = 206, "newcomers", "recovery-after-any-crash",
        "A file that is written aside and renamed is not synced before it gets its name.";

    STORE_301_APPLIED_INDEX_APART = 301, "etcd#13766", "state-machine-safety, same-answer-everywhere",
        "The applied index is published in another batch than the data that it describes.";
    STORE_302_SESSIONS_FORGOTTEN = 302, "B5", "operation-applied-once, state-machine-safety",
        "The operations that were applied are forgotten at a restart.";
    STORE_303_COMPACTION_TAKES_TOO_MUCH = 303, "etcd#18089", "read-of-a-real-state, state-machine-safety, watch-without-gap",
        "A compaction also removes the versions that its own revision still sees.";
    STORE_304_TOMBSTONE_COMPACTED = 304, "etcd#19179", "watch-without-gap",
        "A compaction removes the change at its own revision, where a watch may still begin.";
    STORE_305_LEASE_KEEPS_KEY = 305, "contract item 59", "same-answer-everywhere, read-of-a-real-state, watch-without-gap",
        "A key that moves to another lease stays attached to the one before.";
    WATCH_306_GAP_BEHIND_RING = 306, "B9", "watch-without-gap",
        "A watcher that fell behind the ring goes on from its oldest revision.";
    WATCH_307_FUTURE_START_LOWERED = 307, "etcd#20221", "watch-without-gap",
        "A watch that resumes on a lagging member begins at that member's revision.";
    WATCH_308_REVISION_SPLIT = 308, "B12", "watch-without-gap",
        "A batch that holds events already takes only the first of the next revision.";
    LEASE_309_DEPOSED_LEADER_REVOKES = 309, "B7", "same-answer-everywhere",
        "An expiry that a deposed leader decided revokes the lease all the same.";
    LEASE_310_SHORT_AFTER_ELECTION = 310, "B8", "lease-lives-its-time",
        "A new leader starts every lease with half of its time.";
    LEASE_311_LATE_RENEWAL = 311, "B7", "lease-lives-its-time",
        "An expired lease that is being revoked is renewed, so its owner believes in it.";
    WATCH_312_PROGRESS_AHEAD = 312, "etcd#15220", "watch-without-gap",
        "A watcher is told progress to the newest revision while events before it are still to come.";
    WATCH_313_GOES_BACK = 313, "etcd#15271", "watch-without-gap",
        "A watcher that reads the engine begins one revision before the one it looks at next.";
    STORE_314_REVISION_FROM_KEYS = 314, "etcd#17780", "same-answer-everywhere, state-machine-safety",
        "A restart takes the greatest revision among the keys that are left for the newest one.";
    STORE_315_RANGES_NOT_CHECKED = 315, "etcd#18667", "same-answer-everywhere, state-machine-safety",
        "A transaction's ranges are not checked before it writes, so one that fails has changed something.";
    STORE_316_EVENT_TWICE = 316, "etcd#17247", "watch-without-gap",
        "The second write of a transaction is told to watchers twice.";
    AUTH_320_ENABLED_NOT_RESTORED = 320, "etcd#14571", "state-machine-safety, same-answer-everywhere",
        "A member that opens its state again, or takes it as a snapshot, does not know that authentication is on.";
    AUTH_321_OLD_REVISION_PASSES = 321, "contract item 64", "refused-as-the-log-says",
        "A command passes whose caller was identified before users or roles changed.";
    STORE_322_REMOVED_ID_RETURNS = 322, "49", "same-answer-everywhere, state-machine-safety",
        "A member that was removed may be added again under its old id.";
    GUARD_330_NOT_AT_APPLY = 330, "fencing", "a guarded key has one writer",
        "Guards are kept, listed and replicated, but apply does not look at them.";
    GUARD_331_SKIPS_NESTED = 331, "CVE-2026-33343", "a guarded key has one writer",
        "A write inside a nested transaction is not held against the guards.";
    NODE_340_REMOVED_IS_HEARD = 340, "49", "liveness",
        "Whoever comes is heard, also a member that was removed, so it never learns that.";
    NODE_341_REMOVED_COMES_UP = 341, "49, etcd#20967", "removed-stay-out",
        "A member whose own state says that it was removed comes up all the same.";
    NODE_342_TAUGHT_BY_ONE_BEHIND = 342, "newcomers", "an-id-is-lived-once",
        "A newcomer is told who it is by a member that is behind, and takes the id of the one whose address it has.";
    NODE_343_ASKS_AS_NOBODY = 343, "newcomers", "liveness",
        "A member whose state does not name it yet asks who it is as if it never knew, and waits for a leader that needs its vote.";
    NODE_344_KEEPS_NO_LIST = 344, "newcomers", "liveness",
        "A member whose state does not name it yet asks the others, who may all be in the same place.";
    NODE_345_NOBODY_VOTES = 345, "newcomers", "liveness",
        "A newcomer that has seen no configuration yet takes founders for gone that the table has removed and that still vote.";
}

/// Whether this build can be mutated at all.
pub const POSSIBLE: bool = cfg!(quorate_mutants);

#[cfg(quorate_mutants)]
mod switch {
    use std::cell::Cell;

    thread_local! {
        pub(super) static ACTIVE: Cell<u32> = const { Cell::new(0) };
    }

    /// Puts the previous choice back, also when a mutant ends in a panic.
    pub(super) struct Restore(pub(super) u32);

    impl Drop for Restore {
        fn drop(&mut self) {
            ACTIVE.set(self.0);
        }
    }
}

/// Found in every binary that can be mutated, for a test to look for.
#[cfg(quorate_mutants)]
pub const MARK: &str = "quorate: this build carries mutants";

/// Runs `world` with one mutant switched on in this thread. Id 0 is none.
///
/// # Panics
/// When the id is of no mutant: a typing error would otherwise look like a bug that nobody finds.
#[cfg(quorate_mutants)]
pub fn with<T>(id: u32, world: impl FnOnce() -> T) -> T {
    let known = id == 0 || ALL.iter().any(|mutant| mutant.id == id);
    assert!(known, "{MARK}, but none of them has number {id}");
    let _restore = switch::Restore(switch::ACTIVE.replace(id));
    world()
}

/// True while the mutant of this number is switched on.
#[cfg(quorate_mutants)]
pub fn is_active(id: u32) -> bool {
    switch::ACTIVE.get() == id
}

/// True while the mutant of this number is switched on: never in this build.
#[cfg(not(quorate_mutants))]
#[inline(always)]
pub const fn is_active(_id: u32) -> bool {
    false
}

/// True while any mutant is switched on: guards that repeat what the judges say let it pass.
#[cfg(quorate_mutants)]
pub fn guards_sleep() -> bool {
    switch::ACTIVE.get() != 0
}

/// True while any mutant is switched on: never in this build.
#[cfg(not(quorate_mutants))]
#[inline(always)]
pub const fn guards_sleep() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ascending_complete_and_says_what_it_must() {
        assert!(ALL.iter().zip(&ALL[1..]).all(|(a, b)| a.id < b.id), "numbers ascend");
        let rooms = [(1, 200, 25), (200, 300, 5), (300, 400, 10)];
        for (from, to, least) in rooms {
            let count = ALL.iter().filter(|mutant| (from..to).contains(&mutant.id)).count();
            assert!(count >= least, "{count} mutants from {from} to {to}, not {least}");
        }
        for mutant in ALL {
            let number = mutant.name.split('_').nth(1).and_then(|text| text.parse().ok());
            assert_eq!(number, Some(mutant.id), "{} says its number", mutant.name);
            assert!(mutant.bug.ends_with('.') && !mutant.property.is_empty());
        }
    }

    #[test]
    fn a_build_without_the_cfg_has_nothing_to_switch() {
        assert_eq!(POSSIBLE, cfg!(quorate_mutants));
        assert!(ALL.iter().all(|mutant| !is_active(mutant.id)));
        assert!(!guards_sleep());
    }

    #[cfg(quorate_mutants)]
    #[test]
    fn a_mutant_is_active_for_its_closure_only_also_when_that_panics() {
        let seen = with(21, || (mutant!(RAFT_21_COMMIT_BY_COUNTING), with(0, guards_sleep)));
        assert_eq!(seen, (true, false));
        let panicked = std::panic::catch_unwind(|| with(4, || panic!("the world ended")));
        assert!(panicked.is_err() && !guards_sleep());
    }
}
