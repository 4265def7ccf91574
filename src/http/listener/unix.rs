//! A Unix socket that the gateway makes itself: mode 0660, and gone when the gateway is.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::error::ListenError;

/// The owner and the group may connect, which takes the right to write.
const MODE: u32 = 0o660;

/// The socket's file; removed with the value, unless another socket has replaced it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// Binds `path`, in place of a socket without a listener.
pub(super) async fn bind(path: &Path) -> Result<(UnixListener, SocketFile), ListenError> {
    refuse_what_is_there(path).await?;
    let failed = |source| ListenError::Unix { path: path.to_owned(), source };
    // Made beside its place and moved there: at no moment can the wrong ones connect, or find no socket.
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let listener = UnixListener::bind(&fresh).map_err(failed)?;
    let placed = fs::set_permissions(&fresh, Permissions::from_mode(MODE))
        .and_then(|()| fs::symlink_metadata(&fresh))
        .and_then(|metadata| fs::rename(&fresh, path).map(|()| (metadata.dev(), metadata.ino())));
    match placed {
        Ok(identity) => Ok((listener, SocketFile { path: path.to_owned(), identity })),
        Err(source) => {
            let _is_told_below = fs::remove_file(&fresh);
            Err(failed(source))
        }
    }
}

/// Only a socket that refuses connections, as one does whose process is gone, may be replaced.
async fn refuse_what_is_there(path: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::Unix { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(failed(io::Error::other("there is something else at this path, and no socket")));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(error)),
        // Also when its backlog is full: a process listens, and is only busy.
        _ => Err(ListenError::SocketInUse { path: path.to_owned() }),
    }
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.path);
        if there.is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(%error, "the socket's file could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_for_its_group_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcpo.sock");
        let (listener, file) = bind(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, MODE);
        let (connected, accepted) = tokio::join!(UnixStream::connect(&path), listener.accept());
        assert!(connected.is_ok() && accepted.is_ok());
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_or_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcpo.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (listener, file) = bind(&path).await.unwrap();
        let error = bind(&path).await.unwrap_err();
        assert!(error.is_address_in_use() && error.to_string().contains("mcpo.sock"), "{error}");
        drop((listener, file));

        fs::write(&path, "precious").unwrap();
        let error = bind(&path).await.unwrap_err();
        assert!(!error.is_address_in_use() && error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_successors_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcpo.sock");
        let (listener, file) = bind(&path).await.unwrap();
        drop(listener);
        let (_successor, its_file) = bind(&path).await.unwrap();
        drop(file);
        assert!(path.exists());
        drop(its_file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_named() {
        let error = bind(Path::new("/nowhere/at/all/mcpo.sock")).await.unwrap_err();
        assert!(!error.is_address_in_use() && error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
