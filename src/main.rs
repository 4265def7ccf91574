//! The binary: reads the command line, does what it says, and ends with the right code.

use std::io;
use std::process::ExitCode;

use mcpo::cli::{self, Invocation, check, exit};
use mcpo::config::{self, environment};

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os(), environment::variables()) {
        Ok(invocation) => invocation,
        Err(error) => error.exit(),
    };
    let outcome = match invocation {
        Invocation::Check(sources) => check::run(&sources, &mut io::stdout(), &mut io::stderr()),
        Invocation::Serve(sources) => match config::load(&sources) {
            Ok(loaded) => check::print(&loaded.warnings, &mut io::stderr()).map(|()| exit::SUCCESS),
            Err(problems) => check::print(&problems, &mut io::stderr()).map(|()| exit::CONFIGURATION),
        },
    };
    ExitCode::from(outcome.unwrap_or(exit::FAILURE))
}
