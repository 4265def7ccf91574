//! TLS for the listener: a PEM certificate chain and its key, with HTTP/2 and HTTP/1.1 offered by ALPN.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::TlsAcceptor;

use super::ListenError;
use crate::config::TlsConfig;

/// Reads both files and checks that they belong together.
pub(super) fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, ListenError> {
    let bad_certificate =
        |reason: String| ListenError::Certificate { path: config.certificate.clone(), reason };
    let bad_key = |reason: String| ListenError::Key { path: config.key.clone(), reason };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&config.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| bad_certificate(sentence(&error)))?;
    if chain.is_empty() {
        return Err(bad_certificate("the file holds no PEM certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| bad_key(sentence(&error)))?;
    // The provider is named, because a process-wide default would depend on what other crates bring along.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad_certificate(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad_key(format!("it does not fit the certificate: {error}")))?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}

fn sentence(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => format!("it cannot be read: {error}"),
        pem::Error::NoItemsFound => "the file holds no PEM private key".to_owned(),
        other => format!("it is not valid PEM: {other}"),
    }
}
