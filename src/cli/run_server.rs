//! `mcpo run-server`: reads its command line, and runs it in the form that a unit needs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::error::ErrorKind;

use super::exit;
use crate::app::run_server::{self, Assignment, Isolation};
use crate::config::{SecretText, ServerName, StdioConfig, environment};
use crate::telemetry::{LogOutput, Telemetry};

/// Run one stdio server behind the socket that a service manager accepted for it
#[derive(Debug, Args)]
#[command(after_help = "\
For units with `StandardInput=socket` behind a socket unit with `Accept=yes`; the gateway's entry is then \
`{ \"socket\": \"/path\" }`. The server gets the environment of the unit without what systemd keeps there, and is \
ended, with everything that it started, when the connection is closed. Its exit status and last words go to the \
gateway, its stderr to the log.

Example, of a unit:
  ExecStart=mcpo run-server --secret TOKEN=token -- mcp-server-time")]
pub(super) struct RunServerArguments {
    /// Name of the server in the log [default: the name of the command]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Give the credential CREDENTIAL (LoadCredential= of the unit) to the server as VARIABLE; repeatable
    #[arg(long, value_name = "VARIABLE=CREDENTIAL")]
    secret: Vec<String>,
    /// Give PATH, a file with a secret (`%d/CREDENTIAL` in a unit), to the server as VARIABLE; repeatable
    #[arg(long, value_name = "VARIABLE=PATH")]
    secret_file: Vec<String>,
    /// Refuse to run as root or as the gateway's user, with new privileges, or without a system call filter
    #[arg(long)]
    require_isolation: bool,
    /// Refuse to run where the network can be reached
    #[arg(long)]
    no_network: bool,
    /// Refuse to run where the loopback or a private network can be reached
    #[arg(long, conflicts_with = "no_network")]
    internet_only: bool,
    /// The command of the server with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What is to be run.
///
/// # Errors
///
/// A usage error as clap's kind and text.
pub(super) fn assignment(arguments: RunServerArguments) -> Result<Assignment, (ErrorKind, String)> {
    let RunServerArguments {
        name,
        secret,
        secret_file,
        require_isolation,
        no_network,
        internet_only,
        mut command,
    } = arguments;
    let program = command.remove(0);
    let spoken = name.unwrap_or_else(|| {
        PathBuf::from(&program).file_name().unwrap_or_default().to_string_lossy().into_owned()
    });
    let wrong = |text: String| (ErrorKind::ValueValidation, text);
    let name = ServerName::new(&spoken).map_err(|error| wrong(format!("--name: {error}")))?;
    let split = |pair: &str, form: &str| {
        pair.split_once('=')
            .filter(|(variable, value)| !variable.is_empty() && !value.is_empty())
            .map(|(variable, value)| (variable.to_owned(), value.to_owned()))
            .ok_or_else(|| wrong(format!("{form}, and `{pair}` is not that")))
    };
    let secrets = secret.iter().map(|pair| {
        let (variable, credential) = split(pair, "--secret takes VARIABLE=CREDENTIAL")?;
        let reference = SecretText::parse(&format!("${{credential:{credential}}}"));
        Ok((variable, reference.map_err(|error| wrong(format!("--secret {pair}: {error}")))?))
    });
    let mut env = secrets.collect::<Result<Vec<_>, _>>()?;
    let mut secret_files = Vec::new();
    for pair in &secret_file {
        let (variable, path) = split(pair, "--secret-file takes VARIABLE=PATH")?;
        let text =
            SecretText::parse(&path).map_err(|error| wrong(format!("--secret-file {pair}: {error}")))?;
        env.push((variable, text));
        secret_files.push(PathBuf::from(path));
    }
    // The unit's environment was made for this server alone.
    let pass_env = environment::variables().into_iter().map(|(name, _)| name).collect();
    let command = StdioConfig { command: program, args: command, env, pass_env, ..StdioConfig::default() };
    let isolation = Isolation { confined: require_isolation, no_network, internet_only };
    Ok(Assignment { name, command, secret_files, isolation })
}

/// Runs it to its end.
pub fn run(assignment: Assignment, form: LogOutput) -> ExitCode {
    let identifier = format!("mcpo-server-{}", assignment.name);
    let telemetry = match Telemetry::start(&identifier, "info", form) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("mcpo: the log cannot be started: {error}");
            return ExitCode::from(exit::FAILURE);
        }
    };
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run_server::run(assignment)),
        Err(error) => {
            tracing::error!(%error, "the runtime cannot be started");
            false
        }
    };
    drop(telemetry);
    ExitCode::from(if outcome { exit::SUCCESS } else { exit::FAILURE })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: RunServerArguments,
    }

    fn read(words: &[&str]) -> Result<Assignment, (ErrorKind, String)> {
        let line = Line::try_parse_from(std::iter::once("x").chain(words.iter().copied()));
        assignment(line.map_err(|error| (error.kind(), error.to_string()))?.arguments)
    }

    #[test]
    fn a_command_its_secrets_and_its_isolation_are_read() {
        let words =
            ["--name", "time", "--no-network", "--secret", "TOKEN=tok", "--", "/bin/x", "--no-network"];
        let assignment = read(&words).unwrap();
        assert_eq!((assignment.name.as_str(), assignment.command.command.as_str()), ("time", "/bin/x"));
        assert_eq!(assignment.command.args, ["--no-network"]);
        assert_eq!(assignment.isolation, Isolation { no_network: true, ..Isolation::default() });
        assert_eq!(assignment.command.env[0].0, "TOKEN");
        assert!(assignment.command.env[0].1.is_secret());
        assert_eq!(read(&["--", "/opt/mcp-x"]).unwrap().name.as_str(), "mcp-x");
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (words, part) in [
            (["--secret", "TOKEN", "--", "x"].as_slice(), "VARIABLE=CREDENTIAL"),
            (&["--secret", "TOKEN=a/b", "--", "x"], "a/b"),
            (&["--secret-file", "KEY", "--", "x"], "VARIABLE=PATH"),
            (&["--name", "docs", "--", "x"], "--name"),
            (&["--no-network"], "COMMAND"),
        ] {
            let (_, text) = read(words).unwrap_err();
            assert!(text.contains(part), "{text}");
        }
    }
}
