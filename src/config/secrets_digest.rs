//! Whether the secrets that a server was started with are still those that its entry refers to.
//!
//! A file of a secret is changed without the configuration being: a reload must notice. Only a digest is
//! remembered, and only in memory.

use std::path::Path;

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::dotenv;
use super::secret::{SecretError, SecretText};
use super::transport::{HttpConfig, TransportConfig};
use crate::file;

/// Stands for the values of all secrets of one entry, and of those in its `envFile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretsDigest([u8; 32]);

impl TransportConfig {
    /// Reads the secrets that a start would read now, except those of pipes. The content of a pipe is for the start itself.
    ///
    /// # Errors
    ///
    /// The first secret that cannot be read.
    pub async fn secrets_digest(&self) -> Result<SecretsDigest, SecretError> {
        let transport = self.clone();
        match self.reads_files() {
            true => file::apart(move || transport.digest()).await?,
            false => transport.digest(),
        }
    }

    /// Whether [`TransportConfig::secrets_digest`] touches files.
    fn reads_files(&self) -> bool {
        self.env_file().is_some() || self.secrets().iter().any(|(_, value)| value.reads_files())
    }

    fn digest(&self) -> Result<SecretsDigest, SecretError> {
        let mut digest = Digest::default();
        for (name, value) in self.secrets() {
            digest.add(name.as_bytes());
            match value.reads_pipe() {
                true => digest.add(b""),
                false => digest.add(value.blocking_resolve()?.expose_secret().as_bytes()),
            }
        }
        if let Some(path) = self.env_file().filter(|path| !file::is_pipe(path)) {
            for (name, value) in dotenv::read_at_start(path)? {
                digest.add(name.as_bytes());
                digest.add(value.as_bytes());
            }
        }
        Ok(SecretsDigest(digest.0.finalize().into()))
    }

    fn env_file(&self) -> Option<&Path> {
        match self {
            Self::Stdio(stdio) => stdio.env_file.as_deref(),
            _ => None,
        }
    }

    /// The secrets that last, by the name of their variable or header. An assertion of a workload is another one every
    /// few minutes, and read anew for each token.
    fn secrets(&self) -> Vec<(&str, &SecretText)> {
        if let Self::Stdio(stdio) = self {
            let variables = stdio.given_env.iter().chain(&stdio.env);
            return variables.map(|(name, value)| (name.as_str(), value)).collect();
        }
        let Some(http @ HttpConfig { headers, oauth, .. }) = self.http() else { return Vec::new() };
        let proofs = oauth.iter().flat_map(|oauth| [&oauth.client_secret, &oauth.private_key]).flatten();
        let others = http.urls().chain(proofs).map(|value| ("", value));
        others.chain(headers.iter().map(|(name, value)| (name.as_str(), value))).collect()
    }
}

#[derive(Default)]
struct Digest(Sha256);

impl Digest {
    /// Takes a value behind its length, so that no two lists of values look the same.
    fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StdioConfig;

    #[tokio::test]
    async fn another_value_is_another_digest_and_the_same_is_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reference = format!("Bearer ${{file:{}}}", file.path().display());
        let secret = SecretText::parse(&reference).unwrap();
        let remote = TransportConfig::Sse(HttpConfig {
            url: SecretText::literal("http://h/sse"),
            other_urls: Vec::new(),
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
            let one = transport.secrets_digest().await.unwrap();
            assert_eq!(transport.secrets_digest().await.unwrap(), one);
            std::fs::write(file.path(), "two").unwrap();
            assert_ne!(transport.secrets_digest().await.unwrap(), one);
        }
    }

    #[tokio::test]
    async fn what_a_pipe_holds_is_left_for_the_start() {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;

        let (mut pipe, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"secret").unwrap();
        drop(writer);
        let reference = format!("${{file:/proc/self/fd/{}}}", pipe.as_raw_fd());
        let env = vec![("TOKEN".to_owned(), SecretText::parse(&reference).unwrap())];
        let env_file = Some(format!("/proc/self/fd/{}", pipe.as_raw_fd()).into());
        let child = TransportConfig::Stdio(StdioConfig { env, env_file, ..StdioConfig::default() });
        child.secrets_digest().await.unwrap();
        assert_eq!(std::io::read_to_string(&mut pipe).unwrap(), "secret");
    }
}
