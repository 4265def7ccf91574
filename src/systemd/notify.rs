//! Notifications to the service manager (sd_notify(3)).

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// How long a message may wait for a service manager that is busy. Messages are rare, and a lost READY or
/// STOPPING costs more than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells the service manager how the gateway is. Clones are the same notifier; a message that cannot be sent
/// is told once and never fatal.
#[derive(Debug, Clone)]
pub struct Notifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The value of `NOTIFY_SOCKET`.
    socket: Option<OsString>,
    failed: AtomicBool,
}

impl Notifier {
    /// `socket` is the value of `NOTIFY_SOCKET`: a path, or `@` with an abstract name. Without it every message
    /// is dropped.
    pub fn new(socket: Option<OsString>) -> Self {
        if socket.is_none() {
            tracing::debug!("no service manager asks to be notified (NOTIFY_SOCKET is not set)");
        }
        Self(Arc::new(Inner { socket, failed: AtomicBool::new(false) }))
    }

    /// Whether a service manager listens.
    pub fn is_wanted(&self) -> bool {
        self.0.socket.is_some()
    }

    /// The port is open and served; also the end of a reload.
    pub fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// The line that `systemctl status` shows.
    pub fn status(&self, status: &str) {
        self.send(&[NotifyState::Status(&one_line(status))]);
    }

    /// The configuration is read again; [`Notifier::ready`] ends this, however it went. The time is what
    /// `Type=notify-reload` tells this reload from an earlier one by.
    pub fn reloading(&self, status: &str) {
        let status = one_line(status);
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now, NotifyState::Status(&status)]),
            Err(error) => self.failed(&error),
        }
    }

    /// The end was asked for and takes `within` at most, which the manager is asked to grant.
    pub fn stopping(&self, status: &str, within: Duration) {
        let microseconds = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
        self.send(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(microseconds),
            NotifyState::Status(&one_line(status)),
        ]);
    }

    /// The process works: starts the manager's watchdog timer anew.
    pub fn alive(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        if let Some(socket) = &self.0.socket
            && let Err(error) = send_to(socket, states)
        {
            self.failed(&error);
        }
    }

    fn failed(&self, error: &io::Error) {
        if !self.0.failed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "the service manager cannot be notified: {error}; it may take the gateway for dead. Check \
                 `NotifyAccess=` of the unit, and that the gateway may reach $NOTIFY_SOCKET"
            );
        }
    }
}

fn send_to(socket: &OsStr, states: &[NotifyState<'_>]) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let mut message = String::new();
    for state in states {
        writeln!(message, "{state}").expect("a string takes every text");
    }
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(PATIENCE))?;
    sender.send_to_addr(message.as_bytes(), &address).map(drop)
}

/// A message is lines of `KEY=value`: a line break in a server's name or reason would begin another key.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut message = [0; 1024];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_message_is_the_lines_of_the_protocol_and_a_text_stays_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(Some(path.into()));
        notifier.ready("a\nREADY=0\r\0b");
        assert_eq!(received(&socket), "READY=1\nSTATUS=a READY=0  b\n");
        notifier.status("é");
        assert_eq!(received(&socket), "STATUS=é\n");
        notifier.stopping("end", Duration::from_millis(1500));
        assert_eq!(received(&socket), "STOPPING=1\nEXTEND_TIMEOUT_USEC=1500000\nSTATUS=end\n");
        notifier.alive();
        assert_eq!(received(&socket), "WATCHDOG=1\n");
        notifier.reloading("again");
        let reloading = received(&socket);
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let time = time.strip_suffix("\nSTATUS=again\n").unwrap();
        assert!(time.parse::<u64>().unwrap() > 0, "{reloading}");
    }

    #[test]
    fn an_abstract_name_is_reached_and_a_manager_that_is_gone_is_no_panic() {
        let name = format!("mcpo-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::new(Some(format!("@{name}").into()));
        notifier.alive();
        assert_eq!(received(&socket), "WATCHDOG=1\n");
        drop(socket);
        notifier.alive();
        assert!(notifier.0.failed.load(Ordering::Relaxed));
        Notifier::new(None).ready("nobody listens");
    }
}
