//! How a client behaves.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of a [`crate::Client`]. The defaults are those of etcdctl.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the members listen for clients: `host:port`, with `http://` or `https://` in front, or `unix://path` or
    /// `unixs://path`.
    pub endpoints: Vec<String>,
    /// How to speak TLS, to `https://` and `unixs://` endpoints and to those without a scheme. `None` is the system's
    /// authorities for the first two, and no TLS for the others.
    pub tls: Option<Tls>,
    /// Longest time for one connection to come about.
    pub dial_timeout: Duration,
    /// Longest time for one call, with everything that is tried for it. `None` waits for ever (a call whose endpoints
    /// cannot be reached then fails after [`crate::MAX_ATTEMPTS`] attempts).
    pub request_timeout: Option<Duration>,
    /// A connection in use is probed after this much silence; at least 10 s.
    pub keepalive_time: Duration,
    /// A probe without an answer for this long ends the connection.
    pub keepalive_timeout: Duration,
    /// Most bytes of one request. A larger one fails before it is sent.
    pub max_request_bytes: usize,
    /// Most bytes of one answer.
    pub max_answer_bytes: usize,
    /// Who to be; `None` where access control is off.
    pub credentials: Option<Credentials>,
    /// Locks that the client holds: sent with every request, for keys that are guarded.
    pub fences: Vec<crate::Fence>,
}

/// How a client speaks TLS. The files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Who may vouch for the members, in PEM; `None` is the system's authorities.
    pub trusted: Option<PathBuf>,
    /// The certificate and the key to show, in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Believe whoever answers.
    pub skip_verify: bool,
}

/// Who a client is.
#[derive(Clone)]
pub enum Credentials {
    /// A user, whose token the client fetches and refreshes.
    Password {
        /// Name of the user.
        name: String,
        /// Its password.
        password: String,
    },
    /// A token made elsewhere.
    Token(String),
}

/// Shows who, never the secret.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { name, .. } => write!(formatter, "Password({name})"),
            Self::Token(_) => write!(formatter, "Token"),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            endpoints: vec!["127.0.0.1:2379".to_owned()],
            dial_timeout: Duration::from_secs(2),
            request_timeout: Some(Duration::from_secs(5)),
            keepalive_time: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(6),
            max_request_bytes: 2 << 20,
            max_answer_bytes: i32::MAX as usize,
            credentials: None,
            tls: None,
            fences: Vec::new(),
        }
    }
}
