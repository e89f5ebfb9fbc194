//! Plays requests to both sides at once and finds the first answer that differs.

use std::time::{Duration, Instant};

use super::execute::{Answer, Side};
use super::generate::{Seen, Source};
use super::lines;
use super::op::{BASE, Op, STREAMS};
use super::server::{Failure, Server};
use super::watching::{Stream, Told};

/// How long the streams of both sides may take to have said the same.
const SETTLE: Duration = Duration::from_secs(5);

/// How often they are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(2);

/// Etcd looks after watchers that start in the past every 100 ms: by then it has told them everything.
const SYNCED: Duration = Duration::from_millis(250);

/// Time for what both sides have yet to tell of requests that are answered.
const BREATH: Duration = Duration::from_millis(20);

/// Requests between two comparisons of what the streams were told.
const OFTEN: usize = 25;

/// Requests for progress are repeated so often: etcd drops those that come while a watcher is behind.
const NOTICES: usize = 8;

/// Requests that led to answers which differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Everything that was sent since the store was empty.
    pub ops: Vec<Op>,
    /// What etcd said at last.
    pub etcd: String,
    /// What Quorate said.
    pub quorate: String,
}

/// What came of an episode.
#[derive(Debug)]
pub struct Outcome {
    /// Requests that were sent.
    pub sent: usize,
    /// Those that etcd refused.
    pub refused: usize,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// Both sides.
pub struct Pair {
    etcd: Side,
    quorate: Side,
    trace: bool,
    /// When the last watcher with a start was created.
    watched: Instant,
    /// Watchers that were asked for on each stream.
    asked: [usize; STREAMS],
}

impl Pair {
    /// Two servers that run.
    pub fn new(etcd: Server, quorate: Server, trace: bool) -> Pair {
        let (etcd, quorate) = (Side::new(etcd), Side::new(quorate));
        Pair { etcd, quorate, trace, watched: Instant::now(), asked: [0; STREAMS] }
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        self.asked = [0; STREAMS];
        tokio::try_join!(self.etcd.begin(), self.quorate.begin()).map(|_| ())
    }

    /// Draws and plays up to `length` requests, and stops at the first difference.
    pub async fn episode(
        &mut self,
        length: usize,
        source: &mut Source,
    ) -> Result<Outcome, Failure> {
        self.begin().await?;
        let mut outcome = Outcome { sent: 0, refused: 0, difference: None };
        let mut ops = Vec::new();
        let mut seen = Seen::START;
        for number in 1..=length {
            let op = source.next(seen);
            if self.trace {
                println!("{}", lines::line(&op));
            }
            ops.push(op.clone());
            outcome.sent += 1;
            let last = number % OFTEN == 0 || number == length;
            let (etcd, texts) = self.step(&op, last).await?;
            outcome.refused += usize::from(etcd.refused);
            if let Some((etcd, quorate)) = texts {
                outcome.difference = Some(Difference { ops, etcd, quorate });
                return Ok(outcome);
            }
            seen.revision = seen.revision.max(etcd.revision);
            if let Op::Compact(request) = &op
                && !etcd.refused
            {
                seen.compacted = request.revision;
            }
        }
        Ok(outcome)
    }

    /// Plays given requests from an empty store; the first difference, with the requests that led to it.
    pub async fn replay(&mut self, ops: &[Op]) -> Result<Option<Difference>, Failure> {
        self.begin().await?;
        for (index, op) in ops.iter().enumerate() {
            let last = index % OFTEN == OFTEN - 1 || index + 1 == ops.len();
            if let (_, Some((etcd, quorate))) = self.step(op, last).await? {
                let ops = ops[..=index].to_vec();
                return Ok(Some(Difference { ops, etcd, quorate }));
            }
        }
        Ok(None)
    }

