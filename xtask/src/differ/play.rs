//! Plays requests to both sides at once and finds the first answer that differs.

use std::time::{Duration, Instant};

use quorate_wire::etcd::etcdserverpb::TxnRequest;
use tokio::task::JoinHandle;

use super::access;
use super::counts::Counts;
use super::execute::{Answer, Side};
use super::generate::{Seen, Source};
use super::lines;
use super::op::{BASE, Caller, LineOp, Op, Request, STREAMS};
use super::server::{Failure, Server};
use super::watching::{Stream, Told, lock};

/// How long the streams of both sides may take to have said the same.
const SETTLE: Duration = Duration::from_secs(5);

/// How often they are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(2);

/// Etcd looks after watchers that start in the past every 100 ms: by then it has told them everything.
const SYNCED: Duration = Duration::from_millis(250);

/// Time for what both sides have yet to tell of requests that are answered.
const BREATH: Duration = Duration::from_millis(20);

/// Time in which both sides tell of one request, where that is waited for after each.
const TOLD: Duration = Duration::from_millis(12);

/// A call that both sides have left unanswered for so long, after they took their places in line, waits.
const WAITS: Duration = Duration::from_millis(150);

/// What is compared of a call that waits.
const WAITING: &str = "waits";

/// Requests between two comparisons of what the streams were told.
const OFTEN: usize = 25;

/// Requests for progress are repeated so often: etcd drops those that come while a watcher is behind.
const NOTICES: usize = 8;

/// Requests that led to answers which differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Everything that was sent since the store was empty.
    pub ops: Vec<Request>,
    /// Whether both sides got time after every request.
    pub lockstep: bool,
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
    lockstep: bool,
    /// What was asked and told so far.
    pub counts: Counts,
}

impl Pair {
    /// Two servers that run.
    pub fn new(etcd: Server, quorate: Server, trace: bool) -> Pair {
        let (etcd, quorate) = (Side::new(etcd), Side::new(quorate));
        Pair {
            etcd,
            quorate,
            trace,
            watched: Instant::now(),
            asked: [0; STREAMS],
            lockstep: false,
            counts: Counts::default(),
        }
    }

    async fn begin(&mut self, lockstep: bool) -> Result<(), Failure> {
        self.asked = [0; STREAMS];
        self.lockstep = lockstep;
        (self.etcd.headers, self.quorate.headers) = (lockstep, lockstep);
        tokio::try_join!(self.etcd.begin(), self.quorate.begin()).map(|_| ())
    }

    /// Ends a stream of watchers on both sides; the next watcher opens another.
    fn end_stream(&mut self, stream: usize, count: bool) {
        if let (Some(told), true) = (&self.etcd.streams[stream], count) {
            told.count(&mut self.counts);
        }
        self.asked[stream] = 0;
        (self.etcd.streams[stream], self.quorate.streams[stream]) = (None, None);
    }

    /// Draws and plays up to `length` requests, and stops at the first difference.
    pub async fn episode(
        &mut self,
        length: usize,
        lockstep: bool,
        source: &mut Source,
    ) -> Result<Outcome, Failure> {
        self.begin(lockstep).await?;
        let mut outcome = Outcome { sent: 0, refused: 0, difference: None };
        let mut ops = Vec::new();
        let mut seen = Seen::START;
        for number in 1..=length {
            let request = source.next(&seen);
            if self.trace {
                println!("{}", lines::line(&request));
            }
            ops.push(request.clone());
            outcome.sent += 1;
            let last = number % OFTEN == 0 || number == length;
            let began = Instant::now();
            let (etcd, texts) = self.step(&request, last).await?;
            outcome.refused += usize::from(etcd.refused);
            if let Some((etcd, quorate)) = texts {
                outcome.difference = Some(Difference { ops, lockstep, etcd, quorate });
                return Ok(outcome);
            }
            self.counts.request(&request, etcd.refused, began.elapsed());
            seen.revision = seen.revision.max(etcd.revision);
            seen.won = etcd.leader.or(seen.won);
            if let Op::Compact(request) = &request.op
                && !etcd.refused
            {
                seen.compacted = request.revision;
            }
        }
        for stream in 0..STREAMS {
            self.end_stream(stream, true);
        }
        Ok(outcome)
    }

    /// Plays given requests from an empty store; the first difference, with the requests that led to it.
    pub async fn replay(
        &mut self,
        ops: &[Request],
        lockstep: bool,
    ) -> Result<Option<Difference>, Failure> {
        self.begin(lockstep).await?;
        for (index, op) in ops.iter().enumerate() {
            let last = index % OFTEN == OFTEN - 1 || index + 1 == ops.len();
            if let (_, Some((etcd, quorate))) = self.step(op, last).await? {
                let ops = ops[..=index].to_vec();
                return Ok(Some(Difference { ops, lockstep, etcd, quorate }));
            }
        }
        Ok(None)
    }

