//! The two units of one server: a socket, and a service of which each connection starts an instance.

use std::fmt::Write as _;
use std::path::Path;

use super::files::UnitFile;
use super::lines::{argument, credential, executable, of_server, variable};
use crate::config::{ServerConfig, StdioConfig, TransportConfig, UnitConfig, isolation};

/// The folder of the servers' sockets; the packaged unit of the gateway names it, too.
const SOCKETS: &str = "/run/mcpo-servers";

/// Programs that download the program that they run.
const RUNNERS: [&str; 5] = ["npx", "uvx", "bunx", "pnpx", "pipx"];

/// Ends of names of variables whose values are secrets.
const SECRETS: [&str; 6] = ["TOKEN", "KEY", "SECRET", "PASSWORD", "PASSWD", "PAT"];

/// Both units; empty for a server without a command.
///
/// # Errors
///
/// The faults that keep the server from running in a unit.
pub(super) fn render(
    server: &ServerConfig,
    program: &Path,
    credentials: &Path,
) -> Result<Vec<UnitFile>, Vec<String>> {
    let TransportConfig::Stdio(stdio) = &server.transport else { return Ok(Vec::new()) };
    let name = format!("mcpo-server-{}", server.name.in_units());
    let service = service(server, stdio, &name, program, credentials)?;
    let socket = format!(
        "[Unit]\n\
         Description=Socket of the MCP server {title}\n\
         Before=mcpo.service\n\
         After=systemd-tmpfiles-setup.service systemd-tmpfiles-resetup.service\n\
         [Socket]\n\
         ListenStream={SOCKETS}/{}.sock\n\
         Accept=true\n\
         SocketUser=mcpo\n\
         SocketGroup=mcpo\n\
         SocketMode=0600\n\
         DirectoryMode=0750\n\
         RemoveOnStop=true\n\
         MaxConnections={most}\n\
         TriggerLimitIntervalSec=0\n\
         [Install]\n\
         WantedBy=sockets.target\n",
        server.name.in_units(),
        title = title(server),
        // One that all callers share, and one that takes its place.
        most = server.dedicated.most + 2,
    );
    Ok(vec![
        UnitFile { name: format!("{name}.socket"), text: socket },
        UnitFile { name: format!("{name}@.service"), text: service },
    ])
}

