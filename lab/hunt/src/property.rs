//! What each property promises and where that is written down: for reports and pages.

/// A property's promise and its source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Property {
    /// Its name, as oracles use it.
    pub name: &'static str,
    /// What it promises.
    pub says: &'static str,
    /// Where from.
    pub source: &'static str,
}

const RAFT: &str =
    "Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm (extended)";

macro_rules! properties {
    ($($name:literal: $says:literal, $source:expr;)*) => {
        &[$(Property { name: $name, says: $says, source: $source }),*]
    };
}

/// All that the oracles of the simulator watch.
pub const PROPERTIES: &[Property] = properties! {
    "determinism": "a world that is run again goes the same way", "the contract of protocols";
    "election-safety": "at most one leader is elected in a term", "5.2";
    "one-vote-per-term": "a member votes once in a term, over all its lives", "5.2";
    "log-matching": "entries of the same index and term are the same, and so is all before", "5.3";
    "leader-completeness": "a new leader holds what earlier terms committed", "5.4";
    "committed-immutable": "what is committed at an index stays there for ever", "5.4.3";
    "committed-on-quorum": "what is committed survives a power failure on a majority", "5.3";
    "state-machine-safety": "all apply the same entry at an index and come to the same state", "5.4.3";
    "state-ordering": "base <= applied <= committed <= last, on every member", "the contract of protocols/raft";
    "monotone": "term, commit and applied never go back within a life", "figure 2";
    "synced-writes-survive": "what a sync covered is there after a crash", "the contract of the log";
    "recovery-after-any-crash": "recovery always comes up", "the contract of the log";
    "liveness": "in peace there is a leader, clients finish and members agree", "5.6";
    "assertion": "no assertion of the shipped code fails", "the code itself";
    "linearizable-reads": "a read is no older than what was committed before it was asked for", "8";
    "applied-once": "a proposal is applied at one index", "8";
    "refused-means-never": "what was handed back as not appended is never applied", "the contract of protocols/raft";
    "operation-applied-once": "copies of an operation have no effect after the first", "8";
    "same-answer-everywhere": "revision and success of an entry are the same on each member", "the contract of protocols/store";
    "read-of-a-real-state": "a read at a revision is the state at that revision", "etcd API guarantees";
    "acknowledged-writes-are-seen": "a linearizable read is no older than any write acknowledged before", "etcd API guarantees";
    "revisions-never-go-back": "one session never sees an older revision after a newer one", "etcd API guarantees";
    "watch-without-gap": "watched events are ordered, unique and complete", "etcd API guarantees";
    "lease-lives-its-time": "no lease expires earlier than the last answer promised", "etcd API guarantees";
};

/// The property with this name.
pub fn find(name: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|property| property.name == name)
}

/// What a property promises and where from, in one sentence.
pub fn explain(name: &str) -> String {
    match find(name) {
        None => "see the oracles of quorate-sim".to_owned(),
        Some(Property { says, source, .. }) if source.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{says} (section {source} of {RAFT})")
        }
        Some(Property { says, source, .. }) if source.starts_with("figure") => {
            format!("{says} ({source} of {RAFT})")
        }
        Some(Property { says, source, .. }) => format!("{says} ({source})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_there_once() {
        for (at, property) in PROPERTIES.iter().enumerate() {
            assert!(PROPERTIES[at + 1..].iter().all(|other| other.name != property.name));
            assert!(explain(property.name).contains(property.says));
        }
        assert!(explain("election-safety").contains("section 5.2"));
    }
}
