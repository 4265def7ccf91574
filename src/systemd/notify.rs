//! What the service manager is told of this process (sd_notify(3)).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// Tells the service manager how the gateway is. Clones are the same notifier; a message that cannot be sent
/// is told once and never fatal.
#[derive(Debug, Clone)]
pub struct Notifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    wanted: bool,
    failed: AtomicBool,
}

impl Notifier {
    /// `wanted` says whether `NOTIFY_SOCKET` is set; without it every message is dropped.
    pub fn new(wanted: bool) -> Self {
        if !wanted {
            tracing::debug!("no service manager asks to be notified (NOTIFY_SOCKET is not set)");
        }
        Self(Arc::new(Inner { wanted, failed: AtomicBool::new(false) }))
    }

    /// Whether somebody listens.
    pub fn is_wanted(&self) -> bool {
        self.0.wanted
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

    fn send(&self, message: &[NotifyState<'_>]) {
        if self.0.wanted
            && let Err(error) = sd_notify::notify(message)
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

/// A message is lines of `KEY=value`: a line break in a server's name or reason would begin another key.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_line_breaks_stays_one_line() {
        assert_eq!(one_line("a\nREADY=1\r\0b"), "a READY=1  b");
        assert_eq!(one_line("12 of 13 servers ready; é"), "12 of 13 servers ready; é");
    }
}
