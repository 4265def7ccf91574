//! `mcpo lock` and `mcpo check --lock`: writes the lock of tools, or compares it with the tools of now.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::command_error::CommandError;
use super::gateway_client::GatewayClient;
use super::output::{Output, counted};
use super::replace::replace;
use super::{exit, messages};
use crate::catalog::drift::{self, Drift, shown};
use crate::config::lock::{LockError, ServerLock, ToolsLock};
use crate::gateway::status::LockStatus;

/// The file when nothing names one.
const DEFAULT_FILE: &str = "tools.lock";

/// Which lock to write or to compare.
#[derive(Debug)]
pub struct LockTask {
    /// Only this server's entry.
    pub server: Option<String>,
    pub file: Option<PathBuf>,
    /// Write the lock; else compare with it.
    pub writes: bool,
}

/// Does `task`; gives the exit code.
///
/// # Errors
///
/// When the servers cannot be asked, or the file is not a lock.
pub async fn run(client: &GatewayClient, task: &LockTask, output: Output) -> Result<u8, CommandError> {
    let answer = client.json("servers/lock").await?;
    let told: LockStatus = serde_json::from_value(answer)
        .map_err(|_| CommandError::Failed(messages::no_gateway(&client.name())))?;
    if let Some(server) = &task.server
        && !told.servers.contains_key(server)
        && !told.missing.contains_key(server)
    {
        let known: Vec<&str> = told.servers.keys().chain(told.missing.keys()).map(String::as_str).collect();
        return Err(CommandError::Failed(messages::unknown_server(server, &known)));
    }
    let file = task.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
    let (old, is_first) = match ToolsLock::read(file) {
        Ok(lock) => (lock.servers, false),
        Err(LockError::Io(error)) if task.writes && error.kind() == io::ErrorKind::NotFound => {
            (BTreeMap::new(), true)
        }
        Err(error) => {
            let fix = match task.writes {
                true => "look what it is, and remove it: a lock is written anew then",
                false => "write it with `mcpo lock`",
            };
            return Err(CommandError::Configuration(format!(
                "error: {}\n  {error}\n  fix: {fix}",
                file.display()
            )));
        }
    };
    let is_meant = |server: &str| task.server.as_deref().is_none_or(|meant| meant == server);
    let mut new = BTreeMap::new();
    // Servers that were not asked for, or did not answer, keep their entries.
    for (server, entry) in &old {
        if !is_meant(server) || told.missing.contains_key(server) {
            new.insert(server.clone(), entry.clone());
        }
    }
    let complete = complain(&told, &old, is_meant);
    let unknown = |server: &str| !told.servers.contains_key(server) && !told.missing.contains_key(server);
    let (gone, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
        old.into_iter().partition(|(server, _)| is_meant(server) && unknown(server));
    new.extend(told.servers.into_iter().filter(|(server, _)| is_meant(server)));
    let changes = changes(&kept, &new);
    if task.writes {
        replace(file, ToolsLock::new(new.clone()).text().as_bytes()).map_err(|error| {
            CommandError::Failed(format!("{} cannot be written: {error}", file.display()))
        })?;
    }
    let mut text: String = gone.keys().map(|server| format!("{}: {GONE}\n", shown(server))).collect();
    if is_first {
        text.extend(new.iter().map(|(server, lock)| format!("{}: {}\n", shown(server), names(lock))));
    } else {
        text.extend(changes.iter().map(|(server, drift)| format!("{}/{drift}\n", shown(server))));
    }
    let tools: usize = new.values().map(|server| server.tools.len()).sum();
    let all = format!("{} of {}", counted(tools, "tool"), counted(new.len(), "server"));
    let differing = changes.len() + gone.values().map(|server| server.tools.len()).sum::<usize>();
    text.push_str(&format!("{}: {all}; {}", file.display(), verdict(differing, is_first, task.writes)));
    output.text(&text)?;
    let changes = gone.is_empty() && changes.is_empty();
    Ok(match (task.writes, changes, complete) {
        (false, false, _) => exit::CONFIGURATION,
        (_, _, false) => exit::FAILURE,
        _ => exit::SUCCESS,
    })
}

/// Said of a server that left the configuration.
const GONE: &str = "it is in the lock, and the configuration has it no more";

/// The tools of a server that is locked for the first time.
fn names(lock: &ServerLock) -> String {
    let names: Vec<String> = lock.tools.keys().map(|tool| shown(tool)).collect();
    if names.is_empty() { "no tools".to_owned() } else { names.join(", ") }
}

fn verdict(differing: usize, is_first: bool, writes: bool) -> String {
    let before = if writes { "what was locked before" } else { "the lock" };
    match differing {
        _ if is_first => "locked for the first time; `mcpo tools --json` has their texts".to_owned(),
        0 => "nothing has changed".to_owned(),
        1 => format!("1 tool differs from {before}"),
        count => format!("{count} tools differ from {before}"),
    }
}

/// Writes which of the servers that are meant did not answer, and what holds for them. Gives whether all did.
fn complain(told: &LockStatus, old: &BTreeMap<String, ServerLock>, is_meant: impl Fn(&str) -> bool) -> bool {
    let mut complete = true;
    for (server, state) in told.missing.iter().filter(|(server, _)| is_meant(server)) {
        // A disabled one is as it was meant to be.
        if state != "disabled" {
            complete = false;
            let so = match old.get(server) {
                Some(_) => "its tools were not compared, and what was locked of it stays",
                None => "nothing is locked of it",
            };
            eprintln!("mcpo: {} is {}; {so}", shown(server), shown(state));
        }
    }
    complete
}

/// Every tool that differs, with its server.
fn changes<'a>(
    old: &'a BTreeMap<String, ServerLock>,
    new: &'a BTreeMap<String, ServerLock>,
) -> Vec<(&'a str, Drift)> {
    let none = ServerLock::default();
    let mut servers: Vec<&String> = old.keys().chain(new.keys()).collect();
    servers.sort();
    servers.dedup();
    let of_server = |server: &'a String| {
        let (old, new) = (old.get(server).unwrap_or(&none), new.get(server).unwrap_or(&none));
        drift::between(old, new).into_iter().map(|drift| (server.as_str(), drift)).collect::<Vec<_>>()
    };
    servers.into_iter().flat_map(of_server).collect()
}
