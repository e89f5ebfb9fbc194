//! Renewals of leases, one lease and one stream per client.

use quorate_wire::etcd::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::bench::failure::{Result, rpc_failure};
use crate::bench::load::{Client, Step};
use crate::bench::testbed::Testbed;

/// Seconds that the leases live, longer than any round.
const TTL_SECONDS: i64 = 3600;

/// Holds one lease.
pub struct Holder {
    lease: i64,
    renewals: mpsc::Sender<LeaseKeepAliveRequest>,
    answers: Streaming<LeaseKeepAliveResponse>,
}

/// Clients of the keep-alive line; each has been granted its lease and has renewed it once.
pub async fn holders(testbed: &Testbed, clients: usize) -> Result<Vec<Holder>> {
    let connections = testbed.connect().await?;
    let mut holders = Vec::with_capacity(clients);
    for client in 0..clients {
        let mut leases = connections[client % connections.len()].lease();
        let request = LeaseGrantRequest { ttl: TTL_SECONDS, id: 0 };
        let granted = leases.lease_grant(request).await.map_err(rpc_failure("grant a lease"))?;
        let lease = granted.into_inner().id;
        let (renewals, requests) = mpsc::channel(1);
        // A server may wait for the first request before it answers with headers.
        let first = renewals.send(LeaseKeepAliveRequest { id: lease }).await;
        first.map_err(|_| rpc_failure("renew a lease")(closed()))?;
        let stream = leases.lease_keep_alive(ReceiverStream::new(requests)).await;
        let mut answers = stream.map_err(rpc_failure("open a stream of renewals"))?.into_inner();
        receive(&mut answers).await.map_err(rpc_failure("renew a lease"))?;
        holders.push(Holder { lease, renewals, answers });
    }
    Ok(holders)
}

impl Client for Holder {
    async fn perform(&mut self) -> std::result::Result<Step, Status> {
        let request = LeaseKeepAliveRequest { id: self.lease };
        self.renewals.send(request).await.map_err(|_| closed())?;
        receive(&mut self.answers).await?;
        Ok(Step::Done)
    }
}

/// Takes one answer; a time to live of zero says that the lease is gone.
async fn receive(
    answers: &mut Streaming<LeaseKeepAliveResponse>,
) -> std::result::Result<(), Status> {
    let answer = answers.message().await?.ok_or_else(closed)?;
    if answer.ttl > 0 {
        return Ok(());
    }
    Err(Status::not_found(format!("lease {} is gone", answer.id)))
}

fn closed() -> Status {
    Status::unavailable("the stream of renewals was closed")
}
