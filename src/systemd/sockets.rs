//! Sockets that the service manager opened before the gateway was started (sd_listen_fds(3)).

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

/// A listening stream socket; blocking or not is not known.
#[derive(Debug)]
pub enum InheritedSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A descriptor that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum InheritedSocketError {
    #[error(
        "the service manager passed {socket}, which cannot carry HTTP: write `ListenStream=` and not \
         `ListenDatagram=` in the socket unit"
    )]
    Datagram { socket: String },
    #[error(
        "the service manager passed {socket}, which is a connection and no listening socket: set `Accept=no` in \
         the socket unit"
    )]
    Connection { socket: String },
    #[error(
        "the service manager passed file descriptor {descriptor}, which is neither a TCP nor a Unix stream socket: \
         keep only `ListenStream=` in the socket unit"
    )]
    Other { descriptor: usize },
}

/// Systemd's first descriptor.
const FIRST: usize = 3;

/// Takes over the sockets passed to this process; empty without socket activation.
///
/// They come in the order of the socket units, and only once. Changes the process's environment, so it is called
/// before any thread is started.
///
/// # Errors
///
/// [`InheritedSocketError`] for the first socket that no HTTP can be spoken on.
pub fn inherited_sockets() -> Result<Vec<InheritedSocket>, InheritedSocketError> {
    let mut passed = ListenFd::from_env();
    (0..passed.len()).map(|index| take(&mut passed, index)).collect()
}

fn take(passed: &mut ListenFd, index: usize) -> Result<InheritedSocket, InheritedSocketError> {
    if let Ok(Some(tcp)) = passed.take_tcp_listener(index) {
        let address = tcp.local_addr().map_or_else(|_| "TCP".to_owned(), |address| format!("TCP {address}"));
        return listening(&tcp, &address).map(|()| InheritedSocket::Tcp(tcp));
    }
    if let Ok(Some(unix)) = passed.take_unix_listener(index) {
        let address = unix.local_addr().map_or_else(|_| "Unix".to_owned(), |address| told("Unix", &address));
        return listening(&unix, &address).map(|()| InheritedSocket::Unix(unix));
    }
    if let Ok(Some(udp)) = passed.take_udp_socket(index) {
        let address = udp.local_addr().map_or_else(|_| String::new(), |address| format!(" {address}"));
        return Err(InheritedSocketError::Datagram { socket: format!("the UDP socket{address}") });
    }
    if let Ok(Some(datagram)) = passed.take_unix_datagram(index) {
        let kind = "the Unix datagram socket";
        let socket = datagram.local_addr().map_or_else(|_| kind.to_owned(), |address| told(kind, &address));
        return Err(InheritedSocketError::Datagram { socket });
    }
    Err(InheritedSocketError::Other { descriptor: FIRST + index })
}

fn told(kind: &str, address: &std::os::unix::net::SocketAddr) -> String {
    address.as_pathname().map_or_else(|| kind.to_owned(), |path| format!("{kind} {}", path.display()))
}

fn listening(socket: &impl AsFd, address: &str) -> Result<(), InheritedSocketError> {
    // If this cannot be asked, accept reports the failure.
    match rustix::net::sockopt::socket_acceptconn(socket) {
        Ok(false) => Err(InheritedSocketError::Connection { socket: format!("the {address} socket") }),
        Ok(true) | Err(_) => Ok(()),
    }
}
