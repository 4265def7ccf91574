//! The files in which a server's tokens and tools are kept across restarts, one of each kind a server.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::config::ServerName;
use crate::file;
use crate::json::hex;

/// Allows one file operation at a time. Each thread that touches files would keep memory of its own until the gateway
/// ends.
pub type FileLock = Arc<tokio::sync::Mutex<()>>;

/// The file of one server.
#[derive(Debug, Clone)]
pub struct StateFile {
    server: ServerName,
    pub path: PathBuf,
    pub lock: FileLock,
}

impl StateFile {
    /// The file of `server` in `directory`. It is named by the server, as far as a file can be, and a digest of the whole
    /// name.
    pub fn new(directory: &Path, server: &ServerName, lock: FileLock) -> Self {
        let name = server.as_str();
        let clean = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let shown: String = name.chars().map(clean).take(40).collect();
        let path = directory.join(format!("{shown}-{}.json", &digest(name)[..12]));
        Self { server: server.clone(), path, lock }
    }

    /// The file of one user of the same server; `user` is a digest.
    #[must_use]
    pub fn of_user(self, user: &str) -> Self {
        let path = self.path.with_extension(format!("{user}.json"));
        Self { path, ..self }
    }

    /// The users that have a file of [`StateFile::of_user`] beside this one.
    pub async fn users(&self) -> Vec<String> {
        let _locked = self.lock.lock().await;
        let (Some(directory), Some(stem)) = (self.path.parent(), self.path.file_stem()) else {
            return Vec::new();
        };
        let (directory, prefix) = (directory.to_owned(), format!("{}.", stem.to_string_lossy()));
        let list = move || -> io::Result<Vec<String>> {
            let names = std::fs::read_dir(directory)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            let names = names.collect::<io::Result<Vec<_>>>()?;
            let user = |name: &String| name.strip_prefix(&prefix)?.strip_suffix(".json").map(str::to_owned);
            Ok(names.iter().filter_map(user).collect())
        };
        match file::apart(list).await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(users) => users,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::warn!(mcp_server = %self.server, file = %self.path.display(), %error, "{}: the kept sign-ins of its users cannot be listed", self.server);
                Vec::new()
            }
        }
    }

    /// Removes the file.
    ///
    /// # Errors
    ///
    /// It is still there.
    pub async fn remove(&self) -> io::Result<()> {
        let _locked = self.lock.lock().await;
        let path = self.path.clone();
        let removed = file::apart(move || std::fs::remove_file(path)).await.map_err(io::Error::other)?;
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }

    /// Reads the file, up to `most` bytes. `None` when it is missing, or cannot be read; the log then names the `content`.
    pub async fn read(&self, content: &str, most: u64) -> Option<Vec<u8>> {
        let _locked = self.lock.lock().await;
        let path = self.path.clone();
        let read = file::apart(move || file::read_own(&path, most)).await;
        match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(mcp_server = %self.server, file = %self.path.display(), %error, "{}: its kept {content} cannot be read", self.server);
                None
            }
        }
    }
}

/// The SHA-256 digest of `text` in hexadecimal digits.
pub fn digest(text: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(text))
}
