//! What the clients of a world saw, as a history that judges of other systems' histories can read.
//!
//! JSON lines, an event each: who, `invoke` or `ok` or `fail` or `info`, which function, which key,
//! which value, when (nanoseconds of the world). Functions are those of a store with etcd's
//! semantics: `put`, `get`, `delete`, `txn`; answers carry revisions, which are witnesses. What asks
//! for more than that (ranges, leases, compactions, reads that asked nobody) is left out, so a
//! history is complete only in a world without leases ([`Plan::leases`](crate::swarm::Plan::leases)).
//!
//! A client that gave up goes on under a new number: the old one's operation stays open for ever.
//! Nothing is written until somebody asks for it with [`Journal::open`].

use crate::trace::Heard;
use bytes::Bytes;
use quorate_base::Instant;
use quorate_store::{Action, CompareTarget, KeyValue, TxnOp};

/// See the module's essay.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    on: bool,
    lines: Vec<String>,
    /// By client: the number it goes by, and the function that is under way with its key.
    clients: Vec<(u64, Option<(&'static str, Option<String>)>)>,
    next: u64,
}

fn text(bytes: &Bytes) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

impl Journal {
    /// Writes from now on.
    pub fn open(&mut self) {
        self.on = true;
    }

    /// The history so far, as JSON lines.
    pub fn history(&self) -> String {
        self.lines.concat()
    }

    fn client(&mut self, at: usize) -> &mut (u64, Option<(&'static str, Option<String>)>) {
        while self.clients.len() <= at {
            self.clients.push((self.next, None));
            self.next += 1;
        }
        &mut self.clients[at]
    }

    fn line(&mut self, at: usize, now: Instant, kind: &str, value: &str) {
        let (process, under_way) = self.client(at).clone();
        let Some((f, key)) = under_way else { return };
        let key = key.map_or(String::new(), |key| format!(",\"key\":{key}"));
        let time = now.0;
        let start = format!("\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\"");
        self.lines.push(format!("{{{start}{key},\"value\":{value},\"time\":{time}}}\n"));
    }

    fn begin(
        &mut self,
        at: usize,
        now: Instant,
        f: &'static str,
        key: Option<&Bytes>,
        value: &str,
    ) {
        self.client(at).1 = Some((f, key.map(text)));
        self.line(at, now, "invoke", value);
    }

    /// A client asks for something to be done.
    pub fn invoke(&mut self, at: usize, now: Instant, action: &Action) {
        if !self.on {
            return;
        }
        match action {
            Action::Put(put) => self.begin(at, now, "put", Some(&put.key), &text(&put.value)),
            Action::Delete(delete) => {
                self.begin(at, now, "delete", Some(&delete.range.key), "null");
            }
            Action::Txn(txn) => {
                let compares: Vec<String> = txn
                    .compares
                    .iter()
                    .map(|compare| {
                        let CompareTarget::Mod(revision) = compare.target else {
                            unreachable!("clients compare revisions of the last change only")
                        };
                        format!("[{},\"mod\",\"=\",{revision}]", text(&compare.range.key))
                    })
                    .collect();
                let puts: Vec<String> = txn.success.iter().filter_map(describe_put).collect();
                let (compares, puts) = (compares.join(","), puts.join(","));
                let value = format!("{{\"compare\":[{compares}],\"then\":[{puts}],\"else\":[]}}");
                self.begin(at, now, "txn", None, &value);
            }
            Action::Compact { .. }
            | Action::LeaseGrant { .. }
            | Action::LeaseRevoke { .. }
            | Action::LeaseCheckpoint { .. }
            | Action::Alarm { .. }
            | Action::Guard(_)
            | Action::Member(_)
            | Action::Auth(_)
            | Action::Downgrade(_)
            | Action::AuditCheckpoint { .. } => {}
        }
    }

    /// A client reads one key.
    pub fn read(&mut self, at: usize, now: Instant, key: &Bytes) {
        if self.on {
            self.begin(at, now, "get", Some(key), "null");
        }
    }

    /// What was asked for is done, and this is the store's revision after it.
    pub fn done(&mut self, at: usize, now: Instant, revision: i64) {
        if self.on {
            self.line(at, now, "ok", &format!("{{\"revision\":{revision}}}"));
            self.client(at).1 = None;
        }
    }

    /// A read has its answer.
    pub fn found(&mut self, at: usize, now: Instant, revision: i64, found: Option<&KeyValue>) {
        if !self.on {
            return;
        }
        let value = match found {
            None => format!("{{\"revision\":{revision},\"value\":null}}"),
            Some(kv) => format!(
                "{{\"revision\":{revision},\"value\":{},\"mod_revision\":{},\
                 \"create_revision\":{},\"version\":{}}}",
                text(&kv.value),
                kv.mod_revision,
                kv.create_revision,
                kv.version
            ),
        };
        self.line(at, now, "ok", &value);
        self.client(at).1 = None;
    }

    /// A client is through with its operation; no effect when it was told what came of it.
    pub fn end(&mut self, at: usize, now: Instant, heard: Heard) {
        if !self.on {
            return;
        }
        match heard {
            Heard::Ok => {}
            Heard::Failed => self.line(at, now, "fail", "null"),
            Heard::Unknown => {
                self.line(at, now, "info", "null");
                let next = self.next;
                self.next += 1;
                self.client(at).0 = next;
            }
        }
        self.client(at).1 = None;
    }
}

fn describe_put(op: &TxnOp) -> Option<String> {
    match op {
        TxnOp::Put(put) => Some(format!("[\"put\",{},{}]", text(&put.key), text(&put.value))),
        TxnOp::Range(_) | TxnOp::Delete(_) | TxnOp::Txn(_) => None,
    }
}