    /// Sends one request to both; with `settle`, looks at the streams as well. Returns etcd's answer, and both texts
    /// when they differ.
    async fn step(
        &mut self,
        op: &Op,
        settle: bool,
    ) -> Result<(Answer, Option<(String, String)>), Failure> {
        let races = matches!(op, Op::Compact(_) | Op::Cancel(..) | Op::Progress(_));
        if races && let Some(texts) = self.quiet().await {
            return Ok((nothing(), Some(texts)));
        }
        if let Op::Progress(stream) = op
            && self.etcd.streams[*stream].as_ref().is_some_and(Stream::has_compacted)
        {
            return Ok((nothing(), None));
        }
        let (etcd, quorate) = tokio::join!(self.etcd.send(op), self.quorate.send(op));
        self.etcd.server.check_alive()?;
        self.quorate.server.check_alive()?;
        if etcd.text != quorate.text {
            return Ok((nothing(), Some((etcd.text, quorate.text))));
        }
        match op {
            Op::Watch(stream, request) => {
                self.asked[*stream] += 1;
                if request.start_revision != 0 {
                    self.watched = Instant::now();
                }
                self.await_creation(*stream).await;
            }
            Op::Progress(stream) => self.await_progress(*stream).await,
            _ if !settle && !races => return Ok((etcd, None)),
            Op::Range(_)
            | Op::RangeStream(_)
            | Op::Put(_)
            | Op::Delete(_)
            | Op::Txn(_)
            | Op::Compact(_)
            | Op::Grant { .. }
            | Op::GrantShort(_)
            | Op::Revoke(_)
            | Op::TimeToLive(_)
            | Op::Leases
            | Op::KeepAlive(_)
            | Op::Cancel(..) => {}
        }
        let texts = self.settle().await;
        Ok((etcd, texts))
    }

    /// Waits until nobody has anything left to tell, as far as that can be seen from here.
    async fn quiet(&mut self) -> Option<(String, String)> {
        if self.asked == [0; STREAMS] {
            return None;
        }
        let rest = SYNCED.saturating_sub(self.watched.elapsed());
        tokio::time::sleep(rest.max(BREATH)).await;
        self.settle().await
    }

    /// Waits until both sides' streams have said the same; what they said when they do not.
    async fn settle(&mut self) -> Option<(String, String)> {
        let deadline = Instant::now() + SETTLE;
        for stream in 0..STREAMS {
            loop {
                let told = |side: &Side| side.streams[stream].as_ref().map(|s| s.told());
                let (etcd, quorate) = (told(&self.etcd), told(&self.quorate));
                if etcd == quorate {
                    break;
                }
                if Instant::now() > deadline {
                    let text = |told| write_down(stream, told);
                    return Some((text(etcd), text(quorate)));
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        None
    }

    /// Waits until both sides have answered every creation on a stream, or do not.
    async fn await_creation(&self, stream: usize) {
        let deadline = Instant::now() + SETTLE;
        let waiting = |side: &Side| {
            side.streams[stream].as_ref().is_some_and(|s| s.created() < self.asked[stream])
        };
        while (waiting(&self.etcd) || waiting(&self.quorate)) && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asks for progress until both sides have told it, or neither does.
    async fn await_progress(&mut self, stream: usize) {
        let count = |side: &Side| side.streams[stream].as_ref().map_or(0, |s| s.progress());
        for _ in 0..NOTICES {
            tokio::time::sleep(BREATH).await;
            let (etcd, quorate) = (count(&self.etcd), count(&self.quorate));
            if etcd == quorate {
                return;
            }
            let op = Op::Progress(stream);
            tokio::time::sleep(BREATH * 2).await;
            if etcd < quorate {
                self.etcd.send(&op).await;
            } else {
                self.quorate.send(&op).await;
            }
        }
    }
}

fn nothing() -> Answer {
    Answer { text: String::new(), refused: false, revision: BASE }
}

/// A stream's book, one entry a line.
fn write_down(stream: usize, told: Option<Told>) -> String {
    let mut text = String::new();
    for (watcher, told) in told.unwrap_or_default() {
        for entry in told {
            text.push_str(&format!("watch/{stream} {watcher}: {entry}\n"));
        }
    }
    text
}

/// Both texts by line: what only etcd says with `-`, what only Quorate says with `+`, and a few lines around.
pub fn compare_texts(etcd: &str, quorate: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (etcd.lines().collect(), quorate.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - start;
    let tail =
        old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let mut text = "--- etcd\n+++ quorate\n".to_owned();
    for line in &old[start.saturating_sub(4)..start] {
        text.push_str(&format!("  {line}\n"));
    }
    for line in &old[start..old.len() - tail] {
        text.push_str(&format!("- {line}\n"));
    }
    for line in &new[start..new.len() - tail] {
        text.push_str(&format!("+ {line}\n"));
    }
    for line in old[old.len() - tail..].iter().take(4) {
        text.push_str(&format!("  {line}\n"));
    }
    text
}
