//! A server that does nothing: the ceiling of this machine, of tonic and of the load generator.
//!
//! It answers every call of the key-value service with an empty message, in a process of its own, on one thread. What
//! it reaches no real system behind the same library can pass; what a call costs it is the price of a call alone.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use quorate_wire::etcd::etcdserverpb::kv_server::{Kv, KvServer};
use quorate_wire::etcd::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, RangeStreamResponse, ResponseHeader, TxnRequest,
    TxnResponse,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use super::failure::{Failure, Result, io_failure};

type Answer<T> = std::result::Result<Response<T>, Status>;

/// The service without a service.
struct Nothing;

/// A header that says nothing; the answers of real systems carry one, and so do these.
fn header() -> Option<ResponseHeader> {
    Some(ResponseHeader::default())
}

#[tonic::async_trait]
impl Kv for Nothing {
    type RangeStreamStream = tokio_stream::Empty<std::result::Result<RangeStreamResponse, Status>>;

    async fn range(&self, _: Request<RangeRequest>) -> Answer<RangeResponse> {
        Ok(Response::new(RangeResponse { header: header(), ..RangeResponse::default() }))
    }

    async fn range_stream(&self, _: Request<RangeRequest>) -> Answer<Self::RangeStreamStream> {
        Ok(Response::new(tokio_stream::empty()))
    }

    async fn put(&self, _: Request<PutRequest>) -> Answer<PutResponse> {
        Ok(Response::new(PutResponse { header: header(), ..PutResponse::default() }))
    }

    async fn delete_range(&self, _: Request<DeleteRangeRequest>) -> Answer<DeleteRangeResponse> {
        Ok(Response::new(DeleteRangeResponse {
            header: header(),
            ..DeleteRangeResponse::default()
        }))
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Answer<TxnResponse> {
        Ok(Response::new(TxnResponse { header: header(), ..TxnResponse::default() }))
    }

    async fn compact(&self, _: Request<CompactionRequest>) -> Answer<CompactionResponse> {
        Ok(Response::new(CompactionResponse { header: header() }))
    }
}

/// Serves until the process is killed; prints the address first.
pub fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(io_failure("start a runtime"))?;
    runtime.block_on(async {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.map_err(io_failure("bind a port"))?;
        let address = listener.local_addr().map_err(io_failure("read the number of a port"))?;
        println!("{address}");
        std::io::stdout().flush().map_err(io_failure("print the address"))?;
        tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .add_service(KvServer::new(Nothing))
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
            .map_err(|error| Failure::Wrong(format!("the null server ended: {error}")))
    })
}

/// The null server as a process; it ends when this is dropped.
pub struct NullServer {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl NullServer {
    /// Starts this program again as the null server and reads its address.
    pub fn start() -> Result<Self> {
        use std::io::BufRead;
        let program: PathBuf = std::env::current_exe().map_err(io_failure("find this program"))?;
        let mut child = Command::new(program)
            .args(["bench", "null-server"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(io_failure("start the null server"))?;
        let output = child.stdout.take();
        let mut server = Self { child, address: String::new() };
        let output = output.ok_or_else(|| Failure::Wrong("no output to read".into()))?;
        std::io::BufReader::new(output)
            .read_line(&mut server.address)
            .map_err(io_failure("read the null server's address"))?;
        server.address.truncate(server.address.trim_end().len());
        Ok(server)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
