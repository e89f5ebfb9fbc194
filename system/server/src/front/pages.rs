//! What is not gRPC: pages for probes and people, and the way to the JSON gateway.

use super::answer::{JSON, not_found, only_get, text, with};
use super::dispatch::{Connection, grpc};
use super::listen::Serves;
use super::{Front, Sent};
use crate::health;
use crate::maintenance::ETCD_VERSION;
use http::header::{HOST, ORIGIN};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

/// The prefix of the gateway's calls, and one of another age that etcd still takes for it.
const GATEWAY: &str = "/v3/";
const OLD_GATEWAY: &str = "/v3beta/";

/// Answers one request.
pub async fn answer(connection: &Connection, request: Request<Incoming>) -> Response<Sent> {
    let front = &connection.front;
    if !connection.is_secure
        && let Some(refusal) = unknown_host(front, &request)
    {
        return refusal;
    }
    let origin = allowed_origin(front, &request);
    let mut response = if request.method() == Method::OPTIONS {
        with(StatusCode::OK, super::answer::TEXT, "")
    } else {
        page(connection, request).await
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        let words = [
            ("access-control-allow-methods", "POST, GET, OPTIONS, PUT, DELETE"),
            ("access-control-allow-headers", "accept, content-type, authorization"),
        ];
        for (name, value) in words {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.insert(HeaderName::from_static("access-control-allow-origin"), origin);
    }
    response
}

async fn page(connection: &Connection, request: Request<Incoming>) -> Response<Sent> {
    let front = &connection.front;
    let path = request.uri().path();
    let is_watched = matches!(path, "/metrics" | "/health") || is_probe(path);
    match connection.serves {
        Serves::Everything | Serves::Http => {}
        Serves::Metrics if is_watched => {}
        Serves::Metrics | Serves::Grpc => return not_found(),
    }
    let call = path.strip_prefix(GATEWAY).or_else(|| path.strip_prefix(OLD_GATEWAY));
    if let Some(call) = call.filter(|_| front.options.gateway) {
        let call = call.to_owned();
        let (services, calls) = (connection.services.clone(), connection.calls.clone());
        let addresses = connection.addresses.clone();
        let make = |mut call: Request<_>| {
            // Where it comes from is written into the audit log; whose certificate it is does not count.
            call.extensions_mut().insert(addresses);
            grpc(services, calls, call)
        };
        return front.gateway.answer(&front.service, &call, request, make).await;
    }
    let only_for_looking = matches!(path, "/health" | "/version") || is_probe(path);
    if only_for_looking && request.method() != Method::GET {
        return only_get();
    }
    let query = request.uri().query().unwrap_or_default();
    match path {
        "/health" => health::whole(&front.service, &front.metrics.health, query).await.into(),
        "/version" => with(StatusCode::OK, JSON, version(front)),
        "/metrics" => {
            let kind = HeaderValue::from_static(crate::metrics::text::CONTENT_TYPE);
            with(StatusCode::OK, kind, front.metrics.page(front))
        }
        _ => match health::probe(&front.service, &front.metrics.health, path, query).await {
            Some(answer) => answer.into(),
            None => not_found(),
        },
    }
}

fn is_probe(path: &str) -> bool {
    let below = |root: &str| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below("/livez") || below("/readyz")
}

/// What `/version` says; clients compare the numbers with etcd's.
fn version(front: &Front) -> String {
    let (release, level) = (quorate_host::RELEASE, quorate_host::LEVEL);
    let lowest = front.service.host.level();
    let cluster = crate::metrics::member::cluster_version();
    format!(
        r#"{{"etcdserver":"{ETCD_VERSION}","etcdcluster":"{cluster}.0","storage":"{cluster}.0","quorate":"{release}+{level}","cluster_level":{lowest}}}"#
    )
}

impl From<health::Answer> for Response<Sent> {
    fn from(answer: health::Answer) -> Response<Sent> {
        let status = if answer.is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        text(status, answer.text)
    }
}

/// The origin to name as allowed, if the request's is.
fn allowed_origin(front: &Front, request: &Request<Incoming>) -> Option<HeaderValue> {
    let allowed = &front.options.cors;
    if allowed.iter().any(|origin| origin == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let origin = request.headers().get(ORIGIN)?;
    allowed.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// Refuses a request in the clear under a name that this member does not have: a page from
/// elsewhere may have bent its own name to this address (DNS rebinding, CVE-2018-5702).
fn unknown_host(front: &Front, request: &Request<Incoming>) -> Option<Response<Sent>> {
    let known = &front.options.hosts;
    if known.is_empty() || known.iter().any(|host| host == "*") {
        return None;
    }
    let named = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let named = named.or_else(|| request.uri().authority().map(|name| name.as_str()));
    let named = named.unwrap_or_default();
    let host = match named.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => named,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if known.iter().any(|known| known == host) {
        return None;
    }
    let why = format!(
        "this member does not go by the name {host:?}: use TLS, or name it in --host-whitelist \
         (CVE-2018-5702)\n"
    );
    Some(text(StatusCode::MISDIRECTED_REQUEST, why))
}
