//! TLS for the listener: a PEM certificate chain and its key, with HTTP/2 and HTTP/1.1 offered by ALPN.
//!
//! Certificates live shorter than gateways, so both files can be read again while connections are served
//! ([`Certificate::renew`]): new connections get the new chain, those that are open keep theirs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;
use x509_cert::der::Decode as _;

use super::error::ListenError;
use crate::config::TlsConfig;
use crate::file;

/// Chains and keys are a few thousand bytes.
const LONGEST: u64 = 1 << 20;

/// The certificate that is served, and the files that it comes from.
pub struct Certificate {
    served: ArcSwap<ServedChain>,
    /// The files of the last reading; the certificate that is served may be an earlier one.
    files: ArcSwap<TlsConfig>,
}

struct ServedChain {
    acceptor: TlsAcceptor,
    /// Of the chain and the key.
    digest: [u8; 32],
    expires: Duration,
}

impl Certificate {
    /// Reads both files and checks that they belong together.
    pub(super) async fn read(config: &TlsConfig) -> Result<Self, ListenError> {
        let served = ArcSwap::from_pointee(ServedChain::read_apart(config).await?);
        Ok(Self { served, files: ArcSwap::from_pointee(config.clone()) })
    }

    /// Serves the certificate of `config` from now on; `false` when it was served already.
    ///
    /// # Errors
    ///
    /// [`ListenError`] that names the file; the earlier certificate stays.
    pub async fn renew(&self, config: &TlsConfig) -> Result<bool, ListenError> {
        self.files.store(Arc::new(config.clone()));
        let read = ServedChain::read_apart(config).await?;
        let is_new = read.digest != self.served.load().digest;
        if is_new {
            self.served.store(Arc::new(read));
        }
        Ok(is_new)
    }

    /// The files, for the config watcher.
    pub fn files(&self) -> Arc<TlsConfig> {
        self.files.load_full()
    }

    /// When the certificate that is served expires, as the time since 1970.
    pub fn expires(&self) -> Duration {
        self.served.load().expires
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.served.load().acceptor.clone()
    }
}

impl ServedChain {
    async fn read_apart(config: &TlsConfig) -> Result<Self, ListenError> {
        let config = config.clone();
        file::apart(move || Self::read(&config)).await?
    }

    fn read(config: &TlsConfig) -> Result<Self, ListenError> {
        let bad_certificate =
            |reason: String| ListenError::Certificate { path: config.certificate.clone(), reason };
        let bad_key = |reason: String| ListenError::Key { path: config.key.clone(), reason };
        let read = |path| file::read(path, LONGEST).map_err(|error| format!("it cannot be read: {error}"));
        let chain = read(&config.certificate).map_err(bad_certificate)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<_, _>>()
            .map_err(|error| bad_certificate(sentence(&error)))?;
        // The gateway's own; the others of the chain are those of authorities.
        let Some(own) = chain.first() else {
            return Err(bad_certificate("the file holds no PEM certificate".to_owned()));
        };
        let parsed = x509_cert::Certificate::from_der(own)
            .map_err(|error| bad_certificate(format!("it is no X.509 certificate: {error}")))?;
        let expires = parsed.tbs_certificate.validity.not_after.to_unix_duration();
        let key = read(&config.key).map_err(bad_key)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| bad_key(sentence(&error)))?;
        let mut digest = Sha256::new();
        for certificate in &chain {
            digest.update(certificate);
        }
        digest.update(key.secret_der());
        // The provider is named, because a process-wide default would depend on the features of other crates.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| bad_certificate(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| bad_key(format!("it does not fit the certificate: {error}")))?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(server)), digest: digest.finalize().into(), expires })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificate").field("files", &self.files()).finish_non_exhaustive()
    }
}

fn sentence(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "the file holds no PEM private key".to_owned(),
        other => format!("it is not valid PEM: {other}"),
    }
}
