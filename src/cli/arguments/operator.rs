//! The commands for operators.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use clap_complete::Shell;

const LOOK: &str = "Where to look";
const SERVERS: &str = "Servers of this process (with --config or --)";

/// Show servers and their tools, with arguments
#[derive(Debug, Args)]
#[command(
    override_usage = "mcpo tools [OPTIONS] [SERVER]\n       mcpo tools [OPTIONS] -- COMMAND [ARGUMENTS]...",
    after_help = "The tools of the running gateway by server, each with its arguments (those in brackets may be left out) and the first sentence of its description. Exits with 1 when the server named is not ready.

Examples:
  mcpo tools                               of the gateway at http://127.0.0.1:8000
  mcpo tools time --json                   the whole definitions, with their JSON Schemas
  mcpo tools --config config.json time     starts `time` of the file, without a gateway
  mcpo tools -- uvx mcp-server-time        starts this command, without a gateway"
)]
pub struct ToolsArguments {
    #[command(flatten)]
    pub query: ToolsQuery,
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Call a tool and print its result
#[derive(Debug, Args)]
#[command(
    override_usage = "mcpo call [OPTIONS] SERVER TOOL [ARGUMENTS]...\n       mcpo call [OPTIONS] TOOL [ARGUMENTS]... -- COMMAND [ARGUMENTS]...",
    after_help = "The result goes to the standard output as REST answers it, indented when that is a terminal. A failure goes to the standard error, also that of the tool itself; the exit code is 1 then.

Examples:
  mcpo call time get_current_time '{\"timezone\": \"UTC\"}'
  mcpo call time get_current_time timezone=UTC
  mcpo call search query text='two words' limit:=5 tags:='[\"a\"]'
  mcpo call files write @arguments.json
  generate | mcpo call files write -
  mcpo call get_current_time timezone=UTC -- uvx mcp-server-time"
)]
pub struct CallArguments {
    /// The server; with a COMMAND, which has one only, it is left out
    #[arg(required = true)]
    pub server: Option<String>,
    /// The tool, as `mcpo tools` names it
    pub tool: Option<String>,
    /// One JSON object, `@FILE` with it, or `-` for the standard input; or NAME=TEXT (turned into the number
    /// or boolean that the tool wants) and NAME:=JSON, repeatable [default: {}]
    pub arguments: Vec<String>,
    /// Print the MCP `CallToolResult` as the server sent it
    #[arg(long)]
    pub raw: bool,
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Print the OpenAPI document of all servers, or of one
#[derive(Debug, Args)]
#[command(
    override_usage = "mcpo openapi [OPTIONS] [SERVER]\n       mcpo openapi [OPTIONS] -- COMMAND [ARGUMENTS]...",
    after_help = "Examples:
  mcpo openapi > openapi.json
  mcpo openapi --config config.json time | jq .paths"
)]
pub struct OpenApiArguments {
    /// Only this server
    pub server: Option<String>,
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Show what a reload would change
#[derive(Debug, Args)]
#[command(
    override_usage = "mcpo plan [OPTIONS]\n       mcpo plan [OPTIONS] --config NEW --against OLD",
    after_help = "Asks the running gateway to compare what it serves with its files as they are now; nothing is changed. That takes a key with the `admin` right, where keys are configured. With --against, two files are compared without any gateway. Problems of a file go to the standard error, with exit code 64.

Examples:
  mcpo plan && systemctl reload mcpo
  mcpo plan --config new.json --against config.json --exit-code"
)]
pub struct PlanArguments {
    /// The new configuration; repeatable, a later one wins
    #[arg(long, short = 'c', value_name = "NEW", requires = "against", conflicts_with_all = ["url", "api_key"])]
    pub config: Vec<PathBuf>,
    /// The configuration that is served until then; repeatable like --config
    #[arg(long, value_name = "OLD", requires = "config")]
    pub against: Vec<PathBuf>,
    #[command(flatten)]
    pub options: PlanOptions,
    #[command(flatten)]
    pub gateway: GatewayArguments,
}

/// Report every problem of a configuration; reads no secret, starts nothing without --lock
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  mcpo check --config config.json && systemctl reload mcpo")]
pub struct CheckArguments {
    /// Configuration file; repeatable, a later one wins
    #[arg(long, short = 'c', value_name = "FILE", required = true)]
    pub config: Vec<PathBuf>,
    /// Start the servers, too, and compare their tools with the lock (`lock.file`, or tools.lock); exits with 64
    /// when a tool has changed, is new or is gone, and with 1 when a server cannot tell
    #[arg(long)]
    pub lock: bool,
}

/// Write what the servers say of their tools into a lock, for git
#[derive(Debug, Args)]
#[command(
    override_usage = "mcpo lock [OPTIONS] [SERVER]",
    after_help = "The lock holds each tool's name, title, description, schemas and hints as its server sends them, with a digest. With `lock: { \"file\": \"tools.lock\", \"drift\": \"quarantine\" }` in the configuration, a tool that is not as it was locked is neither listed nor called; with `warn`, the log tells. What has changed since the lock was written goes to the standard output. A server that is not ready keeps its old entry, and the exit code is 1. A running gateway wants a key with the `admin` right.

