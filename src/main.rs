//! The binary: reads the command line, runs its command, and ends with the right code.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mcpo::app::{self, AppError, Signalled};
use mcpo::cli::{self, Invocation, check, exit, run_server};
use mcpo::config::{ConfigProblem, Loaded, LogFormat, Sources, environment};
use mcpo::gateway::configuration::LoadFailed;
use mcpo::shutdown::{Guard, Overdue};
use mcpo::systemd::{self, InheritedSocket, InheritedSocketError};
use mcpo::telemetry::{LogOutput, Telemetry, stderr_is_journal};
use mcpo::upstream::transport::child::launch;
use tokio::runtime::Runtime;

/// How long threads may take to end after everything is done; later they are abandoned.
const LEFTOVERS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    launch::through_own_program();
    let invocation = match cli::parse(std::env::args_os(), environment::variables()) {
        Ok(invocation) => invocation,
        Err(error) => error.exit(),
    };
    ExitCode::from(match invocation {
        Invocation::StartChild(child) => child.run(),
        Invocation::RunServer(assignment) => return run_server::run(assignment, form(LogFormat::Auto)),
        Invocation::Command(command) => cli::run_command(*command),
        Invocation::Serve(sources) => start(Arc::new(sources), systemd::inherited_sockets()),
    })
}

/// The gateway, from reading its configuration to its end.
fn start(sources: Arc<Sources>, inherited: Result<Vec<InheritedSocket>, InheritedSocketError>) -> u8 {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build();
    let signalled = Signalled::default();
    let guard = Guard::new(signalled.shutdown.clone(), signalled.reload.clone());
    let (runtime, guard) = match runtime.and_then(|runtime| Ok((runtime, guard?))) {
        Ok(begun) => begun,
        Err(error) => {
            eprintln!("mcpo: the runtime cannot be started: {error}");
            return exit::FAILURE;
        }
    };
    match guard.run(&runtime, app::load(sources.clone(), signalled.clone())) {
        Ok(Some(Ok(loaded))) => serve(&guard, runtime, loaded, sources, inherited, signalled),
        Ok(Some(Err(LoadFailed::Problems(problems)))) => {
            let printed = check::print(&problems, &mut io::stderr());
            printed.map_or(exit::FAILURE, |()| exit::CONFIGURATION)
        }
        Ok(Some(Err(error))) => {
            eprintln!("mcpo: {error}");
            exit::CONFIGURATION
        }
        Ok(None) => exit::SUCCESS,
        Err(Overdue) => exit::FAILURE,
    }
}

fn serve(
    guard: &Guard,
    runtime: Runtime,
    loaded: Loaded,
    sources: Arc<Sources>,
    inherited: Result<Vec<InheritedSocket>, InheritedSocketError>,
    signalled: Signalled,
) -> u8 {
    let Loaded { config, warnings } = loaded;
    let telemetry = match Telemetry::start("mcpo", &config.log.level, form(config.log.format)) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("mcpo: the log cannot be started: {error}");
            return exit::FAILURE;
        }
    };
    for line in warnings.iter().flat_map(ConfigProblem::lines) {
        tracing::warn!("{line}");
    }
    let inherited = match inherited {
        Ok(inherited) => inherited,
        Err(error) => {
            tracing::error!("{error}");
            return exit::CONFIGURATION;
        }
    };
    let log = telemetry.form();
    let outcome = guard.run(&runtime, app::run(config, sources, inherited, log, signalled));
    // A thread that hangs must not keep the process.
    runtime.shutdown_timeout(LEFTOVERS);
    match outcome {
        Ok(Ok(())) => exit::SUCCESS,
        Ok(Err(error)) => {
            tracing::error!("{error}");
            match error {
                AppError::Keys(_)
                | AppError::Hosts(_)
                | AppError::Audit(_)
                | AppError::Sealing(_)
                | AppError::Shared(_) => exit::CONFIGURATION,
                AppError::Listen(error) if error.is_address_in_use() => exit::ADDRESS_IN_USE,
                AppError::Listen(_) | AppError::Random(_) => exit::FAILURE,
            }
        }
        Err(error) => {
            tracing::error!("{error}");
            exit::FAILURE
        }
    }
}

/// Half of the cores: the servers behind us need the others, and one worker passes on more calls than most
/// servers can answer. More workers than work only wake each other up.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

fn form(format: LogFormat) -> LogOutput {
    match format {
        LogFormat::Auto if stderr_is_journal(environment::journal_stream().as_deref()) => LogOutput::Journal,
        LogFormat::Auto | LogFormat::Text => LogOutput::Text,
        LogFormat::Json => LogOutput::Json,
        LogFormat::Journald => LogOutput::Journal,
    }
}
