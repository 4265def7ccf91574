//! Has systemd take changed units over, with as little interruption as they allow.

use std::process::Command;

use super::files::{LISTEN, SERVICE, UnitChanges, UnitFile, sockets};

/// Runs the commands of `systemctl` that the changes need.
///
/// A new address stops the gateway for a moment, and new credentials restart it, while its socket keeps connections
/// waiting; every other change is a reload.
pub(super) fn apply(changes: &UnitChanges, files: &[UnitFile]) -> Result<(), String> {
    let written = |name: &str| changes.written.iter().any(|known| known == name);
    systemctl("daemon-reload", &[])?;
    let removed = sockets(&changes.removed);
    if !removed.is_empty() {
        systemctl("stop", &removed)?;
    }
    if written(LISTEN) {
        systemctl("stop", &["mcpo.service", "mcpo.socket"])?;
    }
    let servers = sockets(files.iter().map(|file| &file.name));
    systemctl("start", &[servers.as_slice(), &["mcpo.socket"]].concat())?;
    let verb = if written(SERVICE) || written(LISTEN) { "restart" } else { "reload-or-restart" };
    systemctl(verb, &["mcpo.service"])
}

fn systemctl(verb: &str, units: &[&str]) -> Result<(), String> {
    let failed = |reason: String| {
        let line = [&[verb], units].concat().join(" ");
        format!("`systemctl {line}` {reason}")
    };
    match Command::new("systemctl").arg(verb).args(units).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(failed(format!("failed ({status}); the units are written. systemctl status mcpo says more")))
        }
        Err(error) => Err(failed(format!("cannot be run: {error}; the units are written"))),
    }
}
