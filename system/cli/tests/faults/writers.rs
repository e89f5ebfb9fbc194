//! Writers: they remember what was acknowledged, what was refused, and what nobody can know.
//!
//! A writer does one thing at a time and never does the same thing twice: a write whose answer did
//! not come may have happened, may never happen, and may still happen later, so the writer goes on
//! with the next number. In turn it writes
//!
//! - a *pair*: `log/<writer>/<number>`, never touched again, and `reg/<writer>`, in one transaction;
//! - an *increment* of `count`, by reading it and writing one more if nobody else did in between;
//! - a put or a delete of `tmp/<writer>`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tonic::Status;

use crate::history::History;
use crate::support::*;

/// The longest that a writer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The pause after a call that failed: who is refused a connection learns it at once.
const PAUSE: Duration = Duration::from_millis(20);

/// What one writer did.
#[derive(Default)]
pub struct Written {
    /// Pairs that were acknowledged: their number and revision.
    pub pairs: Vec<(u64, i64)>,
    /// Numbers of pairs that the server refused: they must never appear.
    pub refused: Vec<u64>,
    /// Numbers of pairs that may or may not have happened.
    pub unknown: Vec<u64>,
    /// Increments that were acknowledged, by revision.
    pub increments: Vec<i64>,
    /// Increments that may or may not have happened.
    pub unknown_increments: u64,
}

/// How a write ended.
enum Outcome {
    Acknowledged(i64),
    Refused,
    Unknown,
}

/// The key of a pair that stays.
pub fn log_key(writer: usize, number: u64) -> String {
    format!("log/{writer}/{number:08}")
}

/// The key that holds the number of a writer's newest pair.
pub fn register(writer: usize) -> String {
    format!("reg/{writer}")
}

struct Writer {
    id: usize,
    clients: Vec<Client>,
    at: usize,
    history: Arc<History>,
    written: Written,
}

/// Writes until the history is stopped, through one member after the other.
pub async fn write(id: usize, endpoints: Vec<String>, history: Arc<History>) -> Written {
    let clients = endpoints.iter().map(|url| Client::patient(url, PATIENCE)).collect();
    let mut writer = Writer { id, clients, at: id, history, written: Written::default() };
    let mut number = 0;
    while !writer.history.stopped() {
        number += 1;
        match number % 8 {
            0 | 4 => writer.increment().await,
            6 => writer.touch(number).await,
            _ => writer.pair(number).await,
        }
    }
    writer.written
}

impl Writer {
    fn client(&self) -> &Client {
        &self.clients[self.at % self.clients.len()]
    }

    async fn pair(&mut self, number: u64) {
        let value = number.to_string();
        let ops = [put(log_key(self.id, number), &value).op(), put(register(self.id), &value).op()];
        let answer = self.client().txn(always(ops)).await;
        match self.outcome(answer.map(|answer| revision(&answer.header))).await {
            Outcome::Acknowledged(revision) => {
                self.history.acknowledge(revision, Some(self.id));
                self.written.pairs.push((number, revision));
            }
            Outcome::Refused => self.written.refused.push(number),
            Outcome::Unknown => self.written.unknown.push(number),
        }
    }

    /// One more, unless somebody else was faster.
    async fn increment(&mut self) {
        let answer = match self.client().range(get("count")).await {
            Ok(answer) => answer,
            Err(status) => {
                self.outcome(Err(status)).await;
                return;
            }
        };
        let (count, at) = match answer.kvs.first() {
            Some(kv) => (text(&kv.value).parse::<u64>().expect("a count"), kv.mod_revision),
            None => (0, 0),
        };
        let more = put("count", (count + 1).to_string());
        let answer = self.client().txn(txn([mod_revision_is("count", at)], [more.op()], [])).await;
        let lost = answer.as_ref().is_ok_and(|answer| !answer.succeeded);
        match self.outcome(answer.map(|answer| revision(&answer.header))).await {
            Outcome::Acknowledged(_) if lost => {}
            Outcome::Acknowledged(revision) => {
                self.history.acknowledge(revision, None);
                self.written.increments.push(revision);
            }
            Outcome::Refused => {}
            Outcome::Unknown => self.written.unknown_increments += 1,
        }
    }

    /// Puts or deletes a key, in turn, so that deletions are seen too.
    async fn touch(&mut self, number: u64) {
        let key = format!("tmp/{}", self.id);
        let answer = if number % 16 == 6 {
            self.client().put(put(key, number.to_string())).await.map(|put| revision(&put.header))
        } else {
            self.client().delete(delete(key)).await.map(|deleted| revision(&deleted.header))
        };
        if let Outcome::Acknowledged(revision) = self.outcome(answer).await {
            self.history.acknowledge(revision, None);
        }
    }

    /// Sorts an answer, and goes to the next member after one that did not come.
    async fn outcome(&mut self, answer: Result<i64, Status>) -> Outcome {
        let status = match answer {
            Ok(revision) => return Outcome::Acknowledged(revision),
            Err(status) => status,
        };
        match (status.code(), status.message()) {
            (Code::ResourceExhausted, "etcdserver: too many requests") => Outcome::Refused,
            (Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Unknown, _) => {
                self.at += 1;
                sleep(PAUSE).await;
                Outcome::Unknown
            }
            _ => panic!("writer {}: an error that no fault explains: {status:?}", self.id),
        }
    }
}
