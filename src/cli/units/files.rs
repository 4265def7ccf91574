//! The files of units: their names, and the directory that holds them.

use std::path::Path;
use std::{fmt, fs, io};

use crate::cli::replace::replace;

/// The first line of each file. A file without it is never replaced or removed.
const MARK: &str = "# Written by `mcpo units`. Other lines belong into a drop-in: systemctl edit NAME";

/// Drop-ins of the gateway's own units.
pub(super) const DEPENDENCIES: &str = "mcpo.service.d/10-servers.conf";
pub(super) const SERVICE: &str = "mcpo.service.d/20-gateway.conf";
pub(super) const LISTEN: &str = "mcpo.socket.d/10-listen.conf";

/// One file, by its name below the directory of the units.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnitFile {
    pub name: String,
    pub text: String,
}

/// The names of the sockets among `names`.
pub(super) fn sockets<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    names.into_iter().map(String::as_str).filter(|name| name.ends_with(".socket")).collect()
}

/// Names of files that a run changed.
#[derive(Debug, Default)]
pub(super) struct UnitChanges {
    pub written: Vec<String>,
    pub removed: Vec<String>,
}

impl fmt::Display for UnitChanges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.written.is_empty() && self.removed.is_empty() {
            return formatter.write_str("unchanged\n");
        }
        self.written.iter().try_for_each(|name| writeln!(formatter, "written: {name}"))?;
        self.removed.iter().try_for_each(|name| writeln!(formatter, "removed: {name}"))
    }
}

/// Brings the directory `to` to `files`.
pub(super) fn write(files: &[UnitFile], to: &Path) -> Result<UnitChanges, String> {
    let mut changes = UnitChanges::default();
    for file in files {
        let path = to.join(&file.name);
        let wanted = format!("{MARK}\n{}", file.text);
        match fs::read_to_string(&path) {
            Ok(text) if text == wanted => continue,
            Ok(text) if !text.starts_with(MARK) => {
                return Err(format!(
                    "{} was not written by `mcpo units`, and is left alone: move it away",
                    path.display()
                ));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(refused("read", &path, &error));
            }
            _ => {}
        }
        let directory = path.parent().unwrap_or(to);
        fs::create_dir_all(directory)
            .and_then(|()| replace(&path, wanted.as_bytes()))
            .map_err(|error| refused("write", &path, &error))?;
        changes.written.push(file.name.clone());
    }
    for name in stale(files, to).map_err(|error| refused("read", to, &error))? {
        let path = to.join(&name);
        fs::remove_file(&path).map_err(|error| refused("remove", &path, &error))?;
        changes.removed.push(name);
    }
    Ok(changes)
}

/// The names of units in `to` that an earlier run wrote and this one does not.
fn stale(files: &[UnitFile], to: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(to)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_server =
            name.starts_with("mcpo-server-") && (name.ends_with(".socket") || name.ends_with("@.service"));
        if is_server
            && !files.iter().any(|file| file.name == name)
            && fs::read_to_string(to.join(&name))?.starts_with(MARK)
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn refused(action: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {action} {}: {error}", path.display())
}
