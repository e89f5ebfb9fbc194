//! Anomalies by name, and which of them each isolation level promises to keep out.
//!
//! The names are Adya's (Weak Consistency: A Generalized Theory, 1999) with Elle's additions (Kingsbury and Alvaro, VLDB
//! 2020). The order in which versions are installed is the judge's inference; see the modules that infer it. Since histories
//! have no predicates, repeatable read (PL-2.99) and serializability (PL-3) differ in name only.

use std::fmt;
use std::str::FromStr;

/// Which order beside the dependencies a cycle needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// None: dependencies alone.
    Plain,
    /// The order of transactions of one process (session order).
    Process,
    /// Real time: a transaction that completed before another was invoked comes first. Includes the order of a process.
    Realtime,
}

/// What can be wrong with a history of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anomaly {
    /// A read of a value that nobody wrote.
    Phantom,
    /// A list that holds one element twice.
    Duplicate,
    /// A transaction contradicts what it wrote or read itself.
    Internal,
    /// Two reads of a list of which neither is the beginning of the other.
    IncompatibleOrder,
    /// A committed transaction read what an aborted one wrote.
    G1a,
    /// A read of a value that its transaction replaced before it committed.
    G1b,
    /// Two committed transactions read the same version and both replaced it.
    LostUpdate,
    /// A cycle of write dependencies.
    G0(Scope),
    /// A cycle of write and read dependencies, at least one of them a read.
    G1c(Scope),
    /// A cycle with exactly one anti-dependency (read skew is one).
    GSingle(Scope),
    /// A cycle with several anti-dependencies, no two of them adjacent (long fork is one).
    GNonadjacent(Scope),
    /// A cycle with adjacent anti-dependencies (write skew is one).
    G2Item(Scope),
}

impl Anomaly {
    /// How far beyond the dependencies one has to look to see it.
    pub fn scope(self) -> Scope {
        match self {
            Anomaly::Phantom
            | Anomaly::Duplicate
            | Anomaly::Internal
            | Anomaly::IncompatibleOrder
            | Anomaly::G1a
            | Anomaly::G1b
            | Anomaly::LostUpdate => Scope::Plain,
            Anomaly::G0(scope)
            | Anomaly::G1c(scope)
            | Anomaly::GSingle(scope)
            | Anomaly::GNonadjacent(scope)
            | Anomaly::G2Item(scope) => scope,
        }
    }

    /// Whether both are the same kind of cycle, in whatever scope.
    pub(crate) fn same_shape(self, other: Anomaly) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// The strengths that keep it out.
    fn barred_from(self) -> Strengths {
        match self {
            Anomaly::Phantom | Anomaly::Duplicate | Anomaly::G0(_) => Strengths::ALL,
            Anomaly::IncompatibleOrder | Anomaly::G1a | Anomaly::G1b | Anomaly::G1c(_) => {
                Strengths::COMMITTED
            }
            Anomaly::Internal
            | Anomaly::LostUpdate
            | Anomaly::GSingle(_)
            | Anomaly::GNonadjacent(_) => Strengths::SNAPSHOT,
            Anomaly::G2Item(_) => Strengths::SERIAL,
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Anomaly::Phantom => "phantom value",
            Anomaly::Duplicate => "duplicate elements",
            Anomaly::Internal => "internal",
            Anomaly::IncompatibleOrder => "incompatible order",
            Anomaly::G1a => "G1a",
            Anomaly::G1b => "G1b",
            Anomaly::LostUpdate => "lost update",
            Anomaly::G0(_) => "G0",
            Anomaly::G1c(_) => "G1c",
            Anomaly::GSingle(_) => "G-single",
            Anomaly::GNonadjacent(_) => "G-nonadjacent",
            Anomaly::G2Item(_) => "G2-item",
        })?;
        f.write_str(match self.scope() {
            Scope::Plain => "",
            Scope::Process => "-process",
            Scope::Realtime => "-realtime",
        })
    }
}

/// How strong a level is, apart from the order that it keeps with sessions and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strength {
    Uncommitted,
    Committed,
    Snapshot,
    /// Repeatable read and serializable, which histories without predicates cannot tell apart.
    Serial,
}

