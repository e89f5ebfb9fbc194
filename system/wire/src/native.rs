//! What Quorate does beyond etcd's API, under protobuf packages of its own. Generated like [`crate::etcd`], and described
//! in the same descriptor set.

// The generated code looks for the packages that it imports beside its own.
use crate::etcd::etcdserverpb;

pub use quorate::v1;

mod quorate {
    /// The first version.
    #[rustfmt::skip]
    pub mod v1 {
        include!("gen/quorate.v1.rs");
    }
}
