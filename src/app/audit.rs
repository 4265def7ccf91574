//! Opens the audit trail of a configuration before anything is served: without its trail, the gateway does not start.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::ExposeSecret as _;

use crate::config::{AuditConfig, SecretError};
use crate::file;
use crate::telemetry::LogOutput;
use crate::telemetry::audit::{ArgumentDigest, Audit, AuditWriter};

/// Why the audit trail cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("`audit.secret`: {0}")]
    Secret(#[from] SecretError),
    #[error("`audit.secret` is empty; give it a value, or remove it for plain digests")]
    EmptySecret,
    #[error("the audit trail `{}` cannot be opened: {source}; its folder must be there, and the gateway may write \
             in it", path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error("the audit trail cannot be kept in the log: {0}")]
    Log(#[source] std::io::Error),
}

/// The trail that `config` asks for, and its writer. `log` is the form of the log.
pub async fn start(
    config: Option<&AuditConfig>,
    log: LogOutput,
) -> Result<(Option<Arc<Audit>>, Option<AuditWriter>), AuditError> {
    let Some(AuditConfig { file, digest, secret }) = config else { return Ok((None, None)) };
    let arguments = match secret {
        _ if !digest => ArgumentDigest::Nothing,
        None => ArgumentDigest::Digest,
        Some(secret) => {
            let secret = secret.resolve().await?;
            let secret = secret.expose_secret().trim();
            if secret.is_empty() {
                return Err(AuditError::EmptySecret);
            }
            ArgumentDigest::keyed(secret.as_bytes())
        }
    };
    let (audit, writer) = match file {
        None => Audit::to_log(log, arguments).map_err(AuditError::Log)?,
        Some(path) => {
            let failed = |source| AuditError::Open { path: path.clone(), source };
            let place = path.clone();
            let opened = file::apart(move || file::touch(&place, || Audit::to_file(&place, arguments))).await;
            opened.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)?
        }
    };
    Ok((Some(Arc::new(audit)), Some(writer)))
}
