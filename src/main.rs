//! The binary: reads the command line, does what it says, and ends with the right code.

use std::io;
use std::process::ExitCode;

use mcpo::app::{self, AppError};
use mcpo::cli::{self, Invocation, check, exit, run_server};
use mcpo::config::{self, Loaded, LogFormat, Sources, environment};
use mcpo::systemd::{self, InheritedSocket, InheritedSocketError};
use mcpo::telemetry::{Form, Telemetry, stderr_is_journal};
use mcpo::upstream::process::launch;

fn main() -> ExitCode {
    launch::through_own_program();
    let invocation = match cli::parse(std::env::args_os(), environment::variables()) {
        Ok(invocation) => invocation,
        Err(error) => error.exit(),
    };
    ExitCode::from(match invocation {
        Invocation::StartChild(child) => child.run(),
        Invocation::RunServer(assignment) => return run_server::run(assignment, form(LogFormat::Auto)),
        Invocation::Command(command) => cli::carry_out(*command),
        Invocation::Serve(sources) => match config::load(&sources) {
            Ok(loaded) => serve(loaded, sources, systemd::inherited_sockets()),
            Err(problems) => {
                let printed = check::print(&problems, &mut io::stderr());
                printed.map_or(exit::FAILURE, |()| exit::CONFIGURATION)
            }
        },
    })
}

fn serve(
    loaded: Loaded,
    sources: Sources,
    inherited: Result<Vec<InheritedSocket>, InheritedSocketError>,
) -> u8 {
    let Loaded { config, warnings } = loaded;
    let _telemetry = match Telemetry::start("mcpo", &config.log.level, form(config.log.format)) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("mcpo: the log cannot be started: {error}");
            return exit::FAILURE;
        }
    };
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let inherited = match inherited {
        Ok(inherited) => inherited,
        Err(error) => {
            tracing::error!("{error}");
            return exit::CONFIGURATION;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot be started");
            return exit::FAILURE;
        }
    };
    let outcome = runtime.block_on(app::run(config, sources, inherited));
    match outcome {
        Ok(()) => exit::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            match error {
                AppError::Keys(_) | AppError::Hosts(_) | AppError::Audit(_) => exit::CONFIGURATION,
                AppError::Listen(error) if error.is_address_in_use() => exit::ADDRESS_IN_USE,
                AppError::Listen(_) | AppError::Signals(_) => exit::FAILURE,
            }
        }
    }
}

/// Half of the cores: the servers behind us need the others, and one worker passes on more calls than most
/// servers can answer. More workers than work only wake each other up.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

fn form(format: LogFormat) -> Form {
    match format {
        LogFormat::Auto if stderr_is_journal(environment::journal_stream().as_deref()) => Form::Journal,
        LogFormat::Auto | LogFormat::Text => Form::Text,
        LogFormat::Json => Form::Json,
        LogFormat::Journald => Form::Journal,
    }
}
