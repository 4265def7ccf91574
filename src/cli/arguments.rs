//! The clap types; their doc comments are the help. Here what serves, in [`operator`] what asks.

mod operator;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser};

use super::run_server::RunServerArguments;
use crate::upstream::transport::child::launch::{self, StartChild};
pub(super) use operator::{
    CallArguments, CheckArguments, CompletionsArguments, GatewayArguments, LockArguments, OpenApiArguments,
    PlanArguments, PlanOptions, SchemaArguments, TargetArguments, ToolsArguments, ToolsQuery, UnitsArguments,
};

const EXAMPLES: &str = "\
Examples:
  mcpo --config config.json                        serve the servers of a file
  mcpo --config config.json --api-key '${file:/run/secrets/mcpo}'
  mcpo --port 9000 -- uvx mcp-server-time          serve one command, its tools at the root
  mcpo check --config config.json                  is the file right?
  mcpo tools                                       what does the running gateway offer?
  mcpo call time get_current_time timezone=UTC     call a tool
  mcpo tools -- uvx mcp-server-time                what does a command offer, without any gateway?

Exit codes:
  0    success, also after SIGTERM
  1    failure, also of a called tool
  2    the command line is wrong
  3    `plan --exit-code`: something would change
  64   the configuration has errors; `check --lock`: a tool is not as it was locked
  69   the port is in use
  130  a command was interrupted; the servers that it had started were ended

`mcpo COMMAND --help` tells more about a command. `-h` is the host, as in mcpo.";

const ABOUT: &str = "\
One port for many MCP servers: each tool is a REST endpoint, described by OpenAPI.
`mcpo --config FILE` serves the servers of a file, `mcpo -- COMMAND` a single one, and `mcpo` alone a built-in one to \
try things out. The commands ask a running gateway, or look at servers without one.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "mcpo",
    version,
    about = ABOUT,
    disable_help_flag = true,
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    subcommand_help_heading = "Commands",
    override_usage = "mcpo [OPTIONS] [-- COMMAND [ARGUMENTS]...]\n       mcpo <COMMAND> [OPTIONS]",
    after_help = EXAMPLES
)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    pub subcommand: Option<Subcommand>,
    #[command(flatten)]
    pub serve: ServeArguments,
    /// Print this help
    #[arg(long, action = ArgAction::HelpShort, global = true, help_heading = "About")]
    help: Option<bool>,
    /// Print the version of this program
    #[arg(short = 'V', action = ArgAction::Version, help_heading = "About")]
    about_version: Option<bool>,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Subcommand {
    Tools(ToolsArguments),
    Call(CallArguments),
    #[command(name = "openapi")]
    OpenApi(OpenApiArguments),
    Plan(PlanArguments),
    Check(CheckArguments),
    Lock(LockArguments),
    Schema(SchemaArguments),
    Completions(CompletionsArguments),
    Units(UnitsArguments),
    RunServer(RunServerArguments),
    #[command(name = launch::COMMAND, hide = true)]
    StartChild(StartChildArguments),
}

/// Become a server of the gateway that called, and end with the gateway
#[derive(Debug, Args)]
pub(super) struct StartChildArguments {
    /// Process id of the gateway
    #[arg(long)]
    parent: i32,
    /// Working directory of the server
    #[arg(long)]
    directory: Option<PathBuf>,
    /// The command of the server with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl From<StartChildArguments> for StartChild {
    fn from(arguments: StartChildArguments) -> Self {
        let StartChildArguments { parent, directory, command } = arguments;
        Self { parent, directory, command }
    }
}

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Configuration file (`mcpServers`); repeatable, a later one wins
    #[arg(long, short = 'c', value_name = "FILE", help_heading = "Servers")]
    pub config: Vec<PathBuf>,
    /// Reload when a configuration file changes; SIGHUP always reloads
    #[arg(long, help_heading = "Servers")]
    pub hot_reload: bool,
    /// The command of a single server with its arguments, or its URL
    #[arg(last = true, value_name = "COMMAND", help_heading = "Servers")]
    pub command: Vec<String>,
    /// What follows `--`: stdio (a command), or sse or streamable-http (a URL) [default: stdio]
    #[arg(long = "type", alias = "server-type", value_name = "TYPE", help_heading = "Servers")]
    pub transport: Option<String>,
    /// Headers for a single remote server, as one JSON object
    #[arg(long, short = 'H', value_name = "JSON", help_heading = "Servers")]
    pub header: Option<String>,
    /// Variable for every child process; repeatable
    #[arg(long, short = 'e', value_name = "NAME=VALUE", help_heading = "Servers")]
    pub env: Vec<String>,
    /// File of variables (dotenv) for every child process
    #[arg(long, value_name = "FILE", help_heading = "Servers")]
    pub env_path: Option<PathBuf>,
    /// Directory where tool lists are kept across restarts
    #[arg(long, value_name = "DIRECTORY", help_heading = "Servers")]
    pub state_dir: Option<PathBuf>,
    /// Address to listen on, or unix:/path of a socket [default: 127.0.0.1]
    #[arg(long, short = 'h', value_name = "ADDRESS", help_heading = "Listening")]
    pub host: Option<String>,
    /// Port to listen on [default: 8000]
    #[arg(long, short = 'p', value_name = "PORT", help_heading = "Listening")]
    pub port: Option<u16>,
    /// Certificate chain for TLS, as PEM
    #[arg(long, short = 't', value_name = "FILE", help_heading = "Listening")]
    pub ssl_certfile: Option<PathBuf>,
    /// Private key for TLS, as PEM
    #[arg(long, short = 'K', value_name = "FILE", help_heading = "Listening")]
    pub ssl_keyfile: Option<PathBuf>,
    /// Path under which the servers are mounted [default: /]
    #[arg(long, value_name = "PATH", help_heading = "Listening")]
    pub path_prefix: Option<String>,
    /// Path that a reverse proxy strips
    #[arg(long, value_name = "PATH", help_heading = "Listening")]
    pub root_path: Option<String>,
    /// Key that callers must show; also MCPO_API_KEY, and ${file:/path} keeps it off the command line
    #[arg(long, short = 'k', value_name = "KEY", help_heading = "Access")]
    pub api_key: Option<String>,
    /// Ask for the key on documents and pages too
    #[arg(long, help_heading = "Access")]
    pub strict_auth: bool,
    /// Origin that browsers may call from; repeatable; `*` counts with an API key only [default: *]
    #[arg(long, value_name = "ORIGIN", help_heading = "Access")]
    pub cors_allow_origins: Vec<String>,
    /// Title of the combined document
    #[arg(long, short = 'n', value_name = "TEXT", help_heading = "Documents")]
    pub name: Option<String>,
    /// Description of the combined document
    #[arg(long, short = 'd', value_name = "TEXT", help_heading = "Documents")]
    pub description: Option<String>,
    /// Version of the combined document
    #[arg(long, short = 'v', value_name = "TEXT", help_heading = "Documents")]
    pub version: Option<String>,
    /// error, warning, info, debug, trace, or a filter; also LOG_LEVEL [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Logging")]
    pub log_level: Option<String>,
    /// auto, text, json or journald [default: auto]
    #[arg(long, value_name = "FORM", help_heading = "Logging")]
    pub log_format: Option<String>,
}
