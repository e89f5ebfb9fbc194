//! How a connection comes about where the plain one of the library does not do: over TLS, or through
//! a unix socket.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use quorate_tls::ClientTls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Bytes in both directions, whatever carries them.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// Where an endpoint is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// `host:port`.
    Tcp(String),
    /// A file of this machine.
    Unix(PathBuf),
}

/// Connects to one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(crate) place: Place,
    /// With the host that the certificate must name.
    pub(crate) tls: Option<(ClientTls, String)>,
}

impl Connector {
    async fn connect(self) -> io::Result<Box<dyn Bytes>> {
        match &self.place {
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                self.secure(stream).await
            }
            Place::Unix(path) => self.secure(UnixStream::connect(path).await?).await,
        }
    }

    async fn secure(&self, stream: impl Bytes + 'static) -> io::Result<Box<dyn Bytes>> {
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((tls, host)) => Ok(Box::new(tls.connect(host, stream).await?)),
        }
    }
}

impl tower::Service<http::Uri> for Connector {
    type Response = TokioIo<Box<dyn Bytes>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: http::Uri) -> Self::Future {
        let connecting = self.clone().connect();
        Box::pin(async move { Ok(TokioIo::new(connecting.await?)) })
    }
}
