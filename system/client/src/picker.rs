//! Which endpoint to ask next.
//!
//! One channel per endpoint, asked in turn. An endpoint that could not be reached is passed over for a while, so that one
//! dead member of three does not cost every third call a refused connection; when no other is left it is tried all the
//! same. (tonic's own balanced channel keeps calling a dead endpoint, which is why this exists.)

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use quorate_tls::{CipherSuites, ClientFiles, ClientTls, Versions};
use tonic::transport::Endpoint;

use crate::channel::Channel;
use crate::connect::{Connector, Place};
use crate::error::Error;
use crate::options::{Options, Tls};

/// How long an endpoint is passed over after it could not be reached.
const PASS_OVER: Duration = Duration::from_millis(500);

/// One endpoint and its channel, which connects when it is first used and again when the connection breaks.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The endpoint as the caller wrote it.
    pub(crate) name: String,
    pub(crate) channel: Channel,
    /// It has answered, and no call has waited in vain since.
    has_answered: AtomicBool,
    unreachable_since: Mutex<Option<Instant>>,
}

impl Slot {
    /// Notes whether the endpoint could be reached.
    pub(crate) fn mark(&self, reached: bool) {
        self.has_answered.store(reached, Ordering::Relaxed);
        let mut since = self.unreachable_since.lock().expect("nothing panics with the lock held");
        *since = if reached { None } else { Some(Instant::now()) };
    }

    /// Whether it answered the last time somebody waited for it.
    pub(crate) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// Notes that a call waited in vain; the next one finds out first whether anybody is there.
    pub(crate) fn doubt(&self) {
        self.has_answered.store(false, Ordering::Relaxed);
    }

    fn is_passed_over(&self, now: Instant) -> bool {
        let since = self.unreachable_since.lock().expect("nothing panics with the lock held");
        since.is_some_and(|since| now.saturating_duration_since(since) < PASS_OVER)
    }
}

/// All endpoints of a client.
#[derive(Debug)]
pub(crate) struct Picker {
    slots: Vec<Slot>,
    next: AtomicUsize,
}

impl Picker {
    /// Prepares a channel per endpoint; nothing is connected yet.
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        if options.endpoints.is_empty() {
            return Err(Error::Settings("no endpoints given".to_owned()));
        }
        let mut slots = Vec::with_capacity(options.endpoints.len());
        for name in &options.endpoints {
            let channel = channel(name, options)?;
            slots.push(Slot {
                name: name.clone(),
                channel,
                has_answered: AtomicBool::new(false),
                unreachable_since: Mutex::new(None),
            });
        }
        Ok(Self { slots, next: AtomicUsize::new(0) })
    }

    /// How many endpoints there are.
    pub(crate) fn count(&self) -> usize {
        self.slots.len()
    }

    /// The endpoint of this number.
    pub(crate) fn slot(&self, index: usize) -> &Slot {
        &self.slots[index]
    }

    /// The endpoint to ask, not counting those in `tried`: the next in turn that is not passed over, else the next in
    /// turn. `None` when all were tried.
    pub(crate) fn pick(&self, tried: &[usize]) -> Option<(usize, &Slot)> {
        let now = Instant::now();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = || {
            let indices = (0..self.slots.len()).map(|step| start.wrapping_add(step));
            indices.map(|index| index % self.slots.len()).filter(|index| !tried.contains(index))
        };
        let reachable = in_turn().find(|index| !self.slots[*index].is_passed_over(now));
        let index = reachable.or_else(|| in_turn().next())?;
        Some((index, &self.slots[index]))
    }
}

