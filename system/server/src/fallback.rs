//! Calls that no service answers.

use tonic::codegen::http;

/// A gRPC answer that says, in a sentence, that the call is not there (yet).
pub async fn unknown_call(
    request: http::Request<axum::body::Body>,
) -> http::Response<tonic::body::Body> {
    let path = request.uri().path().trim_start_matches('/');
    crate::errors::not_yet(path).into_http()
}
