//! Readers: each asks one member, whatever happens to it, and never believes in going back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::history::{History, WRITERS};
use crate::support::*;
use crate::writers::{log_key, register};

/// Longer than any fault: a read that was asked of a stopped member is answered when it goes on,
/// and that answer must not be from before it was stopped.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two reads.
const PAUSE: Duration = Duration::from_millis(3);

/// Reads linearizably from one member until the history is stopped; returns how often it was
/// answered.
pub async fn read_linearizable(member: usize, url: String, history: Arc<History>) -> u64 {
    let client = Client::patient(&url, PATIENCE);
    let (mut answers, mut newest, mut writer) = (0, 0, member);
    while !history.stopped() {
        writer = (writer + 1) % WRITERS;
        let (floor, last) = (history.floor().max(newest), history.last_pair(writer));
        if let Ok(answer) = client.range(get(register(writer))).await {
            let now = revision(&answer.header);
            assert!(now >= floor, "n{}: revision {now} after {floor} was known", member + 1);
            let written = answer.kvs.first().map_or(0, |kv| kv.mod_revision);
            assert!(
                written >= last,
                "n{}: writer {writer}'s register is of {written}, but {last} was acknowledged",
                member + 1
            );
            (newest, answers) = (now, answers + 1);
            if let Some(kv) = answer.kvs.first() {
                whole_pair(&client, member, writer, number_of(kv), now).await;
            }
        }
        sleep(PAUSE).await;
    }
    answers
}

fn number_of(kv: &api::KeyValue) -> u64 {
    text(&kv.value).parse().expect("the number of a pair")
}

/// Both halves of a pair have the same revision, in a transaction that reads.
async fn whole_pair(client: &Client, member: usize, writer: usize, number: u64, floor: i64) {
    let ops = [get(register(writer)).op(), get(log_key(writer, number)).op()];
    let Ok(answer) = client.txn(always(ops)).await else { return };
    let now = revision(&answer.header);
    assert!(now >= floor, "n{}: revision {now} after {floor}, in a transaction", member + 1);
    let (newest, log) = (range_at(&answer, 0), range_at(&answer, 1));
    assert_eq!(log.kvs.len(), 1, "n{}: pair {number} of writer {writer} is half", member + 1);
    assert!(newest.kvs[0].mod_revision >= log.kvs[0].mod_revision);
    assert_eq!(number_of(&log.kvs[0]), number);
}

/// Reads whatever one member has, until the history is stopped: as long as the member lives, that
/// only becomes newer.
pub async fn read_serializable(member: usize, url: String, history: Arc<History>) -> u64 {
    let client = Client::patient(&url, PATIENCE);
    let (mut answers, mut newest, mut last_life) = (0, 0, None);
    while !history.stopped() {
        let life = history.life(member);
        let request = api::RangeRequest { serializable: true, ..get("count") };
        let answer = client.range(request).await;
        // Only an answer that certainly came from one life of the member is compared with others.
        if let (Ok(answer), true) = (answer, life.is_some() && life == history.life(member)) {
            let now = revision(&answer.header);
            if life == last_life {
                assert!(now >= newest, "n{}: revision {now} after {newest}", member + 1);
            }
            (newest, last_life, answers) = (now, life, answers + 1);
        }
        sleep(PAUSE).await;
    }
    answers
}
