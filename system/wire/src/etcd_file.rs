//! A record in etcd's storage that is part of no API: what a snapshot of etcd's says of a lease.

/// A lease as etcd's storage keeps it.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct LeaseRecord {
    /// Its id.
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// Seconds granted.
    #[prost(int64, tag = "2")]
    pub ttl: i64,
    /// Seconds left at its last checkpoint, 0 if there was none.
    #[prost(int64, tag = "3")]
    pub remaining: i64,
}
