//! Writes a file of the user anew in one rename, so that a program that follows it never reads half.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes the file at `path` with the rights that new files of the user have.
///
/// A link in the place of its draft is removed, and not followed.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => OpenOptions::new().write(true).create_new(true).open(&draft)?.write_all(text)?,
    }
    fs::rename(&draft, path)
}
