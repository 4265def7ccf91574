//! The service manager's side of the process: what it is told, what it watches, and the sockets it passes.
//!
//! Everything here does nothing when the gateway was not started by a service manager. The variables of its
//! protocols (`WATCHDOG_USEC`, `LISTEN_FDS`, ...) are read by the crates that know them. None reaches a child, whose
//! environment is put together from nothing.

pub mod notify;
pub mod pulse;
pub mod sockets;
pub mod watchdog;

pub use notify::Notifier;
pub use pulse::{Probe, Pulse};
pub use sockets::{InheritedSocket, InheritedSocketError, inherited_sockets};
pub use watchdog::{Watchdog, watchdog_interval};
