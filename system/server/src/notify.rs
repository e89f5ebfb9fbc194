//! Tells the service manager how the member is: systemd's protocol of one datagram (`sd_notify(3)`).
//!
//! A unit of `Type=notify` is started only when its process says so, so what depends on it does not
//! begin before it serves. Without `NOTIFY_SOCKET` in the environment nobody wants to know.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable that names the socket.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// It serves clients.
pub fn ready() {
    tell("READY=1");
}

/// It drains.
pub fn stopping() {
    tell("STOPPING=1");
}

fn tell(state: &str) {
    let Some(socket) = std::env::var_os(VARIABLE) else { return };
    if let Err(error) = send(&socket, state) {
        tracing::warn!("cannot tell the service manager {state}: {VARIABLE}: {error}");
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    // An @ stands for the zero byte of a name outside of the file system.
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_arrives_at_either_kind_of_socket() {
        let directory = std::env::temp_dir().join(format!("quorate-notify-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("socket");
        let named = UnixDatagram::bind(&path).expect("bound");
        let hidden = format!("quorate-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&hidden).expect("a name");
        let unnamed = UnixDatagram::bind_addr(&address).expect("bound");
        for (socket, name) in
            [(named, path.into_os_string()), (unnamed, format!("@{hidden}").into())]
        {
            send(&name, "READY=1").expect("sent");
            let mut told = [0; 32];
            let length = socket.recv(&mut told).expect("received");
            assert_eq!(&told[..length], b"READY=1");
        }
        assert!(send(OsStr::new("/nonexistent/socket"), "READY=1").is_err());
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
