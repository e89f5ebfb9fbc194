//! A watcher that outlives its connection.
//!
//! The watcher remembers the next revision it has not seen: one after the last event, after the last progress answer, or
//! after the revision at which it was created. When the stream breaks it asks another member from there. Nothing is
//! missed, because the member replays from that revision, and nothing comes twice, because it replays no earlier one. If
//! that revision has been compacted meanwhile, the watcher ends with an answer that says so; it never skips in silence.

use std::fmt;
use std::pin::Pin;

use quorate_wire::etcd::etcdserverpb::watch_request::RequestUnion;
use quorate_wire::etcd::etcdserverpb::{
    WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status, Streaming};

use crate::call::Attempts;
use crate::picker::Slot;
use crate::{Client, Error, MAX_ATTEMPTS, calls};

/// Requests that may wait on one stream: the creation and a few questions about progress.
const REQUESTS_WAITING: usize = 8;

/// A stream of events of an interval of keys. See [`Client::watch`].
#[derive(Debug)]
pub struct Watcher {
    client: Client,
    /// The request, with `start_revision` moved on to what was not seen yet.
    request: WatchCreateRequest,
    stream: Option<Open>,
    /// Set while there is no stream and somebody has asked for the next answer.
    opening: Option<Opening>,
    attempts: Attempts,
    resume: Resume,
}

/// The two ends of an open stream.
#[derive(Debug)]
struct Open {
    requests: mpsc::Sender<WatchRequest>,
    answers: Streaming<WatchResponse>,
}

/// What a watcher has to remember between answers; apart from the stream, so that it can be tested without one.
#[derive(Debug, Default)]
struct Resume {
    /// Parts of a revision that came in several answers.
    parts: Option<WatchResponse>,
    created: bool,
    ended: bool,
}

impl Client {
    /// Watches an interval and returns when a member has begun to. Fields of the request as in the API; `fragment` is set
    /// by the watcher, which puts the parts together again, and so is `watch_id`.
    ///
    /// # Errors
    /// An answer with any code but Unavailable and Internal; or no member reached in [`MAX_ATTEMPTS`] attempts.
    pub async fn watch(&self, request: WatchCreateRequest) -> Result<Watcher, Error> {
        let request = WatchCreateRequest { fragment: true, watch_id: 0, ..request };
        let client = self.clone();
        let (attempts, resume) = (Attempts::new(), Resume::default());
        let (stream, opening) = (None, None);
        let mut watcher = Watcher { client, request, stream, opening, attempts, resume };
        watcher.open().await?;
        Ok(watcher)
    }
}

impl Watcher {
    /// The next answer: events, progress (no events), or the end (`canceled`, with the reason). `None` after the end.
    /// May be dropped and called again.
    ///
    /// # Errors
    /// An answer with any code but Unavailable and Internal; or no member reached in [`MAX_ATTEMPTS`] attempts.
    pub async fn next(&mut self) -> Result<Option<WatchResponse>, Error> {
        while !self.resume.ended {
            let Some(open) = &mut self.stream else {
                self.open().await?;
                continue;
            };
            match open.answers.message().await {
                Ok(Some(answer)) => {
                    self.attempts = Attempts::new();
                    if let Some(answer) = self.resume.absorb(answer, &mut self.request) {
                        return Ok(Some(answer));
                    }
                }
                Ok(None) => self.lose(),
                Err(status) => {
                    let error = Error::of(&status, "a member");
                    if is_final(&error) {
                        self.resume.ended = true;
                        return Err(error);
                    }
                    self.lose();
                }
            }
        }
        Ok(None)
    }

    /// Asks how far the stream is; the answer comes from [`Watcher::next`] once all earlier events have.
    pub async fn request_progress(&mut self) {
        let union = RequestUnion::ProgressRequest(WatchProgressRequest {});
        if let Some(open) = &self.stream {
            // A stream that is closing answers nothing; the caller sees it resume.
            let _ = open.requests.send(WatchRequest { request_union: Some(union) }).await;
        }
    }

    fn lose(&mut self) {
        self.stream = None;
        self.resume.parts = None;
    }

    /// Opens a stream. The work goes on where it was when this was dropped, so that a caller who looks in often does not
    /// keep it from ever being done.
    async fn open(&mut self) -> Result<(), Error> {
        let opening = self.opening.get_or_insert_with(|| {
            let attempts = std::mem::replace(&mut self.attempts, Attempts::new());
            Opening(Box::pin(open(self.client.clone(), self.request.clone(), attempts)))
        });
        let (attempts, opened) = opening.0.as_mut().await;
        self.opening = None;
        self.attempts = attempts;
        self.stream = Some(opened?);
        Ok(())
    }
}

/// A stream that is being opened, and the attempts that were made for it.
struct Opening(Pin<Box<dyn Future<Output = (Attempts, Result<Open, Error>)> + Send>>);

impl fmt::Debug for Opening {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Opening")
    }
}

