//! Reads and writes files within bounds of kind, size and time.
//!
//! A call to the kernel for a file on a mount that has died does not come back, and nothing can stop it. So whatever
//! touches files runs on a thread of its own ([`apart`]), which is left behind when it takes too long; the same file is
//! then left alone until that thread has come back. Only regular files and pipes are read: a device may never end.

mod apart;
mod pipe;
mod replace;

use std::fs::{self, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

pub use apart::{ApartError, apart, touch};
use pipe::too_long;
pub use replace::{create_durably, replace, replace_durably};

/// Reads the regular file or pipe at `path`, of at most `longest` bytes. Blocks: a caller that serves others goes by
/// [`apart`].
///
/// # Errors
///
/// Also when it is neither, is longer ([`io::ErrorKind::FileTooLarge`]), or is a pipe that is not written in time.
pub fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    read_of_kind(path, longest, |kind| kind.is_file() || kind.is_fifo(), "regular files and pipes")
}

/// As [`read`], for a file that the gateway itself has written: a pipe in its place is not waited for.
pub fn read_own(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    read_of_kind(path, longest, FileType::is_file, "regular files")
}

fn read_of_kind(
    path: &Path,
    longest: u64,
    is_read: impl Fn(&FileType) -> bool,
    kinds: &str,
) -> io::Result<Vec<u8>> {
    let check = |kind: FileType| if is_read(&kind) { Ok(()) } else { Err(refused(kind, kinds)) };
    touch(path, || {
        // A device is not even opened: that alone may do something.
        check(fs::metadata(path)?.file_type())?;
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
        let metadata = file.metadata()?;
        check(metadata.file_type())?;
        if metadata.file_type().is_fifo() {
            return pipe::read(file, longest);
        }
        if metadata.len() > longest {
            return Err(too_long(longest));
        }
        let mut bytes = Vec::new();
        file.take(longest + 1).read_to_end(&mut bytes)?;
        // Files of the kernel say that they are empty.
        if bytes.len() as u64 > longest { Err(too_long(longest)) } else { Ok(bytes) }
    })
}

/// The system's data about the file at `path`. Blocks as [`read`] does.
pub fn metadata(path: &Path) -> io::Result<Metadata> {
    touch(path, || fs::metadata(path))
}

/// Whether reading `path` may take what cannot be read again.
pub fn is_pipe(path: &Path) -> bool {
    metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

fn refused(kind: FileType, kinds: &str) -> io::Error {
    let (error, name) = match kind {
        kind if kind.is_dir() => (io::ErrorKind::IsADirectory, "directory"),
        kind if kind.is_socket() => (io::ErrorKind::InvalidInput, "socket"),
        kind if kind.is_fifo() => (io::ErrorKind::InvalidInput, "pipe"),
        _ => (io::ErrorKind::InvalidInput, "device"),
    };
    io::Error::new(error, format!("it is a {name}, and only {kinds} are read"))
}

#[cfg(test)]
mod tests;
