//! The command line: the flags, as [`Sources`] for the configuration, and the commands for operators.
//!
//! [`parse`] gives an [`Invocation`] or a usage error; `main` serves and runs servers, [`run_command`] does the rest.
//! Flags are those of mcpo (as in mcpo 0.0.20): `-h` is the host, and the help is `--help`.
//!
//! Commands ask a gateway through [`gateway_client`], over HTTP or inside this process, where the gateway ends with the
//! command; the answers are the same.

mod arguments;
mod call;
pub mod check;
mod command_error;
mod completions;
pub mod exit;
mod gateway_client;
mod lock;
#[cfg(test)]
mod manual;
mod messages;
mod openapi;
mod output;
mod plan;
mod query;
mod replace;
mod request;
pub mod run_server;
mod server_list;
mod target;
mod tools;
mod units;
mod usage;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches};
use clap_complete::Shell;

use crate::app::run_server::Assignment;
use crate::config::{self, Overrides, Purpose, SingleServer, Sources};
use crate::upstream::transport::child::launch::StartChild;
use arguments::{
    CallArguments, CheckArguments, CommandLine, LockArguments, OpenApiArguments, PlanArguments, PlanOptions,
    ServeArguments, Subcommand, TargetArguments, ToolsArguments, UnitsArguments,
};
use call::CallQuery;
use command_error::CommandError;
use lock::LockTask;
use output::Output;
use query::{Query, QueryCommand};
use target::{Address, QueryTarget};
use usage::{headers, usage, variable};

/// The task that the command line names.
#[derive(Debug)]
pub enum Invocation {
    /// Serve the configuration of these sources.
    Serve(Sources),
    /// Become a server of the calling gateway.
    StartChild(StartChild),
    /// Run one server behind a socket.
    RunServer(Assignment),
    /// Run a command that ends by itself.
    Command(Box<Command>),
}

/// A command that ends by itself; see [`run_command`].
#[derive(Debug)]
pub enum Command {
    /// Report on these sources.
    Check(Sources),
    /// Report on these sources, and then send the query.
    CheckLock(Sources, QueryCommand),
    /// Send a query to a gateway.
    Query(QueryCommand),
    /// Show the changes from one configuration to another.
    Compare { old: Sources, new: Sources, options: PlanOptions },
    /// Print the JSON Schema of a configuration file.
    Schema,
    /// Print a completion script.
    Completions(Shell),
    /// Write the units of the configuration of these sources.
    Units { sources: Sources, to: PathBuf, apply: bool },
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
    let mut command = CommandLine::command();
    let matches = command.try_get_matches_from_mut(&typed)?;
    let parsed = CommandLine::from_arg_matches(&matches)?;
    interpret(parsed, &typed, environment).map_err(|error| {
        // With the usage of the command that was typed.
        let name = matches.subcommand_name().unwrap_or_default();
        match command.find_subcommand_mut(name) {
            Some(subcommand) => error.format(subcommand),
            None => error.format(&mut command),
        }
    })
}

fn interpret(
    parsed: CommandLine,
    typed: &[OsString],
    environment: Vec<(String, String)>,
) -> Result<Invocation, clap::Error> {
    let command = match parsed.subcommand {
        None => {
            let bare = typed.iter().any(|argument| argument == "--") && parsed.serve.command.is_empty();
            return serve_sources(parsed.serve, bare, environment).map(Invocation::Serve);
        }
        Some(Subcommand::StartChild(child)) => return Ok(Invocation::StartChild(child.into())),
        Some(Subcommand::RunServer(server)) => {
            return run_server::assignment(server).map(Invocation::RunServer);
        }
        Some(Subcommand::Check(check)) => check_command(check, environment)?,
        Some(Subcommand::Lock(lock)) => Command::Query(lock_query(lock, environment)?),
        Some(Subcommand::Schema(_)) => Command::Schema,
        Some(Subcommand::Completions(completions)) => Command::Completions(completions.shell),
        Some(Subcommand::Units(UnitsArguments { config, to, apply })) => {
            Command::Units { sources: files(config), to, apply }
        }
        Some(Subcommand::Tools(ToolsArguments { query, target })) => {
            let target = target_of(target, query.server.as_deref(), environment)?;
            Command::Query(QueryCommand { target, query: Query::Tools(query) })
        }
        Some(Subcommand::Call(call)) => Command::Query(call_query(call, environment)?),
        Some(Subcommand::OpenApi(OpenApiArguments { server, target })) => {
            let target = target_of(target, server.as_deref(), environment)?;
            Command::Query(QueryCommand { target, query: Query::OpenApi { server } })
        }
        Some(Subcommand::Plan(plan)) => plan_command(plan, &environment)?,
    };
    Ok(Invocation::Command(Box::new(command)))
}

