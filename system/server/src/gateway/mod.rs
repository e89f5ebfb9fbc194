//! The JSON gateway: every call of the API as a POST under `/v3/`.
//!
//! One handler serves all of them. It knows the messages by their descriptors, so JSON becomes the
//! bytes of a request and the bytes of an answer become JSON by proto3's own rules (bytes in
//! base64, 64-bit integers as strings, fields under their original or their camel-case name,
//! defaults left out), and it makes the call through the router that gRPC clients reach. Nothing
//! here knows what a call does, and nothing that a service checks is checked differently here.
//!
//! The caller's token travels in `Authorization`; `Grpc-Metadata-…` headers become metadata. The
//! identity of the connection's certificate does not travel.

mod error;
mod input;
mod output;
mod paths;
pub mod transcode;

use crate::front::Sent;
use crate::large::TakenWhole;
use crate::service::Service;
use bytes::Bytes;
use error::refusal;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use input::Documents;
use prost_reflect::{MessageDescriptor, MethodDescriptor};
use std::collections::HashMap;
use tonic::Status;
use transcode::{calls, framed};

/// Headers with this prefix become metadata.
const METADATA_PREFIX: &str = "grpc-metadata-";

/// Headers that are metadata as they are: a deadline, and whose call this is part of.
const PASSED: [&str; 3] = ["grpc-timeout", "traceparent", "tracestate"];

/// A call that is made for somebody.
pub type CallBody = http_body_util::combinators::UnsyncBoxBody<Bytes, Status>;

/// The gateway of a member.
pub struct Gateway {
    methods: HashMap<&'static str, MethodDescriptor>,
    /// Bytes of one message, as protobuf.
    max_message_bytes: usize,
}

impl Gateway {
    /// A gateway to every call of the API.
    pub fn new(max_message_bytes: usize) -> Gateway {
        Gateway { methods: calls(), max_message_bytes }
    }

    /// The most bytes that the JSON of one message may have: base64 needs four for three.
    fn max_json_bytes(&self) -> usize {
        self.max_message_bytes / 3 * 4 + (64 << 10)
    }

    /// Answers one request; `path` is what follows `/v3/`, `call` makes the call. Large answers have
    /// their room with `service`, and become JSON aside.
    pub async fn answer<F>(
        &self,
        service: &Service,
        path: &str,
        request: Request<Incoming>,
        call: impl FnOnce(Request<CallBody>) -> F,
    ) -> Response<Sent>
    where
        F: Future<Output = Response<Sent>>,
    {
        let Some(method) = self.methods.get(path) else {
            return refusal(&Status::not_found("Not Found"));
        };
        if request.method() != Method::POST {
            return refusal(&Status::unimplemented("Method Not Allowed"));
        }
        let (head, body) = request.into_parts();
        let input = method.input();
        let body = if method.is_client_streaming() {
            let documents =
                Documents::new(body, self.max_json_bytes(), move |json| framed(&input, json));
            CallBody::new(documents)
        } else {
            match self.whole(&input, body).await {
                Ok(message) => Full::new(message).map_err(|never| match never {}).boxed_unsync(),
                Err(status) => return refusal(&status),
            }
        };
        let answer = call(made(method, &head.headers, body)).await;
        if method.is_server_streaming() {
            output::stream(method.output(), answer).await
        } else {
            output::one(service, method.output(), answer).await
        }
    }

    /// The one message of a request; an empty body is an empty message, and what follows the first
    /// object is not looked at.
    async fn whole(&self, input: &MessageDescriptor, body: Incoming) -> Result<Bytes, Status> {
        let limit = self.max_json_bytes();
        let collected = Limited::new(body, limit).collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                let most = self.max_message_bytes;
                Status::resource_exhausted(format!("grpc: received message larger than max {most}"))
            } else {
                Status::cancelled("the request ended before its end")
            }
        })?;
        framed(input, &collected.to_bytes())
    }
}

/// The request as the services' router takes it.
fn made(method: &MethodDescriptor, from: &HeaderMap, body: CallBody) -> Request<CallBody> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    *request.uri_mut() = path.parse().expect("names of services and methods are plain");
    request.extensions_mut().insert(TakenWhole);
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("te", HeaderValue::from_static("trailers"));
    for (name, value) in from {
        let own = name.as_str().strip_prefix(METADATA_PREFIX);
        if let Some(Ok(own)) = own.map(HeaderName::try_from) {
            headers.append(own, value.clone());
        } else if name == AUTHORIZATION || PASSED.contains(&name.as_str()) {
            headers.append(name, value.clone());
        }
    }
    request
}

#[cfg(test)]
mod tests;
