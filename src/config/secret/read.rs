//! Reading what a reference refers to.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::error::SecretError;
use super::template::{SecretReference, TemplatePart};
use crate::file;

/// No key or token is longer; a device named by mistake must not fill the memory. In bytes.
const LONGEST_SECRET: u64 = 1024 * 1024;

/// Warnings that were logged already: secrets are read at every start of a server.
static WARNED: LazyLock<Mutex<HashSet<(Oddity, PathBuf)>>> = LazyLock::new(Mutex::default);

/// An oddity of the file of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Oddity {
    OpenToAll,
    ByteOrderMark,
}

/// U+FEFF, which some editors put before a text and which is no part of it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Why a credential may be empty.
const EMPTY: &str = "it is empty: its file is missing, or a drop-in took `LoadCredential=` away (container images \
                     do; Incus needs `security.nesting=true`, and the drop-in masked for this unit)";

/// The text of `part`, with variables of the environment taken from `variable`.
pub(super) fn part<'a>(
    part: &'a TemplatePart,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Cow<'a, str>, SecretError> {
    match part {
        TemplatePart::Literal(text) => Ok(Cow::Borrowed(text)),
        TemplatePart::Reference(SecretReference::Environment(name)) => {
            let value = variable(name).ok_or_else(|| SecretError::Environment(name.clone()))?;
            let text = value.into_string().map_err(|_| SecretError::EnvironmentNotText(name.clone()))?;
            Ok(Cow::Owned(text))
        }
        TemplatePart::Reference(SecretReference::File(path)) => {
            let text = text(path)
                .map_err(|reason| SecretError::File { path: path.display().to_string(), reason })?;
            let credentials = variable("CREDENTIALS_DIRECTORY").map(PathBuf::from);
            if !credentials.is_some_and(|directory| path.starts_with(directory)) {
                warn_when_open_to_all(path);
            }
            Ok(Cow::Owned(text))
        }
        TemplatePart::Reference(SecretReference::Credential(name)) => {
            let failed = |reason| SecretError::Credential { name: name.clone(), reason };
            let directory = variable("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                failed("CREDENTIALS_DIRECTORY is not set; systemd sets it for LoadCredential=".to_owned())
            })?;
            let text = text(&Path::new(&directory).join(name)).map_err(failed)?;
            if text.is_empty() {
                // A unit may set an empty one in place of a missing file, so that this error can name the cause.
                return Err(failed(EMPTY.to_owned()));
            }
            Ok(Cow::Owned(text))
        }
    }
}

/// The text at `path`, or why it cannot be read. A byte order mark and one newline at the end are dropped.
pub fn text(path: &Path) -> Result<String, String> {
    let bytes = file::read(path, LONGEST_SECRET).map_err(|error| error.to_string())?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("it is UTF-16; save it as UTF-8".to_owned());
    }
    let mut text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
        if is_news(Oddity::ByteOrderMark, path) {
            tracing::warn!(
                file = %path.display(),
                "the secret file {} begins with a byte order mark, which is taken off; save it without one",
                path.display()
            );
        }
    }
    // Editors and `echo` end a file with a newline that is no part of the secret; a second one was meant.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Warns the first time that `path` is found readable by everyone; gives whether it did.
fn warn_when_open_to_all(path: &Path) -> bool {
    let open = file::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o004 != 0);
    let first = open && is_news(Oddity::OpenToAll, path);
    if first {
        tracing::warn!(
            file = %path.display(),
            "every user of this machine can read this secret file; take the right away with chmod o-r"
        );
    }
    first
}

fn is_news(oddity: Oddity, path: &Path) -> bool {
    WARNED.lock().unwrap_or_else(PoisonError::into_inner).insert((oddity, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};

    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_secret_and_utf_16_is_told_as_that() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        write(&path, "\u{feff}tok\u{feff}\n").unwrap();
        assert_eq!(text(&path).unwrap(), "tok\u{feff}");
        assert!(!is_news(Oddity::ByteOrderMark, &path), "nothing was told");
        for utf_16 in [[0xff, 0xfe, b't', 0], [0xfe, 0xff, 0, b't']] {
            write(&path, utf_16).unwrap();
            assert_eq!(text(&path).unwrap_err(), "it is UTF-16; save it as UTF-8");
        }
    }

    #[test]
    fn a_file_that_everyone_can_read_is_warned_about_once_and_a_private_one_never() {
        let directory = tempfile::tempdir().unwrap();
        for (name, mode, warned) in [("open", 0o644, [true, false]), ("private", 0o640, [false, false])] {
            let path = directory.path().join(name);
            write(&path, "x").unwrap();
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!([warn_when_open_to_all(&path), warn_when_open_to_all(&path)], warned, "{name}");
        }
    }
}
