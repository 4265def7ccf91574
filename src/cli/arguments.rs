//! The clap types; their doc comments are the help.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser};

use super::run_server::RunServerArguments;

/// Many MCP servers behind one HTTP port, as REST with OpenAPI.
///
/// `mcpo --config FILE` serves many servers, `mcpo -- COMMAND ARGS...` a single one, and `mcpo` alone a
/// built-in one to try things out.
#[derive(Debug, Parser)]
#[command(
    name = "mcpo",
    disable_help_flag = true,
    disable_help_subcommand = true,
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    override_usage = "mcpo [OPTIONS] [-- COMMAND ARGS...]\n       mcpo check --config FILE"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub subcommand: Option<Subcommand>,
    #[command(flatten)]
    pub serve: ServeArguments,
    /// Print this help
    #[arg(long, action = ArgAction::Help, global = true)]
    help: Option<bool>,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Subcommand {
    /// Report every problem of a configuration, without reading a secret or starting anything
    Check(CheckArguments),
    RunServer(RunServerArguments),
}

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Configuration file; repeatable, a later one wins
    #[arg(long, short = 'c', value_name = "FILE", required = true)]
    pub config: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Address to listen on, or unix:/path of a socket [default: 127.0.0.1]
    #[arg(long, short = 'h', value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Port to listen on [default: 8000]
    #[arg(long, short = 'p', value_name = "PORT")]
    pub port: Option<u16>,
    /// Origin that browsers may call from; repeatable [default: *]
    #[arg(long, value_name = "ORIGIN")]
    pub cors_allow_origins: Vec<String>,
    /// Key that callers must show; also MCPO_API_KEY, and ${file:/path} keeps it off the command line
    #[arg(long, short = 'k', value_name = "KEY")]
    pub api_key: Option<String>,
    /// Ask for the key on documents and pages too
    #[arg(long)]
    pub strict_auth: bool,
    /// Variable for every child process; repeatable
    #[arg(long, short = 'e', value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// File of variables (dotenv) for every child process
    #[arg(long, value_name = "FILE")]
    pub env_path: Option<PathBuf>,
    /// What follows `--`: stdio (a command), or sse or streamable-http (a URL) [default: stdio]
    #[arg(long = "type", alias = "server-type", value_name = "TYPE")]
    pub transport: Option<String>,
    /// Configuration file (`mcpServers`); repeatable, a later one wins
    #[arg(long, short = 'c', value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Title of the combined document
    #[arg(long, short = 'n', value_name = "TEXT")]
    pub name: Option<String>,
    /// Description of the combined document
    #[arg(long, short = 'd', value_name = "TEXT")]
    pub description: Option<String>,
    /// Version of the combined document
    #[arg(long, short = 'v', value_name = "TEXT")]
    pub version: Option<String>,
    /// Certificate chain for TLS, as PEM
    #[arg(long, short = 't', value_name = "FILE")]
    pub ssl_certfile: Option<PathBuf>,
    /// Private key for TLS, as PEM
    #[arg(long, short = 'K', value_name = "FILE")]
    pub ssl_keyfile: Option<PathBuf>,
    /// Path that a reverse proxy strips
    #[arg(long, value_name = "PATH")]
    pub root_path: Option<String>,
    /// Path under which the servers are mounted [default: /]
    #[arg(long, value_name = "PATH")]
    pub path_prefix: Option<String>,
    /// Headers for a single remote server, as one JSON object
    #[arg(long, short = 'H', value_name = "JSON")]
    pub header: Option<String>,
    /// Reload when a configuration file changes; SIGHUP always reloads
    #[arg(long)]
    pub hot_reload: bool,
    /// error, warning, info, debug, trace, or a filter; also LOG_LEVEL [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// auto, text, json or journald [default: auto]
    #[arg(long, value_name = "FORM")]
    pub log_format: Option<String>,
    /// Directory where tool lists are kept across restarts
    #[arg(long, value_name = "DIRECTORY")]
    pub state_dir: Option<PathBuf>,
    /// The command of a single server with its arguments, or its URL
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