Examples:
  mcpo lock --config config.json           starts the servers of the file, and writes its `lock.file`
  mcpo lock --config config.json time      only the entry of `time`
  mcpo lock --file tools.lock              of the gateway at http://127.0.0.1:8000
  mcpo check --config config.json --lock   has anything changed?"
)]
pub struct LockArguments {
    /// Only this server's entry
    pub server: Option<String>,
    /// The file to write [default: `lock.file` of the configuration, or tools.lock]
    #[arg(long, short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub target: TargetArguments,
}

/// Print the JSON Schema of a configuration file, with which editors complete and check it
#[derive(Debug, Args)]
#[command(after_help = "Example:
  mcpo schema > mcpo.schema.json           then `\"$schema\": \"./mcpo.schema.json\"` in the file")]
pub struct SchemaArguments {}

/// Print a script that completes these commands in a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mcpo completions bash > ~/.local/share/bash-completion/completions/mcpo
  mcpo completions zsh > ~/.zfunc/_mcpo
  mcpo completions fish > ~/.config/fish/completions/mcpo.fish")]
pub struct CompletionsArguments {
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Write the units of systemd behind which servers with a `command` run, each in a sandbox of its own
#[derive(Debug, Args)]
#[command(
    after_help = "A socket and a service for each server with a `command`, and what the gateway's own units need to know: its address, and the credentials that it is given. `${credential:NAME}` is the file NAME in the directory `credentials` beside the configuration, or NAME.cred there, encrypted with `systemd-creds encrypt --name=NAME`; systemd reads it as root and hands it to the one unit that needs it. Files of a server that is gone are removed. The gateway runs with MCPO_SERVER_SOCKETS=/run/mcpo-servers, as its packaged unit does.

Examples:
  mcpo units --to /tmp/units               look at what would be written
  mcpo units --apply                       after a change of /etc/mcpo/config.json"
)]
pub struct UnitsArguments {
    /// Configuration file; repeatable, a later one wins
    #[arg(long, short = 'c', value_name = "FILE", default_value = "/etc/mcpo/config.json")]
    pub config: Vec<PathBuf>,
    /// Directory of the units
    #[arg(long, value_name = "DIRECTORY", default_value = "/etc/systemd/system")]
    pub to: PathBuf,
    /// Also have systemd read them, and reload or restart the gateway as the changes need
    #[arg(long)]
    pub apply: bool,
}

/// The servers to show, and the form.
#[derive(Debug, Args)]
pub struct ToolsQuery {
    /// Only this server
    pub server: Option<String>,
    /// Print the servers and their tools' whole definitions as JSON
    #[arg(long)]
    pub json: bool,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct PlanOptions {
    /// Exit with 3 when something would change
    #[arg(long)]
    pub exit_code: bool,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
}

/// A gateway that runs.
#[derive(Debug, Default, Args)]
pub struct GatewayArguments {
    /// Address of the running gateway, or unix:/path; also MCPO_URL [default: http://127.0.0.1:8000]
    #[arg(long, value_name = "URL", help_heading = LOOK)]
    pub url: Option<String>,
    /// Its key; also MCPO_API_KEY. ${file:/path} or ${env:NAME} keeps it off the command line
    #[arg(long, short = 'k', value_name = "KEY", help_heading = LOOK)]
    pub api_key: Option<String>,
    /// Wait no longer than this for an answer [default: 60, and for calls what the gateway allows]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, help_heading = LOOK)]
    pub timeout: Option<std::time::Duration>,
}

/// Where a command looks: at a running gateway, or at servers that it starts itself.
#[derive(Debug, Default, Args)]
pub struct TargetArguments {
    #[command(flatten)]
    pub gateway: GatewayArguments,
    /// Start the servers of this file in this process instead of asking a gateway; repeatable
    #[arg(long, short = 'c', value_name = "FILE", conflicts_with_all = ["url", "api_key", "command"], help_heading = LOOK)]
    pub config: Vec<PathBuf>,
    /// Start this command, or reach this URL, instead of asking a gateway
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["url", "api_key"], help_heading = LOOK)]
    pub command: Vec<String>,
    /// What follows `--`: stdio (a command), or sse or streamable-http (a URL) [default: stdio]
    #[arg(long = "type", alias = "server-type", value_name = "TYPE", requires = "command", help_heading = SERVERS)]
    pub transport: Option<String>,
    /// Headers for the URL behind `--`, as one JSON object
    #[arg(long, short = 'H', value_name = "JSON", requires = "command", help_heading = SERVERS)]
    pub header: Option<String>,
    /// Variable for every child process; repeatable
    #[arg(long, short = 'e', value_name = "NAME=VALUE", help_heading = SERVERS)]
    pub env: Vec<String>,
    /// File of variables (dotenv) for every child process
    #[arg(long, value_name = "FILE", help_heading = SERVERS)]
    pub env_path: Option<PathBuf>,
    /// How much these servers log: error, warning, info, debug, trace, or a filter [default: warning]
    #[arg(long, value_name = "LEVEL", help_heading = SERVERS)]
    pub log_level: Option<String>,
    /// Log errors only
    #[arg(long, short = 'q', action = ArgAction::SetTrue, conflicts_with = "log_level", help_heading = SERVERS)]
    pub quiet: bool,
}

fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    let duration = seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "write a number of seconds above 0, such as 30 or 0.5".to_owned())
}
