//! The open port: bound once or inherited, in front of everything else, with or without TLS.
//!
//! Binding is its own step, so that a port in use ends the start (exit code 69) before any server runs. A
//! service manager may pass several sockets; they are served alike, except that TLS is spoken on TCP only: the
//! file of a Unix socket says which users may connect, and its bytes do not leave the machine.

mod error;
mod spare;
mod tls;
mod unix;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;

pub use error::ListenError;
pub use tls::Certificate;

use crate::config::{ListenConfig, TlsConfig};
use crate::systemd::InheritedSocket;
use crate::trace::Peer;
use spare::Spare;
use unix::SocketFile;

/// Bytes of an answer that the system may keep for a connection; it doubles them for its own needs. Enough for ten megabytes
/// a second over fifty milliseconds.
const SEND_BUFFER: usize = 256 << 10;

/// The bytes of an accepted connection, before TLS: on the left of TCP, on the right of a Unix socket.
pub(super) type SocketStream = Either<TcpStream, UnixStream>;

/// The open sockets, and how to speak TLS on those of TCP.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Socket>,
    /// The socket that is asked first at the next accept.
    next: usize,
    spare: Spare,
    tls: Option<Arc<Certificate>>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    /// With its file, when the gateway made it.
    Unix(UnixListener, Option<SocketFile>),
}

impl Listener {
    /// Takes over the inherited sockets; without any, binds the address of `config`.
    ///
    /// # Errors
    ///
    /// [`ListenError`], also for a certificate or key that cannot be used.
    pub async fn open(config: &ListenConfig, inherited: Vec<InheritedSocket>) -> Result<Self, ListenError> {
        if inherited.is_empty() {
            Self::bind(config).await
        } else {
            Self::adopt(inherited, config.tls.as_ref()).await
        }
    }

    /// Reads the certificate and key when TLS is asked for, then binds `config`'s host and port. Port 0 takes
    /// a free one. A name with several addresses is bound at the first that works, IPv4 before IPv6.
    pub async fn bind(config: &ListenConfig) -> Result<Self, ListenError> {
        if let Some(path) = config.unix_path() {
            let (listener, file) = unix::bind(path).await?;
            return Ok(Self::over(vec![Socket::Unix(listener, Some(file))], None));
        }
        let tls = certificate(config.tls.as_ref()).await?;
        // `[::1]` is how people write it with a port beside it.
        let host = config.host.trim_start_matches('[').trim_end_matches(']');
        let address = if host.contains(':') {
            format!("[{host}]:{}", config.port)
        } else {
            format!("{host}:{}", config.port)
        };
        let unresolved = |reason: String| ListenError::Host { address: address.clone(), reason };
        let found = tokio::net::lookup_host((host, config.port)).await;
        let mut candidates: Vec<SocketAddr> = found.map_err(|error| unresolved(error.to_string()))?.collect();
        candidates.sort_by_key(SocketAddr::is_ipv6);
        let mut failure = unresolved("the name resolves to nothing".to_owned());
        for candidate in candidates {
            match TcpListener::bind(candidate).await {
                Ok(tcp) => {
                    bound_send_buffers(&tcp);
                    return Ok(Self::over(vec![Socket::Tcp(tcp)], tls));
                }
                Err(source) if source.kind() == io::ErrorKind::AddrInUse => {
                    failure = ListenError::AddressInUse { address: address.clone() };
                }
                Err(source) => failure = ListenError::Bind { address: address.clone(), source },
            }
        }
        Err(failure)
    }

    async fn adopt(inherited: Vec<InheritedSocket>, tls: Option<&TlsConfig>) -> Result<Self, ListenError> {
        let tls = certificate(tls).await?;
        let adopted: io::Result<Vec<Socket>> = inherited.into_iter().map(Socket::adopt).collect();
        Ok(Self::over(adopted.map_err(ListenError::Inherited)?, tls))
    }

    fn over(sockets: Vec<Socket>, tls: Option<Arc<Certificate>>) -> Self {
        Self { sockets, next: 0, spare: Spare::new(), tls }
    }

    /// The TCP addresses that are really open, with the port that was chosen for port 0.
    pub fn tcp_addresses(&self) -> Vec<SocketAddr> {
        let tcp = self.sockets.iter().filter_map(|socket| match socket {
            Socket::Tcp(tcp) => tcp.local_addr().ok(),
            Socket::Unix(..) => None,
        });
        tcp.collect()
    }

    /// Every open socket as users write it: URLs, and `unix:` with the path.
    pub fn places(&self) -> Vec<String> {
        let scheme = if self.is_tls() { "https" } else { "http" };
        let places = self.sockets.iter().map(|socket| match socket {
            Socket::Tcp(tcp) => tcp.local_addr().map(|address| format!("{scheme}://{address}")),
            Socket::Unix(_, Some(file)) => Ok(format!("unix:{}", file.path().display())),
            Socket::Unix(unix, None) => unix.local_addr().map(|address| {
                address
                    .as_pathname()
                    .map_or_else(|| "unix:".to_owned(), |path| format!("unix:{}", path.display()))
            }),
        });
        places
            .map(|place| place.unwrap_or_else(|error| format!("a socket without address ({error})")))
            .collect()
    }

