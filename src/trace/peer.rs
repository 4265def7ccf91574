//! Where a request came from.

use std::fmt;
use std::net::SocketAddr;

/// The other end of a connection, also as an extension of each request on it. Behind a proxy or a port forward
/// it proves nothing about who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Tcp(SocketAddr),
    /// A process of this machine, with its user when the system tells.
    Unix {
        user: Option<u32>,
    },
}

impl Peer {
    /// A TCP peer; an IPv4 one that came in on a socket for both families is told as what it is.
    pub fn tcp(address: SocketAddr) -> Self {
        Self::Tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    pub fn is_unix(self) -> bool {
        matches!(self, Self::Unix { .. })
    }
}

/// A peer without its port, which tells nothing once the connection is gone.
#[derive(Debug, Clone, Copy)]
pub struct Host(pub Peer);

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Peer::Tcp(address) => address.ip().fmt(formatter),
            unix => unix.fmt(formatter),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix { user: Some(user) } => write!(formatter, "unix:uid={user}"),
            Self::Unix { user: None } => formatter.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_told_by_its_address_or_its_user() {
        let told = |address: &str| Peer::tcp(address.parse().unwrap()).to_string();
        assert_eq!(told("127.0.0.1:9"), "127.0.0.1:9");
        assert_eq!(told("[::ffff:192.0.2.1]:9"), "192.0.2.1:9");
        assert_eq!(told("[::1]:9"), "[::1]:9");
        assert_eq!(Peer::Unix { user: Some(1000) }.to_string(), "unix:uid=1000");
        assert_eq!(Peer::Unix { user: None }.to_string(), "unix");
    }
}