    /// Sends one request to both; with `settle`, looks at the streams as well. Returns etcd's answer, and both texts
    /// when they differ.
    async fn step(
        &mut self,
        request: &Request,
        settle: bool,
    ) -> Result<(Answer, Option<(String, String)>), Failure> {
        let op = &request.op;
        let rights = matches!(op, Op::Auth(op) if op.changes());
        let races = rights || matches!(op, Op::Compact(_) | Op::Cancel(..) | Op::Progress(_));
        if races && let Some(texts) = self.quiet().await {
            return Ok((nothing(), Some(texts)));
        }
        if let Op::Progress(stream) = op
            && self.etcd.streams[*stream].as_ref().is_some_and(Stream::has_compacted)
        {
            return Ok((nothing(), None));
        }
        if let Op::Watch(stream, _) = op {
            let ended = |side: &Side| side.streams[*stream].as_ref().is_some_and(Stream::has_ended);
            if ended(&self.etcd) && ended(&self.quorate) {
                self.end_stream(*stream, true);
            }
        }
        let cancelled = match op {
            Op::Cancel(stream, id) => self.before_cancel(*stream, *id),
            _ => None,
        };
        let (etcd, quorate) = self.ask(request).await?;
        if etcd.text != quorate.text && !is_meant(op, &etcd, &quorate) {
            return Ok((nothing(), Some((etcd.text, quorate.text))));
        }
        if rights && !etcd.refused {
            (0..STREAMS).for_each(|stream| self.end_stream(stream, true));
            return Ok((etcd, None));
        }
        match op {
            Op::Watch(stream, request) => {
                self.asked[*stream] += 1;
                if request.start_revision != 0 {
                    self.watched = Instant::now();
                }
                self.await_creation(*stream).await;
                if self.lockstep {
                    return Ok((etcd, self.quiet().await));
                }
            }
            Op::Progress(stream) => self.await_progress(*stream).await,
            Op::Cancel(stream, id) => self.await_cancel(*stream, *id, cancelled).await,
            _ if self.lockstep && self.asked != [0; STREAMS] && may_tell(op) => {
                tokio::time::sleep(TOLD).await;
            }
            _ if !settle && !races => return Ok((etcd, None)),
            _ => {}
        }
        let texts = self.settle().await;
        Ok((etcd, texts))
    }

    /// Sends one request to both and returns both answers.
    async fn ask(&mut self, request: &Request) -> Result<(Answer, Answer), Failure> {
        let waits = match &request.op {
            Op::Line(op) => op.waits().map(|place| (op, place)),
            _ => None,
        };
        let answers = match waits {
            Some((op, place)) => self.ask_who_may_wait(request.caller, op, place).await,
            None => tokio::join!(self.etcd.send(request), self.quorate.send(request)),
        };
        self.etcd.server.check_alive().and(self.quorate.server.check_alive()).map_err(|error| {
            Failure::Server(format!("{error}; the last request was\n{}", lines::line(request)))
        })?;
        Ok(answers)
    }

    /// Sends a request that may have to wait for others, who then never come: when both sides have put its key into the
    /// line and say nothing, they wait, and are called back.
    async fn ask_who_may_wait(
        &mut self,
        caller: Caller,
        op: &LineOp,
        place: Option<Vec<u8>>,
    ) -> (Answer, Answer) {
        let call = |side: &Side| {
            let numbers = lock(&side.numbers).clone();
            tokio::spawn(access::line(side.channel(caller), numbers, op.clone()))
        };
        let (etcd, quorate) = (call(&self.etcd), call(&self.quorate));
        let deadline = Instant::now() + SETTLE;
        let mut silent_since = Instant::now();
        while Instant::now() < deadline {
            match [etcd.is_finished(), quorate.is_finished()] {
                [true, true] => break,
                [false, false] => {
                    if !self.have(place.as_deref(), true).await {
                        silent_since = Instant::now();
                    } else if silent_since.elapsed() > WAITS {
                        break;
                    }
                }
                [true, false] | [false, true] => {}
            }
            tokio::time::sleep(LOOK).await;
        }
        let answers = (joined(etcd).await, joined(quorate).await);
        if answers.0.text == WAITING {
            self.leave_for(place.as_deref()).await;
            while !self.have(place.as_deref(), false).await && Instant::now() < deadline {
                tokio::time::sleep(LOOK).await;
            }
        }
        answers
    }

