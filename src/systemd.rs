//! The service manager's protocols: notifications, the watchdog, and inherited sockets.
//!
//! Everything here does nothing when the gateway was not started by a service manager. The variables of its
//! protocols (`WATCHDOG_USEC`, `LISTEN_FDS`, ...) are read by the crates that know them. None reaches a child, whose
//! environment is put together from nothing.

pub mod liveness;
pub mod notify;
pub mod sockets;
pub mod watchdog;

pub use liveness::{LivenessResponder, Probe};
pub use notify::Notifier;
pub use sockets::{InheritedSocket, InheritedSocketError, inherited_sockets};
pub use watchdog::{Watchdog, watchdog_interval};
