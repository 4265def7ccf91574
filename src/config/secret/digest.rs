//! Whether the secrets that a server was started with are still those that its entry refers to.
//!
//! A file of a secret is changed without the configuration being: a reload must notice. Only a digest is
//! remembered, and only in memory.

use std::os::unix::ffi::OsStrExt as _;

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::super::{HttpConfig, TransportConfig};
use super::SecretError;

/// Stands for the values of all secrets of one entry, and of what else is read at its start (`envFile`,
/// `passEnv`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretsDigest([u8; 32]);

impl TransportConfig {
    /// Reads the secrets that a start would read now. May block on a slow disk.
    ///
    /// # Errors
    ///
    /// The first secret that cannot be read.
    pub fn secrets_digest(&self) -> Result<SecretsDigest, SecretError> {
        let mut hash = Sha256::new();
        // Each value goes in behind its length, so that no two lists of values look the same.
        let mut add = |bytes: &[u8]| {
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        };
        match self {
            Self::Stdio(config) => {
                for (name, value) in config.environment()? {
                    add(name.as_bytes());
                    add(value.as_bytes());
                }
            }
            Self::StreamableHttp(HttpConfig { url, headers, oauth })
            | Self::Sse(HttpConfig { url, headers, oauth }) => {
                add(url.resolve()?.expose_secret().as_bytes());
                for (name, value) in headers {
                    add(name.as_bytes());
                    add(value.resolve()?.expose_secret().as_bytes());
                }
                if let Some(oauth) = oauth {
                    // An assertion is another one every few minutes, and read anew for each token.
                    for secret in [&oauth.client_secret, &oauth.private_key].into_iter().flatten() {
                        add(secret.resolve()?.expose_secret().as_bytes());
                    }
                }
            }
            Self::Socket(_) | Self::Gateway => {}
        }
        Ok(SecretsDigest(hash.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SecretText, StdioConfig};

    #[test]
    fn another_value_is_another_digest_and_the_same_is_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reference = format!("Bearer ${{file:{}}}", file.path().display());
        let secret = SecretText::parse(&reference).unwrap();
        let remote = TransportConfig::Sse(HttpConfig {
            url: SecretText::literal("http://h/sse"),
            headers: vec![("Authorization".to_owned(), secret.clone())],
            oauth: None,
        });
        let child = TransportConfig::Stdio(StdioConfig {
            command: "x".to_owned(),
            env: vec![("TOKEN".to_owned(), secret)],
            ..StdioConfig::default()
        });
        for transport in [remote, child] {
            std::fs::write(file.path(), "one").unwrap();
            let one = transport.secrets_digest().unwrap();
            assert_eq!(transport.secrets_digest().unwrap(), one);
            std::fs::write(file.path(), "two").unwrap();
            assert_ne!(transport.secrets_digest().unwrap(), one);
        }
    }
}
