//! The targets, by what they read.

mod files;
mod histories;
mod model;
mod network;
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
    files::LOG_SEGMENTS,
    files::BACKUP_FILE,
    files::ETCD_FILE,
    histories::EDN,
    histories::JSON,
    histories::LOG,
    histories::SESSIONS,
];
