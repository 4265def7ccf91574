//! TLS of the listener, as plain values.

use std::path::PathBuf;

/// PEM files of the listener's certificate chain and key.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsConfig {
    pub certificate: PathBuf,
    pub key: PathBuf,
}
