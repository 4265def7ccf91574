//! The open port: bound once, in front of everything else, with or without TLS.
//!
//! Binding is its own step, so that a port in use ends the start (exit code 69) before any server runs.

mod tls;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::config::{ListenConfig, TlsConfig};

/// A bound port, and how to speak TLS on it.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
}

/// Why the port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "cannot listen on {address}: the address is in use; stop what listens there (`ss -ltnp` names it), \
         or choose another port with `--port`"
    )]
    AddressInUse { address: String },
    #[error(
        "cannot listen on {address}: the host has no address: {reason}; `--host` takes a name or address of this machine"
    )]
    Host { address: String, reason: String },
    #[error("cannot listen on {address}: {source}")]
    Bind { address: String, source: io::Error },
    #[error("TLS certificate `{}`: {reason}", path.display())]
    Certificate { path: PathBuf, reason: String },
    #[error("TLS key `{}`: {reason}", path.display())]
    Key { path: PathBuf, reason: String },
}

impl ListenError {
    /// Whether the address was taken, which has an exit code of its own (69).
    pub fn is_address_in_use(&self) -> bool {
        matches!(self, Self::AddressInUse { .. })
    }
}

impl Listener {
    /// Reads the certificate and key when TLS is asked for, then binds `config`'s host and port. Port 0 takes
    /// a free one. A name with several addresses is bound at the first that works, IPv4 before IPv6.
    pub async fn bind(config: &ListenConfig) -> Result<Self, ListenError> {
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
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
                Ok(tcp) => return Ok(Self { tcp, tls }),
                Err(source) if source.kind() == io::ErrorKind::AddrInUse => {
                    failure = ListenError::AddressInUse { address: address.clone() };
                }
                Err(source) => failure = ListenError::Bind { address: address.clone(), source },
            }
        }
        Err(failure)
    }

    /// Takes over a port that was bound before, by socket activation for instance.
    pub fn adopt(socket: std::net::TcpListener, tls: Option<&TlsConfig>) -> Result<Self, ListenError> {
        let tls = tls.map(tls::acceptor).transpose()?;
        let failed = |source| ListenError::Bind { address: "the inherited socket".to_owned(), source };
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self { tcp: TcpListener::from_std(socket).map_err(failed)?, tls })
    }

    /// The address that is really open, with the port that was chosen for port 0.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Whether the port speaks TLS, and its URL starts with `https`.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn acceptor(&self) -> Option<&TlsAcceptor> {
        self.tls.as_ref()
    }

    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.tcp.accept().await
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Listener").field("tcp", &self.tcp).field("tls", &self.is_tls()).finish()
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
            let address = listener.local_address().unwrap();
            assert!(address.is_ipv4() && address.port() != 0, "{address}");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_told_apart() {
        let first = Listener::bind(&listen("127.0.0.1", 0)).await.unwrap();
        let port = first.local_address().unwrap().port();
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
}