    /// Takes etcd's waiter out of the line where etcd does not do it: the waiter's key is deleted without its token, and
    /// stays when authentication is on (docs/etcd-differences.md).
    async fn leave_for(&mut self, place: Option<&[u8]>) {
        let Some(key) = place else { return };
        let begun = Instant::now();
        while begun.elapsed() < WAITS {
            if self.etcd.has_key(key).await.is_ok_and(|there| !there) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        if self.etcd.is_guarded().await {
            // When it cannot, the next answers differ.
            let _ = self.etcd.delete_key(key).await;
        }
    }

    /// Whether both sides have a key, or neither has. Without a key there is nothing to look for.
    async fn have(&mut self, key: Option<&[u8]>, wanted: bool) -> bool {
        let Some(key) = key else { return true };
        let found = tokio::join!(self.etcd.has_key(key), self.quorate.has_key(key));
        found.0.is_ok_and(|found| found == wanted) && found.1.is_ok_and(|found| found == wanted)
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
                let agree = match (&self.etcd.streams[stream], &self.quorate.streams[stream]) {
                    (Some(etcd), Some(quorate)) => etcd.agrees(quorate),
                    (etcd, quorate) => etcd.is_none() && quorate.is_none(),
                };
                if agree {
                    break;
                }
                if Instant::now() > deadline {
                    let told = |side: &Side| side.streams[stream].as_ref().map(Stream::told);
                    let text = |side| write_down(stream, told(side));
                    return Some((text(&self.etcd), text(&self.quorate)));
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
            let stands = |s: &Stream| !s.has_ended() && s.created() < self.asked[stream];
            side.streams[stream].as_ref().is_some_and(stands)
        };
        while (waiting(&self.etcd) || waiting(&self.quorate)) && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The entries of a watcher on both sides, if its cancel will have an answer.
    fn before_cancel(&self, stream: usize, id: i64) -> Option<[usize; 2]> {
        let (etcd, quorate) =
            (self.etcd.streams[stream].as_ref()?, self.quorate.streams[stream].as_ref()?);
        etcd.can_cancel(id).then(|| [etcd.entries(id), quorate.entries(id)])
    }

    /// Waits until both sides have answered a cancel that has an answer: it says how far the store was.
    async fn await_cancel(&self, stream: usize, id: i64, before: Option<[usize; 2]>) {
        let deadline = Instant::now() + SETTLE;
        let Some([etcd, quorate]) = before else { return };
        let waiting = |side: &Side, before: usize| {
            let stands = |s: &Stream| !s.has_ended() && s.entries(id) <= before;
            side.streams[stream].as_ref().is_some_and(stands)
        };
        while (waiting(&self.etcd, etcd) || waiting(&self.quorate, quorate))
            && Instant::now() < deadline
        {
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
            let op = Request { caller: Caller::Nobody, op: Op::Progress(stream) };
            tokio::time::sleep(BREATH * 2).await;
            if etcd < quorate {
                self.etcd.send(&op).await;
            } else {
                self.quorate.send(&op).await;
            }
        }
    }
}

/// Whether two refusals differ as docs/etcd-differences.md says: ours looks at who calls before it looks at whether the
/// request makes sense, asks for anything, or meets an alarm; and etcd ends an observer who may not look without a word.
fn is_meant(op: &Op, etcd: &Answer, quorate: &Answer) -> bool {
    let senseless = ["InvalidArgument", "OutOfRange", "Unimplemented"];
    // Alarms; two that have no code; and nobody, who may ask etcd about the user without a name.
    let senseless_texts = [
        "etcdserver: mvcc: database space exceeded",
        "etcdserver: corrupt cluster",
        "\"leader\" field must be provided",
        "etcdserver: user name not found",
    ];
    let stranger = ["etcdserver: invalid auth token", "etcdserver: user name is empty"];
    let (etcd_code, etcd_text) = etcd.text.split_once(": ").unwrap_or_default();
    let (_, text) = quorate.text.split_once(": ").unwrap_or_default();
    let asks_nothing = matches!(op, Op::Txn(txn) if *txn == TxnRequest::default());
    let observes = matches!(op, Op::Line(LineOp::Observe(_)));
    if !quorate.refused || !etcd.refused && !asks_nothing {
        false
    } else if etcd_text == "etcdserver: member ID already exist" {
        // Etcd makes an id of the address and the second.
        text == "etcdserver: Peer URLs already exists"
    } else if stranger.contains(&text) {
        asks_nothing
            || senseless.contains(&etcd_code)
            || senseless_texts.contains(&etcd_text)
            || observes && etcd.text == access::ENDED
    } else {
        observes && text == "etcdserver: permission denied" && etcd.text == access::ENDED
    }
}

/// The answer of a call, or that it waits; then it is called back.
async fn joined(call: JoinHandle<Answer>) -> Answer {
    if !call.is_finished() {
        call.abort();
        return Answer::of(WAITING.into());
    }
    call.await.unwrap_or_else(|error| Answer::of(error.to_string()))
}

/// Whether a request may change what watchers are told of.
fn may_tell(op: &Op) -> bool {
    match op {
        Op::Put(_) | Op::Delete(_) | Op::Txn(_) | Op::Revoke(_) | Op::Line(_) => true,
        Op::Range(_)
        | Op::RangeStream(_)
        | Op::Compact(_)
        | Op::Grant { .. }
        | Op::GrantShort(_)
        | Op::TimeToLive(_)
        | Op::Leases
        | Op::KeepAlive(_)
        | Op::Watch(..)
        | Op::Cancel(..)
        | Op::Progress(_)
        | Op::Auth(_)
        | Op::Cluster(_) => false,
    }
}

fn nothing() -> Answer {
    Answer { revision: BASE, ..Answer::empty() }
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