fn service(
    server: &ServerConfig,
    stdio: &StdioConfig,
    name: &str,
    program: &Path,
    credentials: &Path,
) -> Result<String, Vec<String>> {
    let UnitConfig { network, cache, state, memory_max, tasks_max } = &server.unit;
    let runner =
        Path::new(&stdio.command).file_name().is_some_and(|name| RUNNERS.iter().any(|known| name == *known));
    let (network, cache) = (network.unwrap_or(runner), cache.unwrap_or(runner));
    let variables = variables(server, stdio, credentials)?;
    let home = if *state { format!("/var/lib/{name}") } else { "/tmp".to_owned() };
    let is_isolated = server.isolation.is_on();
    // A word as `run-server` reads it, which puts in the caller.
    let word = |text: &str| argument(&if is_isolated { isolation::written(text) } else { text.to_owned() });
    let cwd = stdio.cwd.as_ref().map(|path| path.display().to_string());
    let (own, cwd) = if is_isolated { (cwd, None) } else { (None, cwd) };
    let directory = cwd.as_ref().unwrap_or(&home);

    let mut start = format!(
        "{} run-server --name {} --require-isolation",
        executable(program),
        argument(server.name.as_str())
    );
    if is_isolated {
        start.push_str(" --isolated");
    }
    if let Some(directory) = own {
        start.push_str(&format!(" --directory {}", word(&directory)));
    }
    if !network {
        start.push_str(" --no-network");
    }
    for (variable, _) in &variables.loaded {
        start.push_str(&format!(" --secret {}", argument(&format!("{variable}={variable}"))));
    }
    start.push_str(" --");
    for text in std::iter::once(&stdio.command).chain(&stdio.args) {
        start.push_str(&format!(" {}", word(text)));
    }

    let mut text = format!(
        "[Unit]\n\
         Description=MCP server {title}\n\
         CollectMode=inactive-or-failed\n\
         [Service]\n\
         ExecStart={start}\n\
         StandardInput=socket\n\
         StandardOutput=socket\n\
         StandardError=journal\n\
         SyslogIdentifier={name}\n\
         DynamicUser=true\n\
         MemoryMax={memory_max}\n\
         MemorySwapMax=0\n\
         TasksMax={tasks_max}\n\
         OOMPolicy=continue\n\
         Slice=system-mcpo.slice\n\
         OOMScoreAdjust=500\n\
         KillMode=mixed\n\
         TimeoutStopSec=15\n\
         WorkingDirectory={directory}\n",
        title = title(server),
    );
    text.push_str(&variable("HOME", &home));
    if cache {
        let cache = format!("/var/cache/{name}");
        text.push_str(&variable("XDG_CACHE_HOME", &cache));
        text.push_str(&variable("npm_config_cache", &format!("{cache}/npm")));
        text.push_str(&variable("UV_PYTHON_DOWNLOADS", "never"));
        let _ = writeln!(text, "CacheDirectory={name}\nCacheDirectoryMode=0700");
    }
    if *state {
        let _ = writeln!(text, "StateDirectory={name}\nStateDirectoryMode=0700");
    }
    variables.plain.iter().for_each(|(name, value)| text.push_str(&variable(name, value)));
    for (variable, line) in &variables.loaded {
        text.push_str(line);
        // A unit without its credential runs nothing; with an empty one, the gateway gets the missing file as the reason.
        let _ = writeln!(text, "SetCredential={variable}:\\n");
    }
    text.push_str(&of_server(network));
    Ok(text)
}

/// The name as a description has it.
fn title(server: &ServerConfig) -> String {
    server.name.as_str().replace('%', "%%").replace(char::is_control, " ")
}

/// The variables of a server: those that every user may see, and the lines that load the others.
#[derive(Default)]
struct Variables {
    plain: Vec<(String, String)>,
    loaded: Vec<(String, String)>,
}

fn variables(
    server: &ServerConfig,
    stdio: &StdioConfig,
    credentials: &Path,
) -> Result<Variables, Vec<String>> {
    let mut variables = Variables::default();
    let mut faults = Vec::new();
    let mut refuse = |key: &str, why: &str| {
        faults.push(format!("mcpServers.{}.{key}: {why}", server.name));
    };
    for (name, value) in &stdio.env {
        let is_secret = SECRETS.iter().any(|end| name.to_ascii_uppercase().ends_with(end));
        let line = match (value.as_file(), value.as_credential()) {
            (Some(file), _) => Some(format!("LoadCredential={name}:{}\n", file.display())),
            (None, Some(known)) => Some(credential(name, known, credentials)),
            (None, None) => None,
        };
        match (line, value.as_literal()) {
            (Some(line), _) => variables.loaded.push((name.clone(), line)),
            (None, Some(text)) if !is_secret || text.is_empty() => {
                let text = if server.isolation.is_on() { isolation::written(text) } else { text.to_owned() };
                variables.plain.push((name.clone(), text));
            }
            (None, Some(_)) => refuse(
                &format!("env.{name}"),
                "every user of the machine could read this secret in the unit; write it into a file, and `${credential:NAME}` here",
            ),
            (None, None) => refuse(
                &format!("env.{name}"),
                "a unit is given a secret as a whole; write `${credential:NAME}` or `${file:/path}` and nothing beside it",
            ),
        }
    }
    if stdio.env_file.is_some() {
        refuse(
            "envFile",
            "a unit reads no such file; put its variables into `env`, and its secrets into credentials",
        );
    }
    if !stdio.pass_env.is_empty() {
        refuse("passEnv", "a unit has no environment of the gateway; write the values into `env`");
    }
    if faults.is_empty() { Ok(variables) } else { Err(faults) }
}
