//! The etcd v3 API: messages, clients and servers.
//!
//! One module per protobuf package, with the names and numbers of etcd 3.7, because clients and server reflection look
//! for exactly those. The code is generated from `system/wire/proto` by `cargo xtask codegen` and committed; do not edit
//! it. [`crate::watch_raw`] offers a second server for the Watch service, for events that are encoded already.

/// The encoded descriptors of all packages, for `grpc.reflection`.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptor.bin");

/// Most bytes of one request that etcd 3.7 takes by default: 1.5 MiB.
pub const DEFAULT_MAX_REQUEST_BYTES: usize = 1_572_864;

/// What a request may weigh more on the wire than `max-request-bytes` says, for the framing around it.
pub const GRPC_OVERHEAD_BYTES: usize = 512 * 1024;

/// Keys, their versions, and events.
#[rustfmt::skip]
pub mod mvccpb {
    include!("gen/mvccpb.rs");
}

/// Users, roles and permissions.
#[rustfmt::skip]
pub mod authpb {
    include!("gen/authpb.rs");
}

/// The six services of etcd itself: KV, Watch, Lease, Cluster, Maintenance, Auth.
#[rustfmt::skip]
#[allow(clippy::large_enum_variant, reason = "generated")]
pub mod etcdserverpb {
    include!("gen/etcdserverpb.rs");
}

/// The Lock service.
#[rustfmt::skip]
pub mod v3lockpb {
    include!("gen/v3lockpb.rs");
}

/// The Election service.
#[rustfmt::skip]
pub mod v3electionpb {
    include!("gen/v3electionpb.rs");
}

/// An enum of all calls of the services above.
#[rustfmt::skip]
pub mod rpcs {
    include!("gen/rpcs.rs");
}
