//! Which way a request goes.

use super::listen::Serves;
use super::observed::{Received, Sent};
use super::{Front, pages};
use crate::identity::PeerIdentity;
use crate::large::TakenWhole;
use crate::metrics::calls::{Call, CallMetrics};
use crate::services::Services;
use crate::trace;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use quorate_host::half_open::Place;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::Status;
use tonic::transport::server::TcpConnectInfo;

/// One connection, as the service of its requests.
#[derive(Clone)]
pub struct Connection {
    /// What is shared by all.
    pub front: Arc<Front>,
    /// The gRPC services.
    pub services: Arc<Services>,
    /// Where calls are counted.
    pub calls: Arc<CallMetrics>,
    /// What is served here.
    pub serves: Serves,
    /// Whether nobody in between can read or write.
    pub is_secure: bool,
    /// Who the client is, if its certificate was verified.
    pub identity: Option<PeerIdentity>,
    /// Both ends.
    pub addresses: TcpConnectInfo,
    /// Given back with the first request, if it was not before.
    pub half_open: Option<Arc<Mutex<Option<Place>>>>,
}

/// An answer on its way.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Sent>, Infallible>> + Send>>;

impl hyper::service::Service<Request<Incoming>> for Connection {
    type Response = Response<Sent>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        if let Some(place) = &self.half_open {
            drop(place.lock().expect("no holder of this lock panics").take());
        }
        let is_grpc = request.version() == Version::HTTP_2 && is_grpc(request.headers());
        let serves_grpc = matches!(self.serves, Serves::Everything | Serves::Grpc);
        if is_grpc && serves_grpc {
            request.extensions_mut().insert(self.addresses.clone());
            if let Some(identity) = &self.identity {
                request.extensions_mut().insert(identity.clone());
            }
            let (services, calls) = (self.services.clone(), self.calls.clone());
            return Box::pin(async move { Ok(grpc(services, calls, request).await) });
        }
        let connection = self.clone();
        Box::pin(async move { Ok(pages::answer(&connection, request).await) })
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    content_type.is_some_and(|value| value.starts_with(b"application/grpc"))
}

/// Puts a call to the services and counts it.
pub async fn grpc<B>(
    services: Arc<Services>,
    calls: Arc<CallMetrics>,
    request: Request<B>,
) -> Response<Sent>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<tower::BoxError>,
{
    let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let mut call = Call::begin(&calls, request.uri().path(), request.headers(), peer);
    let deadline = timeout(request.headers());
    let taken_whole = request.extensions().get::<TakenWhole>().is_some();
    let counter = call.as_ref().map(Call::received);
    let request = request.map(|body| tonic::body::Body::new(Received::new(body, counter)));
    let answering = services.answer(request);
    let answering = trace::within(call.as_ref().and_then(Call::current), answering);
    let response = match deadline {
        None => answering.await,
        Some(deadline) => match tokio::time::timeout(deadline, answering).await {
            Ok(answered) => answered,
            Err(_) => {
                // The client counts the same time and has given up, most likely.
                let status = Status::deadline_exceeded("context deadline exceeded");
                if let Some(call) = &mut call {
                    call.ends_with(status.code());
                }
                status.into_http()
            }
        },
    };
    Sent::answer(response, call, taken_whole)
}

/// The time that a caller allows, as gRPC writes it: at most eight digits and a unit. Nonsense is
/// no limit.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", value.parse().expect("a value"));
            timeout(&headers)
        };
        assert_eq!(read("100m"), Some(Duration::from_millis(100)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(read("2000000u"), Some(Duration::from_secs(2)));
        for nonsense in ["", "m", "12", "123456789S", "1.5S", "-1S", "5x"] {
            assert_eq!(read(nonsense), None, "{nonsense:?}");
        }
    }
}
