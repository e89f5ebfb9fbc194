//! The watchers of one stream, as the stream of their answers.

use crate::caller::Known;
use crate::service::Service;
use crate::standing::Standing;
use crate::watch::crowd::Crowd;
use crate::watch::watcher::{NO_WATCHER, Refusal, Watcher};
use quorate_host::View;
use quorate_store::Polled;
use quorate_store::touch::Span;
use quorate_wire::etcd::GRPC_OVERHEAD_BYTES;
use quorate_wire::etcd::etcdserverpb as pb;
use quorate_wire::etcd::etcdserverpb::watch_request::RequestUnion;
use quorate_wire::watch_raw::RawWatchResponse;
use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio_stream::Stream;
use tokio_stream::wrappers::IntervalStream;
use tonic::{Status, Streaming};

/// So long a stream may look without finding anything before others on its thread get their turn.
const TURN: Duration = Duration::from_millis(1);

/// See the module's essay.
pub struct Watchers {
    service: Arc<Service>,
    /// Who opened the stream, and what it showed: it counts anew for each watcher, as in etcd.
    known: Known,
    /// Who opened it, for the watchers that are there.
    standing: Standing,
    /// `None` once the client has said its last word; it may still listen, as in etcd.
    requests: Option<Streaming<pb::WatchRequest>>,
    progress: IntervalStream,
    watchers: Crowd,
    /// Watchers that ended because their start is compacted and whom the client has not cancelled yet. As in etcd their
    /// ids stay taken until then, so that a cancel that crosses with that news does not hit another watcher.
    ended: BTreeSet<i64>,
    next_id: i64,
    /// Answers that are ready; watchers are only polled when there are none.
    ready: VecDeque<RawWatchResponse>,
    /// True while some watcher may have something to send.
    dirty: bool,
    /// The client asked how far this stream is (item 51).
    asked_progress: bool,
}

impl Watchers {
    /// A stream without watchers.
    pub fn new(
        service: Arc<Service>,
        known: Known,
        requests: Streaming<pb::WatchRequest>,
    ) -> Watchers {
        let period = service.limits.progress_interval;
        // Streams that began together need not speak together: up to a tenth later.
        let jitter = period.mul_f64((service.host.random_lease_id() % 1_000) as f64 / 10_000.0);
        let period = period + jitter;
        let first = tokio::time::Instant::now() + period;
        let mut ticks = tokio::time::interval_at(first, period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        Watchers {
            standing: Standing::of(known.clone(), &service.view()),
            known,
            requests: Some(requests),
            progress: IntervalStream::new(ticks),
            watchers: Crowd::new(service.host.feed().ears()),
            ended: BTreeSet::new(),
            next_id: 0,
            ready: VecDeque::new(),
            dirty: false,
            asked_progress: false,
            service,
        }
    }

    fn head(&self, watch_id: i64, revision: i64) -> pb::WatchResponse {
        let header = self.service.header(revision);
        pb::WatchResponse { header, watch_id, ..Default::default() }
    }

    fn say(&mut self, head: pb::WatchResponse) {
        self.ready.push_back(head.into());
    }

    fn on_request(&mut self, request: pb::WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(request)) => self.create(request),
            Some(RequestUnion::CancelRequest(request)) => self.cancel(request.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => {
                // Without watchers there is no progress to tell of.
                self.asked_progress = !self.watchers.is_empty();
                self.dirty = true;
            }
            None => {}
        }
    }

    fn create(&mut self, request: pb::WatchCreateRequest) {
        let revision = self.service.view().revision();
        match self.try_create(request, revision) {
            Ok(id) => {
                self.dirty = true;
                let head = self.head(id, revision);
                self.say(pb::WatchResponse { created: true, ..head });
            }
            Err(refusal) => {
                let head = self.head(NO_WATCHER, revision);
                let cancel_reason = refusal.reason();
                let (created, canceled) = (true, true);
                self.say(pb::WatchResponse { created, canceled, cancel_reason, ..head });
            }
        }
    }

    fn try_create(
        &mut self,
        request: pb::WatchCreateRequest,
        revision: i64,
    ) -> Result<i64, Refusal> {
        if request.start_revision < 0 {
            return Err(Refusal::NegativeStart);
        }
        let first: &[u8] = if request.key.is_empty() { &[0] } else { &request.key };
        let span = Span { key: first, end: &request.range_end };
        let view = self.service.view();
        let known = self.service.identify_again(&self.known, &view);
        let allowed = self.service.may_read(&known, &view, span);
        if let Some(audit) = &self.service.audit {
            audit.watcher(known.user().cloned(), span, allowed.is_ok(), revision);
        }
        allowed.map_err(|refused| Refusal::NotAllowed(refused.into()))?;
        self.standing.renew(known, &view);
        let asked = request.watch_id;
        let id = if asked == 0 { self.free_id() } else { asked };
        // What a request may weigh on the wire, as in etcd.
        let fragment_bytes = self.service.limits.max_request_bytes + GRPC_OVERHEAD_BYTES;
        let watcher = Watcher::new(request, id, revision, fragment_bytes)?;
        // After the range was looked at: a request that is wrong twice gets etcd's refusal.
        if asked != 0 && self.is_taken(asked) {
            return Err(Refusal::DuplicateId);
        }
        self.take_place()?;
        if asked == 0 {
            self.next_id = id + 1;
        }
        self.watchers.insert(watcher, revision);
        Ok(id)
    }

    fn is_taken(&self, id: i64) -> bool {
        self.watchers.contains(id) || self.ended.contains(&id)
    }

