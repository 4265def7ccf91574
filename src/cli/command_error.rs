//! The errors that end a command early, each with its exit code.

use std::io;

use super::exit;
use crate::config::ConfigProblem;

/// Why a command failed; its text is for the standard error.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
    /// The problems were printed already, or are the text.
    #[error("{0}")]
    Configuration(String),
    #[error("interrupted; the servers of this process were ended")]
    Interrupted,
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl From<Vec<ConfigProblem>> for CommandError {
    fn from(problems: Vec<ConfigProblem>) -> Self {
        let blocks: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Self::Configuration(blocks.join("\n"))
    }
}

impl CommandError {
    /// The code to exit with. A reader that stops reading (`| head`) has what it wanted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Configuration(_) => exit::CONFIGURATION,
            Self::Interrupted => exit::INTERRUPTED,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::SUCCESS,
            Self::Failed(_) | Self::Output(_) => exit::FAILURE,
        }
    }

    /// Whether there is something to write about it.
    pub fn has_message(&self) -> bool {
        self.exit_code() != exit::SUCCESS && !self.to_string().is_empty()
    }
}
