//! `mcpo units`: the units of systemd behind which servers with a `command` run, each in a sandbox of its own.
//!
//! They are denied the same as the units of the NixOS module: both read `nix/module/hardening.json`. All are rendered
//! before the first is written, so a configuration with a fault changes nothing.

mod apply;
mod files;
mod gateway;
mod lines;
mod server;

use std::io;
use std::path::Path;

use super::command_error::CommandError;
use super::output::Output;
use super::{check, exit};
use crate::config::{self, Config, Sources};
use files::{DEPENDENCIES, LISTEN, SERVICE, UnitFile};

/// Writes the units; with `apply`, has systemd take them over. Gives the exit code.
///
/// # Errors
///
/// When the configuration has a fault, a server cannot run in a unit, a file cannot be written, or systemd refuses.
pub fn run(mut sources: Sources, to: &Path, apply: bool, output: Output) -> Result<u8, CommandError> {
    // With sockets set, the configuration would have the sockets of the units in place of the commands.
    sources.overrides.set("serverSockets", "units", Some(""));
    let loaded = config::load(&sources)?;
    check::print(&loaded.warnings, &mut io::stderr())?;
    let program = std::env::current_exe()
        .map_err(|error| CommandError::Failed(format!("the path of this program cannot be read: {error}")))?;
    let beside = sources.files.last().and_then(|file| file.parent()).unwrap_or(Path::new(""));
    let files = render(&loaded.config, &program, &beside.join("credentials")).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("error: {fault}")).collect();
        CommandError::Configuration(lines.join("\n"))
    })?;
    let changes = files::write(&files, to).map_err(CommandError::Failed)?;
    output.text(&changes.to_string())?;
    if apply {
        apply::apply(&changes, &files).map_err(CommandError::Failed)?;
    }
    Ok(exit::SUCCESS)
}

/// Every file, or the faults that keep a server from running in a unit.
fn render(config: &Config, program: &Path, credentials: &Path) -> Result<Vec<UnitFile>, Vec<String>> {
    let (mut files, mut faults) = (Vec::new(), Vec::new());
    for server in config.servers.iter().filter(|server| !server.disabled) {
        match server::render(server, program, credentials) {
            Ok(units) => files.extend(units),
            Err(found) => faults.extend(found),
        }
    }
    let sockets = files::sockets(files.iter().map(|file| &file.name)).join(" ");
    let mut add = |name: &str, text: String| files.push(UnitFile { name: name.to_owned(), text });
    add(DEPENDENCIES, gateway::dependencies(&sockets));
    add(SERVICE, gateway::service(config, credentials));
    match gateway::listen(&config.listen) {
        Ok(text) => add(LISTEN, text),
        Err(fault) => faults.push(fault),
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}
