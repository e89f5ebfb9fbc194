//! Answers of the pages.

use super::Sent;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};

/// The type of a text.
pub const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The type of JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

const NO_SNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// An answer with this body.
pub fn with(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response<Sent> {
    let body = Full::new(body.into()).map_err(|never| match never {});
    let mut response = Response::new(Sent::plain(tonic::body::Body::new(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// A text that no browser may take for anything else; errors end with a line break.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Sent> {
    let mut response = with(status, TEXT, body);
    response.headers_mut().insert(NO_SNIFF, HeaderValue::from_static("nosniff"));
    response
}

/// There is no such page.
pub fn not_found() -> Response<Sent> {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// The page is only for looking at.
pub fn only_get() -> Response<Sent> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}
