//! Where the configuration comes from, as plain values: the command line fills this in, [`load`](super::load)
//! reads it.

use std::fmt;
use std::path::PathBuf;

use figment::value::Value;

/// The purpose of the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// A gateway is to start: slips that mcpo tolerates are warnings.
    #[default]
    Serve,
    /// `mcpo check`: the same slips are errors.
    Check,
}

/// Everything that [`load`](super::load) takes into account.
#[derive(Clone, Default)]
pub struct Sources {
    pub purpose: Purpose,
    /// Configuration files; a later one wins over an earlier one.
    pub files: Vec<PathBuf>,
    /// The process's variables ([`variables`](super::environment::variables)). They are empty for `mcpo check`, whose
    /// verdict on a file must not depend on the environment.
    pub environment: Vec<(String, String)>,
    /// Settings from the command line; they win over everything.
    pub overrides: Overrides,
    /// The part after `--` with its flags; ignored, with a warning, when there are files.
    pub single: Option<SingleServer>,
    /// `-e NAME=VALUE`: for every child process.
    pub given_env: Vec<(String, String)>,
    /// A dotenv file, for every child process; `-e` and variables of the environment win over it.
    pub env_path: Option<PathBuf>,
    /// The lock is not read, since it is about to be written or compared.
    pub without_lock: bool,
    /// `--hot-reload` was given.
    pub hot_reload: bool,
}

/// `mcpo -- command args`, or `mcpo --type sse -- URL`.
#[derive(Clone, Default)]
pub struct SingleServer {
    /// The command with its arguments, or one URL.
    pub command: Vec<String>,
    /// The `--type` as written; `None` is stdio.
    pub transport: Option<String>,
    /// The members of `--header`, for remote servers.
    pub headers: Vec<(String, String)>,
}

/// Settings given by flags.
#[derive(Clone, Default)]
pub struct Overrides(pub(super) Vec<Override>);

#[derive(Clone)]
pub(super) struct Override {
    pub key: &'static str,
    pub flag: &'static str,
    pub value: Value,
}

impl Overrides {
    /// Sets the setting `key` (as in a file, with dots: `tls.key`) when its `flag` was given.
    pub fn set<T: Into<Value>>(&mut self, key: &'static str, flag: &'static str, value: Option<T>) {
        if let Some(value) = value {
            self.0.push(Override { key, flag, value: value.into() });
        }
    }
}

// Flags, variables and `-e` values hold secrets: their debugging form names them and shows none.

impl fmt::Debug for Overrides {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.iter().map(|entry| entry.flag)).finish()
    }
}

impl fmt::Debug for SingleServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SingleServer").field("transport", &self.transport).finish_non_exhaustive()
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sources")
            .field("purpose", &self.purpose)
            .field("files", &self.files)
            .field("overrides", &self.overrides)
            .field("single", &self.single)
            .field("env_path", &self.env_path)
            .field("hot_reload", &self.hot_reload)
            .finish_non_exhaustive()
    }
}
