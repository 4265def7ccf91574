//! `mcpo units`: the units of systemd behind which servers with a `command` run, each in a sandbox of its own.
//!
//! They are denied what the units of the NixOS module are denied: both read `nix/module/hardening.json`. All are
//! rendered before the first is written, so a configuration with a fault changes nothing.

mod apply;
mod gateway;
mod lines;
mod server;

use std::fs;
use std::io;
use std::path::Path;

use super::command_error::CommandError;
use super::output::Output;
use super::replace::replace;
use super::{check, exit};
use crate::config::{self, Config, Sources};
use apply::UnitChanges;

/// The first line of each file. A file without it is never replaced or removed.
const MARK: &str = "# Written by `mcpo units`. Other lines belong into a drop-in: systemctl edit NAME";

/// Where the sockets of the servers are; the packaged unit of the gateway names it, too.
const SOCKETS: &str = "/run/mcpo-servers";

/// Drop-ins of the gateway's own units.
const DEPENDENCIES: &str = "mcpo.service.d/10-servers.conf";
const SERVICE: &str = "mcpo.service.d/20-gateway.conf";
const LISTEN: &str = "mcpo.socket.d/10-listen.conf";

/// One file, by its name below the directory of the units.
#[derive(Debug, PartialEq, Eq)]
struct UnitFile {
    name: String,
    text: String,
}

/// Writes the units; with `apply`, has systemd take them over. Gives the exit code.
///
/// # Errors
///
/// When the configuration has a fault, a server cannot run in a unit, a file cannot be written, or systemd refuses.
pub fn run(mut sources: Sources, to: &Path, apply: bool, output: Output) -> Result<u8, CommandError> {
    // With sockets set, the configuration would have the sockets of the units in place of the commands.
    sources.overrides.set("serverSockets", "units", Some(""));
    let loaded = config::load(&sources).map_err(|problems| {
        let mut text = Vec::new();
        check::print(&problems, &mut text).expect("memory can be written");
        CommandError::Configuration(String::from_utf8_lossy(&text).trim_end().to_owned())
    })?;
    check::print(&loaded.warnings, &mut io::stderr())?;
    let program = std::env::current_exe()
        .map_err(|error| CommandError::Failed(format!("the path of this program cannot be read: {error}")))?;
    let beside = sources.files.last().and_then(|file| file.parent()).unwrap_or(Path::new(""));
    let files = render(&loaded.config, &program, &beside.join("credentials")).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("error: {fault}")).collect();
        CommandError::Configuration(lines.join("\n"))
    })?;
    let changes = write(&files, to).map_err(CommandError::Failed)?;
    output.text(&changes.to_string())?;
    if apply {
        apply::apply(&changes, &files).map_err(CommandError::Failed)?;
    }
    Ok(exit::SUCCESS)
}

/// Every file, or what keeps a server from running in a unit.
fn render(config: &Config, program: &Path, credentials: &Path) -> Result<Vec<UnitFile>, Vec<String>> {
    let (mut files, mut faults) = (Vec::new(), Vec::new());
    let servers = config.servers.iter().filter(|server| !server.disabled);
    for server in servers {
        match server::render(server, program, credentials) {
            Ok(units) => files.extend(units),
            Err(found) => faults.extend(found),
        }
    }
    let sockets: Vec<&str> =
        files.iter().map(|file| file.name.as_str()).filter(|name| name.ends_with(".socket")).collect();
    let dependencies = gateway::dependencies(&sockets);
    files.push(UnitFile { name: DEPENDENCIES.to_owned(), text: dependencies });
    files.push(UnitFile { name: SERVICE.to_owned(), text: gateway::service(config, credentials) });
    match gateway::listen(&config.listen) {
        Ok(text) => files.push(UnitFile { name: LISTEN.to_owned(), text }),
        Err(fault) => faults.push(fault),
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

/// Brings the directory `to` to `files`.
fn write(files: &[UnitFile], to: &Path) -> Result<UnitChanges, String> {
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
        let ours =
            name.starts_with("mcpo-server-") && (name.ends_with(".socket") || name.ends_with("@.service"));
        if ours
            && !files.iter().any(|file| file.name == name)
            && fs::read_to_string(to.join(&name))?.starts_with(MARK)
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn refused(what: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {what} {}: {error}", path.display())
}
