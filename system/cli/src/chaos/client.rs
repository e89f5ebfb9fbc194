//! One client of the workload: it does one thing at a time, through the public API, and writes down what it saw.
//!
//! The keys are few and hot, the values are all different. In turn, as the dice fall, a client reads a key, puts a value,
//! deletes, replaces what it saw last if nobody else was faster (a transaction that compares the revision), and appends
//! to a list in the same way. Half of the clients ask one member only, whatever happens to it: a member that is cut off
//! and answers from the past is caught by them. The others fail over, as applications do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_base::Dice;
use quorate_check::history::Value;
use quorate_client::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_client::etcd::etcdserverpb::request_op::Request;
use quorate_client::etcd::etcdserverpb::response_op::Response;
use quorate_client::etcd::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp,
    ResponseHeader, TxnRequest,
};
use quorate_client::etcd::mvccpb::KeyValue;
use quorate_client::{Client, Error, Options, Outcome};
use tokio::time::MissedTickBehavior;

use super::journal::{Begun, Journal, map, text};

/// The longest that a client waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// The pause after a call that failed: who is refused a connection learns it at once.
const PAUSE: Duration = Duration::from_millis(20);
/// How many keys are registers, and how many are lists.
const REGISTERS: u64 = 6;
const LISTS: u64 = 3;
/// A list begins anew when its text is longer.
const LONGEST_LIST: usize = 200;

/// A client of these members.
pub fn connect(endpoints: &[String], patience: Duration) -> Result<Client, String> {
    let options = Options {
        endpoints: endpoints.to_vec(),
        dial_timeout: Duration::from_secs(1),
        request_timeout: Some(patience),
        ..Options::default()
    };
    Client::new(options).map_err(|error| error.to_string())
}

/// One client.
pub struct Worker {
    id: usize,
    client: Client,
    journal: Arc<Journal>,
    dice: Dice,
    prefix: String,
    process: i64,
    count: u64,
    /// What it saw last of each key: revision and value.
    seen: BTreeMap<String, (i64, String)>,
}

impl Worker {
    /// A client that has not asked anything yet.
    pub fn new(
        id: usize,
        client: Client,
        journal: Arc<Journal>,
        dice: Dice,
        prefix: &str,
    ) -> Worker {
        let process = journal.process();
        let (prefix, seen) = (prefix.to_owned(), BTreeMap::new());
        Worker { id, client, journal, dice, prefix, process, count: 0, seen }
    }

