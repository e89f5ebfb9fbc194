//! Bytes on the network.
//!
//! Everything that two processes must agree on, and nothing that decides: what goes through the log ([`command`]), what
//! members say to each other ([`hello`], [`peer`]), the etcd v3 API as generated messages, clients
//! and servers ([`etcd`]), the codec that they share ([`codec`]), and servers of Watch and Range that take events and pairs
//! already encoded ([`raw`], [`watch_raw`], [`range_raw`]), or made while they are sent ([`flow`]).
//!
//! tonic and prost are named here and in the crates that serve or call; the protocols know neither.

pub mod binary;
pub mod codec;
pub mod command;
mod command_auth;
mod command_kv;
pub mod compare;
pub mod etcd;
pub mod etcd_file;
pub mod fence;
pub mod flow;
pub mod hello;
mod member;
pub mod native;
pub mod peer;
#[cfg(test)]
mod peer_tests;
pub mod range_raw;
pub mod raw;
pub mod watch_raw;
