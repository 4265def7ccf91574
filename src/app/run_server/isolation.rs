//! The isolation that a unit must have before its server is started. A unit whose isolation was taken away (as drop-ins
//! of container images do) refuses to run, instead of running open.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SendFlags, SocketType};

/// The isolation that is required.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Isolation {
    /// A user of its own without rights of root or gateway, no new privileges, filtered system calls.
    pub confined: bool,
    /// No network interface but the loopback, or no socket for it.
    pub no_network: bool,
    /// No way to this machine's own loopback, which `IPAddressDeny=` closes with the private networks.
    pub internet_only: bool,
}

/// The missing parts of the isolation, each with its fix.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing(Vec<&'static str>);

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "its isolation is missing ({}). A drop-in has taken it away, as container images do: in Incus set \
             `security.nesting=true` on the container, and mask the drop-in for this unit (NixOS: \
             `services.mcpo-gateway.nestedContainer`); `systemctl cat` shows it",
            self.0.join(", ")
        )
    }
}

impl Isolation {
    /// Looks at this process, which the server inherits everything from.
    ///
    /// # Errors
    ///
    /// Names all that is missing.
    pub fn check(self, socket: &OwnedFd) -> Result<(), Missing> {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let peer = rustix::net::sockopt::socket_peercred(socket).map(|peer| peer.uid.as_raw());
        let internet = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).is_ok();
        let loopback = self.internet_only && loopback_is_open();
        self.judge(&read("/proc/self/status"), &read("/proc/self/net/dev"), (internet, loopback), peer.ok())
    }

    /// `status` and `interfaces` are the texts of `/proc/self/status` and `/proc/self/net/dev`, `internet` says
    /// whether a socket for the internet opens, `loopback` whether a packet reaches the loopback, `peer` is the user
    /// of the gateway. A text that cannot be read counts as missing.
    fn judge(
        self,
        status: &str,
        interfaces: &str,
        (internet, loopback): (bool, bool),
        peer: Option<u32>,
    ) -> Result<(), Missing> {
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u32>().ok())
        };
        let mut missing = Vec::new();
        if self.confined {
            let user = field("Uid:");
            if user.is_none_or(|user| user == 0) {
                missing.push("it would run as root: `DynamicUser=`");
            } else if user == peer {
                missing.push("it would run as the gateway's own user: `DynamicUser=`");
            }
            if field("NoNewPrivs:") != Some(1) {
                missing.push("`NoNewPrivileges=`");
            }
            if field("Seccomp:") != Some(2) {
                missing.push("`SystemCallFilter=`");
            }
        }
        if self.no_network {
            let others = interfaces.lines().filter_map(|line| line.split_once(':'));
            let alone = interfaces.contains(':') && others.into_iter().all(|(name, _)| name.trim() == "lo");
            if !alone && internet {
                missing.push("the network is open: `PrivateNetwork=` or `RestrictAddressFamilies=`");
            }
        }
        if loopback {
            missing.push("the loopback and private networks can be reached: `IPAddressDeny=`, which unprivileged containers cannot have");
        }
        if missing.is_empty() { Ok(()) } else { Err(Missing(missing)) }
    }
}

/// Whether an empty packet to the loopback is let through. The filter refuses it before it is delivered, and the
/// socket is bound to no port, which the unit may be denied.
fn loopback_is_open() -> bool {
    let discard = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9);
    rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)
        .and_then(|probe| rustix::net::sendto(probe, &[], SendFlags::empty(), &discard))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "Name:\tmcpo\nUid:\t61234\t61234\t61234\t61234\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t9\n";
    const ALONE: &str = "Inter-|   Receive\n face |bytes    packets\n    lo:       0       0    0\n";
    const OPEN: &str = "Inter-|   Receive\n face |bytes    packets\n    lo:   0  0    0\n  eth0: 1 2 3\n";
    const ALL: Isolation = Isolation { confined: true, no_network: true, internet_only: false };

    #[test]
    fn a_confined_unit_passes_and_nothing_required_passes_always() {
        assert_eq!(ALL.judge(GOOD, ALONE, (true, false), Some(990)), Ok(()));
        assert_eq!(Isolation::default().judge("", "", (true, false), None), Ok(()));
        let with_network = Isolation { no_network: false, ..ALL };
        assert_eq!(with_network.judge(GOOD, OPEN, (true, false), Some(990)), Ok(()));
        assert_eq!(ALL.judge(GOOD, OPEN, (false, false), Some(990)), Ok(()), "no socket, no network");
    }

    #[test]
    fn each_thing_that_was_taken_away_is_named() {
        for (status, interfaces, peer, named) in [
            (GOOD.replace("61234", "0"), ALONE, 990, "root"),
            (GOOD.to_owned(), ALONE, 61234, "the gateway's own user"),
            (GOOD.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0"), ALONE, 990, "NoNewPrivileges"),
            (GOOD.replace("Seccomp:\t2", "Seccomp:\t0"), ALONE, 990, "SystemCallFilter"),
            (GOOD.to_owned(), OPEN, 990, "PrivateNetwork"),
            (GOOD.to_owned(), "", 990, "PrivateNetwork"),
        ] {
            let missing = ALL.judge(&status, interfaces, (true, false), Some(peer)).unwrap_err().to_string();
            assert!(missing.contains(named) && missing.contains("security.nesting"), "{missing}");
        }
        let open = Isolation { internet_only: true, ..ALL }.judge(GOOD, ALONE, (true, true), Some(990));
        assert!(open.unwrap_err().to_string().contains("IPAddressDeny"));
        assert_eq!(ALL.judge("", ALONE, (true, false), None).unwrap_err().0.len(), 3);
    }
}
