//! The registry of judges: what can be checked, by name.
//!
//! To add a judge, add a line to [`MODELS`]: the command line, its help and `--list-models` follow.

use crate::causal;
use crate::converge;
use crate::counter;
use crate::history::History;
use crate::limits::Options;
use crate::linear;
use crate::sequential;
use crate::txn;
use crate::verdict::{HistoryError, Report};
use crate::watch;

/// A judge by name.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// As given to `--model`.
    pub name: &'static str,
    /// One line: the promise that is checked.
    pub about: &'static str,
    /// The operations it understands: function, argument and answer, one per line.
    pub operations: &'static str,
    /// The judge. An error is about a history that it cannot use, at its position.
    pub check: fn(&History, &Options) -> Result<Report, HistoryError>,
}

/// Registers with unique values; the judges without real time.
const REGISTERS: &str = "read -> value\nwrite value\ncas [expected new]\ntxn [[:r key nil] [:w key value]] -> [[:r key value] [:w key value]]";

/// Transactions on lists.
const LISTS: &str =
    "txn [[:append key value] [:r key nil]] -> [[:append key value] [:r key [values]]]";

/// A log and what watchers were told; the module `watch` describes the values.
const WATCH: &str = "log {rev events}\ncompact {rev}\nwatch {key range_end start rev prev_kv filters}\nevents {events fragment}\nprogress {rev}\ncancel\ndrained {rev}";

/// Counters, for the judges of their bounds.
const COUNTER: &str =
    "add change\nincrement, decrement [change]\nread -> number\nfinal-read -> number";

/// All judges, in the order of `--list-models`.
pub const MODELS: &[Model] = &[
    Model {
        name: "register",
        about: "linearizable registers with compare-and-set",
        operations: "read -> value\nwrite value\ncas [expected new]",
        check: linear::judge::<linear::register::Register>,
    },
    Model {
        name: "key-value",
        about: "linearizable keys with values that can be replaced and appended to",
        operations: "get -> value\nput value\nappend string",
        check: linear::judge::<linear::key_value::KeyValue>,
    },
    Model {
        name: "counter",
        about: "linearizable counters",
        operations: "read -> number\nadd change\nincrement\ndecrement\nadd-and-get change -> number",
        check: linear::judge::<linear::counter::Counter>,
    },
    Model {
        name: "lock",
        about: "mutual exclusion with growing tokens: only its holder gives a lock back",
        operations: "acquire -> token\nrelease\nwrite token (ok: taken, fail: refused)",
        check: linear::judge::<linear::lock::Lock>,
    },
    Model {
        name: "fenced-lock",
        about: "locks that may be lost at any time, and a resource that takes no write of an old holder",
        operations: "acquire -> token\nrelease\nwrite token (ok: taken, fail: refused)",
        check: linear::judge::<linear::lock::FencedLock>,
    },
    Model {
        name: "etcd",
        about: "a linearizable store with etcd's revisions, which must tell one order of all writes",
        operations: "put value -> {revision}\nget -> {revision value mod_revision version}\n\
            delete -> {revision deleted}\n\
            txn {compare then else} -> {revision succeeded answers}",
        check: linear::judge::<linear::etcd::Etcd>,
    },
    Model {
        name: "causal",
        about: "causal consistency (CC): no read contradicts its causal past",
        operations: REGISTERS,
        check: causal::causal,
    },
    Model {
        name: "causal-convergence",
        about: "CC, and all agree on the order of concurrent writes (CCv)",
        operations: REGISTERS,
        check: causal::causal_convergence,
    },
    Model {
        name: "causal-memory",
        about: "CC, and each session fits what it knows into one order (CM)",
        operations: REGISTERS,
        check: causal::causal_memory,
    },
    Model {
        name: "read-your-writes",
        about: "what a session wrote is known to its later reads",
        operations: REGISTERS,
        check: causal::read_your_writes,
    },
    Model {
        name: "monotonic-reads",
        about: "what a session saw, its later reads know",
        operations: REGISTERS,
        check: causal::monotonic_reads,
    },
    Model {
        name: "monotonic-writes",
        about: "who sees a write sees those its session made before",
        operations: REGISTERS,
        check: causal::monotonic_writes,
    },
    Model {
        name: "writes-follow-reads",
        about: "who sees a write sees what its session had read before",
        operations: REGISTERS,
        check: causal::writes_follow_reads,
    },
    Model {
        name: "pipelined-ram",
        about: "read your writes, monotonic reads and monotonic writes together",
        operations: REGISTERS,
        check: causal::pipelined_ram,
    },
    Model {
        name: "list-append",
        about: "transactions that append to lists, at --level",
        operations: LISTS,
        check: txn::list_append,
    },
    Model {
        name: "sequential",
        about: "sequentially consistent registers with compare-and-set",
        operations: REGISTERS,
        check: sequential::sequential,
    },
    Model {
        name: "rw-register",
        about: "transactions on registers with unique values, at --level",
        operations: REGISTERS,
        check: txn::rw_register,
    },
    Model {
        name: "watch",
        about: "watchers are told everything, once, in order (nine guarantees)",
        operations: WATCH,
        check: watch::watch,
    },
    Model {
        name: "convergence",
        about: "replicas that applied the same have the same state",
        operations: "state {applied hash}\nrestart\nsettled",
        check: converge::convergence,
    },
    Model {
        name: "counter-bounds",
        about: "reads of a counter lie between what must and what can have been added",
        operations: COUNTER,
        check: counter::counter_bounds,
    },
    Model {
        name: "counter-eventual",
        about: "the same for replicated counters: only final reads must have heard of everything",
        operations: COUNTER,
        check: counter::counter_eventual,
    },
];

/// The judge of that name.
pub fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}
