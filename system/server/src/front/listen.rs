//! The sockets that clients connect to, and what each of them serves.

use crate::ServeError;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is served on a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Serves {
    /// gRPC, the JSON gateway and the pages: `--listen-client-urls`, if nothing else is said.
    Everything,
    /// gRPC alone, where the rest has URLs of its own.
    Grpc,
    /// Everything but gRPC: `--listen-client-http-urls`.
    Http,
    /// Metrics and health alone: `--listen-metrics-urls`.
    Metrics,
}

/// A bound socket.
#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Removes the file of a unix socket when the last one who listens on it has gone.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have been quicker; then there is nothing left to do.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A socket on which clients arrive.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    file: Option<Arc<SocketFile>>,
    /// What it serves.
    pub serves: Serves,
    /// Whether its clients must speak TLS.
    pub is_secure: bool,
}

impl Listener {
    /// Binds a URL: `http://`, `https://`, `unix://` or `unixs://`.
    ///
    /// # Errors
    /// One sentence that names the URL and the flag.
    pub fn bind(url: &str, flag: &str, serves: Serves) -> Result<Listener, ServeError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let is_secure = matches!(scheme, "https" | "unixs");
        let bound = match scheme {
            "unix" | "unixs" => bind_unix(Path::new(rest)).map(|socket| {
                let file = Arc::new(SocketFile(PathBuf::from(rest)));
                (Socket::Unix(socket), Some(file))
            }),
            _ => bind_tcp(rest).map(|socket| (Socket::Tcp(socket), None)),
        };
        let (socket, file) =
            bound.map_err(|error| ServeError::Start(cannot_listen(url, flag, &error)))?;
        Ok(Listener { socket, file, serves, is_secure })
    }

    /// The same socket, for another thread.
    ///
    /// # Errors
    /// Those of the system.
    pub fn try_clone(&self) -> io::Result<Listener> {
        let socket = match &self.socket {
            Socket::Tcp(socket) => Socket::Tcp(socket.try_clone()?),
            Socket::Unix(socket) => Socket::Unix(socket.try_clone()?),
        };
        let (file, serves, is_secure) = (self.file.clone(), self.serves, self.is_secure);
        Ok(Listener { socket, file, serves, is_secure })
    }

    /// Hands the socket to the runtime of this thread.
    ///
    /// # Errors
    /// Those of the system.
    pub fn into_tokio(self) -> io::Result<Accepting> {
        let socket = match self.socket {
            Socket::Tcp(socket) => TokioSocket::Tcp(tokio::net::TcpListener::from_std(socket)?),
            Socket::Unix(socket) => TokioSocket::Unix(tokio::net::UnixListener::from_std(socket)?),
        };
        Ok(Accepting { socket, _file: self.file })
    }
}

fn bind_tcp(authority: &str) -> io::Result<TcpListener> {
    let socket = TcpListener::bind(authority.trim_end_matches('/'))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A file that a member left behind when it was killed is in nobody's use: nobody answers there.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if path.exists() {
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            Ok(_) | Err(_) => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let socket = UnixListener::bind(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Why a URL cannot be listened on, for the operator.
pub fn cannot_listen(url: &str, flag: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{url} is already taken by another process: stop it, or choose another port with {flag}"
        ),
        _ => format!("cannot listen on {url} ({flag}): {error}"),
    }
}

enum TokioSocket {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// A socket that one thread accepts on.
pub struct Accepting {
    socket: TokioSocket,
    _file: Option<Arc<SocketFile>>,
}

impl Accepting {
    /// The next client.
    ///
    /// # Errors
    /// Those of the system; too many open files is the likeliest.
    pub async fn accept(&self) -> io::Result<super::stream::Stream> {
        match &self.socket {
            TokioSocket::Tcp(socket) => {
                let (stream, _) = socket.accept().await?;
                // Answers of several segments must not wait for the client's delayed
                // acknowledgement.
                stream.set_nodelay(true)?;
                Ok(super::stream::Stream::Tcp(stream))
            }
            TokioSocket::Unix(socket) => Ok(super::stream::Stream::Unix(socket.accept().await?.0)),
        }
    }
}
