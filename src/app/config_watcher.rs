//! `--hot-reload`: watches the files of the configuration and of TLS, and asks for a reload when their content changes.
//!
//! Files are looked at by name, twice a second, instead of being watched: a name may stand for another file
//! from one moment to the next at any step of its path (an editor's rename, Kubernetes' `..data`, NixOS'
//! `/etc/static`), on file systems without notifications. Looking costs a few microseconds.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::{Sources, TlsConfig};
use crate::file;
use crate::http::Certificate;

/// How often the files are looked at. A change counts once they have looked the same twice, so that a file
/// which is just being written is not read half.
const INTERVAL: Duration = Duration::from_millis(500);

/// Size of the largest file that is read, in bytes: every file of a configuration is far smaller.
const LONGEST: u64 = 256 << 20;

/// Identifies one state of a file without reading it.
type Stamp = (u64, u64, u64, i64, i64);

/// Files that the running configuration names; a reload may name others.
pub struct WatchedFiles {
    pub lock: Arc<ArcSwapOption<PathBuf>>,
    pub certificate: Option<Arc<Certificate>>,
}

/// Notifies `changed` when a file of `sources` or one that is `named` changes, until `stop`.
///
/// `known` is their state at the start.
pub async fn follow(
    sources: Arc<Sources>,
    named: WatchedFiles,
    mut known: Vec<Seen>,
    changed: Arc<Notify>,
    stop: CancellationToken,
) {
    let files = || {
        let tls = named.certificate.as_ref().map(|certificate| certificate.files());
        files(&sources, named.lock.load().as_deref(), tls.as_deref())
    };
    let mut settled = known.clone();
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
            return;
        }
        let now = look(files(), known.clone()).await;
        let same = now == known;
        known = now;
        if same && contents(&known) != contents(&settled) {
            settled.clone_from(&known);
            tracing::info!("a file of the configuration or of TLS has changed");
            changed.notify_one();
        }
    }
}

/// The state that [`follow`] starts from; taken before the port opens.
pub async fn first_look(sources: &Sources, lock: Option<&PathBuf>, tls: Option<&TlsConfig>) -> Vec<Seen> {
    look(files(sources, lock, tls), Vec::new()).await
}

fn files(sources: &Sources, lock: Option<&PathBuf>, tls: Option<&TlsConfig>) -> Vec<PathBuf> {
    let tls = tls.into_iter().flat_map(|files| [&files.certificate, &files.key]);
    sources.files.iter().chain(&sources.env_path).chain(lock).chain(tls).cloned().collect()
}

/// A file as it was found: its stamp, and the digest of its content.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// `None` for a missing file.
    stamp: Option<Stamp>,
    content: Option<[u8; 32]>,
}

fn contents(seen: &[Seen]) -> Vec<Option<[u8; 32]>> {
    seen.iter().map(|seen| seen.content).collect()
}

/// Looks at `files`; those whose stamp is the one in `before` are not read again. When one does not answer, all count as
/// they were.
async fn look(files: Vec<PathBuf>, before: Vec<Seen>) -> Vec<Seen> {
    let known = before.clone();
    let looking = move || {
        let seen = files.iter().enumerate().map(|(index, path)| {
            match (known.get(index), stamp(path)) {
                // It does not answer, and so has not changed.
                (Some(known), Err(error)) if error.kind() == io::ErrorKind::TimedOut => known.clone(),
                (Some(known), Ok(stamp)) if known.stamp == Some(stamp) => known.clone(),
                (_, stamp) => Seen { stamp: stamp.ok(), content: content(path) },
            }
        });
        seen.collect()
    };
    match file::apart(looking).await {
        Ok(seen) => seen,
        Err(error) => {
            tracing::debug!(%error, "the files of the configuration cannot be looked at");
            before
        }
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let data = file::metadata(path)?;
    Ok((data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec()))
}

fn content(path: &Path) -> Option<[u8; 32]> {
    // The content of a pipe is for the reader of the configuration.
    let bytes = (!file::is_pipe(path)).then(|| file::read(path, LONGEST).ok())??;
    Some(Sha256::digest(bytes).into())
}
