//! A descriptor that is kept back for the next connection, since servers may take all others.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

/// The descriptor, unless a connection has it.
#[derive(Debug)]
pub(super) struct Spare(Option<OwnedFd>);

impl Spare {
    /// Takes one now, while there are some.
    pub fn new() -> Self {
        let mut spare = Self(None);
        spare.restock();
        spare
    }

    /// Takes another one once there is one again.
    pub fn restock(&mut self) {
        if self.0.is_none() {
            self.0 = eventfd(0, EventfdFlags::CLOEXEC).ok();
        }
    }

    /// Whether accepting again may succeed after this `error`: the descriptor that was missing is free now.
    pub fn helps(&mut self, error: &io::Error) -> bool {
        let is_missing = matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE));
        is_missing && self.0.take().is_some()
    }
}