/// The channel to an endpoint; nothing is connected yet.
fn channel(name: &str, options: &Options) -> Result<Channel, Error> {
    let bad =
        |error: &dyn std::fmt::Display| Error::Settings(format!("endpoint {name:?}: {error}"));
    let (scheme, rest) = match name.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        // As etcd's clients: who says how to speak TLS means to.
        None if options.tls.is_some() => ("https", name),
        None => ("http", name),
    };
    let is_secure = matches!(scheme, "https" | "unixs");
    let (place, uri) = match scheme {
        "unix" | "unixs" => (Place::Unix(rest.into()), "http://localhost".to_owned()),
        _ => (Place::Tcp(rest.trim_end_matches('/').to_owned()), format!("{scheme}://{rest}")),
    };
    let endpoint = endpoint(&uri, options).map_err(|error| bad(&error))?;
    if scheme == "http" {
        return Ok(Channel(endpoint.connect_lazy()));
    }
    let tls = if is_secure {
        let host = match &place {
            Place::Tcp(_) => endpoint.uri().host().unwrap_or_default().to_owned(),
            Place::Unix(_) => "localhost".to_owned(),
        };
        let tls = ClientTls::new(files(options)).map_err(|error| bad(&error))?;
        Some((tls, host))
    } else {
        None
    };
    Ok(Channel(endpoint.connect_with_connector_lazy(Connector { place, tls })))
}

fn files(options: &Options) -> ClientFiles {
    let Tls { trusted, identity, skip_verify } = options.tls.clone().unwrap_or_default();
    ClientFiles {
        trusted,
        identity,
        skip_verify,
        versions: Versions::ALL,
        suites: CipherSuites::default(),
        protocols: vec![b"h2".to_vec()],
    }
}

fn endpoint(uri: &str, options: &Options) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(uri.to_owned())?
        .connect_timeout(options.dial_timeout)
        .tcp_nodelay(true)
        // A server may close a connection that pings more often than this; etcd's own client never does.
        .http2_keep_alive_interval(options.keepalive_time.max(Duration::from_secs(10)))
        .keep_alive_timeout(options.keepalive_timeout)
        .initial_stream_window_size(1 << 20)
        // Half of this is what the library lets wait in small frames, 256 bytes for each, before it ends the connection: so much
        // that the window of a call is used up long before, also by the answers to a thousand watchers.
        .initial_connection_window_size(64 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picker(count: usize) -> Picker {
        let endpoints = (0..count).map(|index| format!("127.0.0.1:{}", index + 1)).collect();
        Picker::new(&Options { endpoints, ..Options::default() }).expect("endpoints are fine")
    }

    #[tokio::test]
    async fn endpoints_take_turns() {
        let picker = picker(3);
        let picked: Vec<_> = (0..6).map(|_| picker.pick(&[]).expect("one").0).collect();
        assert_eq!(picked, [0, 1, 2, 0, 1, 2]);
    }

    #[tokio::test]
    async fn an_unreachable_endpoint_is_passed_over_until_it_is_the_last() {
        let picker = picker(2);
        picker.pick(&[1]).expect("the first").1.mark(false);
        for _ in 0..4 {
            assert_eq!(picker.pick(&[]).expect("the other").0, 1);
        }
        assert_eq!(picker.pick(&[1]).expect("nothing else is left").0, 0);
        assert!(picker.pick(&[0, 1]).is_none());
        picker.pick(&[1]).expect("the first").1.mark(true);
        let picked: Vec<_> = (0..2).map(|_| picker.pick(&[]).expect("one").0).collect();
        assert!(picked.contains(&0), "it is back: {picked:?}");
    }

    #[tokio::test]
    async fn endpoints_that_cannot_work_are_refused() {
        let missing = Tls { trusted: Some("/no/such/file".into()), ..Tls::default() };
        let secured = Options { tls: Some(missing), ..Options::default() };
        for (name, options, reason) in [
            ("http://a b", &Options::default(), "invalid"),
            ("https://h:1", &secured, "/no/such/file"),
            ("h:1", &secured, "/no/such/file"),
        ] {
            let error = channel(name, options).expect_err(name);
            assert!(error.to_string().contains(reason), "{error}");
        }
        for name in ["h:1", "http://h:1", "unix:///run/q.sock"] {
            channel(name, &Options::default()).expect(name);
        }
        channel("http://h:1", &secured).expect("whoever writes http:// means it");
    }
}