/// Runs `command`, and writes its error to the standard error; gives the exit code.
pub fn run_command(command: Command) -> u8 {
    execute(command, Output::standard()).unwrap_or_else(|error| {
        match &error {
            // The blocks of a configuration's problems begin with `error:` themselves.
            CommandError::Configuration(problems) => eprintln!("{}", output::shown(problems)),
            error if error.has_message() => {
                eprintln!("mcpo: {}", output::shown(&error.to_string()))
            }
            _ => {}
        }
        error.exit_code()
    })
}

fn execute(command: Command, output: Output) -> Result<u8, CommandError> {
    match command {
        Command::Check(sources) => Ok(check::run(&sources, &mut io::stdout(), &mut io::stderr())?),
        Command::CheckLock(sources, query) => {
            match check::run(&sources, &mut io::stdout(), &mut io::stderr())? {
                exit::SUCCESS => query.run(output),
                code => Ok(code),
            }
        }
        Command::Query(query) => query.run(output),
        Command::Compare { old, new, options } => plan::compare(&old, &new, options, output),
        Command::Schema => {
            output.json(config::schema().to_string().as_bytes())?;
            Ok(exit::SUCCESS)
        }
        Command::Completions(shell) => {
            output.text(&completions::script(shell))?;
            Ok(exit::SUCCESS)
        }
        Command::Units { sources, to, apply } => units::run(sources, &to, apply, output),
    }
}

/// Files alone: the verdict on them must not depend on the environment.
fn files(files: Vec<PathBuf>) -> Sources {
    Sources { purpose: Purpose::Check, files, ..Sources::default() }
}

fn check_command(check: CheckArguments, environment: Vec<(String, String)>) -> Result<Command, clap::Error> {
    let CheckArguments { config, lock } = check;
    // A lock that cannot be read is reported before any tool is compared with it.
    let sources = Sources { without_lock: false, ..files(config.clone()) };
    if !lock {
        return Ok(Command::Check(sources));
    }
    let target = QueryTarget::new(TargetArguments { config, ..TargetArguments::default() }, environment)?;
    let task = LockTask { server: None, file: None, writes: false };
    Ok(Command::CheckLock(sources, QueryCommand { target: target.without_lock(), query: Query::Lock(task) }))
}

fn lock_query(lock: LockArguments, environment: Vec<(String, String)>) -> Result<QueryCommand, clap::Error> {
    let LockArguments { server, file, target } = lock;
    let target = target_of(target, server.as_deref(), environment)?.without_lock();
    Ok(QueryCommand { target, query: Query::Lock(LockTask { server, file, writes: true }) })
}

/// The target of a command that takes the name of a `server`.
fn target_of(
    arguments: TargetArguments,
    server: Option<&str>,
    environment: Vec<(String, String)>,
) -> Result<QueryTarget, clap::Error> {
    let target = QueryTarget::new(arguments, environment)?;
    match server.filter(|_| target.is_command()) {
        Some(_) => Err(usage("what follows `--` is the only server: leave the name of a SERVER out")),
        None => Ok(target),
    }
}

fn call_query(call: CallArguments, environment: Vec<(String, String)>) -> Result<QueryCommand, clap::Error> {
    let CallArguments { server, tool, arguments, raw, target } = call;
    let target = QueryTarget::new(target, environment)?;
    let mut words = server.into_iter().chain(tool).chain(arguments);
    let server = if target.is_command() { None } else { words.next() };
    let Some(tool) = words.next() else {
        return Err(usage("name the tool, too: `mcpo call SERVER TOOL`; `mcpo tools SERVER` shows them"));
    };
    Ok(QueryCommand { target, query: Query::Call(CallQuery { server, tool, words: words.collect(), raw }) })
}

fn plan_command(plan: PlanArguments, environment: &[(String, String)]) -> Result<Command, clap::Error> {
    let PlanArguments { config, against, options, gateway } = plan;
    if !config.is_empty() {
        return Ok(Command::Compare { old: files(against), new: files(config), options });
    }
    let target = QueryTarget::Gateway(Address::new(gateway, environment)?);
    Ok(Command::Query(QueryCommand { target, query: Query::Plan(options) }))
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
        without_lock: false,
    })
}

fn overrides(serve: &ServeArguments) -> Overrides {
    let mut overrides = Overrides::default();
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
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

#[cfg(test)]
mod tests;
