//! Why the port cannot be opened: the address, the socket file, or the certificate and key.

use std::io;
use std::path::PathBuf;

use crate::file::ApartError;

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
    #[error(
        "cannot listen on unix:{}: the socket is in use; stop what listens there (`ss -lxp` names it), or choose \
         another path", path.display()
    )]
    SocketInUse { path: PathBuf },
    #[error("cannot listen on unix:{}: {source}", path.display())]
    Unix { path: PathBuf, source: io::Error },
    #[error("an inherited socket cannot be used: {0}")]
    Inherited(#[source] io::Error),
    #[error("TLS certificate `{}`: {reason}", path.display())]
    Certificate { path: PathBuf, reason: String },
    #[error("TLS key `{}`: {reason}", path.display())]
    Key { path: PathBuf, reason: String },
    #[error("the TLS certificate and key cannot be read: {0}")]
    Files(#[from] ApartError),
}

impl ListenError {
    /// Whether the address was taken, which has an exit code of its own (69).
    pub fn is_address_in_use(&self) -> bool {
        matches!(self, Self::AddressInUse { .. } | Self::SocketInUse { .. })
    }
}
