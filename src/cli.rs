//! The command line: what may be typed, as [`Sources`] for the configuration, and the commands for operators.
//!
//! [`parse`] gives an [`Invocation`] or a usage error; `main` serves and runs servers, [`carry_out`] does the rest. Flags are those
//! of mcpo (contract section 1.1): `-h` is the host, and the help is `--help`.
//!
//! Commands ask a gateway through one of two doors ([`door`]), and both give the same answers: over HTTP, or into
//! a gateway inside this process that ends with the command.

mod arguments;
mod call;
pub mod check;
mod completions;
mod door;
mod errand;
pub mod exit;
mod explain;
mod lock;
mod openapi;
mod output;
mod plan;
mod reach;
pub mod run_server;
mod states;
mod tools;
mod trouble;

use std::ffi::OsString;
use std::io;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use clap_complete::Shell;

use crate::app::run_server::Assignment;
use crate::config::{Overrides, Purpose, SingleServer, Sources};
use crate::upstream::transport::child::launch::StartChild;
use arguments::{
    Arguments, CallArguments, CheckArguments, LockArguments, OpenApiArguments, PlanArguments, ReachArguments,
    ServeArguments, Subcommand, ToolsArguments,
};
use call::Call;
use errand::{Errand, Question};
use lock::LockTask;
use output::Output;
use plan::Telling;
use reach::{Address, Reach};
use tools::Show;
use trouble::Trouble;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Serve what these sources configure.
    Serve(Sources),
    /// Become a server of the gateway that called.
    StartChild(StartChild),
    /// Run one server behind a socket.
    RunServer(Assignment),
    /// Anything that ends by itself.
    Command(Box<Command>),
}

/// A command that ends by itself; see [`carry_out`].
#[derive(Debug)]
pub enum Command {
    /// Report on these sources.
    Check(Sources),
    /// Report on these sources, and then ask.
    CheckLock(Sources, Errand),
    /// Ask a gateway.
    Ask(Errand),
    /// Tell what leads from one configuration to another.
    Compare { old: Sources, new: Sources, telling: Telling },
    /// Print a completion script.
    Completions(Shell),
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
    let mut command = Arguments::command();
    let matches = command.try_get_matches_from_mut(&typed)?;
    let parsed = Arguments::from_arg_matches(&matches)?;
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
    parsed: Arguments,
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
            return run_server::assignment(server)
                .map(Invocation::RunServer)
                .map_err(|(kind, text)| clap::Error::raw(kind, text));
        }
        Some(Subcommand::Check(check)) => check_command(check, environment)?,
        Some(Subcommand::Lock(lock)) => Command::Ask(lock_errand(lock, environment)?),
        Some(Subcommand::Completions(completions)) => Command::Completions(completions.shell),
        Some(Subcommand::Tools(tools)) => Command::Ask(tools_errand(tools, environment)?),
        Some(Subcommand::Call(call)) => Command::Ask(call_errand(call, environment)?),
        Some(Subcommand::OpenApi(openapi)) => Command::Ask(openapi_errand(openapi, environment)?),
        Some(Subcommand::Plan(plan)) => plan_command(plan, &environment)?,
    };
    Ok(Invocation::Command(Box::new(command)))
}

/// Does what `command` says, and tells on the standard error what went wrong; gives the exit code.
pub fn carry_out(command: Command) -> u8 {
    let output = Output::standard();
    let outcome = match command {
        Command::Check(sources) => {
            check::run(&sources, &mut io::stdout(), &mut io::stderr()).map_err(Trouble::from)
        }
        Command::CheckLock(sources, errand) => {
            match check::run(&sources, &mut io::stdout(), &mut io::stderr()) {
                Ok(exit::SUCCESS) => errand.run(output),
                done => done.map_err(Trouble::from),
            }
        }
        Command::Ask(errand) => errand.run(output),
        Command::Compare { old, new, telling } => plan::compare(&old, &new, telling, output),
        Command::Completions(shell) => {
            output.text(&completions::script(shell)).map(|()| exit::SUCCESS).map_err(Trouble::from)
        }
    };
    outcome.unwrap_or_else(|trouble| {
        match &trouble {
            // The blocks of a configuration's problems begin with `error:` themselves.
            Trouble::Configuration(problems) => eprintln!("{}", output::shown(problems)),
            trouble if trouble.is_worth_a_word() => {
                eprintln!("mcpo: {}", output::shown(&trouble.to_string()))
            }
            _ => {}
        }
        trouble.exit_code()
    })
}

