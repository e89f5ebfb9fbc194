//! One Watch stream: what was asked, what came.
//!
//! Silence is never tested by waiting. A test that expects no answer asks for something else that
//! must be answered, and checks that this is the next thing it hears.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::api::event::EventType;
use super::api::watch_request::RequestUnion;
use super::api::*;
use super::client::Client;

/// The longest wait for one response that must come.
const RESPONSE_LIMIT: Duration = Duration::from_secs(30);

/// An open Watch stream.
pub struct Watching {
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl Watching {
    /// Opens a stream that starts with one watcher and takes its `created` response off the stream.
    pub async fn open(client: &Client, create: WatchCreateRequest) -> (Watching, WatchResponse) {
        let mut watching =
            Watching::open_raw(client, create, &[]).await.expect("open a watch stream");
        let created = watching.next().await;
        assert!(
            created.created && !created.canceled,
            "expected a created response, got {created:?}"
        );
        assert!(created.events.is_empty(), "events in a created response: {created:?}");
        (watching, created)
    }

    /// Opens a stream with request metadata and leaves all its responses on it.
    pub async fn open_raw(
        client: &Client,
        create: WatchCreateRequest,
        metadata: &[(&'static str, &'static str)],
    ) -> Result<Watching, Status> {
        // The request goes into the channel before the call: a server may hold back its headers
        // until it has something to answer.
        let (requests, receiver) = mpsc::channel(64);
        let first = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        requests.send(first).await.expect("the receiver is at hand");
        let mut request = Request::new(ReceiverStream::new(receiver));
        for (name, value) in metadata {
            request.metadata_mut().insert(*name, value.parse().expect("metadata in ASCII"));
        }
        let responses = client.watch().watch(request).await?.into_inner();
        Ok(Watching { requests, responses })
    }

    /// Asks for one more watcher on this stream.
    pub async fn create(&self, create: WatchCreateRequest) {
        self.send(RequestUnion::CreateRequest(create)).await;
    }

    /// Asks for one more watcher and returns its first response.
    pub async fn created(&mut self, create: WatchCreateRequest) -> WatchResponse {
        self.create(create).await;
        self.next().await
    }

    /// Asks for the end of one watcher.
    pub async fn cancel(&self, watch_id: i64) {
        self.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id })).await;
    }

    /// Asks how far the stream is.
    pub async fn request_progress(&self) {
        self.send(RequestUnion::ProgressRequest(WatchProgressRequest {})).await;
    }

    async fn send(&self, request: RequestUnion) {
        let request = WatchRequest { request_union: Some(request) };
        self.requests.send(request).await.expect("the watch stream is open");
    }

    /// The next response, which must come.
    pub async fn next(&mut self) -> WatchResponse {
        match self.next_or_error().await {
            Ok(Some(response)) => response,
            Ok(None) => panic!("the watch stream ended"),
            Err(status) => panic!("the watch stream failed: {status:?}"),
        }
    }

    /// The next response, or how the stream ended; one of them must come.
    pub async fn next_or_error(&mut self) -> Result<Option<WatchResponse>, Status> {
        timeout(RESPONSE_LIMIT, self.responses.message())
            .await
            .unwrap_or_else(|_| panic!("no watch response within {RESPONSE_LIMIT:?}"))
    }

    /// The next `count` events of watcher `watch_id`, over as many responses as they take.
    /// Responses without events, and those of other watchers, fail the test.
    pub async fn events(&mut self, watch_id: i64, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            let response = self.next().await;
            assert_eq!(response.watch_id, watch_id, "another watcher spoke: {response:?}");
            assert!(!response.created && !response.canceled, "not events: {response:?}");
            assert!(!response.events.is_empty(), "a response without events: {response:?}");
            events.extend(response.events);
        }
        assert_eq!(events.len(), count, "more events than expected: {:?}", shown(&events));
        events
    }
}

/// Events as `PUT key=value@revision` and `DELETE key@revision`.
pub fn shown(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            let kv = event.kv.as_ref().expect("an event has a pair");
            let key = String::from_utf8_lossy(&kv.key);
            match event.r#type() {
                EventType::Put => {
                    format!("PUT {key}={}@{}", String::from_utf8_lossy(&kv.value), kv.mod_revision)
                }
                EventType::Delete => format!("DELETE {key}@{}", kv.mod_revision),
            }
        })
        .collect()
}
