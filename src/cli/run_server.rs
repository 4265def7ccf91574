//! `mcpo run-server`: reads its command line, and runs the server in the form that a unit needs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::exit;
use super::usage::usage;
use crate::app::run_server::{self, Assignment, Isolation};
use crate::config::{SecretText, ServerName, StdioConfig, environment, isolation};
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
    #[arg(long, value_name = "NAME", value_parser = ServerName::new)]
    name: Option<ServerName>,
    /// Give the credential CREDENTIAL (LoadCredential= of the unit) to the server as VARIABLE; repeatable
    #[arg(long, value_name = "VARIABLE=CREDENTIAL", value_parser = credential)]
    secret: Vec<SecretVariable>,
    /// Give PATH, a file with a secret (`%d/CREDENTIAL` in a unit), to the server as VARIABLE; repeatable
    #[arg(long, value_name = "VARIABLE=PATH", value_parser = file)]
    secret_file: Vec<SecretVariable>,
    /// Run the server for the caller that the gateway names (`isolation` of its entry): `${caller}` stands for it in the command
    /// and its environment
    #[arg(long)]
    isolated: bool,
    /// Run the server in this directory, which is made for the caller where `${caller}` stands in it
    #[arg(long, value_name = "PATH")]
    directory: Option<PathBuf>,
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

/// A variable that is given as `VARIABLE=VALUE`, and the text that stands for its secret.
type SecretVariable = (String, SecretText);

fn credential(pair: &str) -> Result<SecretVariable, String> {
    variable(pair, |name| format!("${{credential:{name}}}"))
}

fn file(pair: &str) -> Result<SecretVariable, String> {
    variable(pair, str::to_owned)
}

fn variable(pair: &str, text: impl Fn(&str) -> String) -> Result<SecretVariable, String> {
    let (variable, value) = pair
        .split_once('=')
        .filter(|(variable, value)| !variable.is_empty() && !value.is_empty())
        .ok_or("the variable, `=` and its value are needed")?;
    let text = SecretText::parse(&text(value)).map_err(|error| error.to_string())?;
    Ok((variable.to_owned(), text))
}

/// The server of the command line.
///
/// # Errors
///
/// When the command without a `--name` cannot name a server.
pub(super) fn assignment(arguments: RunServerArguments) -> Result<Assignment, clap::Error> {
    let RunServerArguments {
        name,
        secret,
        secret_file,
        isolated,
        directory,
        require_isolation,
        no_network,
        internet_only,
        mut command,
    } = arguments;
    let program = command.remove(0);
    let file_name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
    let name = match name {
        Some(name) => name,
        None => ServerName::new(&file_name).map_err(|error| usage(&format!("--name: {error}")))?,
    };
    let secret_files =
        secret_file.iter().filter_map(|(_, path)| path.as_literal().map(PathBuf::from)).collect();
    // The unit's environment was made for this server alone.
    let variables = environment::variables();
    let mut env = [secret, secret_file].concat();
    let mut cwd = directory;
    if isolated {
        command = command.iter().map(|word| isolation::read(word)).collect();
        cwd = cwd.map(|path| PathBuf::from(isolation::read(&path.to_string_lossy())));
        let named = variables.iter().filter(|(_, value)| value.contains("${caller}"));
        env.extend(named.map(|(name, value)| (name.clone(), SecretText::literal(&isolation::read(value)))));
    }
    let pass_env = variables.into_iter().map(|(name, _)| name).collect();
    let command =
        StdioConfig { command: program, args: command, env, pass_env, cwd, ..StdioConfig::default() };
    let isolation = Isolation { confined: require_isolation, no_network, internet_only };
    Ok(Assignment { name, command, secret_files, is_for_one_caller: isolated, isolation })
}

/// Runs the server to its end.
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

    fn read(words: &[&str]) -> Result<Assignment, clap::Error> {
        let line = Line::try_parse_from(std::iter::once("x").chain(words.iter().copied()));
        assignment(line?.arguments)
    }

    #[test]
    fn a_command_its_secrets_and_its_isolation_are_read() {
        let words =
            ["--name", "time", "--no-network", "--secret", "TOKEN=tok", "--", "/bin/x", "--no-network"];
        let assignment = read(&words).unwrap();
        assert_eq!((assignment.name.as_str(), assignment.command.command.as_str()), ("time", "/bin/x"));
        assert_eq!(assignment.command.args, ["--no-network"]);
        assert!(!assignment.is_for_one_caller);
        assert_eq!(assignment.isolation, Isolation { no_network: true, ..Isolation::default() });
        assert_eq!(assignment.command.env[0].0, "TOKEN");
        assert!(assignment.command.env[0].1.is_secret());
        assert_eq!(read(&["--", "/opt/mcp-x"]).unwrap().name.as_str(), "mcp-x");
    }

    #[test]
    fn the_caller_stands_in_the_words_of_an_isolated_server_alone() {
        let words = ["--directory", "/w/${caller}", "--", "x", "/a/${caller}", "$${caller}"];
        let plain = read(&words).unwrap().command;
        assert_eq!(plain.for_caller("me").args, ["/a/${caller}", "$${caller}"]);
        let isolated = read(&[&["--isolated"], &words[..]].concat()).unwrap();
        let filled = isolated.command.for_caller("me");
        assert!(isolated.is_for_one_caller);
        assert_eq!(
            (filled.args, filled.cwd),
            (vec!["/a/me".to_owned(), "${caller}".to_owned()], Some("/w/me".into()))
        );
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
            let text = read(words).unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
        }
    }
}
