//! Has systemd take changed units over, with as little interruption as they allow.

use std::fmt;
use std::process::Command;

use super::{LISTEN, SERVICE, UnitFile};

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

/// Runs what `systemctl` has to do. A new address needs the gateway stopped for a moment, new credentials a restart, in
/// which its socket keeps connections waiting; everything else is a reload.
pub(super) fn apply(changes: &UnitChanges, files: &[UnitFile]) -> Result<(), String> {
    let written = |name: &str| changes.written.iter().any(|known| known == name);
    systemctl("daemon-reload", &[])?;
    systemctl("stop", &sockets(changes.removed.iter()))?;
    let gateway = ["mcpo.socket".to_owned(), "mcpo.service".to_owned()];
    if written(LISTEN) {
        systemctl("stop", &[&gateway[1..], &gateway[..1]].concat())?;
    }
    systemctl("start", &sockets(files.iter().map(|file| &file.name)))?;
    systemctl("start", &gateway[..1])?;
    let verb = if written(SERVICE) || written(LISTEN) { "restart" } else { "reload-or-restart" };
    systemctl(verb, &gateway[1..])
}

fn sockets<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    names.filter(|name| name.ends_with(".socket")).cloned().collect()
}

/// Nothing to do without `units`, except for a verb that takes none.
fn systemctl(verb: &str, units: &[String]) -> Result<(), String> {
    if units.is_empty() && verb != "daemon-reload" {
        return Ok(());
    }
    let line = format!("systemctl {verb} {}", units.join(" "));
    let line = line.trim();
    let status = Command::new("systemctl").arg(verb).args(units).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(format!("`{line}` failed ({status}); the units are written. systemctl status mcpo says more"))
        }
        Err(error) => Err(format!("`{line}` cannot be run: {error}; the units are written")),
    }
}