/// The strengths that keep an anomaly out: each includes the ones before it, down to the first that does.
#[derive(Clone, Copy)]
struct Strengths(&'static [Strength]);

impl Strengths {
    const ALL: Strengths = Strengths(&[
        Strength::Uncommitted,
        Strength::Committed,
        Strength::Snapshot,
        Strength::Serial,
    ]);
    const COMMITTED: Strengths =
        Strengths(&[Strength::Committed, Strength::Snapshot, Strength::Serial]);
    const SNAPSHOT: Strengths = Strengths(&[Strength::Snapshot, Strength::Serial]);
    const SERIAL: Strengths = Strengths(&[Strength::Serial]);
}

/// An isolation level: what a history is judged against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    /// PL-1: no G0.
    ReadUncommitted,
    /// PL-2: no G1.
    ReadCommitted,
    /// PL-2.99: no G1, no G2-item.
    RepeatableRead,
    /// Snapshot isolation: no G1, no cycle in which no two anti-dependencies are adjacent.
    SnapshotIsolation,
    /// Snapshot isolation with the order of each session.
    StrongSessionSnapshotIsolation,
    /// Snapshot isolation with real time.
    StrongSnapshotIsolation,
    /// PL-3: no G1, no G2.
    Serializable,
    /// Serializability with the order of each session.
    StrongSessionSerializable,
    /// Serializability with real time.
    #[default]
    StrictSerializable,
}

impl Level {
    /// All levels, weaker ones first where they can be compared.
    pub const ALL: [Level; 9] = [
        Level::ReadUncommitted,
        Level::ReadCommitted,
        Level::SnapshotIsolation,
        Level::StrongSessionSnapshotIsolation,
        Level::StrongSnapshotIsolation,
        Level::RepeatableRead,
        Level::Serializable,
        Level::StrongSessionSerializable,
        Level::StrictSerializable,
    ];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Level::ReadUncommitted => "read-uncommitted",
            Level::ReadCommitted => "read-committed",
            Level::RepeatableRead => "repeatable-read",
            Level::SnapshotIsolation => "snapshot-isolation",
            Level::StrongSessionSnapshotIsolation => "strong-session-snapshot-isolation",
            Level::StrongSnapshotIsolation => "strong-snapshot-isolation",
            Level::Serializable => "serializable",
            Level::StrongSessionSerializable => "strong-session-serializable",
            Level::StrictSerializable => "strict-serializable",
        }
    }

    /// Which order it keeps beside the dependencies.
    pub fn scope(self) -> Scope {
        match self {
            Level::ReadUncommitted
            | Level::ReadCommitted
            | Level::RepeatableRead
            | Level::SnapshotIsolation
            | Level::Serializable => Scope::Plain,
            Level::StrongSessionSnapshotIsolation | Level::StrongSessionSerializable => {
                Scope::Process
            }
            Level::StrongSnapshotIsolation | Level::StrictSerializable => Scope::Realtime,
        }
    }

    fn strength(self) -> Strength {
        match self {
            Level::ReadUncommitted => Strength::Uncommitted,
            Level::ReadCommitted => Strength::Committed,
            Level::SnapshotIsolation
            | Level::StrongSessionSnapshotIsolation
            | Level::StrongSnapshotIsolation => Strength::Snapshot,
            Level::RepeatableRead
            | Level::Serializable
            | Level::StrongSessionSerializable
            | Level::StrictSerializable => Strength::Serial,
        }
    }

    /// Whether all cycles of dependencies are forbidden, so that some serial order must explain the history.
    pub fn is_serial(self) -> bool {
        self.strength() == Strength::Serial
    }

    /// Whether a history with this anomaly breaks the level.
    pub fn forbids(self, anomaly: Anomaly) -> bool {
        anomaly.scope() <= self.scope() && anomaly.barred_from().0.contains(&self.strength())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Level, String> {
        Level::ALL.into_iter().find(|level| level.name() == text).ok_or_else(|| {
            let names: Vec<_> = Level::ALL.iter().map(|level| level.name()).collect();
            format!("no isolation level {text:?}; there are {}", names.join(", "))
        })
    }
}
