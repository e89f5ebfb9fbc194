//! The targets, by what they read.

mod files;
mod flags;
mod gateway;
mod histories;
mod model;
mod network;
mod past;
mod schedule;
mod store;

use crate::Target;

/// All of them.
pub const TARGETS: &[Target] = &[
    network::PEER_FRAMES,
    network::PEER_MESSAGE,
    network::HELLO,
    network::COMMAND,
    network::CLIENT_REQUEST,
    store::MEMBERSHIP,
    store::APPLY,
    store::SNAPSHOT_CHUNKS,
    store::AUTH_RANGES,
    model::TXN_MODEL,
    past::RANGE_MODEL,
    schedule::RAFT_STEPS,
    gateway::GATEWAY_REQUEST,
    gateway::GATEWAY_ANSWER,
    gateway::GATEWAY_STREAM,
    flags::COMMAND_LINE,
    flags::CONFIG_FILE,
    files::LOG_SEGMENTS,
    files::BACKUP_FILE,
    files::ETCD_FILE,
    histories::EDN,
    histories::JSON,
    histories::LOG,
    histories::SESSIONS,
];
