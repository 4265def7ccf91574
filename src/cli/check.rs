//! `mcpo check`: every problem of a configuration at once, for people and for build scripts.

use std::io::{self, Write};

use super::exit;
use super::output::counted;
use crate::config::{self, Config, ConfigProblem, Severity, Sources, TransportConfig};

/// Checks what `sources` name; problems go to `problems_to`, the verdict on a good one to `verdict_to`.
/// Gives the exit code.
///
/// # Errors
///
/// When one of the two cannot be written.
pub fn run(sources: &Sources, verdict_to: &mut impl Write, problems_to: &mut impl Write) -> io::Result<u8> {
    match config::load(sources) {
        Ok(loaded) => {
            print(&loaded.warnings, problems_to)?;
            writeln!(verdict_to, "{}", summary(&loaded.config))?;
            Ok(exit::SUCCESS)
        }
        Err(problems) => {
            print(&problems, problems_to)?;
            let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
            let warnings = problems.len() - errors;
            writeln!(problems_to, "{}, {}", counted(errors, "error"), counted(warnings, "warning"))?;
            Ok(exit::CONFIGURATION)
        }
    }
}

/// Prints `problems`, a block each.
///
/// # Errors
///
/// When `to` cannot be written.
pub fn print(problems: &[ConfigProblem], to: &mut impl Write) -> io::Result<()> {
    // Each in one piece: standard error is not buffered.
    problems.iter().try_for_each(|problem| to.write_all(format!("{problem}\n").as_bytes()))
}

fn summary(config: &Config) -> String {
    let described = config.servers.iter().map(|server| {
        let transport = match &server.transport {
            TransportConfig::Gateway => "built in",
            other => other.name(),
        };
        let state = if server.disabled { ", disabled" } else { "" };
        format!("{} ({transport}{state})", server.name)
    });
    let list = described.collect::<Vec<_>>().join(", ");
    let separator = if list.is_empty() { "" } else { ": " };
    format!("ok: {}{separator}{list}", counted(config.servers.len(), "server"))
}