    /// Works until everybody is to end, at most so often.
    pub async fn work(mut self, pace: Duration) {
        let mut ticks = tokio::time::interval(pace.max(Duration::from_micros(1)));
        // Who waited for an answer does not hurry afterwards.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.journal.stopped() {
            ticks.tick().await;
            self.count += 1;
            let register = format!("{}r{}", self.prefix, self.dice.below(REGISTERS));
            match self.dice.below(100) {
                0..35 => self.get(register).await,
                35..60 => self.put(register).await,
                60..67 => self.delete(register).await,
                67..84 => self.swap(register).await,
                _ => {
                    let list = format!("{}l{}", self.prefix, self.dice.below(LISTS));
                    self.append(list).await;
                }
            }
        }
    }

    /// A value that nobody ever writes again.
    fn value(&self) -> String {
        format!("{}.{}", self.id, self.count)
    }

    async fn get(&mut self, key: String) {
        let begun = self.journal.invoke(self.process, "get", text(&*key), Value::Nil);
        let request = RangeRequest { key: key.clone().into(), ..Default::default() };
        match self.client.range(request).await {
            Ok(answer) => {
                let revision = revision(&answer.header);
                let found = self.see(&key, answer);
                self.journal.answered(begun, reading(Some(revision), found.as_ref()));
            }
            // Whatever came of a read, it changed nothing.
            Err(error) => {
                self.journal.refused(begun, &error.to_string());
                self.rest().await;
            }
        }
    }

    /// Remembers what is there.
    fn see(&mut self, key: &str, answer: RangeResponse) -> Option<KeyValue> {
        let found = answer.kvs.into_iter().next();
        match &found {
            Some(kv) => {
                let value = String::from_utf8_lossy(&kv.value).into_owned();
                self.seen.insert(key.to_owned(), (kv.mod_revision, value));
            }
            None => drop(self.seen.remove(key)),
        }
        found
    }

    async fn put(&mut self, key: String) {
        let value = self.value();
        let begun = self.journal.invoke(self.process, "put", text(&*key), text(&*value));
        let request = PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() };
        match self.client.put(request).await {
            Ok(answer) => {
                let revision = Value::Int(revision(&answer.header));
                self.journal.answered(begun, map([("revision", revision)]));
            }
            Err(error) => self.failed(begun, &error).await,
        }
    }

    async fn delete(&mut self, key: String) {
        let begun = self.journal.invoke(self.process, "delete", text(&*key), Value::Nil);
        let request = DeleteRangeRequest { key: key.into(), ..DeleteRangeRequest::default() };
        match self.client.delete_range(request).await {
            Ok(answer) => {
                let revision = Value::Int(revision(&answer.header));
                let deleted = Value::Int(answer.deleted);
                self.journal.answered(begun, map([("revision", revision), ("deleted", deleted)]));
            }
            Err(error) => self.failed(begun, &error).await,
        }
    }

    /// Replaces what it saw last, unless somebody else was faster; then it looks what is there.
    async fn swap(&mut self, key: String) {
        let value = self.value();
        self.replace(key, value).await;
    }

    /// Reads a list and writes it back with one more item.
    async fn append(&mut self, key: String) {
        self.get(key.clone()).await;
        let item = self.value();
        let longer = match self.seen.get(&key) {
            Some((_, list)) if list.len() < LONGEST_LIST => format!("{list} {item}"),
            Some(_) | None => item,
        };
        self.replace(key, longer).await;
    }

    async fn replace(&mut self, key: String, value: String) {
        let at = self.seen.get(&key).map_or(0, |(revision, _)| *revision);
        let list = |items: Vec<Value>| Value::List(items);
        let compare = list(vec![text(&*key), text("mod"), text("="), Value::Int(at)]);
        let put = list(vec![text("put"), text(&*key), text(&*value)]);
        let get = list(vec![text("get"), text(&*key)]);
        let asked = map([
            ("compare", list(vec![compare])),
            ("then", list(vec![put])),
            ("else", list(vec![get])),
        ]);
        let begun = self.journal.invoke(self.process, "txn", Value::Nil, asked);
        let answer = match self.client.txn(transaction(&key, at, &value)).await {
            Ok(answer) => answer,
            Err(error) => return self.failed(begun, &error).await,
        };
        let now = revision(&answer.header);
        let reply = if answer.succeeded {
            self.seen.insert(key, (now, value));
            Value::Nil
        } else {
            let read = answer.responses.into_iter().next().and_then(|answer| answer.response);
            let Some(Response::ResponseRange(read)) = read else {
                let told = "a transaction that read answered no range";
                return self.journal.refused(begun, told);
            };
            let found = self.see(&key, read);
            reading(None, found.as_ref())
        };
        let succeeded = Value::Bool(answer.succeeded);
        let (now, answers) = (Value::Int(now), Value::List(vec![reply]));
        let told = map([("revision", now), ("succeeded", succeeded), ("answers", answers)]);
        self.journal.answered(begun, told);
    }

    /// A write without an answer: it did nothing, or nobody knows.
    async fn failed(&mut self, begun: Begun, error: &Error) {
        match error.outcome() {
            Outcome::NotApplied => self.journal.refused(begun, &error.to_string()),
            Outcome::Unknown => {
                self.journal.unknown(begun);
                self.process = self.journal.process();
            }
        }
        self.rest().await;
    }

    async fn rest(&self) {
        tokio::time::sleep(PAUSE).await;
    }
}

/// The revision of an answer.
pub fn revision(header: &Option<ResponseHeader>) -> i64 {
    header.as_ref().map_or(0, |header| header.revision)
}

/// What a read found, for the judge.
fn reading(revision: Option<i64>, found: Option<&KeyValue>) -> Value {
    let mut entries = Vec::new();
    entries.extend(revision.map(|revision| ("revision", Value::Int(revision))));
    match found {
        None => entries.push(("value", Value::Nil)),
        Some(kv) => entries.extend([
            ("value", text(String::from_utf8_lossy(&kv.value).into_owned())),
            ("mod_revision", Value::Int(kv.mod_revision)),
            ("create_revision", Value::Int(kv.create_revision)),
            ("version", Value::Int(kv.version)),
        ]),
    }
    let entries = entries.into_iter().map(|(name, value)| (text(name), value));
    let mut value = Value::Map(entries.collect());
    value.put_in_order();
    value
}

/// Puts the value if the key is of this revision still (0: if it is not there), else reads it.
fn transaction(key: &str, at: i64, value: &str) -> TxnRequest {
    let key = || key.to_owned().into();
    let mut compare = Compare {
        key: key(),
        target_union: Some(TargetUnion::ModRevision(at)),
        ..Compare::default()
    };
    compare.set_result(CompareResult::Equal);
    compare.set_target(CompareTarget::Mod);
    let put = PutRequest { key: key(), value: value.to_owned().into(), ..Default::default() };
    let get = RangeRequest { key: key(), ..RangeRequest::default() };
    TxnRequest {
        compare: vec![compare],
        success: vec![RequestOp { request: Some(Request::RequestPut(put)) }],
        failure: vec![RequestOp { request: Some(Request::RequestRange(get)) }],
    }
}
