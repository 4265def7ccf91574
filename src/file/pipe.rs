//! Reads pipes and named pipes to their end, within a time.
//!
//! The text in an unnamed pipe can be read once. `<(command)` of a shell is one, and its text is read at every
//! reload and at every start of a server; so what it held is remembered.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

/// How long the writer of a pipe may take for all of it.
const PATIENCE: Duration = Duration::from_secs(5);
/// The file system of unnamed pipes (`PIPEFS_MAGIC` of Linux).
const UNNAMED: i64 = 0x5049_5045;

/// The texts of unnamed pipes, by their number.
static HELD: LazyLock<Mutex<HashMap<u64, Vec<u8>>>> = LazyLock::new(Mutex::default);

/// Reads `pipe`, which was opened without blocking.
pub(super) fn read(pipe: File, longest: u64) -> io::Result<Vec<u8>> {
    if rustix::fs::fstatfs(&pipe)?.f_type != UNNAMED {
        return read_once(pipe, longest);
    }
    let number = pipe.metadata()?.ino();
    // Two readers would each get a part.
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = held.get(&number) {
        return Ok(bytes.clone());
    }
    let bytes = read_once(pipe, longest)?;
    held.insert(number, bytes.clone());
    Ok(bytes)
}

fn read_once(mut pipe: File, longest: u64) -> io::Result<Vec<u8>> {
    let end = Instant::now() + PATIENCE;
    let mut bytes = Vec::new();
    let mut part = [0; 8192];
    loop {
        // Without a writer it neither can be read nor has it ended.
        let left = end.saturating_duration_since(Instant::now());
        let left = left.try_into().map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&left)) {
            Ok(0) => {
                let seconds = PATIENCE.as_secs();
                let reason =
                    format!("it is a pipe, and its writer does not come to an end within {seconds} s");
                return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        match pipe.read(&mut part) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        if bytes.len() as u64 > longest {
            return Err(too_long(longest));
        }
    }
}

pub(super) fn too_long(longest: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {longest} bytes"))
}
