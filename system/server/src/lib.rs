//! One member of a cluster, as its clients see it.
//!
//! [`run`] opens the sockets, starts the host beneath and serves etcd's v3 API over gRPC until it
//! is told to stop. Each service is one file; what they share is [`service`], what they say when
//! they refuse is [`errors`], and how messages become the store's types is [`convert`].
//!
//! Deliberately absent: any decision. A service checks a request, hands it to the host, and puts
//! the answer into a message. It keeps no state that a restart would miss.

#![forbid(unsafe_code)]

mod aside;
pub mod audit;
mod auth;
mod budget;
mod caller;
mod cluster;
mod config;
pub mod convert;
mod corruption;
mod downgrade;
mod election;
mod errors;
mod fallback;
mod fence;
mod follow;
mod front;
mod gateway;
mod guard;
mod health;
mod identity;
mod kv;
mod large;
mod leader_watch;
mod learner;
mod lease;
mod leave;
mod line;
mod lock;
mod maintenance;
mod metrics;
mod notify;
mod outflow;
mod pieces;
mod pinned;
mod range_stream;
mod rights;
mod run;
mod secure;
mod service;
mod services;
mod space;
mod standing;
mod token;
mod trace;
mod watch;

pub use config::{Config, Edge, ListenTls, MemberConfig, PeerTls, SelfSigned};
pub use corruption::CorruptionChecks;
pub use gateway::transcode;
pub use identity::PeerIdentity;
pub use maintenance::ETCD_VERSION;
pub use quorate_store::Retention;
pub use run::run;
pub use token::{JwtError, JwtKeys, TokenKind, TokenOptions};
pub use trace::{PER_MILLION, TraceOptions};

use thiserror::Error;

/// Why a member could not start or had to stop. One line for the operator, naming the way out.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(String),
    /// It could not start.
    #[error("{0}")]
    Start(String),
    /// It had to stop: what it promised could not be kept.
    #[error("{0}")]
    Fatal(String),
}
