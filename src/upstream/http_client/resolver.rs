//! Resolves names to addresses, within the scope of the server that names them.
//!
//! A server on the internet may name any address as that of its authorization server. Without a bound it
//! could have the gateway ask the services of the house (server-side request forgery).

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tokio::time::timeout;
use tower::Service as _;
use url::Host;

/// The scope of an address: how far inside it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressScope {
    /// The internet.
    Public,
    /// The networks of a house (RFC 1918, RFC 6598, RFC 4193), and everything outside.
    Private,
    /// This machine, and everything outside.
    Loopback,
}

impl AddressScope {
    /// The scope of `address`; `None` for link-local and other addresses that no server has. Behind link-local ones
    /// clouds keep the credentials of their machines.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(v4) => {
                let [first, second, ..] = v4.octets();
                let shared = first == 100 && (64..128).contains(&second);
                if v4.is_loopback() {
                    Some(Self::Loopback)
                } else if v4.is_private() || shared {
                    Some(Self::Private)
                } else if first == 0 || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() {
                    None
                } else {
                    Some(Self::Public)
                }
            }
            IpAddr::V6(v6) => match embedded(v6) {
                Some(v4) => Self::of(v4),
                None if v6.is_loopback() => Some(Self::Loopback),
                None if v6.is_unique_local() => Some(Self::Private),
                None if v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local() => None,
                None => Some(Self::Public),
            },
        }
    }

    /// Where the host of a server lies; what cannot be resolved counts as far outside.
    pub async fn of_host(host: Host<&str>) -> Self {
        let inmost = |addresses: &mut dyn Iterator<Item = IpAddr>| addresses.filter_map(Self::of).max();
        let found = match host {
            Host::Ipv4(address) => Self::of(address.into()),
            Host::Ipv6(address) => Self::of(address.into()),
            Host::Domain(name) => match tokio::net::lookup_host((name, 0)).await {
                Ok(addresses) => inmost(&mut addresses.map(|address| address.ip())),
                Err(_) => None,
            },
        };
        found.unwrap_or(Self::Public)
    }

    pub fn allows(self, address: IpAddr) -> bool {
        Self::of(address).is_some_and(|scope| scope <= self)
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped (`::ffff:0:0/96`) and NAT64 (`64:ff9b::/96`).
fn embedded(address: Ipv6Addr) -> Option<IpAddr> {
    let [.., high, low] = address.segments();
    let v4 = std::net::Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(v4.into()),
        _ => None,
    }
}

/// A machine behind a proxy may have no name server that answers.
const LOOK_UP_FOR_PROXY: Duration = Duration::from_secs(2);

/// The system's resolver, without the addresses that are out of bounds.
#[derive(Debug, Clone)]
pub struct Resolver {
    system: GaiResolver,
    within: Option<AddressScope>,
}

impl Resolver {
    /// Resolves to addresses `within` a scope, or to any.
    pub fn new(within: Option<AddressScope>) -> Self {
        Self { system: GaiResolver::new(), within }
    }

    /// Refuses `host` to a proxy, which resolves it anew, when any of its addresses is out of bounds.
    ///
    /// A name that is unknown here, or not known in time, is left to the proxy: behind one a machine often knows no outer
    /// names.
    pub async fn check_for_proxy(&self, host: &str) -> io::Result<()> {
        let (Some(scope), Ok(name)) = (self.within, host.parse::<Name>()) else { return Ok(()) };
        let resolved = timeout(LOOK_UP_FOR_PROXY, self.system.clone().call(name)).await;
        let Ok(Ok(mut addresses)) = resolved else { return Ok(()) };
        if addresses.all(|address| scope.allows(address.ip())) { Ok(()) } else { Err(too_far_inside(host)) }
    }
}

fn too_far_inside(name: &str) -> io::Error {
    let message = format!("`{name}` lies further inside than the server that names it");
    io::Error::new(io::ErrorKind::PermissionDenied, message)
}

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.system.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (resolving, within) = (self.system.call(name.clone()), self.within);
        Box::pin(async move {
            let addresses = resolving.await?;
            let allowed: Vec<SocketAddr> =
                addresses.filter(|address| within.is_none_or(|scope| scope.allows(address.ip()))).collect();
            if allowed.is_empty() && within.is_some() {
                return Err(too_far_inside(name.as_str()));
            }
            Ok(allowed.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_further_inside_than_the_server_are_out_of_reach() {
        let allowed = |scope: AddressScope, address: &str| scope.allows(address.parse().unwrap());
        for (address, reaches) in [
            ("203.0.113.7", [true, true, true]),
            ("2001:db8::1", [true, true, true]),
            ("10.1.2.3", [false, true, true]),
            ("100.64.0.1", [false, true, true]),
            ("fd00::1", [false, true, true]),
            ("::ffff:192.168.0.1", [false, true, true]),
            ("64:ff9b::10.0.0.1", [false, true, true]),
            ("127.0.0.9", [false, false, true]),
            ("::1", [false, false, true]),
            ("::ffff:127.0.0.1", [false, false, true]),
            ("169.254.169.254", [false, false, false]),
            ("fe80::1", [false, false, false]),
            ("0.0.0.0", [false, false, false]),
            ("::", [false, false, false]),
            ("224.0.0.1", [false, false, false]),
        ] {
            let found = [AddressScope::Public, AddressScope::Private, AddressScope::Loopback]
                .map(|scope| allowed(scope, address));
            assert_eq!(found, reaches, "{address}");
        }
    }

    #[tokio::test]
    async fn a_host_is_as_far_inside_as_its_inmost_address() {
        for (host, scope) in [
            (Host::Domain("localhost"), AddressScope::Loopback),
            (Host::Ipv4([192, 168, 1, 1].into()), AddressScope::Private),
            (Host::Ipv4([169, 254, 169, 254].into()), AddressScope::Public),
            (Host::Domain("no-such-name.invalid"), AddressScope::Public),
        ] {
            assert_eq!(AddressScope::of_host(host.clone()).await, scope, "{host}");
        }
    }
}
