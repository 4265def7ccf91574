//! Clients that trust one certificate alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::provisioned;

/// A certificate of `localhost` and 127.0.0.1, or its key.
pub fn fixture(name: &str) -> PathBuf {
    provisioned::root().join("tests/integration/edge").join(name)
}

/// Trusts this certificate alone.
pub fn trusting(certificate: &Path) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