    /// The next id that no client has chosen.
    fn free_id(&self) -> i64 {
        let mut id = self.next_id;
        while self.is_taken(id) {
            id += 1;
        }
        id
    }

    fn take_place(&self) -> Result<(), Refusal> {
        let limits = &self.service.limits;
        if self.watchers.len() + self.ended.len() >= limits.max_watchers_per_stream {
            return Err(Refusal::TooMany(format!(
                "quorate: this stream has {} watchers, the limit (--max-watchers-per-stream): \
                 open another stream",
                limits.max_watchers_per_stream
            )));
        }
        let open = self.service.watchers.fetch_add(1, Ordering::Relaxed);
        if open >= limits.max_watchers {
            self.service.watchers.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::TooMany(format!(
                "quorate: this member has {open} watchers, the limit (--max-watchers): watch on \
                 another member"
            )));
        }
        Ok(())
    }

    fn remove(&mut self, id: i64) -> bool {
        let known = self.watchers.remove(id);
        self.service.watchers.fetch_sub(usize::from(known), Ordering::Relaxed);
        known
    }

    /// An unknown id has no answer (item 45).
    fn cancel(&mut self, id: i64) {
        if self.remove(id) || self.ended.remove(&id) {
            let head = self.head(id, self.service.view().revision());
            self.say(pb::WatchResponse { canceled: true, ..head });
        }
    }

    /// Ends the watchers whose keys the caller may not read any more: users and roles have changed,
    /// or authentication was turned on.
    fn judge_again(&mut self, view: &View) {
        if !self.standing.is_outdated(view) || !view.auth().enabled() {
            return;
        }
        let refused = self.watchers.iter().filter_map(|watcher| {
            let range = &watcher.cursor.watch().range;
            let allowed = self.standing.may_read(&self.service, view, range.into());
            Some((watcher.id, allowed.err()?))
        });
        for (id, status) in refused.collect::<Vec<_>>() {
            self.remove(id);
            let head = self.head(id, view.revision());
            let cancel_reason = Refusal::NotAllowed(status.into()).reason();
            self.say(pb::WatchResponse { canceled: true, cancel_reason, ..head });
        }
    }

    /// Polls watchers that may have something to look at, in turn, until one has an answer.
    fn look(&mut self) -> Result<(), Status> {
        let view = self.service.view();
        self.judge_again(&view);
        if !self.ready.is_empty() {
            return Ok(());
        }
        self.watchers.follow(view.revision());
        let begun = Instant::now();
        for _ in 0..self.watchers.behind() {
            let Some(id) = self.watchers.turn() else { break };
            self.poll_watcher(id, &view)?;
            if !self.ready.is_empty() {
                return Ok(());
            }
            if begun.elapsed() >= TURN {
                break;
            }
        }
        self.dirty = self.watchers.behind() > 0;
        self.answer_progress(&view);
        Ok(())
    }

    fn poll_watcher(&mut self, id: i64, view: &View) -> Result<(), Status> {
        let budget = self.service.limits.watch_buffer_bytes;
        let watcher = self.watchers.get_mut(id).expect("it is its turn");
        let polled = self.service.host.feed().poll(&mut watcher.cursor, view, budget);
        match polled.map_err(|error| Status::internal(error.to_string()))? {
            Polled::Batch(batch) => {
                if !batch.events.is_empty() {
                    watcher.active = true;
                    let header = self.service.header(view.revision());
                    let answers = watcher.answers(header, view.compacted(), batch.events);
                    self.ready.extend(answers);
                }
                self.watchers.polled(id, batch.next);
            }
            Polled::Compacted { revision: compact_revision } => {
                self.remove(id);
                self.ended.insert(id);
                let head = self.head(id, 0);
                self.say(pb::WatchResponse { canceled: true, compact_revision, ..head });
            }
        }
        Ok(())
    }

    /// Tells how far the whole stream is, if every watcher has seen everything (item 51). One that
    /// begins in the future has not, and nobody can say when it will: then nothing is told.
    fn answer_progress(&mut self, view: &View) {
        if self.dirty || !std::mem::take(&mut self.asked_progress) {
            return;
        }
        let revision = view.revision();
        if self.watchers.iter().all(|watcher| self.watchers.is_synced(watcher)) {
            self.say(self.head(NO_WATCHER, revision));
        }
    }

    /// Tells idle watchers how far they are (item 50).
    fn tick(&mut self) {
        let revision = self.service.view().revision();
        self.watchers.follow(revision);
        self.dirty |= self.watchers.behind() > 0;
        for id in self.watchers.take_idle() {
            self.say(self.head(id, revision));
        }
    }
}

impl Stream for Watchers {
    type Item = Result<RawWatchResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(answer) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(answer)));
            }
            if let Some(requests) = &mut this.requests {
                match Pin::new(requests).poll_next(context) {
                    Poll::Ready(Some(Ok(request))) => {
                        this.on_request(request);
                        continue;
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(None) => this.requests = None,
                    Poll::Pending => {}
                }
            }
            if this.watchers.poll_called(context).is_ready() {
                this.dirty = true;
            }
            if this.dirty {
                if let Err(error) = this.look() {
                    return Poll::Ready(Some(Err(error)));
                }
                if this.ready.is_empty() && this.dirty {
                    // A long way through changes that nobody here wants: others get their turn.
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                continue;
            }
            if Pin::new(&mut this.progress).poll_next(context).is_ready() {
                this.tick();
                continue;
            }
            return Poll::Pending;
        }
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.service.watchers.fetch_sub(self.watchers.len(), Ordering::Relaxed);
    }
}