/// Files alone: the verdict on them holds wherever they are taken.
fn files(files: Vec<std::path::PathBuf>) -> Sources {
    Sources { purpose: Purpose::Check, files, ..Sources::default() }
}

fn tools_errand(tools: ToolsArguments, environment: Vec<(String, String)>) -> Result<Errand, clap::Error> {
    let reach = Reach::new(tools.reach, environment)?;
    no_name_beside_a_command(&reach, tools.server.as_deref())?;
    let is_command = reach.is_command();
    Ok(Errand {
        reach,
        question: Question::Tools(Show { server: tools.server, json: tools.json, is_command }),
    })
}

fn check_command(check: CheckArguments, environment: Vec<(String, String)>) -> Result<Command, clap::Error> {
    let CheckArguments { config, lock } = check;
    // Whether the lock is good is told apart from whether the tools are as it says.
    let sources = Sources { without_lock: false, ..files(config.clone()) };
    if !lock {
        return Ok(Command::Check(sources));
    }
    let reach = Reach::new(ReachArguments { config, ..ReachArguments::default() }, environment)?;
    let task = LockTask { server: None, file: None, writes: false };
    Ok(Command::CheckLock(sources, Errand { reach: reach.without_lock(), question: Question::Lock(task) }))
}

fn lock_errand(lock: LockArguments, environment: Vec<(String, String)>) -> Result<Errand, clap::Error> {
    let LockArguments { server, file, reach } = lock;
    let reach = Reach::new(reach, environment)?;
    no_name_beside_a_command(&reach, server.as_deref())?;
    let task = LockTask { server, file, writes: true };
    Ok(Errand { reach: reach.without_lock(), question: Question::Lock(task) })
}

fn openapi_errand(
    openapi: OpenApiArguments,
    environment: Vec<(String, String)>,
) -> Result<Errand, clap::Error> {
    let reach = Reach::new(openapi.reach, environment)?;
    no_name_beside_a_command(&reach, openapi.server.as_deref())?;
    Ok(Errand { reach, question: Question::OpenApi { server: openapi.server } })
}

fn no_name_beside_a_command(reach: &Reach, server: Option<&str>) -> Result<(), clap::Error> {
    match server.filter(|_| reach.is_command()) {
        Some(_) => Err(usage("what follows `--` is the only server: leave the name of a SERVER out")),
        None => Ok(()),
    }
}

fn call_errand(call: CallArguments, environment: Vec<(String, String)>) -> Result<Errand, clap::Error> {
    let CallArguments { server, tool, arguments, raw, reach } = call;
    let reach = Reach::new(reach, environment)?;
    let mut words = server.into_iter().chain(tool).chain(arguments);
    let server = if reach.is_command() { None } else { words.next() };
    let Some(tool) = words.next() else {
        return Err(usage("name the tool, too: `mcpo call SERVER TOOL`; `mcpo tools SERVER` shows them"));
    };
    Ok(Errand { reach, question: Question::Call(Call { server, tool, words: words.collect(), raw }) })
}

fn plan_command(plan: PlanArguments, environment: &[(String, String)]) -> Result<Command, clap::Error> {
    let PlanArguments { config, against, exit_code, json, gateway } = plan;
    let telling = Telling { json, exit_code };
    if !config.is_empty() {
        return Ok(Command::Compare { old: files(against), new: files(config), telling });
    }
    let reach = Reach::Gateway(Address::new(gateway, environment)?);
    Ok(Command::Ask(Errand { reach, question: Question::Plan(telling) }))
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

/// An error of what was typed; [`parse`] adds the usage.
fn usage(message: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, message)
}

#[cfg(test)]
mod tests;
