//! Refusals, as JSON and as HTTP status.

use crate::front::Sent;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tonic::{Code, Status};

/// The status that grpc-gateway gives to a code.
pub fn http_status(code: Code) -> StatusCode {
    let number = match code {
        Code::Ok => 200,
        Code::Cancelled => 499,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::DeadlineExceeded => 504,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::PermissionDenied => 403,
        Code::Unauthenticated => 401,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    };
    StatusCode::from_u16(number).expect("these are numbers of three digits")
}

/// What a refusal says. etcd 3.7 leaves `error` out, earlier releases and clients written for them
/// look for it; it says the same as `message`.
pub fn said(status: &Status) -> serde_json::Value {
    let (message, code) = (status.message(), status.code() as i32);
    serde_json::json!({ "error": message, "code": code, "message": message })
}

/// The answer to a call that failed before anything was answered.
pub fn refusal(status: &Status) -> Response<Sent> {
    let body = Full::new(said(status).to_string().into()).map_err(|never| match never {});
    let mut response = Response::new(Sent::plain(tonic::body::Body::new(body.boxed_unsync())));
    *response.status_mut() = http_status(status.code());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

/// How a call ended, if this part of its answer says so.
pub fn ending(headers: &http::HeaderMap) -> Option<Result<(), Status>> {
    let status = Status::from_header_map(headers)?;
    Some(if status.code() == Code::Ok { Ok(()) } else { Err(status) })
}
