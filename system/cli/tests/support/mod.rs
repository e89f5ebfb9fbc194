//! What every test with real processes needs: servers, clients, requests, and ways to say what is
//! expected.

pub mod authority;
pub mod client;
pub mod cluster;
pub mod expect;
pub mod http;
pub mod ports;
pub mod process;
pub mod requests;
pub mod watching;

/// The messages of the etcd API, under one short name.
pub mod api {
    pub use quorate_wire::etcd::etcdserverpb::*;
    pub use quorate_wire::etcd::mvccpb::*;
}

pub use client::Client;
pub use cluster::{Cluster, Kind, shared, shared_endpoint};
pub use expect::*;
pub use requests::*;
pub use tonic::Code;
pub use watching::Watching;
