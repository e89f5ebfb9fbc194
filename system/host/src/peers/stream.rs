//! The bytes between two members, in the clear or secured.
//!
//! A link writes from the middle of a turn, where nothing may wait: [`poll_send`] hands over what
//! the socket takes and says whether something is left. In the clear that is one system call; over
//! TLS the same bytes are encrypted first.

use super::tune;
use bytes::{Buf, BytesMut};
use quorate_tls::{ClientStream, ClientTls, PeerCertificate, ServerStream, ServerTls};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How members secure what they say to each other.
#[derive(Clone, Debug)]
pub struct PeerTls {
    /// For those who come.
    pub server: Arc<ServerTls>,
    /// For those who are gone to.
    pub client: ClientTls,
    /// A member speaks only under a certificate that names the host of one of its peer URLs.
    pub check_names: bool,
}

/// A connection between members.
pub enum PeerStream {
    /// In the clear.
    Plain(TcpStream),
    /// They called.
    Called(Box<ServerStream<TcpStream>>),
    /// We called.
    Calling(Box<ClientStream<TcpStream>>),
}

impl PeerStream {
    /// Opens a connection to `host:port`.
    ///
    /// # Errors
    /// Nobody is there, or its certificate does not name the host.
    pub async fn open(address: &str, tls: Option<&PeerTls>) -> io::Result<PeerStream> {
        let stream = TcpStream::connect(address).await?;
        tune(&stream)?;
        match tls {
            None => Ok(PeerStream::Plain(stream)),
            Some(tls) => {
                let secured = tls.client.connect(host_of(address), stream).await?;
                Ok(PeerStream::Calling(Box::new(secured)))
            }
        }
    }

    /// Takes a connection over, and the certificate behind it if there is one.
    ///
    /// # Errors
    /// The handshake failed.
    pub async fn accept(
        stream: TcpStream,
        tls: Option<&PeerTls>,
    ) -> io::Result<(PeerStream, Option<PeerCertificate>)> {
        tune(&stream)?;
        match tls {
            None => Ok((PeerStream::Plain(stream), None)),
            Some(tls) => {
                let (stream, certificate) = tls.server.accept(stream).await?;
                Ok((PeerStream::Called(Box::new(stream)), certificate))
            }
        }
    }
}

/// The host of `host:port`.
pub fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// Hands over `buffer` as far as the socket takes it; pending when something is left.
pub fn poll_send(
    stream: &mut PeerStream,
    buffer: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while buffer.has_remaining() {
        match ready!(Pin::new(&mut *stream).poll_write(context, buffer))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => buffer.advance(count),
        }
    }
    Pin::new(stream).poll_flush(context)
}

impl AsyncRead for PeerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            PeerStream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            PeerStream::Called(stream) => Pin::new(stream).poll_read(context, buffer),
            PeerStream::Calling(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            PeerStream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            PeerStream::Called(stream) => Pin::new(stream).poll_write(context, bytes),
            PeerStream::Calling(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            PeerStream::Plain(stream) => Pin::new(stream).poll_flush(context),
            PeerStream::Called(stream) => Pin::new(stream).poll_flush(context),
            PeerStream::Calling(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            PeerStream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            PeerStream::Called(stream) => Pin::new(stream).poll_shutdown(context),
            PeerStream::Calling(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