    /// Whether TLS is spoken on TCP, and URLs start with `https`.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The TLS certificate on TCP, for a reload to renew; `None` without TLS.
    pub fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.tls.as_ref()
    }

    pub(super) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.tls.as_ref().map(|certificate| certificate.acceptor())
    }

    /// The next connection of any socket. They take turns in being asked first, so that a busy one does not
    /// starve the others. Loses nothing when it is dropped.
    pub(super) async fn accept(&mut self) -> io::Result<(SocketStream, Peer)> {
        self.spare.restock();
        match poll_fn(|context| self.poll_accept(context)).await {
            Err(error) if self.spare.helps(&error) => poll_fn(|context| self.poll_accept(context)).await,
            accepted => accepted,
        }
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(SocketStream, Peer)>> {
        let count = self.sockets.len();
        for index in (self.next..count).chain(0..self.next) {
            if let Poll::Ready(accepted) = self.sockets[index].poll_accept(context) {
                self.next = (index + 1) % count;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

/// Bounds the system's buffer for answers that clients do not read: its own default is up to four megabytes a
/// connection, and the worker writes for as long as it takes more. Connections inherit the bound.
fn bound_send_buffers(tcp: &impl AsFd) {
    if let Err(error) = rustix::net::sockopt::set_socket_send_buffer_size(tcp, SEND_BUFFER) {
        tracing::debug!(%error, "the system keeps as much of each answer as it wants");
    }
}

async fn certificate(tls: Option<&TlsConfig>) -> Result<Option<Arc<Certificate>>, ListenError> {
    match tls {
        Some(tls) => Ok(Some(Arc::new(Certificate::read(tls).await?))),
        None => Ok(None),
    }
}

impl Socket {
    fn adopt(inherited: InheritedSocket) -> io::Result<Self> {
        match inherited {
            InheritedSocket::Tcp(tcp) => {
                tcp.set_nonblocking(true)?;
                bound_send_buffers(&tcp);
                TcpListener::from_std(tcp).map(Self::Tcp)
            }
            InheritedSocket::Unix(unix) => {
                unix.set_nonblocking(true)?;
                UnixListener::from_std(unix).map(|unix| Self::Unix(unix, None))
            }
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(SocketStream, Peer)>> {
        match self {
            Self::Tcp(tcp) => tcp
                .poll_accept(context)
                .map_ok(|(stream, address)| (Either::Left(stream), Peer::tcp(address))),
            Self::Unix(unix, _) => unix.poll_accept(context).map_ok(|(stream, _)| {
                let user = stream.peer_cred().ok().map(|credentials| credentials.uid());
                (Either::Right(stream), Peer::Unix { user })
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(host: &str, port: u16) -> ListenConfig {
        ListenConfig { host: host.to_owned(), port, ..ListenConfig::default() }
    }

    #[tokio::test]
    async fn a_free_port_is_bound_and_told() {
        for host in ["127.0.0.1", "localhost"] {
            let listener = Listener::bind(&listen(host, 0)).await.unwrap();
            let address = listener.tcp_addresses()[0];
            assert!(address.is_ipv4() && address.port() != 0, "{address}");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_told_apart() {
        let first = Listener::bind(&listen("127.0.0.1", 0)).await.unwrap();
        let port = first.tcp_addresses()[0].port();
        let error = Listener::bind(&listen("127.0.0.1", port)).await.unwrap_err();
        assert!(error.is_address_in_use(), "{error}");
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_not_a_port_in_use() {
        let error = Listener::bind(&listen("192.0.2.1", 0)).await.unwrap_err();
        assert!(!error.is_address_in_use() && error.to_string().contains("192.0.2.1"), "{error}");
    }

    #[tokio::test]
    async fn tls_files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing here").unwrap();
        for certificate in [folder.path().join("missing.pem"), empty] {
            let tls = Some(TlsConfig { certificate: certificate.clone(), key: certificate.clone() });
            let config = ListenConfig { tls, ..listen("127.0.0.1", 0) };
            let error = Listener::bind(&config).await.unwrap_err();
            let name = certificate.file_name().unwrap().to_str().unwrap();
            assert!(matches!(error, ListenError::Certificate { .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    fn inherited(folder: &std::path::Path) -> Vec<InheritedSocket> {
        let tcp = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let unix = std::os::unix::net::UnixListener::bind(folder.join("mcpo.sock")).unwrap();
        vec![InheritedSocket::Tcp(tcp), InheritedSocket::Unix(unix)]
    }

    #[tokio::test]
    async fn inherited_sockets_are_served_in_place_of_host_and_port_and_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let mut listener = Listener::open(&listen("192.0.2.1", 1), inherited(folder.path())).await.unwrap();
        let address = listener.tcp_addresses()[0];
        let path = folder.path().join("mcpo.sock");
        assert_eq!(listener.places(), [format!("http://{address}"), format!("unix:{}", path.display())]);
        // Both backlogs hold connections before the first accept.
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let one = UnixStream::connect(&path).await.unwrap();
        let two = UnixStream::connect(&path).await.unwrap();
        let mut kinds = Vec::new();
        for _ in 0..5 {
            let (stream, peer) = listener.accept().await.unwrap();
            assert_eq!(matches!(stream, Either::Right(_)), peer.is_unix());
            kinds.push(peer.is_unix());
        }
        assert!(
            kinds[..4].contains(&true) && kinds.iter().filter(|is_unix| **is_unix).count() == 2,
            "{kinds:?}"
        );
        drop((clients, one, two));
        drop(listener);
        assert!(path.exists(), "the service manager's socket file is not ours to remove");
    }

    #[tokio::test]
    async fn a_unix_socket_is_bound_where_the_host_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcpo.sock");
        let host = format!("unix:{}", path.display());
        let mut listener = Listener::open(&listen(&host, 8000), Vec::new()).await.unwrap();
        assert_eq!(listener.places(), [host]);
        assert!(listener.tcp_addresses().is_empty());
        let _client = UnixStream::connect(&path).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, Peer::Unix { user: Some(rustix::process::getuid().as_raw()) });
        drop(listener);
        assert!(!path.exists());
    }
}
