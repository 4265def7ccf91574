//! The command line: what may be typed, as [`Sources`] for the configuration, and `mcpo check`.
//!
//! [`parse`] gives an [`Invocation`] or a usage error; `main` carries it out. Flags are those of mcpo
//! (contract section 1.1): `-h` is the host, and the help is `--help`.

mod arguments;
pub mod check;
pub mod exit;
pub mod run_server;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use crate::app::run_server::Assignment;
use crate::config::{Overrides, Purpose, SingleServer, Sources};
use arguments::{Arguments, CheckArguments, ServeArguments, Subcommand};

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Serve what these sources configure.
    Serve(Sources),
    /// Report on these sources and end.
    Check(Sources),
    /// Run one server behind a socket.
    RunServer(Assignment),
}

/// Reads the command line, the first of `arguments` being the program's name. `environment` is that of the
/// process ([`variables`](crate::config::environment::variables)).
///
/// # Errors
///
/// A usage error, or a request for help: print it and exit with its own code, which is 2 or 0.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Vec<(String, String)>,
) -> Result<Invocation, clap::Error> {
    let typed: Vec<OsString> = arguments.into_iter().collect();
    let matches = Arguments::command().try_get_matches_from(&typed)?;
    let parsed = Arguments::from_arg_matches(&matches)?;
    match parsed.subcommand {
        Some(Subcommand::RunServer(server)) => run_server::assignment(server)
            .map(Invocation::RunServer)
            .map_err(|(kind, text)| Arguments::command().error(kind, text)),
        Some(Subcommand::Check(check)) => Ok(Invocation::Check(check_sources(check))),
        None => {
            let bare = typed.iter().any(|argument| argument == "--") && parsed.serve.command.is_empty();
            serve_sources(parsed.serve, bare, environment).map(Invocation::Serve)
        }
    }
}

/// `mcpo check` looks at the files alone: its verdict holds wherever the files are taken.
fn check_sources(check: CheckArguments) -> Sources {
    Sources { purpose: Purpose::Check, files: check.config, ..Sources::default() }
}

fn serve_sources(
    serve: ServeArguments,
    bare: bool,
    environment: Vec<(String, String)>,
) -> Result<Sources, clap::Error> {
    let remote = serve.transport.is_some() || serve.header.is_some();
    if serve.config.is_empty() && serve.command.is_empty() {
        if bare {
            return Err(usage(
                "nothing follows `--`: write the command, as in `mcpo -- uvx mcp-server-time`",
            ));
        }
        if remote {
            return Err(usage(
                "--type and --header need the server after `--`, as in `mcpo --type sse -- URL`",
            ));
        }
    }
    let headers = serve.header.as_deref().map(headers).transpose()?.unwrap_or_default();
    let given_env = serve.env.iter().map(|text| variable(text)).collect::<Result<_, _>>()?;
    let single = (remote || !serve.command.is_empty()).then(|| SingleServer {
        command: serve.command.clone(),
        transport: serve.transport.clone(),
        headers,
    });
    let overrides = overrides(&serve);
    Ok(Sources {
        purpose: Purpose::Serve,
        files: serve.config,
        environment,
        overrides,
        single,
        given_env,
        env_path: serve.env_path,
        hot_reload: serve.hot_reload,
    })
}

fn overrides(serve: &ServeArguments) -> Overrides {
    let mut overrides = Overrides::default();
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
    overrides.set("host", "--host", serve.host.clone());
    overrides.set("port", "--port", serve.port);
    overrides.set("apiKey", "--api-key", serve.api_key.clone());
    overrides.set("strictAuth", "--strict-auth", serve.strict_auth.then_some(true));
    let origins = Some(serve.cors_allow_origins.clone()).filter(|origins| !origins.is_empty());
    overrides.set("corsAllowOrigins", "--cors-allow-origins", origins);
    overrides.set("pathPrefix", "--path-prefix", serve.path_prefix.clone());
    overrides.set("rootPath", "--root-path", serve.root_path.clone());
    overrides.set("tls.certificate", "--ssl-certfile", path(&serve.ssl_certfile));
    overrides.set("tls.key", "--ssl-keyfile", path(&serve.ssl_keyfile));
    overrides.set("stateDir", "--state-dir", path(&serve.state_dir));
    overrides.set("log.level", "--log-level", serve.log_level.clone());
    overrides.set("log.format", "--log-format", serve.log_format.clone());
    overrides.set("name", "--name", serve.name.clone());
    overrides.set("description", "--description", serve.description.clone());
    overrides.set("version", "--version", serve.version.clone());
    overrides
}

/// `NAME=VALUE`, split at the first `=`. The text may hold a secret, so it is never repeated.
fn variable(text: &str) -> Result<(String, String), clap::Error> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(usage("--env takes NAME=VALUE, and one of those given has no name or no `=`")),
    }
}

/// The members of the JSON object of `--header`. The text may hold a secret, so it is never repeated.
fn headers(text: &str) -> Result<Vec<(String, String)>, clap::Error> {
    let wrong = |reason: String| {
        usage(&format!("--header takes one JSON object of strings, such as {{\"X-Key\": \"...\"}}: {reason}"))
    };
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
        .map_err(|error| wrong(format!("this is none (column {})", error.column())))?;
    object
        .into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(value) => Ok((name, value)),
            _ => Err(wrong(format!("the value of `{name}` is not a string"))),
        })
        .collect()
}

fn usage(message: &str) -> clap::Error {
    Arguments::command().error(ErrorKind::ValueValidation, message)
}

#[cfg(test)]
mod tests;
