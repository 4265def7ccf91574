//! The binary: reads the command line, does what it says, and ends with the right code.

use std::io;
use std::process::ExitCode;

use mcpo::app::{self, AppError};
use mcpo::cli::{self, Invocation, check, exit};
use mcpo::config::{self, Config, LogFormat, Problem, environment};
use mcpo::http::ListenError;
use mcpo::telemetry::{Form, Telemetry, stderr_is_journal};

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os(), environment::variables()) {
        Ok(invocation) => invocation,
        Err(error) => error.exit(),
    };
    let outcome = match invocation {
        Invocation::Check(sources) => check::run(&sources, &mut io::stdout(), &mut io::stderr()),
        Invocation::Serve(sources) => match config::load(&sources) {
            Ok(loaded) => Ok(serve(loaded.config, &loaded.warnings)),
            Err(problems) => check::print(&problems, &mut io::stderr()).map(|()| exit::CONFIGURATION),
        },
    };
    ExitCode::from(outcome.unwrap_or(exit::FAILURE))
}

fn serve(config: Config, warnings: &[Problem]) -> u8 {
    let telemetry = Telemetry::start(&config.log.level, form(config.log.format));
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot be started");
            return exit::FAILURE;
        }
    };
    let outcome = runtime.block_on(app::run(config));
    let dropped = telemetry.dropped_lines();
    if dropped > 0 {
        tracing::warn!("{dropped} log lines were dropped: stderr was read too slowly");
    }
    match outcome {
        Ok(()) => exit::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            match error {
                AppError::Keys(_) => exit::CONFIGURATION,
                AppError::Listen(ListenError::InUse { .. }) => exit::ADDRESS_IN_USE,
                AppError::Listen(_) => exit::FAILURE,
            }
        }
    }
}

fn form(format: LogFormat) -> Form {
    match format {
        LogFormat::Auto if stderr_is_journal(environment::journal_stream().as_deref()) => Form::Journal,
        LogFormat::Auto | LogFormat::Text => Form::Text,
        LogFormat::Json => Form::Json,
        LogFormat::Journald => Form::Journal,
    }
}
