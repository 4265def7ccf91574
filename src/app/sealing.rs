//! The secrets behind sealed texts: those of `sessionKey`, else the one that the state directory keeps.

use std::io;
use std::path::{Path, PathBuf};
use std::str;

use secrecy::ExposeSecret as _;

use crate::config::{Config, SecretError};
use crate::file;
use crate::seal::{SHORTEST_SECRET, SealError, SealSecrets, new_secret};

/// The file of the secret in the state directory.
const FILE: &str = "seal.key";
/// The longest file that is read.
const LONGEST_FILE: u64 = 4096;

/// Why nothing can be sealed as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    #[error("`sessionKey`: {0}")]
    Secret(#[from] SecretError),
    #[error(
        "`sessionKey` is shorter than {SHORTEST_SECRET} characters; `openssl rand -base64 32` prints a good one"
    )]
    Short,
    #[error(transparent)]
    Random(#[from] SealError),
}

/// Why the secret in the state directory is of no use.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("`{}` cannot be read or written: {source}; check the state directory", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` holds no secret of {SHORTEST_SECRET} characters; delete it, and the gateway makes a new one", .0.display())]
    Damaged(PathBuf),
}

/// The secrets that `config` names. Without any, the one of its state directory, or one that ends with the process.
///
/// # Errors
///
/// When `sessionKey` cannot be used. A state directory that fails is no error: the log says what is lost.
pub async fn secrets(config: &Config) -> Result<SealSecrets, SealingError> {
    if !config.session_keys.is_empty() {
        return configured(config).await;
    }
    let Some(state_dir) = &config.state_dir else {
        tracing::info!(
            "sessions of MCP clients end with this process, because there is neither `stateDir` nor `sessionKey`"
        );
        return Ok(SealSecrets::of_this_process()?);
    };
    match kept_in(state_dir).await {
        Ok(secrets) => Ok(secrets),
        Err(error) => {
            tracing::error!("sessions of MCP clients end with this process: {error}");
            Ok(SealSecrets::of_this_process()?)
        }
    }
}

async fn configured(config: &Config) -> Result<SealSecrets, SealingError> {
    let mut secrets = Vec::with_capacity(config.session_keys.len());
    for key in &config.session_keys {
        secrets.push(key.resolve().await?);
    }
    let mut texts = secrets.iter().map(|secret| secret.expose_secret().trim());
    if texts.clone().any(|text| text.len() < SHORTEST_SECRET) {
        return Err(SealingError::Short);
    }
    let first = texts.next().ok_or(SealingError::Short)?;
    Ok(SealSecrets::new(first, texts))
}

/// The secret that `state_dir` keeps. The first process makes it; several that begin at once with one directory get the
/// same.
async fn kept_in(state_dir: &Path) -> Result<SealSecrets, FileError> {
    let path = state_dir.join(FILE);
    let there = path.clone();
    let kept = file::apart(move || read_or_make(&there)).await;
    let text = kept.unwrap_or_else(|error| Err(io::Error::other(error)));
    let text = text.map_err(|source| FileError::Io { path: path.clone(), source })?;
    let text = str::from_utf8(&text).map(str::trim).unwrap_or_default();
    if text.len() < SHORTEST_SECRET {
        return Err(FileError::Damaged(path));
    }
    Ok(SealSecrets::new(text, []))
}

fn read_or_make(path: &Path) -> io::Result<Vec<u8>> {
    match file::read_own(path, LONGEST_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    let secret = new_secret().map_err(io::Error::other)?;
    file::create_durably(path, format!("{secret}\n").as_bytes())?;
    // Another process may have been first.
    file::read_own(path, LONGEST_FILE)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::SecretText;

    #[tokio::test]
    async fn the_secret_is_made_once_for_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("state");
        let all = futures_util::future::join_all((0..8).map(|_| kept_in(&state_dir))).await;
        let sealed = all[0].as_ref().unwrap().sealer("session").seal(b"plain").unwrap();
        for secrets in all {
            assert!(secrets.unwrap().sealer("session").open(sealed.as_bytes()).is_some());
        }
        let path = state_dir.join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&state_dir).unwrap().count(), 1, "no draft is left");
        // What the file holds is good as a configured secret, too.
        let config = Config {
            session_keys: vec![SecretText::parse(&format!("${{file:{}}}", path.display())).unwrap()],
            ..Config::default()
        };
        let configured = secrets(&config).await.unwrap();
        assert!(configured.sealer("session").open(sealed.as_bytes()).is_some());
    }

    #[tokio::test]
    async fn a_damaged_file_stays_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "short\n").unwrap();
        let error = kept_in(folder.path()).await.unwrap_err().to_string();
        assert!(error.contains(FILE) && error.contains("delete it"), "{error}");
        assert_eq!(std::fs::read(folder.path().join(FILE)).unwrap(), b"short\n");
    }

    #[tokio::test]
    async fn a_short_secret_keeps_the_gateway_from_starting() {
        let keys = ["a secret of more than thirty-two characters", "short"];
        let session_keys = keys.map(SecretText::literal).to_vec();
        let error = secrets(&Config { session_keys, ..Config::default() }).await.unwrap_err().to_string();
        assert!(error.contains("`sessionKey` is shorter than 32") && error.contains("openssl"), "{error}");
    }
}