async fn open(
    client: Client,
    request: WatchCreateRequest,
    mut attempts: Attempts,
) -> (Attempts, Result<Open, Error>) {
    while attempts.made < MAX_ATTEMPTS {
        let (index, slot) = attempts.next(&client).await;
        if let Err(error) = client.find_out(slot, attempts.made).await {
            attempts.note(index, slot, &error);
            continue;
        }
        let error = match open_at(&client, request.clone(), slot).await {
            Ok(open) => {
                slot.mark(true);
                // Until something is heard this counts as an attempt, so that a member that closes every stream is not
                // asked in a tight loop.
                attempts.pass(index);
                return (attempts, Ok(open));
            }
            Err(status) => Error::of(&status, &slot.name),
        };
        attempts.note(index, slot, &error);
        if is_final(&error) {
            return (attempts, Err(error));
        }
    }
    let error = attempts.not_connected();
    (attempts, Err(error))
}

async fn open_at(
    client: &Client,
    request: WatchCreateRequest,
    slot: &Slot,
) -> Result<Open, Status> {
    let (requests, receiver) = mpsc::channel(REQUESTS_WAITING);
    let union = RequestUnion::CreateRequest(request);
    let create = WatchRequest { request_union: Some(union) };
    requests.try_send(create).expect("the channel is new and has room");
    let mut request = client.request(slot, ReceiverStream::new(receiver)).await?;
    // A member that has lost its leader is no use to a watcher: let it say so.
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    let mut watch = calls::watch(slot.channel.clone(), client.options());
    let answers = watch.watch(request).await?.into_inner();
    Ok(Open { requests, answers })
}

impl Resume {
    /// Takes an answer in and moves the request on; gives out what concerns the caller.
    fn absorb(
        &mut self,
        answer: WatchResponse,
        request: &mut WatchCreateRequest,
    ) -> Option<WatchResponse> {
        if answer.canceled {
            self.ended = true;
            return Some(answer);
        }
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        if answer.created {
            if !self.created && request.start_revision == 0 {
                request.start_revision = revision + 1;
            }
            self.created = true;
            return None;
        }
        let more_follows = answer.fragment;
        let mut whole = match self.parts.take() {
            None => answer,
            Some(mut parts) => {
                parts.events.extend(answer.events);
                parts
            }
        };
        if more_follows {
            self.parts = Some(whole);
            return None;
        }
        whole.fragment = false;
        let last = whole.events.last().and_then(|event| event.kv.as_ref());
        let seen = last.map_or(revision, |pair| pair.mod_revision);
        request.start_revision = request.start_revision.max(seen + 1);
        Some(whole)
    }
}

/// etcd's watch clients resume after these two codes and give up after any other.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Server { code, .. } => !matches!(code, Code::Unavailable | Code::Internal),
        Error::NotConnected { .. } | Error::ConnectionLost { .. } | Error::Timeout { .. } => false,
        Error::Settings(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_wire::etcd::etcdserverpb::ResponseHeader;
    use quorate_wire::etcd::mvccpb::{Event, KeyValue};

    fn answer(header: i64, events: &[i64]) -> WatchResponse {
        let event = |mod_revision: &i64| Event {
            kv: Some(KeyValue { mod_revision: *mod_revision, ..KeyValue::default() }),
            ..Event::default()
        };
        WatchResponse {
            header: Some(ResponseHeader { revision: header, ..ResponseHeader::default() }),
            events: events.iter().map(event).collect(),
            ..WatchResponse::default()
        }
    }

    #[test]
    fn the_next_revision_follows_creation_events_and_progress() {
        let (mut resume, mut request) = (Resume::default(), WatchCreateRequest::default());
        let created = WatchResponse { created: true, ..answer(10, &[]) };
        assert!(resume.absorb(created.clone(), &mut request).is_none());
        assert_eq!(request.start_revision, 11, "what happens after the creation must not be lost");
        assert!(resume.absorb(answer(20, &[12, 13]), &mut request).is_some());
        assert_eq!(request.start_revision, 14, "the header may be ahead of the events");
        assert!(resume.absorb(answer(20, &[]), &mut request).is_some(), "progress");
        assert_eq!(request.start_revision, 21);
        // A creation after a reconnection is further on than what was seen; events in between are still to come.
        let created = WatchResponse { created: true, ..answer(30, &[]) };
        assert!(resume.absorb(created, &mut request).is_none());
        assert_eq!(request.start_revision, 21);
    }

    #[test]
    fn parts_of_a_revision_are_put_together() {
        let (mut resume, mut request) = (Resume::default(), WatchCreateRequest::default());
        let part = WatchResponse { fragment: true, ..answer(5, &[5, 5]) };
        assert!(resume.absorb(part, &mut request).is_none());
        let whole = resume.absorb(answer(5, &[5]), &mut request).expect("whole");
        assert_eq!(whole.events.len(), 3);
        assert!(!whole.fragment);
        assert_eq!(request.start_revision, 6);
    }

    #[test]
    fn the_end_is_told_and_is_the_end() {
        let (mut resume, mut request) = (Resume::default(), WatchCreateRequest::default());
        let end = WatchResponse { canceled: true, compact_revision: 9, ..answer(0, &[]) };
        let told = resume.absorb(end, &mut request).expect("told");
        assert_eq!(told.compact_revision, 9);
        assert!(resume.ended);
    }
}
