//! Writes the gateway's own files anew in one rename, for its user alone, without following links.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};

use super::apart::touch;

/// Writes the file at `path`, and its folder if that is missing.
///
/// A link in the place of the file is replaced by the file, and one in the place of the folder is not followed: its
/// author would choose where the gateway writes. Blocks as [`read`](super::read) does.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    touch(path, || write(path, bytes, false))
}

/// The same, and returns only when the file would survive a loss of power.
pub fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    touch(path, || write(path, bytes, true))
}

/// Writes the file at `path` as [`replace_durably`] does, unless there is one: that one stays.
///
/// Of several processes that create it at once, one succeeds, and no reader finds half a file.
pub fn create_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}-{:?}", std::process::id(), std::thread::current().id()));
    let draft = Path::new(&draft);
    replace_durably(draft, bytes)?;
    let linked = touch(path, || std::fs::hard_link(draft, path));
    let removed = touch(draft, || std::fs::remove_file(draft));
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => removed,
        linked => linked.and(removed),
    }
}

fn write(path: &Path, bytes: &[u8], durably: bool) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let there = open_folder(folder)?;
    let mut draft = name.to_owned();
    draft.push(".new");
    if is_link(there.as_fd(), &draft) {
        tracing::warn!(file = %path.display(), "a link stood where {} is written first; it is removed, and what it leads to stays", path.display());
    }
    // A crash may have left it behind, with other rights.
    match unlinkat(&there, &draft, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(&there, &draft, flags, Mode::RUSR | Mode::WUSR)?);
    let written = file.write_all(bytes).and_then(|()| if durably { file.sync_all() } else { Ok(()) });
    if let Err(error) = written {
        let _half_a_draft_is_of_no_use = unlinkat(&there, &draft, AtFlags::empty());
        return Err(error);
    }
    if is_link(there.as_fd(), name) {
        tracing::warn!(file = %path.display(), "a link stood in the place of {}; the file replaces it, and what it leads to stays", path.display());
    }
    Ok(renameat(&there, &draft, &there, name)?)
}

fn open_folder(folder: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(folder, flags, Mode::empty());
    opened.map(File::from).map_err(|error| {
        let link = std::fs::symlink_metadata(folder).is_ok_and(|there| there.file_type().is_symlink());
        if !link {
            return error.into();
        }
        let reason =
            format!("`{}` is a link, and links are not followed when state is written", folder.display());
        io::Error::new(io::ErrorKind::InvalidInput, reason)
    })
}

fn is_link(folder: BorrowedFd<'_>, name: &OsStr) -> bool {
    let there = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    there.is_ok_and(|there| FileType::from_raw_mode(there.st_mode) == FileType::Symlink)
}
