//! The peer of a request.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The other end of a connection, also as an extension of each request on it.
///
/// Behind a proxy or a port forward it does not identify the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Tcp(SocketAddr),
    /// A process of this machine, with its user if the system knows it.
    Unix {
        user: Option<u32>,
    },
}

impl Peer {
    /// A TCP peer; an IPv4 address on a socket for both families is shown as IPv4.
    pub fn tcp(address: SocketAddr) -> Self {
        Self::Tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    pub fn is_unix(self) -> bool {
        matches!(self, Self::Unix { .. })
    }
}

/// A peer without its port, which means nothing once the connection is gone.
#[derive(Debug, Clone, Copy)]
pub struct Host(pub Peer);

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Peer::Tcp(address) => match address.ip() {
                IpAddr::V4(ip) => write_quickly(ip, formatter),
                IpAddr::V6(ip) => ip.fmt(formatter),
            },
            unix => unix.fmt(formatter),
        }
    }
}

/// Writes the same as `Display`, which makes a formatter for each number: this is in the line of each call.
fn write_quickly(ip: Ipv4Addr, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, octet) in ip.octets().into_iter().enumerate() {
        out.write_str(if place == 0 { "" } else { "." })?;
        out.write_str(itoa::Buffer::new().format(octet))?;
    }
    Ok(())
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
        for host in ["127.0.0.1", "10.255.99.100", "fe80::1"] {
            assert_eq!(Host(Peer::Tcp(SocketAddr::new(host.parse().unwrap(), 9))).to_string(), host);
        }
    }
}
